//! Inputs of a product of many tokens, laid out as outer products read them.

use std::ops::Range;

use rayon::prelude::*;

use super::Family;
use super::simd::{Kernel, MOST_LANES, OUTER_TOKENS, Simd};

/// Columns that are multiplied before the next ones have their turn: the weights of a lane and the inputs of a tile stay in the
/// first-level cache. A multiple of the lanes of any unit.
pub const SPAN: usize = 2048;
/// Tokens that a thread lays out at a time: whole tiles.
const TOKENS_AT_A_TIME: usize = 8 * OUTER_TOKENS;

/// The spans of so many columns.
pub fn spans(cols: usize) -> impl Iterator<Item = Range<usize>> {
    (0..cols).step_by(SPAN).map(move |first| first..cols.min(first + SPAN))
}

/// Inputs x [tokens, cols] by spans of columns, in each by the lane that a column has in its vector, in each by tiles of tokens, in
/// each by vectors, in each by tokens. What fills the last tiles and vectors is 0.
#[derive(Debug)]
pub struct PackedInput {
    numbers: Vec<f32>,
    tokens: usize,
    cols: usize,
}

impl PackedInput {
    /// The whole tokens of x [tokens, cols], for kernels on `family`.
    pub fn new(family: Family, x: &[f32], cols: usize) -> Self {
        let tokens = x.len().checked_div(cols).unwrap_or_default();
        let padded = tokens.next_multiple_of(OUTER_TOKENS);
        let mut numbers = vec![0.0; padded * cols.next_multiple_of(MOST_LANES)];
        let lanes = family.run(Lanes);
        let mut rest = &mut numbers[..];
        let mut parts = Vec::new();
        for columns in spans(cols) {
            let (span, after) = rest.split_at_mut(padded * columns.len().next_multiple_of(MOST_LANES));
            parts.extend(cut(span, padded, &columns, lanes));
            rest = after;
        }
        parts.into_par_iter().for_each(|part| part.fill(x, cols));
        Self { numbers, tokens, cols }
    }

    /// Number of inputs.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Length of an input.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Whether all tiles are there.
    pub fn is_sound(&self) -> bool {
        let padded = self.tokens.next_multiple_of(OUTER_TOKENS);
        padded.checked_mul(self.cols.next_multiple_of(MOST_LANES)) == Some(self.numbers.len())
    }

    /// The first number of the tiles of a lane, in the span that begins at column `first` and has so many vectors.
    #[inline(always)]
    pub fn lane(&self, first: usize, lane: usize, vectors: usize) -> *const f32 {
        self.numbers.as_ptr().wrapping_add((first + lane * vectors) * self.tokens.next_multiple_of(OUTER_TOKENS))
    }
}

/// The lanes of a unit.
struct Lanes;

impl Kernel for Lanes {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _s: S) -> usize {
        S::LANES
    }
}

/// Some tiles of a span, from those of `token` on: of each lane the numbers.
struct Part<'a> {
    columns: Range<usize>,
    token: usize,
    lanes: Vec<&'a mut [f32]>,
}

/// Cuts the numbers of a span, of so many tokens, into parts.
fn cut<'a>(span: &'a mut [f32], tokens: usize, columns: &Range<usize>, lanes: usize) -> Vec<Part<'a>> {
    let vectors = columns.len().div_ceil(lanes);
    let lanes = span.chunks_exact_mut((tokens * vectors).max(1)).take(lanes);
    let mut lanes: Vec<_> = lanes.map(|lane| lane.chunks_mut(TOKENS_AT_A_TIME * vectors)).collect();
    let part =
        |token| Part { columns: columns.clone(), token, lanes: lanes.iter_mut().filter_map(Iterator::next).collect() };
    (0..tokens).step_by(TOKENS_AT_A_TIME).map(part).collect()
}

impl Part<'_> {
    /// Takes the numbers of x [tokens, cols].
    fn fill(mut self, x: &[f32], cols: usize) {
        let (count, vectors) = (self.lanes.len(), self.columns.len().div_ceil(self.lanes.len().max(1)));
        let tokens = x.chunks_exact(cols).skip(self.token).take(TOKENS_AT_A_TIME);
        for (t, x) in tokens.enumerate() {
            let first = t / OUTER_TOKENS * OUTER_TOKENS * vectors + t % OUTER_TOKENS;
            let x = x.get(self.columns.clone()).unwrap_or_default();
            for (lane, numbers) in self.lanes.iter_mut().enumerate() {
                let places = numbers.iter_mut().skip(first).step_by(OUTER_TOKENS);
                places.zip(x.iter().skip(lane).step_by(count)).for_each(|(place, x)| *place = *x);
            }
        }
    }
}
