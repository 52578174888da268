//! What two models think likeliest at one position.

use super::logits::{Distribution, PositionStats, compare_distributions};

/// A token with its probability in both models.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LikelyToken {
    /// The token.
    pub id: u32,
    /// Its probability in the original, 0 to 1.
    pub original: f32,
    /// Its probability in the compressed model.
    pub compressed: f32,
}

/// As [`super::compare_position`], with the `count` tokens that are likeliest in one of the two models, by the larger of both
/// probabilities; they stand in the order of the original's. NaN logits are nobody's choice.
pub fn inspect_position(
    original: &[f32],
    compressed: &[f32],
    next: Option<u32>,
    count: usize,
) -> (PositionStats, Vec<LikelyToken>) {
    let (p, q) = (Distribution::new(original), Distribution::new(compressed));
    (compare_distributions(&p, &q, next), likeliest(&p, &q, count))
}

fn likeliest(p: &Distribution<'_>, q: &Distribution<'_>, count: usize) -> Vec<LikelyToken> {
    // The likeliest of both together are among the likeliest of each.
    let mut ids = largest(p.logits, count);
    ids.extend(largest(q.logits, count));
    ids.sort_unstable();
    ids.dedup();
    let of = |from: &Distribution<'_>, id: usize| from.log_probability(id).exp() as f32;
    let mut found: Vec<LikelyToken> =
        ids.into_iter().map(|id| LikelyToken { id: id as u32, original: of(p, id), compressed: of(q, id) }).collect();
    found.sort_by(|a, b| b.original.max(b.compressed).total_cmp(&a.original.max(a.compressed)));
    found.truncate(count);
    found.sort_by(|a, b| b.original.total_cmp(&a.original).then(b.compressed.total_cmp(&a.compressed)));
    found
}

/// The places of the `count` largest values, the first of equals; NaN never is one.
fn largest(values: &[f32], count: usize) -> Vec<usize> {
    let mut best: Vec<(f32, usize)> = Vec::with_capacity(count + 1);
    for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
        if best.len() == count && best.last().is_none_or(|(least, _)| value <= least) {
            continue;
        }
        let place = best.partition_point(|(other, _)| other >= value);
        best.insert(place, (*value, index));
        best.truncate(count);
    }
    best.into_iter().map(|(_, index)| index).collect()
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::prelude::*;

    use super::*;
    use crate::measure::compare_position;

    fn logits(probabilities: [f32; 4]) -> Vec<f32> {
        probabilities.iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn the_likeliest_of_either_model_stand_in_the_originals_order() {
        let (p, q) = (logits([0.1, 0.6, 0.28, 0.02]), logits([0.5, 0.05, 0.05, 0.4]));
        let (stats, found) = inspect_position(&p, &q, Some(1), 3);
        assert_eq!(stats, compare_position(&p, &q, Some(1)));
        assert_eq!(found.iter().map(|token| token.id).collect::<Vec<_>>(), [1, 0, 3]);
        assert!((found[0].original - 0.6).abs() < 1e-6 && (found[0].compressed - 0.05).abs() < 1e-6);
        assert!((found[2].original - 0.02).abs() < 1e-6 && (found[2].compressed - 0.4).abs() < 1e-6);
    }

    #[test]
    fn what_is_no_number_is_nobodys_choice() {
        let (_, found) = inspect_position(&[f32::NAN, 1.0, 1.0], &[0.0, 0.0, f32::NAN], None, 2);
        assert!(found.iter().any(|token| token.id == 1) && found.len() == 2);
        assert_eq!(inspect_position(&[f32::NAN], &[f32::NAN], None, 10).1, []);
        assert_eq!(inspect_position(&[], &[], Some(3), 10).1, []);
    }

    proptest! {
        #[test]
        fn the_largest_are_those_of_a_whole_sort(values in proptest::collection::vec(-3_i8..3, 0..40), count in 1_usize..12) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut sorted: Vec<usize> = (0..values.len()).collect();
            sorted.sort_by_key(|index| Reverse(values[*index] as i8));
            sorted.truncate(count);
            prop_assert_eq!(largest(&values, count), sorted);
        }
    }
}
