//! Loops and diversity of a text of ids.

use std::collections::HashSet;

use serde::Serialize;

/// The longest n-gram whose repetition counts as a loop.
const LONGEST_PERIOD: usize = 64;
/// How often it must come in a row.
const LEAST_REPEATS: usize = 4;
/// How many ids the repeats must cover; of a text shorter than this, half of it.
const LEAST_COVERED: usize = 24;

/// A loop at the end of a text: the last `period` ids repeat `repeats` times in a row, from `start` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Loop {
    /// Length of the repeated n-gram, 1..=64.
    pub period: usize,
    /// Index of the first id of the first repeat.
    pub start: usize,
    /// How many times, at least 4 (whole repeats).
    pub repeats: usize,
}

/// `generate`'s JSON `repetition`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repetition {
    /// Whether the text ends in a loop.
    pub looping: bool,
    /// Its period, or null.
    pub period: Option<usize>,
    /// Its start, or null.
    pub start: Option<usize>,
    /// Its repeats, or null.
    pub repeats: Option<usize>,
    /// Distinct bigrams over bigrams; null under 2 ids.
    pub distinct_2: Option<f64>,
    /// Distinct trigrams over trigrams; null under 3 ids.
    pub distinct_3: Option<f64>,
}

/// Looping: the last n-gram of period p <= 64 repeats at least 4 times in a row and covers at least 24 ids (shorter texts:
/// half of the text). The smallest such period.
pub fn find_loop(ids: &[u32]) -> Option<Loop> {
    let longest = LONGEST_PERIOD.min(ids.len() / LEAST_REPEATS);
    (1..=longest).find_map(|period| {
        let (earlier, later) = (ids.iter().rev().skip(period), ids.iter().rev());
        let equal = earlier.zip(later).take_while(|(a, b)| a == b).count();
        let repeats = equal / period + 1;
        let covered = repeats * period;
        let enough = if ids.len() < LEAST_COVERED { 2 * covered >= ids.len() } else { covered >= LEAST_COVERED };
        (repeats >= LEAST_REPEATS && enough).then(|| Loop { period, start: ids.len() - covered, repeats })
    })
}

/// All figures.
pub fn repetition(ids: &[u32]) -> Repetition {
    let found = find_loop(ids);
    Repetition {
        looping: found.is_some(),
        period: found.map(|l| l.period),
        start: found.map(|l| l.start),
        repeats: found.map(|l| l.repeats),
        distinct_2: distinct(ids, 2),
        distinct_3: distinct(ids, 3),
    }
}

/// Distinct n-grams over n-grams; `None` where there is none.
fn distinct(ids: &[u32], n: usize) -> Option<f64> {
    let all = ids.windows(n).count();
    let different = ids.windows(n).collect::<HashSet<_>>().len();
    (all > 0).then(|| different as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn repeated(unit: &[u32], times: usize) -> Vec<u32> {
        unit.iter().copied().cycle().take(unit.len() * times).collect()
    }

    #[test]
    fn a_loop_is_found_with_its_smallest_period_and_start() {
        let mut ids: Vec<u32> = (100..120).collect();
        ids.extend(repeated(&[1, 2, 3], 8));
        assert_eq!(find_loop(&ids), Some(Loop { period: 3, start: 20, repeats: 8 }));
        ids.push(1); // the last n-gram is now 2 3 1, which also has come eight times
        assert_eq!(find_loop(&ids), Some(Loop { period: 3, start: 21, repeats: 8 }));
        ids.push(9);
        assert_eq!(find_loop(&ids), None);
    }

    #[test]
    fn three_repeats_are_no_loop_and_four_are() {
        let unit: Vec<u32> = (0..20).collect();
        assert_eq!(find_loop(&repeated(&unit, 3)), None);
        assert_eq!(find_loop(&repeated(&unit, 4)), Some(Loop { period: 20, start: 0, repeats: 4 }));
        let longest: Vec<u32> = (0..64).collect();
        assert_eq!(find_loop(&repeated(&longest, 4)).map(|l| l.period), Some(64));
        let longer: Vec<u32> = (0..65).collect();
        assert_eq!(find_loop(&repeated(&longer, 4)), None);
    }

    #[test]
    fn a_loop_must_cover_24_ids_or_half_of_a_shorter_text() {
        let long: Vec<u32> = (100..200).chain([7; 23]).collect();
        assert_eq!(find_loop(&long), None);
        let long: Vec<u32> = (100..200).chain([7; 24]).collect();
        assert_eq!(find_loop(&long), Some(Loop { period: 1, start: 100, repeats: 24 }));
        let short: Vec<u32> = (100..106).chain([7; 5]).collect();
        assert_eq!(find_loop(&short), None);
        let short: Vec<u32> = (100..105).chain([7; 5]).collect();
        assert_eq!(find_loop(&short), Some(Loop { period: 1, start: 5, repeats: 5 }));
    }

    #[test]
    fn short_texts_have_no_figures_rather_than_wrong_ones() {
        let figures = repetition(&[]);
        assert_eq!((figures.looping, figures.distinct_2, figures.distinct_3), (false, None, None));
        let figures = repetition(&[1, 1, 1]);
        assert_eq!((figures.looping, figures.distinct_2, figures.distinct_3), (false, Some(0.5), Some(1.0)));
    }

    proptest! {
        #[test]
        fn a_found_loop_is_one(ids in proptest::collection::vec(0_u32..3, 0..120)) {
            if let Some(found) = find_loop(&ids) {
                prop_assert_eq!(found.start + found.period * found.repeats, ids.len());
                let tail = &ids[found.start..];
                prop_assert!(tail.iter().zip(&tail[found.period..]).all(|(a, b)| a == b));
                prop_assert!(found.repeats >= 4);
            }
        }

        #[test]
        fn every_appended_loop_is_found(head in proptest::collection::vec(0_u32..9, 0..60), unit in proptest::collection::vec(0_u32..9, 1..20)) {
            let mut ids = head;
            ids.extend(repeated(&unit, 24));
            prop_assert!(find_loop(&ids).is_some_and(|found| found.period <= unit.len()));
        }
    }
}
