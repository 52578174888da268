//! y = x W^T for INT8 and INT4 weights stored row by row, with inputs rounded to INT8 in groups of 32, one scale each, as
//! llama.cpp's `q8_0` has them: products are exact integers, scaled and summed in f32.

use std::ops::Range;

use half::f16;

use super::output::Output;
use super::portable::widened;
use super::rounded::{INPUT_GROUP, RoundedInput};
use super::rows::{PANEL_BYTES, STREAMS, Scales, TileRows};

/// Columns that a row must be a multiple of: what the widest unit takes at once.
pub const INTEGER_COLUMNS: usize = 128;

/// Whether weights may have groups of so many columns: a vector of INT8 then spans one group, or two of 32.
pub fn takes_group(group: usize) -> bool {
    group == INPUT_GROUP || group > 0 && group.is_multiple_of(2 * INPUT_GROUP)
}

/// A vector unit that multiplies integers. A value of the type is the proof that this machine has it.
/// Everything is inlined into [`IntegerSimd::compute`], the one function compiled for the unit.
pub trait IntegerSimd: Copy + Send + Sync {
    /// Sums in a vector. A vector of bytes has four times as many.
    const LANES: usize;
    /// f32 sums.
    type V: Copy;
    /// i32 sums.
    type I: Copy;
    /// Bytes.
    type B: Copy;

    /// Runs `kernel` compiled for this unit.
    fn compute<K: IntegerKernel>(self, kernel: K) -> K::Output;
    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::V;
    /// a * b.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a * b + c.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The sum of the lanes, always in the same order.
    fn sum(self, v: Self::V) -> f32;
    /// Each of `LANES / 8` numbers in eight lanes.
    ///
    /// # Safety
    /// `from` is valid for reads of so many.
    unsafe fn by_eights(self, from: *const f32) -> Self::V;
    /// Each of `LANES / 4` numbers in four lanes.
    ///
    /// # Safety
    /// `from` is valid for reads of so many.
    unsafe fn by_fours(self, from: *const f32) -> Self::V;
    /// The same, widened from half precision.
    ///
    /// # Safety
    /// As [`IntegerSimd::by_fours`].
    unsafe fn halves_by_fours(self, from: *const f16) -> Self::V;
    /// Reads bytes.
    ///
    /// # Safety
    /// `from` is valid for reads of `4 * LANES` bytes.
    unsafe fn bytes(self, from: *const i8) -> Self::B;
    /// What all products of INT8 with `q` begin with.
    fn start8(self, q: Self::B) -> Self::I;
    /// The products of INT8, summed by fours.
    fn dot8(self, start: Self::I, w: Self::B, q: Self::B) -> Self::V;
    /// What all products of INT4 with the pair `q` begin with.
    fn start4(self, q: [Self::B; 2]) -> Self::I;
    /// The products of INT4, two a byte, with `q`: what the low halves meet, and what the high ones meet; summed by eights.
    fn dot4(self, start: Self::I, w: Self::B, q: [Self::B; 2]) -> Self::V;
}

/// A computation that is compiled once for each unit. `run` and all it calls must be inlined.
pub trait IntegerKernel {
    /// What it gives.
    type Output;
    /// Computes on `s`.
    fn run<S: IntegerSimd>(self, s: S) -> Self::Output;
}

/// What is multiplied: rounded inputs, and w [rows, cols].
#[derive(Debug, Clone, Copy)]
pub struct IntegerProduct<'a> {
    /// INT8, or two INT4 a byte.
    pub w: IntegerWeights<'a>,
    /// Their scales; groups as [`takes_group`] has them.
    pub scales: Scales<'a>,
    /// Number of rows.
    pub rows: usize,
    /// Inputs, halved for INT4 by the block that the unit wants.
    pub x: &'a RoundedInput,
    /// Where y goes: [tokens, rows].
    pub y: Output<'a>,
}

