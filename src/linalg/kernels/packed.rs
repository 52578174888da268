//! y = x W^T for many tokens, W stored row by row: weights, widened, and inputs are laid out as tiles read them.
//!
//! In place, rows and inputs lie a power of two apart and share few places in the caches, and each tile widens anew. Every y is
//! summed in the order of [`RowKernel`](super::RowKernel), to the same bits: between spans its vector of sums rests in memory.

use std::ops::Range;

use super::output::Output;
use super::packed_input::{PackedInput, SPAN, TILE_TOKENS, spans};
use super::rows::Scales;
use super::simd::{Element, Kernel, Simd};

/// Rows of a tile.
const TILE_ROWS: usize = 3;
/// Tiles of rows that all tokens of a block pass by.
const PANEL_TILES: usize = 8;
/// Tiles of tokens whose sums are held at a time.
const BLOCK_TILES: usize = 64;
/// Steps of a tile without a look at whether it ends.
const UNROLLED: usize = 4;
/// Numbers of a cache line.
const LINE: usize = 16;

/// The sums of a tile: its rows times its tokens.
type Sums<S> = [[<S as Simd>::V; TILE_TOKENS]; TILE_ROWS];
/// A vector of columns of each row of a tile.
type Weights<S> = [<S as Simd>::V; TILE_ROWS];

/// Some rows, for all tokens of a packed input.
#[derive(Debug)]
pub struct PackedRows<'a, E> {
    w: &'a [E],
    scales: Scales<'a>,
    rows: usize,
    x: &'a PackedInput,
    y: Output<'a>,
}

impl<'a, E: Element> PackedRows<'a, E> {
    /// The first `rows` rows of `w`, each beginning with a whole element. `None` where a slice is too short for the sizes, or groups
    /// do not begin where vectors do: after this, every access of the kernel is inside.
    pub fn new(w: &'a [E], scales: Scales<'a>, rows: usize, x: &'a PackedInput, y: Output<'a>) -> Option<Self> {
        let fits = w.len() >= rows.checked_mul(x.cols().div_ceil(E::PACKED))?
            && Self::takes(scales)
            && scales.of_rows(0..rows, x.cols()).is_some()
            && x.is_sound()
            && y.holds(x.tokens(), rows);
        fits.then_some(Self { w, scales, rows, x, y })
    }

    /// Whether weights with such scales can be laid out: groups begin where vectors do.
    pub fn takes(scales: Scales<'_>) -> bool {
        matches!(scales, Scales::None | Scales::Rows(_)) || scales.align_with_lanes()
    }
}

impl<E: Element> Kernel for PackedRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let zero = s.splat(0.0);
        let mut panel = vec![[zero; TILE_ROWS]; PANEL_TILES * SPAN / S::LANES];
        let tiles = self.x.tokens().div_ceil(TILE_TOKENS);
        let mut sums = vec![[[[zero; TILE_TOKENS]; TILE_ROWS]; PANEL_TILES]; tiles.min(BLOCK_TILES)];
        for first in (0..self.rows).step_by(PANEL_TILES * TILE_ROWS) {
            let rows = first..self.rows.min(first + PANEL_TILES * TILE_ROWS);
            let height = rows.len().div_ceil(TILE_ROWS);
            for tile in (0..tiles).step_by(BLOCK_TILES) {
                let count = BLOCK_TILES.min(tiles - tile);
                let sums = &mut sums[..count];
                for span in spans(self.x.cols()) {
                    let vectors = span.len().div_ceil(S::LANES);
                    let panel = &mut panel[..height * vectors];
                    self.pack(s, rows.clone(), span.clone(), panel);
                    self.add_span(s, span, tile, panel, sums);
                }
                for (place, sums) in sums.iter().enumerate() {
                    self.put(s, rows.clone(), (tile + place) * TILE_TOKENS, sums);
                }
            }
        }
    }
}

