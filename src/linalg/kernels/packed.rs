//! y = x W^T for many tokens, W stored row by row: weights, widened, and inputs are laid out as outer products read them.
//!
//! Every y is summed in the order of [`RowKernel`](super::RowKernel), to the same bits: of a row's vectors each lane has a sum of its
//! own, and only in the end are lanes added. So the columns of a lane are multiplied first, those of the next lane then: the numbers
//! of some rows at a column, side by side, times that of each token. This reads less than tiles of rows in place, whose steps need
//! whole vectors of both, and it adds lanes of many rows at a time.

use std::ops::Range;

use super::output::Output;
use super::packed_input::{PackedInput, SPAN, spans};
use super::rows::Scales;
use super::simd::{Element, Kernel, MOST_LANES, OUTER_TOKENS, OuterSums, Simd};

/// Rows that a share is a multiple of: two vectors of any unit.
pub const PACKED_GRANULE: usize = 2 * MOST_LANES;
/// Tiles of tokens whose sums are held at a time: with inputs of some thousand columns they stay in the last cache.
const BLOCK_TILES: usize = 64;
/// Numbers of a cache line, by which the weights of a lane lie behind a power of two: those of all lanes are written side by side.
const LINE: usize = 16;

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
        let mut panel = Panel::new(s, self.x.cols());
        let tiles = self.x.tokens().div_ceil(OUTER_TOKENS);
        let mut sums = Vec::new();
        for tile in (0..tiles).step_by(BLOCK_TILES) {
            let count = BLOCK_TILES.min(tiles - tile);
            for first in (0..self.rows).step_by(2 * S::LANES) {
                let rows = first..self.rows.min(first + 2 * S::LANES);
                sums.clear();
                sums.resize(S::LANES * count, [[s.splat(0.0); 2]; OUTER_TOKENS]);
                for span in spans(self.x.cols()) {
                    self.pack(s, rows.clone(), span.clone(), &mut panel);
                    self.add_span(s, span, tile, &panel, &mut sums);
                }
                self.put(s, rows, tile, &sums);
            }
        }
    }
}

