//! Loops and diversity of a text of ids. STUB (room `measure`).

use serde::Serialize;

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
pub fn find_loop(_ids: &[u32]) -> Option<Loop> { todo!() }

/// All figures.
pub fn repetition(_ids: &[u32]) -> Repetition { todo!() }
