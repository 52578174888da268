//! y = x W^T for W stored row by row.
//!
//! Every y is summed in the same way, whatever tile computes it: one vector of partial sums along the row, filled in order
//! (a tail is padded with zeros), then the lanes, then the row's scale. Speed comes from tiles of several rows and tokens,
//! which read and widen each weight once.

use std::ops::Range;

use half::f16;

use super::output::Output;
use super::simd::{Element, Kernel, MOST_LANES, Simd};

/// The scales of INT8 and INT4 elements.
#[derive(Debug, Clone, Copy)]
pub enum Scales<'a> {
    /// There are none: floats.
    None,
    /// One a row.
    Rows(&'a [f32]),
    /// One per `group` columns of each row.
    Groups(&'a [f32], usize),
    /// The same in half precision.
    HalfGroups(&'a [f16], usize),
}

impl Scales<'_> {
    /// Those of some rows of `cols` columns; `None` where there are not so many.
    pub fn of_rows(self, rows: Range<usize>, cols: usize) -> Option<Self> {
        let range = |a_row: usize| Some(rows.start.checked_mul(a_row)?..rows.end.checked_mul(a_row)?);
        Some(match self {
            Self::None => Self::None,
            Self::Rows(scales) => Self::Rows(scales.get(rows)?),
            Self::Groups(scales, group) => {
                Self::Groups(scales.get(range(cols.div_ceil((group > 0).then_some(group)?))?)?, group)
            }
            Self::HalfGroups(scales, group) => {
                Self::HalfGroups(scales.get(range(cols.div_ceil((group > 0).then_some(group)?))?)?, group)
            }
        })
    }

    /// Whether they are of groups that begin where a vector does, on every unit.
    pub fn align_with_lanes(self) -> bool {
        matches!(self, Self::Groups(_, group) | Self::HalfGroups(_, group) if group.is_multiple_of(MOST_LANES))
    }

    /// The scale of a group in every lane.
    ///
    /// # Safety
    /// There are more than `index` scales.
    #[inline(always)]
    pub unsafe fn of_group<S: Simd>(self, s: S, index: usize) -> S::V {
        match self {
            // SAFETY: the caller vouches for the index.
            Scales::Groups(scales, _) => s.splat(unsafe { *scales.get_unchecked(index) }),
            // SAFETY: the caller vouches for the index.
            Scales::HalfGroups(scales, _) => s.splat_f16(unsafe { *scales.get_unchecked(index) }),
            Scales::None | Scales::Rows(_) => s.splat(1.0),
        }
    }
}

/// What is multiplied: x [tokens, cols], w [rows, cols].
#[derive(Debug, Clone, Copy)]
pub struct RowProduct<'a, E> {
    /// Stored elements; a row begins with a whole one.
    pub w: &'a [E],
    /// Their scales.
    pub scales: Scales<'a>,
    /// Length of a row.
    pub cols: usize,
    /// Inputs.
    pub x: &'a [f32],
    /// Numbers from one input to the next.
    pub apart: usize,
    /// Number of inputs.
    pub tokens: usize,
    /// Where y goes: [tokens, rows].
    pub y: Output<'a>,
}

/// The outputs of a range of rows, for all tokens.
#[derive(Debug, Clone)]
pub struct RowKernel<'a, E> {
    product: RowProduct<'a, E>,
    rows: Range<usize>,
}

/// Bytes of weights that stay in the second-level cache while all tokens pass by.
pub const PANEL_BYTES: usize = 512 << 10;

/// Parts of the rows that one token passes side by side. The hardware foresees what is read from one end to the other, through
/// many rows; it does not foresee neighbouring rows that are read side by side, each too short.
pub const STREAMS: usize = 4;

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;
/// How far ahead of what a row's sum reads the same part is asked for. The hardware foresees the run too, but not as far as numbers that
/// take long to widen let it fall behind.
const AHEAD_BYTES: usize = 1024;

