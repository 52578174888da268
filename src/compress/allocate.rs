//! Bytes shared out among layers: for each layer one of several choices, so that the sum of damages is small within a budget.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// One way to store a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Bytes as stored.
    pub bytes: u64,
    /// What it costs (KLD in nats, say): at least 0; damages of several layers add up.
    pub damage: f64,
}

/// Which choice each layer got.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// Index into each layer's choices.
    pub chosen: Vec<usize>,
    /// Sum of bytes.
    pub bytes: u64,
    /// Sum of damages.
    pub damage: f64,
}

/// No allocation fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// The layers do not fit.
    #[error(
        "the budget leaves {budget} bytes to the layers, but the smallest plans tried take {least}; raise it, or set smaller ranks by hand"
    )]
    Layers {
        /// Bytes that there are.
        budget: u64,
        /// Bytes of the smallest choices.
        least: u64,
    },
    /// What is no layer does not fit.
    #[error("the budget is {budget} bytes, but what is no layer (embeddings, norms, biases) takes {others}; raise it")]
    Others {
        /// Bytes of the budget.
        budget: u64,
        /// Bytes of what is no layer.
        others: u64,
    },
}

/// Shares out `budget` bytes. From every layer's smallest choice, the steps along the lower convex hulls of (bytes, damage)
/// are taken by falling gain per byte, which is optimal for each budget that a step ends at (Shoham and Gersho 1988); what is
/// left over is used by single steps and exchanges between two layers, as long as one helps. Ties go to the earlier layer.
/// A layer without choices is not possible and counts as nothing.
///
/// # Errors
/// A budget below the sum of the smallest choices.
pub fn allocate(layers: &[Vec<Choice>], budget: u64) -> Result<Allocation, BudgetError> {
    let hulls: Vec<Vec<usize>> = layers.iter().map(|choices| hull(choices)).collect();
    let mut state = State::smallest(layers, &hulls);
    if state.bytes > budget {
        return Err(BudgetError::Layers { budget, least: state.bytes });
    }
    state.climb(&hulls, budget);
    // Every round lowers the damage; the bound only keeps rounding from going round in circles.
    for _ in 0..4 * layers.len() {
        if !state.step(budget) && !state.exchange(&hulls, budget) {
            break;
        }
    }
    let damage = (0..layers.len()).map(|layer| state.current(layer).damage).sum();
    Ok(Allocation { chosen: state.chosen, bytes: state.bytes, damage })
}

/// The lower convex hull of choices, by rising bytes and falling damage: indices. Damages that are no numbers are left out.
pub fn hull(choices: &[Choice]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..choices.len()).filter(|i| at(choices, *i).damage.is_finite()).collect();
    let key = |i: usize| at(choices, i);
    order.sort_by(|a, b| {
        let (a, b) = (key(*a), key(*b));
        a.bytes.cmp(&b.bytes).then(a.damage.partial_cmp(&b.damage).unwrap_or(Ordering::Equal))
    });
    let mut hull: Vec<usize> = Vec::new();
    for next in order {
        if hull.last().is_some_and(|last| key(*last).damage <= key(next).damage) {
            continue;
        }
        while let [.., before, last] = hull.as_slice()
            && gain(key(*before), key(*last)) <= gain(key(*last), key(next))
        {
            hull.pop();
        }
        hull.push(next);
    }
    hull
}

/// Damage saved per byte from one choice to a larger one.
fn gain(from: Choice, to: Choice) -> f64 {
    (from.damage - to.damage) / (to.bytes.saturating_sub(from.bytes)).max(1) as f64
}

fn at(choices: &[Choice], index: usize) -> Choice {
    choices.get(index).copied().unwrap_or(Choice { bytes: 0, damage: 0.0 })
}

/// A step of one layer along its hull.
struct Step {
    gain: f64,
    layer: usize,
    /// Place on the hull that it leads to.
    place: usize,
}

impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.layer.cmp(&self.layer))
    }
}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Step {}

struct State<'a> {
    layers: &'a [Vec<Choice>],
    chosen: Vec<usize>,
    bytes: u64,
}

