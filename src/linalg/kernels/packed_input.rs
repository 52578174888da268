//! Inputs of a product of many tokens, laid out as tiles read them.

use std::ops::Range;

use rayon::prelude::*;

use super::Family;
use super::simd::{Element, Kernel, MOST_LANES, Simd};

/// Tokens of a tile.
pub const TILE_TOKENS: usize = 4;
/// Columns that are multiplied before the next tile has its turn: of a tile's inputs and a panel's rows they stay in the
/// first-level cache. A multiple of the lanes of any unit.
pub const SPAN: usize = 512;

/// The spans of so many columns.
pub fn spans(cols: usize) -> impl Iterator<Item = Range<usize>> {
    (0..cols).step_by(SPAN).map(move |first| first..cols.min(first + SPAN))
}

/// Inputs x [tokens, cols] by spans of columns, in each by tiles of tokens, in each by vectors, in each by tokens. What fills the
/// last tiles and vectors is 0.
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
        let padded = tokens.next_multiple_of(TILE_TOKENS);
        let mut numbers = vec![0.0; padded * cols.next_multiple_of(MOST_LANES)];
        let spans = numbers.par_chunks_mut((padded * SPAN).max(1)).enumerate();
        spans.for_each(|(span, to)| family.run(PackSpan { x, cols, first: span * SPAN, to }));
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
        let padded = self.tokens.next_multiple_of(TILE_TOKENS);
        padded.checked_mul(self.cols.next_multiple_of(MOST_LANES)) == Some(self.numbers.len())
    }

    /// The first number of the tiles of the span that begins at column `first`.
    #[inline(always)]
    pub fn span(&self, first: usize) -> *const f32 {
        self.numbers.as_ptr().wrapping_add(first * self.tokens.next_multiple_of(TILE_TOKENS))
    }
}

/// Lays out the columns of a span.
struct PackSpan<'a> {
    x: &'a [f32],
    cols: usize,
    first: usize,
    to: &'a mut [f32],
}

impl Kernel for PackSpan<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let span = self.first..self.cols.min(self.first + SPAN);
        let vectors = span.len().div_ceil(S::LANES);
        for (token, x) in self.x.chunks_exact(self.cols).enumerate() {
            let first = token / TILE_TOKENS * TILE_TOKENS * vectors + token % TILE_TOKENS;
            let mut places = self.to.chunks_exact_mut(S::LANES).skip(first).step_by(TILE_TOKENS);
            let mut numbers = x.get(span.clone()).unwrap_or_default().chunks_exact(S::LANES);
            for (numbers, place) in numbers.by_ref().zip(places.by_ref()) {
                // SAFETY: both hold LANES numbers.
                unsafe { s.store(place.as_mut_ptr(), f32::load(s, numbers.as_ptr())) };
            }
            let rest = numbers.remainder();
            places.take(1).for_each(|place| place.iter_mut().zip(rest).for_each(|(place, x)| *place = *x));
        }
    }
}