/// The rows of a tile.
#[derive(Debug, Clone, Copy)]
pub struct TileRows {
    /// The first.
    pub first: usize,
    /// How far the next ones lie behind it, and behind each other.
    pub apart: usize,
}

impl TileRows {
    /// The row `r`, counted within the tile.
    #[inline(always)]
    pub fn at(self, r: usize) -> usize {
        self.first + r * self.apart
    }
}

impl From<usize> for TileRows {
    /// Neighbours from `first` on.
    #[inline(always)]
    fn from(first: usize) -> Self {
        Self { first, apart: 1 }
    }
}

impl<'a, E: Element> RowKernel<'a, E> {
    /// `None` where a slice is too short for the sizes: after this, every access of the kernel is inside.
    pub fn new(product: RowProduct<'a, E>, rows: Range<usize>) -> Option<Self> {
        let elements = rows.end.checked_mul(product.cols.div_ceil(E::PACKED))?;
        let inputs = match product.tokens {
            0 => 0,
            tokens => (tokens - 1).checked_mul(product.apart)?.checked_add(product.cols)?,
        };
        let groups = match product.scales {
            Scales::None => 0,
            Scales::Rows(_) => 1,
            Scales::Groups(_, group) | Scales::HalfGroups(_, group) => {
                product.cols.div_ceil((group > 0).then_some(group)?)
            }
        };
        let scales = match product.scales {
            Scales::None => 0,
            Scales::Rows(scales) | Scales::Groups(scales, _) => scales.len(),
            Scales::HalfGroups(scales, _) => scales.len(),
        };
        let fits = product.w.len() >= elements
            && product.x.len() >= inputs
            && scales >= rows.end.checked_mul(groups)?
            && product.y.holds(product.tokens, rows.end);
        fits.then_some(Self { product, rows })
    }
}

impl<E: Element> Kernel for RowKernel<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if matches!(self.product.scales, Scales::Groups(..) | Scales::HalfGroups(..)) {
            self.panels::<S, true>(s);
        } else {
            self.panels::<S, false>(s);
        }
    }
}