/// Stored integers.
#[derive(Debug, Clone, Copy)]
pub enum IntegerWeights<'a> {
    /// One a byte.
    Int8(&'a [i8]),
    /// Two a byte, the low half first.
    Int4(&'a [u8]),
}

impl IntegerWeights<'_> {
    /// Those of some rows of an even number of columns; `None` where there are not so many.
    pub fn rows(self, rows: Range<usize>, cols: usize) -> Option<Self> {
        let (start, end) = (rows.start.checked_mul(cols)?, rows.end.checked_mul(cols)?);
        Some(match self {
            Self::Int8(w) => Self::Int8(w.get(start..end)?),
            Self::Int4(w) => Self::Int4(w.get(start / 2..end / 2)?),
        })
    }

    /// Bytes of so many numbers.
    pub fn bytes(self, numbers: usize) -> usize {
        match self {
            Self::Int8(_) => numbers,
            Self::Int4(_) => numbers / 2,
        }
    }
}

/// The product, checked.
#[derive(Debug, Clone, Copy)]
pub struct IntegerRows<'a>(IntegerProduct<'a>);

impl<'a> IntegerRows<'a> {
    /// `None` where a slice is too short for the sizes, or a size is not what the kernel takes: after this, every access is
    /// inside.
    pub fn new(product: IntegerProduct<'a>) -> Option<Self> {
        let IntegerProduct { w, scales, rows, x, y } = product;
        let numbers = rows.checked_mul(x.cols)?;
        let fits = match (w, scales) {
            (IntegerWeights::Int8(w), Scales::Rows(scales)) => w.len() >= numbers && scales.len() >= rows,
            (IntegerWeights::Int8(w), Scales::Groups(scales, group)) if takes_group(group) => {
                w.len() >= numbers && scales.len() >= rows.checked_mul(x.cols.div_ceil(group))?
            }
            (IntegerWeights::Int4(w), Scales::HalfGroups(scales, group)) if takes_group(group) => {
                w.len() >= numbers / 2 && scales.len() >= rows.checked_mul(x.cols.div_ceil(group))?
            }
            _ => false,
        };
        let tokens = x.quants.len().checked_div(x.cols)?;
        let sound = x.cols.is_multiple_of(INTEGER_COLUMNS)
            && x.quants.len() == tokens * x.cols
            && x.scales.len() * INPUT_GROUP == x.quants.len()
            && y.holds(tokens, rows);
        (fits && sound).then_some(Self(product))
    }
}

impl IntegerKernel for IntegerRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: IntegerSimd>(self, s: S) {
        let tokens = self.0.x.quants.len() / self.0.x.cols;
        if tokens == 1 {
            return self.streams(s);
        }
        let height = (PANEL_BYTES / 2 / self.0.x.cols / 8 * 8).max(8);
        for first in (0..self.0.rows).step_by(height) {
            let panel = first..self.0.rows.min(first + height);
            let mut token = 0;
            while token + 4 <= tokens {
                // Where lanes are few, so are registers.
                if S::LANES > 8 {
                    self.strip::<S, 4, 4>(s, panel.clone(), token);
                } else {
                    self.strip::<S, 2, 4>(s, panel.clone(), token);
                }
                token += 4;
            }
            while token < tokens {
                self.strip::<S, 8, 1>(s, panel.clone(), token);
                token += 1;
            }
        }
    }
}

