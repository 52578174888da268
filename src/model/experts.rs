//! Which experts work on which tokens.

use super::architecture::Experts;
use crate::linalg::exp_over;

/// One expert's work on one token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Route {
    pub token: usize,
    pub expert: usize,
    /// Its share in the result.
    pub weight: f32,
}

/// The routes of tokens whose router gave `logits` [t, experts]: softmax, then the greatest, of equal ones the first; shares as
/// the softmax has them, or divided by their sum. Token by token.
pub(super) fn route(rule: &Experts, logits: &mut [f32]) -> Vec<Route> {
    let tokens = logits.chunks_exact_mut(rule.count.max(1)).enumerate();
    let of_token = |(token, logits): (usize, &mut [f32])| {
        softmax(logits);
        let mut order: Vec<usize> = (0..logits.len()).collect();
        let share = |expert: usize| logits.get(expert).copied().unwrap_or_default();
        order.sort_by(|a, b| share(*b).total_cmp(&share(*a)));
        order.truncate(rule.chosen);
        let sum: f32 = order.iter().map(|expert| share(*expert)).sum();
        let whole = if rule.normalised { sum } else { 1.0 };
        order.into_iter().map(|expert| Route { token, expert, weight: share(expert) / whole }).collect::<Vec<_>>()
    };
    tokens.flat_map(of_token).collect()
}

/// Softmax in place; the sum in f64.
pub(super) fn softmax(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    exp_over(scores, top);
    let scale = scores.iter().map(|score| f64::from(*score)).sum::<f64>().recip() as f32;
    scores.iter_mut().for_each(|score| *score *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_are_chosen_and_share() {
        let rule = Experts { count: 3, chosen: 2, width: 1, normalised: true, blocks: Vec::new() };
        let mut logits = [0.0, 2.0_f32.ln(), 0.0, 1.0, 0.0, 3.0];
        let routes = route(&rule, &mut logits);
        let found: Vec<(usize, usize)> = routes.iter().map(|route| (route.token, route.expert)).collect();
        assert_eq!(found, [(0, 1), (0, 0), (1, 2), (1, 0)]);
        assert!((routes[0].weight - 2.0 / 3.0).abs() < 1e-6 && (routes[1].weight - 1.0 / 3.0).abs() < 1e-6);
        let free = route(&Experts { normalised: false, ..rule }, &mut [0.0, 2.0_f32.ln(), 0.0]);
        assert!((free[0].weight - 0.5).abs() < 1e-6);
    }
}