impl<E: Element> PackedRows<'_, E> {
    /// Adds the products of a span for the tiles of tokens from `first` on; those of the first span are the first.
    #[inline(always)]
    fn add_span<S: Simd>(
        &self,
        s: S,
        span: Range<usize>,
        first: usize,
        panel: &[Weights<S>],
        sums: &mut [[Sums<S>; PANEL_TILES]],
    ) {
        let vectors = span.len().div_ceil(S::LANES);
        let length = TILE_TOKENS * vectors * S::LANES;
        for (place, sums) in sums.iter_mut().enumerate() {
            let x = self.x.span(span.start).wrapping_add((first + place) * length);
            for (tile, (weights, sums)) in panel.chunks_exact(vectors).zip(sums).enumerate() {
                if span.start == 0 {
                    *sums = [[s.splat(0.0); TILE_TOKENS]; TILE_ROWS];
                }
                // The next inputs come from far, and as a new run: nothing but this foresees them.
                let next = x.wrapping_add(length + tile * length / PANEL_TILES);
                // SAFETY: a span has TILE_TOKENS inputs of so many vectors for each tile.
                unsafe { add_tile(s, weights, x, next, sums) };
            }
        }
    }

    /// Widens a span of the rows of a panel: tile by tile, in each vector by vector, in each row by row. Rows that are not there
    /// are 0.
    #[inline(always)]
    fn pack<S: Simd>(&self, s: S, rows: Range<usize>, span: Range<usize>, panel: &mut [Weights<S>]) {
        let cols = self.x.cols();
        let (group, grouped) = match self.scales {
            Scales::Groups(_, group) | Scales::HalfGroups(_, group) => (group, true),
            Scales::None | Scales::Rows(_) => (cols, false),
        };
        for (tile, to) in panel.chunks_exact_mut(span.len().div_ceil(S::LANES)).enumerate() {
            for r in 0..TILE_ROWS {
                let row = rows.start + tile * TILE_ROWS + r;
                if row >= rows.end {
                    to.iter_mut().for_each(|weights| weights[r] = s.splat(0.0));
                    continue;
                }
                let w = self.w.as_ptr().wrapping_add(row * cols.div_ceil(E::PACKED));
                let mut of_group = span.start / group;
                let (mut k, mut scale) = (span.start, s.splat(1.0));
                let mut end = k;
                for weights in to.iter_mut() {
                    // SAFETY: `new` has seen all columns of all rows; k begins a whole element.
                    let weight = unsafe {
                        if k + S::LANES <= cols { E::load(s, w.add(k / E::PACKED)) } else { E::load_end(s, w, k, cols) }
                    };
                    if grouped && k >= end {
                        // SAFETY: `new` has seen a scale for each group of each row.
                        scale = unsafe { self.scales.of_group(s, row * cols.div_ceil(group) + of_group) };
                        of_group += 1;
                        end = of_group * group;
                    }
                    weights[r] = if grouped { s.mul(weight, scale) } else { weight };
                    k += S::LANES;
                }
            }
        }
    }

    /// The results of a tile of tokens for all rows of a panel.
    #[inline(always)]
    fn put<S: Simd>(&self, s: S, rows: Range<usize>, token: usize, sums: &[Sums<S>; PANEL_TILES]) {
        for t in 0..TILE_TOKENS.min(self.x.tokens() - token) {
            let mut values = [0.0; PANEL_TILES * TILE_ROWS];
            for (value, (row, sums)) in values.iter_mut().zip(rows.clone().zip(sums.as_flattened())) {
                let scale = match self.scales {
                    // SAFETY: `new` has seen a scale for each row.
                    Scales::Rows(scales) => unsafe { *scales.get_unchecked(row) },
                    Scales::None | Scales::Groups(..) | Scales::HalfGroups(..) => 1.0,
                };
                *value = s.sum(sums[t]) * scale;
            }
            // SAFETY: `new` has seen that y holds tokens x rows, and no other kernel has these rows.
            unsafe { self.y.put_all(token + t, rows.start, &values[..rows.len()]) };
        }
    }
}

/// Adds the products of a tile's weights with the inputs from `x` on, which lie vector by vector, in each token by token; asks for
/// what lies from `next` on meanwhile.
///
/// # Safety
/// `x` is valid for reads of `TILE_TOKENS` vectors for each of the weights.
#[inline(always)]
unsafe fn add_tile<S: Simd>(s: S, weights: &[Weights<S>], mut x: *const f32, mut next: *const f32, sums: &mut Sums<S>) {
    let mut sum = *sums;
    let (fours, rest) = weights.as_chunks::<UNROLLED>();
    for four in fours {
        for line in (0..TILE_TOKENS * S::LANES * UNROLLED / PANEL_TILES).step_by(LINE) {
            s.prefetch(next.wrapping_add(line));
        }
        next = next.wrapping_add(TILE_TOKENS * S::LANES * UNROLLED / PANEL_TILES);
        for weights in four {
            // SAFETY: the caller vouches for them.
            unsafe { add_vectors(s, weights, x, &mut sum) };
            x = x.wrapping_add(TILE_TOKENS * S::LANES);
        }
    }
    for weights in rest {
        // SAFETY: as above.
        unsafe { add_vectors(s, weights, x, &mut sum) };
        x = x.wrapping_add(TILE_TOKENS * S::LANES);
    }
    *sums = sum;
}

/// Adds the products of one vector of each row with one of each token.
///
/// # Safety
/// `x` is valid for reads of `TILE_TOKENS` vectors.
#[inline(always)]
unsafe fn add_vectors<S: Simd>(s: S, weights: &Weights<S>, x: *const f32, sums: &mut Sums<S>) {
    for t in 0..TILE_TOKENS {
        // SAFETY: the caller vouches for them.
        let input = unsafe { s.load_f32(x.add(t * S::LANES)) };
        for (sum, weight) in sums.iter_mut().zip(weights) {
            sum[t] = s.fma(*weight, input, sum[t]);
        }
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