impl<'a> State<'a> {
    fn smallest(layers: &'a [Vec<Choice>], hulls: &[Vec<usize>]) -> Self {
        let chosen: Vec<usize> = hulls.iter().map(|hull| hull.first().copied().unwrap_or_default()).collect();
        let bytes = layers.iter().zip(&chosen).map(|(choices, index)| at(choices, *index).bytes).sum();
        Self { layers, chosen, bytes }
    }

    fn choices(&self, layer: usize) -> &'a [Choice] {
        self.layers.get(layer).map_or(&[], Vec::as_slice)
    }

    fn current(&self, layer: usize) -> Choice {
        at(self.choices(layer), self.chosen.get(layer).copied().unwrap_or_default())
    }

    fn set(&mut self, layer: usize, index: usize) {
        self.bytes = self.bytes - self.current(layer).bytes + at(self.choices(layer), index).bytes;
        if let Some(slot) = self.chosen.get_mut(layer) {
            *slot = index;
        }
    }

    /// Along the hulls, the best step first; a layer whose next step does not fit stays where it is.
    fn climb(&mut self, hulls: &[Vec<usize>], budget: u64) {
        let step = |layer: usize, place: usize| {
            let hull = hulls.get(layer)?;
            let (from, to) = (*hull.get(place.checked_sub(1)?)?, *hull.get(place)?);
            let choices = self.layers.get(layer)?;
            Some(Step { gain: gain(at(choices, from), at(choices, to)), layer, place })
        };
        let mut steps: BinaryHeap<Step> = (0..hulls.len()).filter_map(|layer| step(layer, 1)).collect();
        let (mut bytes, mut places) = (self.bytes, vec![0; hulls.len()]);
        while let Some(Step { layer, place, .. }) = steps.pop() {
            let hull = hulls.get(layer).map_or(&[] as &[usize], Vec::as_slice);
            let index = hull.get(place).copied().unwrap_or_default();
            let before = hull.get(place - 1).copied().unwrap_or_default();
            let choices = self.choices(layer);
            let after = bytes - at(choices, before).bytes + at(choices, index).bytes;
            if after <= budget {
                bytes = after;
                if let Some(held) = places.get_mut(layer) {
                    *held = index + 1;
                }
                steps.extend(step(layer, place + 1));
            }
        }
        for (layer, index) in places.into_iter().enumerate().filter(|(_, index)| *index > 0) {
            self.set(layer, index - 1);
        }
    }

    /// The change of one layer that lowers the damage most and fits.
    fn step(&mut self, budget: u64) -> bool {
        let mut best: Option<(f64, usize, usize)> = None;
        for layer in 0..self.layers.len() {
            let now = self.current(layer);
            for (index, choice) in self.choices(layer).iter().enumerate() {
                let saved = now.damage - choice.damage;
                let fits = self.bytes - now.bytes + choice.bytes <= budget;
                if fits && saved > 0.0 && best.is_none_or(|(most, ..)| saved > most) {
                    best = Some((saved, layer, index));
                }
            }
        }
        best.inspect(|(_, layer, index)| self.set(*layer, *index)).is_some()
    }

    /// One layer gives bytes to another: of each, the next place on its hull; the pair that lowers the damage most and fits.
    fn exchange(&mut self, hulls: &[Vec<usize>], budget: u64) -> bool {
        let (mut larger, mut smaller) = (Vec::new(), Vec::new());
        for (layer, hull) in hulls.iter().enumerate() {
            let (now, choices) = (self.current(layer), self.choices(layer));
            let mut places = hull.iter().map(|index| (*index, at(choices, *index)));
            smaller.extend(places.clone().rfind(|(_, to)| to.bytes < now.bytes).map(|(index, to)| (layer, index, to)));
            larger.extend(places.find(|(_, to)| to.damage < now.damage).map(|(index, to)| (layer, index, to)));
        }
        let mut best: Option<(f64, [(usize, usize); 2])> = None;
        for (up, up_index, to) in &larger {
            for (down, down_index, left) in smaller.iter().filter(|(down, ..)| down != up) {
                let (from, given) = (self.current(*up), self.current(*down));
                let saved = from.damage - to.damage - (left.damage - given.damage);
                let bytes = self.bytes - from.bytes - given.bytes + to.bytes + left.bytes;
                if bytes <= budget && saved > 1e-12 * from.damage && best.is_none_or(|(most, _)| saved > most) {
                    best = Some((saved, [(*up, *up_index), (*down, *down_index)]));
                }
            }
        }
        let found = best.map(|(_, pair)| pair);
        found.into_iter().flatten().for_each(|(layer, index)| self.set(layer, index));
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn choices(pairs: &[(u64, f64)]) -> Vec<Choice> {
        pairs.iter().map(|(bytes, damage)| Choice { bytes: *bytes, damage: *damage }).collect()
    }

    /// The least damage of all combinations that fit.
    fn exhaustive(layers: &[Vec<Choice>], budget: u64) -> Option<f64> {
        let Some((first, rest)) = layers.split_first() else { return Some(0.0) };
        let fitting = first.iter().filter(|choice| choice.bytes <= budget);
        let sums = fitting.filter_map(|c| exhaustive(rest, budget - c.bytes).map(|rest| c.damage + rest));
        sums.min_by(f64::total_cmp)
    }

    #[test]
    fn the_hull_leaves_out_what_is_never_worth_it() {
        let all = choices(&[(10, 0.0), (2, 8.0), (4, 7.0), (5, 2.0), (6, 3.0), (1, f64::NAN)]);
        assert_eq!(hull(&all), [1, 3, 0]);
        assert_eq!(hull(&choices(&[(3, 1.0), (3, 0.5), (4, 0.5)])), [1]);
        assert_eq!(hull(&[]), Vec::<usize>::new());
    }

    #[test]
    fn bytes_go_where_they_save_most() {
        let sensitive = choices(&[(1, 100.0), (2, 10.0), (4, 1.0)]);
        let tough = choices(&[(1, 1.0), (2, 0.5), (4, 0.1)]);
        let found = allocate(&[tough, sensitive], 5).unwrap();
        assert_eq!((found.chosen, found.bytes), (vec![0, 2], 5));
    }

    #[test]
    fn a_budget_that_is_too_small_is_told_with_the_least() {
        let layers = [choices(&[(5, 1.0), (9, 0.0)]), choices(&[(4, 1.0)])];
        assert_eq!(allocate(&layers, 8), Err(BudgetError::Layers { budget: 8, least: 9 }));
        assert_eq!(allocate(&layers, 9).unwrap().chosen, [0, 0]);
        assert_eq!(allocate(&[], 0).unwrap().bytes, 0);
    }

    proptest! {
        #[test]
        fn it_fits_and_is_close_to_the_best(
            sizes in prop::collection::vec(prop::collection::vec((1_u64..40, 0.0_f64..1.0), 1..5), 1..6),
            budget in 1_u64..160,
        ) {
            let layers: Vec<Vec<Choice>> = sizes.iter().map(|pairs| choices(pairs)).collect();
            let best = exhaustive(&layers, budget);
            match allocate(&layers, budget) {
                Err(error) => {
                    let told = matches!(error, BudgetError::Layers { least, .. } if least > budget);
                    prop_assert!(told, "{}", error);
                    prop_assert!(best.is_none());
                }
                Ok(found) => {
                    let chosen = layers.iter().zip(&found.chosen).map(|(choices, index)| choices[*index]);
                    let (bytes, damage) = chosen.fold((0, 0.0), |(b, d), c| (b + c.bytes, d + c.damage));
                    prop_assert!(bytes <= budget && bytes == found.bytes);
                    prop_assert!((damage - found.damage).abs() < 1e-9);
                    // Greedy is off by at most one step of one layer; exchanges bring it closer.
                    let worst = layers.iter().flatten().map(|choice| choice.damage).fold(0.0, f64::max);
                    prop_assert!(damage <= best.unwrap_or(f64::NAN) + worst);
                }
            }
        }

        #[test]
        fn more_bytes_never_hurt_on_hulls(budget in 20_u64..60, more in 0_u64..40) {
            let layers = vec![choices(&[(5, 9.0), (10, 3.0), (20, 1.0), (40, 0.0)]); 3];
            if let Ok(less) = allocate(&layers, budget) {
                prop_assert!(allocate(&layers, budget + more).unwrap().damage <= less.damage + 1e-12);
            }
        }
    }
}