impl<E: Element> RowKernel<'_, E> {
    #[inline(always)]
    fn panels<S: Simd, const GROUPED: bool>(&self, s: S) {
        match (self.product.tokens, S::MANY_REGISTERS) {
            (1, _) => self.streams::<S, GROUPED>(s),
            // The scales of groups take registers too.
            (_, true) if GROUPED => self.panels_of::<S, 4, 4, GROUPED>(s),
            (_, true) => self.panels_of::<S, 4, 6, GROUPED>(s),
            (_, false) if GROUPED => self.panels_of::<S, 2, 4, GROUPED>(s),
            (_, false) => self.panels_of::<S, 3, 4, GROUPED>(s),
        }
    }

    /// All tokens, T at a time, for as many rows at a time as stay in the cache.
    #[inline(always)]
    fn panels_of<S: Simd, const R: usize, const T: usize, const GROUPED: bool>(&self, s: S) {
        let row_bytes = (self.product.cols.div_ceil(E::PACKED) * size_of::<E>()).max(1);
        let height = (PANEL_BYTES / row_bytes / R * R).max(R);
        for first in self.rows.clone().step_by(height) {
            let panel = first..self.rows.end.min(first + height);
            let mut token = 0;
            while token + T <= self.product.tokens {
                self.strip::<S, R, T, GROUPED>(s, panel.clone(), token);
                token += T;
            }
            // The others as few times as can be: each time all weights are read, and widened.
            while T > 4 && token + 4 <= self.product.tokens {
                self.strip::<S, R, 4, GROUPED>(s, panel.clone(), token);
                token += 4;
            }
            match self.product.tokens - token {
                3 => self.strip::<S, R, 3, GROUPED>(s, panel, token),
                2 => self.strip::<S, R, 2, GROUPED>(s, panel, token),
                1 => self.strip::<S, R, 1, GROUPED>(s, panel, token),
                _ => {}
            }
        }
    }

    /// All rows for one token: [`STREAMS`] parts of them side by side, each from its first row to its last.
    #[inline(always)]
    fn streams<S: Simd, const GROUPED: bool>(&self, s: S) {
        let length = self.rows.len() / STREAMS;
        for first in self.rows.clone().take(length) {
            self.tile::<S, STREAMS, 1, GROUPED>(s, TileRows { first, apart: length }, 0);
        }
        for row in self.rows.start + STREAMS * length..self.rows.end {
            self.tile::<S, 1, 1, GROUPED>(s, TileRows::from(row), 0);
        }
    }

    /// Some rows for T tokens, R at a time.
    #[inline(always)]
    fn strip<S: Simd, const R: usize, const T: usize, const GROUPED: bool>(
        &self,
        s: S,
        rows: Range<usize>,
        token: usize,
    ) {
        let mut row = rows.start;
        while row + R <= rows.end {
            self.tile::<S, R, T, GROUPED>(s, TileRows::from(row), token);
            row += R;
        }
        while row < rows.end {
            self.tile::<S, 1, T, GROUPED>(s, TileRows::from(row), token);
            row += 1;
        }
    }

    /// R rows times T tokens. All rows are below `rows.end`, and `token + T <= tokens`.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const T: usize, const GROUPED: bool>(&self, s: S, rows: TileRows, token: usize) {
        let RowProduct { cols, scales, .. } = self.product;
        let mut sums = [[s.splat(0.0); T]; R];
        if let Scales::Groups(_, group) | Scales::HalfGroups(_, group) = scales
            && GROUPED
        {
            let groups = cols.div_ceil(group);
            for g in 0..groups {
                let mut scale = [s.splat(0.0); R];
                for (r, scale) in scale.iter_mut().enumerate() {
                    // SAFETY: `new` has seen that there are rows.end * groups scales.
                    *scale = unsafe { scales.of_group(s, rows.at(r) * groups + g) };
                }
                let columns = g * group..cols.min(g * group + group);
                self.add_span::<S, R, T, true>(s, (rows, token), columns, scale, &mut sums);
            }
        } else {
            self.add_span::<S, R, T, false>(s, (rows, token), 0..cols, [s.splat(1.0); R], &mut sums);
        }
        for t in 0..T {
            let mut values = sums_at(s, &sums, t);
            for (r, value) in values.iter_mut().enumerate() {
                if let Scales::Rows(scales) = scales {
                    // SAFETY: `new` has seen that there are rows.end scales.
                    *value *= unsafe { *scales.get_unchecked(rows.at(r)) };
                }
            }
            if rows.apart == 1 {
                // SAFETY: `new` has seen that y holds tokens x rows.end, and no other kernel has these rows.
                unsafe { self.product.y.put_all(token + t, rows.first, &values) };
            } else {
                for (r, value) in values.into_iter().enumerate() {
                    // SAFETY: as above.
                    unsafe { self.product.y.put(token + t, rows.at(r), value) };
                }
            }
        }
    }

    /// Adds the products of the columns `span`.
    #[inline(always)]
    fn add_span<S: Simd, const R: usize, const T: usize, const SCALED: bool>(
        &self,
        s: S,
        (rows, token): (TileRows, usize),
        span: Range<usize>,
        scale: [S::V; R],
        sums: &mut [[S::V; T]; R],
    ) {
        let RowProduct { cols, w, x, apart, .. } = self.product;
        let stride = cols.div_ceil(E::PACKED);
        let (w, x) = (w.as_ptr().wrapping_add(rows.first * stride), x.as_ptr().wrapping_add(token * apart));
        let stride = rows.apart * stride;
        let mut sum = *sums;
        let mut k = span.start;
        if E::PACKED == 2 && k % 2 == 1 && k < span.end {
            // A group that begins within a byte: its first number alone, beside one that counts 0 times.
            for (r, sum) in sum.iter_mut().enumerate() {
                // SAFETY: its row is below rows.end and k < cols, and `new` has seen rows.end * stride elements.
                let weight = unsafe { E::load_tail(s, w.add(r * stride + k / 2), 2) };
                let weight = if SCALED { s.mul(weight, scale[r]) } else { weight };
                for (t, sum) in sum.iter_mut().enumerate() {
                    // SAFETY: token + t < tokens and k < cols, and `new` has seen all inputs.
                    let input = unsafe { f32::load_tail(s, [0.0, *x.add(t * apart + k)].as_ptr(), 2) };
                    *sum = s.fma(weight, input, *sum);
                }
            }
            k += 1;
        }
        let line = LINE_BYTES / size_of::<E>() * E::PACKED;
        while T == 1 && k + line <= span.end {
            for r in 0..R {
                s.prefetch(w.wrapping_add(r * stride + k / E::PACKED + AHEAD_BYTES / size_of::<E>()));
            }
            for _ in 0..line / S::LANES {
                // SAFETY: rows and tokens are below what `new` has seen, and so is k + LANES.
                unsafe { add_step::<S, E, R, T, SCALED>(s, (w, stride), (x, apart), k, scale, &mut sum) };
                k += S::LANES;
            }
        }
        while k + S::LANES <= span.end {
            // SAFETY: as above.
            unsafe { add_step::<S, E, R, T, SCALED>(s, (w, stride), (x, apart), k, scale, &mut sum) };
            k += S::LANES;
        }
        if k < span.end {
            let mut inputs = [s.splat(0.0); T];
            for (t, input) in inputs.iter_mut().enumerate() {
                // SAFETY: token + t < tokens and span.end <= cols, and `new` has seen all inputs.
                *input = unsafe { f32::load_end(s, x.add(t * apart), k, span.end) };
            }
            for (r, sum) in sum.iter_mut().enumerate() {
                // SAFETY: as above, with less than LANES columns from k on, which is a whole number of elements.
                let mut weight = unsafe { E::load_end(s, w.add(r * stride), k, span.end) };
                if SCALED {
                    weight = s.mul(weight, scale[r]);
                }
                for (sum, input) in sum.iter_mut().zip(inputs) {
                    *sum = s.fma(weight, input, *sum);
                }
            }
        }
        *sums = sum;
    }
}