impl IntegerRows<'_> {
    /// All rows for one token: [`STREAMS`] parts of them side by side, each from its first row to its last.
    #[inline(always)]
    fn streams<S: IntegerSimd>(&self, s: S) {
        let length = self.0.rows / STREAMS;
        for first in 0..length {
            self.tile::<S, STREAMS, 1>(s, TileRows { first, apart: length }, 0);
        }
        for row in STREAMS * length..self.0.rows {
            self.tile::<S, 1, 1>(s, TileRows::from(row), 0);
        }
    }

    /// Some rows for T tokens, R at a time.
    #[inline(always)]
    fn strip<S: IntegerSimd, const R: usize, const T: usize>(&self, s: S, rows: Range<usize>, token: usize) {
        let mut row = rows.start;
        while row + R <= rows.end {
            self.tile::<S, R, T>(s, TileRows::from(row), token);
            row += R;
        }
        while row < rows.end {
            self.tile::<S, 1, T>(s, TileRows::from(row), token);
            row += 1;
        }
    }

    /// R rows times T tokens. All rows are below `self.0.rows`, and `token + T <= tokens`.
    #[inline(always)]
    fn tile<S: IntegerSimd, const R: usize, const T: usize>(&self, s: S, rows: TileRows, token: usize) {
        let mut sums = [[s.splat(0.0); T]; R];
        let at = (rows, token);
        match (self.0.w, self.0.scales) {
            (IntegerWeights::Int8(w), Scales::Groups(scales, INPUT_GROUP)) => {
                self.add8::<S, R, T, FINE>(s, w, (scales, INPUT_GROUP), at, &mut sums);
            }
            (IntegerWeights::Int8(w), Scales::Groups(scales, group)) => {
                self.add8::<S, R, T, COARSE>(s, w, (scales, group), at, &mut sums);
            }
            (IntegerWeights::Int8(w), _) => self.add8::<S, R, T, BY_ROWS>(s, w, (&[], self.0.x.cols), at, &mut sums),
            (IntegerWeights::Int4(w), Scales::HalfGroups(scales, INPUT_GROUP)) => {
                self.add4::<S, R, T, FINE>(s, w, (scales, INPUT_GROUP), at, &mut sums);
            }
            (IntegerWeights::Int4(w), Scales::HalfGroups(scales, group)) => {
                self.add4::<S, R, T, COARSE>(s, w, (scales, group), at, &mut sums);
            }
            (IntegerWeights::Int4(_), _) => {}
        }
        for (r, sums) in sums.iter().enumerate() {
            let scale = match self.0.scales {
                // SAFETY: `new` has seen that there are as many scales as rows.
                Scales::Rows(scales) => unsafe { *scales.get_unchecked(rows.at(r)) },
                _ => 1.0,
            };
            for (t, sum) in sums.iter().enumerate() {
                // SAFETY: `new` has seen that y holds tokens x rows, and no other kernel has these rows.
                unsafe { self.0.y.put(token + t, rows.at(r), s.sum(*sum) * scale) };
            }
        }
    }

    #[inline(always)]
    fn add8<S: IntegerSimd, const R: usize, const T: usize, const KIND: u8>(
        &self,
        s: S,
        w: &[i8],
        (scales, group): (&[f32], usize),
        (rows, token): (TileRows, usize),
        sums: &mut [[S::V; T]; R],
    ) {
        let cols = self.0.x.cols;
        let w: [*const i8; R] = each_row(w, rows, cols);
        let scales: [*const f32; R] = each_row(scales, rows, cols.div_ceil(group));
        let mut group = GroupAt::new(group);
        let mut sum = *sums;
        for k in (0..cols).step_by(4 * S::LANES) {
            let mut inputs = [self.input8(s, token, k); T];
            for (t, input) in inputs.iter_mut().enumerate().skip(1) {
                *input = self.input8(s, token + t, k);
            }
            let at = if KIND == COARSE { group.pass(4 * S::LANES) } else { k / INPUT_GROUP };
            for ((sum, w), scales) in sum.iter_mut().zip(w).zip(scales) {
                // SAFETY: `new` has seen rows * cols weights and as many scales as rows have groups; a vector spans one group, or
                // two of 32.
                let (weights, of_row) = unsafe {
                    let of_row = match KIND {
                        FINE => s.by_eights(scales.add(at)),
                        COARSE => s.splat(*scales.add(at)),
                        _ => s.splat(1.0),
                    };
                    (s.bytes(w.add(k)), of_row)
                };
                for (sum, (q, start, scale)) in sum.iter_mut().zip(inputs) {
                    let scale = if KIND == BY_ROWS { scale } else { s.mul(scale, of_row) };
                    *sum = s.fma(s.dot8(start, weights, q), scale, *sum);
                }
            }
        }
        *sums = sum;
    }

    /// A token's quants from column `k` on, what products with them begin with, and their scales.
    #[inline(always)]
    fn input8<S: IntegerSimd>(&self, s: S, token: usize, k: usize) -> (S::B, S::I, S::V) {
        let RoundedInput { quants, scales, cols } = self.0.x;
        let at = token * cols + k;
        // SAFETY: `new` has seen tokens * cols quants, cols being a multiple of what is read at once, and a scale for each 32.
        unsafe {
            let q = s.bytes(quants.as_ptr().add(at));
            (q, s.start8(q), s.by_eights(scales.as_ptr().add(at / INPUT_GROUP)))
        }
    }

    #[inline(always)]
    fn add4<S: IntegerSimd, const R: usize, const T: usize, const KIND: u8>(
        &self,
        s: S,
        w: &[u8],
        (scales, group): (&[f16], usize),
        (rows, token): (TileRows, usize),
        sums: &mut [[S::V; T]; R],
    ) {
        let cols = self.0.x.cols;
        let w: [*const u8; R] = each_row(w, rows, cols / 2);
        let scales: [*const f16; R] = each_row(scales, rows, cols.div_ceil(group));
        let mut group = GroupAt::new(group);
        let mut sum = *sums;
        for k in (0..cols).step_by(8 * S::LANES) {
            let mut inputs = [self.input4(s, token, k); T];
            for (t, input) in inputs.iter_mut().enumerate().skip(1) {
                *input = self.input4(s, token + t, k);
            }
            let mut at = [0; MOST_EIGHTS];
            if KIND == COARSE {
                at.iter_mut().take(S::LANES / 8).for_each(|at| *at = group.pass(2 * INPUT_GROUP));
            }
            for ((sum, w), scales) in sum.iter_mut().zip(w).zip(scales) {
                // SAFETY: `new` has seen rows * cols / 2 bytes and as many scales as rows have groups; eight lanes sum two groups
                // of 32, or part of a longer one.
                let (weights, of_row) = unsafe {
                    let of_row = if KIND == FINE {
                        s.halves_by_fours(scales.add(k / INPUT_GROUP))
                    } else {
                        s.by_eights(at.map(|at| widened(*scales.add(at))).as_ptr())
                    };
                    (s.bytes(w.add(k / 2).cast()), of_row)
                };
                for (sum, (q, start, scale)) in sum.iter_mut().zip(inputs) {
                    *sum = s.fma(s.dot4(start, weights, q), s.mul(scale, of_row), *sum);
                }
            }
        }
        *sums = sum;
    }

    /// The same for INT4: the quants that meet low halves, and those that meet high ones.
    #[inline(always)]
    fn input4<S: IntegerSimd>(&self, s: S, token: usize, k: usize) -> ([S::B; 2], S::I, S::V) {
        let RoundedInput { quants, scales, cols } = self.0.x;
        let at = token * cols + k;
        // SAFETY: as in `input8`.
        unsafe {
            let q = [s.bytes(quants.as_ptr().add(at)), s.bytes(quants.as_ptr().add(at + 4 * S::LANES))];
            (q, s.start4(q), s.by_fours(scales.as_ptr().add(at / INPUT_GROUP)))
        }
    }
}

/// One scale a row, which comes in at the end.
const BY_ROWS: u8 = 0;
/// Groups as long as those of the inputs.
const FINE: u8 = 1;
/// Longer groups.
const COARSE: u8 = 2;
/// Eights of lanes that a vector has at most.
const MOST_EIGHTS: usize = 2;

/// Where each row of a tile begins among rows of so many elements.
#[inline(always)]
fn each_row<E, const R: usize>(all: &[E], rows: TileRows, length: usize) -> [*const E; R] {
    std::array::from_fn(|r| all.as_ptr().wrapping_add(rows.at(r) * length))
}

/// The group of a column, as columns pass by.
struct GroupAt {
    index: usize,
    length: usize,
    left: usize,
}

impl GroupAt {
    fn new(length: usize) -> Self {
        Self { index: 0, length, left: length }
    }

    /// The group of the next so many columns; groups are a multiple of that.
    #[inline(always)]
    fn pass(&mut self, columns: usize) -> usize {
        let index = self.index;
        self.left -= columns;
        if self.left == 0 {
            (self.index, self.left) = (index + 1, self.length);
        }
        index
    }
}