impl<E: Element> PackedRows<'_, E> {
    /// Adds the products of a span, for the tiles of tokens from `first` on. Of `sums` each lane has as many as there are tiles.
    #[inline(always)]
    fn add_span<S: Simd>(
        &self,
        s: S,
        span: Range<usize>,
        first: usize,
        panel: &Panel<S::V>,
        sums: &mut [OuterSums<S::V>],
    ) {
        let steps = span.len().div_ceil(S::LANES);
        let length = OUTER_TOKENS * steps;
        let count = sums.len() / S::LANES;
        for (lane, sums) in sums.chunks_exact_mut(count).enumerate() {
            let x = self.x.lane(span.start, lane, steps);
            for (tile, sums) in sums.iter_mut().enumerate() {
                let x = x.wrapping_add((first + tile) * length);
                // SAFETY: a lane has `steps` times the inputs of each tile, and the panel as many times those of 2 LANES rows.
                unsafe { s.add_outer(steps, panel.lane(lane), x, x.wrapping_add(length), sums) };
            }
        }
    }

    /// Widens a span of some rows: lane by lane, in each step by step, in each row by row. Rows that are not there are 0.
    #[inline(always)]
    fn pack<S: Simd>(&self, s: S, rows: Range<usize>, span: Range<usize>, panel: &mut Panel<S::V>) {
        let cols = self.x.cols();
        let (group, grouped) = match self.scales {
            Scales::Groups(_, group) | Scales::HalfGroups(_, group) => (group, true),
            Scales::None | Scales::Rows(_) => (cols, false),
        };
        for half in 0..2 {
            let first = rows.start + half * S::LANES;
            let there = rows.end.saturating_sub(first).min(S::LANES);
            let mut scales = [s.splat(1.0); MOST_LANES];
            let mut end = span.start;
            for (step, k) in span.clone().step_by(S::LANES).enumerate() {
                if grouped && k >= end {
                    let groups = cols.div_ceil(group);
                    for (r, scale) in scales.iter_mut().enumerate().take(there) {
                        // SAFETY: `new` has seen a scale for each group of each row.
                        *scale = unsafe { self.scales.of_group(s, (first + r) * groups + k / group) };
                    }
                    end = (k / group + 1) * group;
                }
                let mut square = [s.splat(0.0); MOST_LANES];
                // All places are told at compile time, so that the square stays in registers.
                for r in 0..S::LANES {
                    if r < there {
                        let w = self.w.as_ptr().wrapping_add((first + r) * cols.div_ceil(E::PACKED));
                        // SAFETY: `new` has seen all columns of all rows; k begins a whole element.
                        let weight = unsafe {
                            if k + S::LANES <= cols {
                                E::load(s, w.add(k / E::PACKED))
                            } else {
                                E::load_end(s, w, k, cols)
                            }
                        };
                        square[r] = if grouped { s.mul(weight, scales[r]) } else { weight };
                    }
                }
                s.transpose(&mut square[..S::LANES]);
                for (lane, column) in square[..S::LANES].iter().enumerate() {
                    // SAFETY: a lane of the panel has 2 LANES numbers for each step of a span.
                    unsafe { s.store(panel.lane_mut(lane).add((2 * step + half) * S::LANES), *column) };
                }
            }
        }
    }

    /// The results of some rows, for the tiles of tokens from `first` on.
    #[inline(always)]
    fn put<S: Simd>(&self, s: S, rows: Range<usize>, first: usize, sums: &[OuterSums<S::V>]) {
        let count = sums.len() / S::LANES;
        for tile in 0..count {
            let token = (first + tile) * OUTER_TOKENS;
            for t in 0..OUTER_TOKENS.min(self.x.tokens() - token) {
                let mut values = [0.0; 2 * MOST_LANES];
                for (half, values) in values.chunks_exact_mut(S::LANES).take(2).enumerate() {
                    let mut lanes = [s.splat(0.0); MOST_LANES];
                    for (to, sums) in lanes.iter_mut().zip(sums.chunks_exact(count)) {
                        *to = sums[tile][t][half];
                    }
                    // SAFETY: there are LANES values.
                    unsafe { s.store(values.as_mut_ptr(), s.sum_across(lanes)) };
                }
                if let Scales::Rows(scales) = self.scales {
                    // `new` has seen a scale for each row.
                    let scales = scales.get(rows.clone()).unwrap_or_default();
                    values.iter_mut().zip(scales).for_each(|(value, scale)| *value *= scale);
                }
                // SAFETY: `new` has seen that y holds tokens x rows, and no other kernel has these rows.
                let put = |values: &[f32]| unsafe { self.y.put_all(token + t, rows.start, values) };
                // A length that is told at compile time is copied without a call.
                if rows.len() == 2 * S::LANES {
                    put(&values[..2 * S::LANES]);
                } else {
                    put(&values[..rows.len()]);
                }
            }
        }
    }
}

/// The weights of as many rows as two vectors have lanes, of one span. In whole vectors, so that none lies across two cache lines.
#[derive(Debug)]
struct Panel<V> {
    vectors: Vec<V>,
    /// Vectors from one lane to the next.
    apart: usize,
}

impl<V> Panel<V> {
    #[inline(always)]
    fn new<S: Simd<V = V>>(s: S, cols: usize) -> Self
    where
        V: Clone,
    {
        let apart = 2 * SPAN.min(cols.next_multiple_of(S::LANES)).div_ceil(S::LANES) + LINE / S::LANES;
        Self { vectors: vec![s.splat(0.0); S::LANES * apart], apart }
    }

    #[inline(always)]
    fn lane(&self, lane: usize) -> *const f32 {
        self.vectors.as_ptr().wrapping_add(lane * self.apart).cast()
    }

    #[inline(always)]
    fn lane_mut(&mut self, lane: usize) -> *mut f32 {
        self.vectors.as_mut_ptr().wrapping_add(lane * self.apart).cast()
    }
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
