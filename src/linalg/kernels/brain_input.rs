//! Inputs rounded to bfloat16, laid out as tiles read them.

use rayon::prelude::*;

use super::BrainFamily;
use super::brain::{BrainKernel, BrainSimd};
use super::simd::{Element, MOST_LANES, Simd};

/// Tokens of the widest tile.
pub const TILE: usize = 12;
/// Widths of tiles are multiples of it.
const NARROW: usize = 4;

/// The tiles that so many tokens make up: the first token of each, and its width, in which tokens that are not there are
/// counted as zeros.
pub fn tiles(tokens: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..tokens).step_by(TILE).map(move |first| (first, (tokens - first).next_multiple_of(NARROW).min(TILE)))
}

/// Inputs x [tokens, cols] rounded to bfloat16, in tiles of some tokens: [pairs of columns, tokens of the tile] each.
#[derive(Debug)]
pub struct BrainInput {
    rounded: Vec<u32>,
    tokens: usize,
    pairs: usize,
}

impl BrainInput {
    /// Rounds x [tokens, cols] on a unit.
    pub fn new(family: BrainFamily, x: &[f32], cols: usize) -> Self {
        let (tokens, pairs) = (x.len().checked_div(cols).unwrap_or_default(), cols.div_ceil(2));
        let mut rounded = vec![0; tokens.next_multiple_of(NARROW) * pairs];
        let outputs = rounded.par_chunks_mut((TILE * pairs).max(1));
        let round = |(x, out): (&[f32], &mut [u32])| family.run(Round { x, cols, out });
        x.par_chunks((TILE * cols).max(1)).zip(outputs).for_each(round);
        Self { rounded, tokens, pairs }
    }

    /// Number of inputs.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Pairs of columns.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Whether all tiles are there.
    pub fn is_sound(&self) -> bool {
        self.tokens.next_multiple_of(NARROW).checked_mul(self.pairs) == Some(self.rounded.len())
    }

    /// The first pair of the first tile.
    pub fn as_ptr(&self) -> *const u32 {
        self.rounded.as_ptr()
    }
}

/// Rounds the inputs of a tile.
struct Round<'a> {
    x: &'a [f32],
    cols: usize,
    out: &'a mut [u32],
}

impl BrainKernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: BrainSimd>(self, s: S) {
        let Self { x, cols, out } = self;
        let width = out.len() / cols.div_ceil(2);
        for (token, x) in x.chunks_exact(cols).enumerate() {
            let columns = x.chunks(2 * S::Wide::LANES).zip(out.chunks_mut(S::Wide::LANES * width));
            for (x, out) in columns {
                let mut pairs = [0; MOST_LANES];
                // SAFETY: `x` holds so many numbers.
                let rounded = unsafe { round_columns(s, x.as_ptr(), x.len()) };
                // SAFETY: the buffer holds MOST_LANES >= LANES pairs.
                unsafe { s.store(pairs.as_mut_ptr(), rounded) };
                let places = out.iter_mut().skip(token).step_by(width);
                places.zip(pairs).for_each(|(place, pair)| *place = pair);
            }
        }
    }
}

/// Up to two vectors of stored numbers, rounded in pairs of neighbours; the rest are zeros.
///
/// # Safety
/// `from` is valid for reads of `count` numbers, each of one element.
#[inline(always)]
pub unsafe fn round_columns<S: BrainSimd, E: Element>(s: S, from: *const E, count: usize) -> S::P {
    let lanes = S::Wide::LANES;
    if count >= 2 * lanes {
        // SAFETY: the caller vouches for two vectors.
        return unsafe { s.round(E::load(s.wide(), from), E::load(s.wide(), from.add(lanes))) };
    }
    let (first, second) = (count.min(lanes), count.saturating_sub(lanes));
    // SAFETY: the caller vouches for first + second numbers.
    unsafe { s.round(E::load_tail(s.wide(), from, first), E::load_tail(s.wide(), from.add(first), second)) }
}