/// What the sums of R rows come to for one of T tokens.
#[inline(always)]
fn sums_at<S: Simd, const R: usize, const T: usize>(s: S, sums: &[[S::V; T]; R], t: usize) -> [f32; R] {
    let mut values = [0.0; R];
    if let ([a, b, c, d], Some(values)) = (&sums[..], values.first_chunk_mut()) {
        *values = s.sum_four([a[t], b[t], c[t], d[t]]);
    } else {
        for (value, sums) in values.iter_mut().zip(sums) {
            *value = s.sum(sums[t]);
        }
    }
    values
}

/// Adds the products of one vector of R rows, `stride` elements apart, with one of T tokens, `apart` numbers apart: the numbers from `k`
/// on, which begin an element.
///
/// # Safety
/// `w` and `x` are valid for reads of `k + LANES` numbers of each row and token.
#[inline(always)]
unsafe fn add_step<S: Simd, E: Element, const R: usize, const T: usize, const SCALED: bool>(
    s: S,
    (w, stride): (*const E, usize),
    (x, apart): (*const f32, usize),
    k: usize,
    scale: [S::V; R],
    sums: &mut [[S::V; T]; R],
) {
    let mut weights = [s.splat(0.0); R];
    for (r, weight) in weights.iter_mut().enumerate() {
        // SAFETY: the caller vouches for them.
        *weight = unsafe { E::load(s, w.add(r * stride + k / E::PACKED)) };
        if SCALED {
            *weight = s.mul(*weight, scale[r]);
        }
    }
    // One input at a time: sums, weights and all inputs would be more than there are registers.
    for t in 0..T {
        // SAFETY: as above.
        let input = unsafe { f32::load(s, x.add(t * apart + k)) };
        for (sum, weight) in sums.iter_mut().zip(weights) {
            sum[t] = s.fma(weight, input, sum[t]);
        }
    }
}
