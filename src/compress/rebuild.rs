//! The matrix that a stored weight stands for, a few rows at a time.

use half::{bf16, f16};
use rayon::prelude::*;

use super::predict::share;
use crate::checkpoint::{Dtype, View};
use crate::control::{Cancelled, Control};
use crate::linalg::{InputStatistics, Matrix, NumericError, Order, Values, difference_squares};
use crate::model::CompressedLinear;

/// Rows rebuilt together, as tokens of a product: as many as its sums are kept for, which is more than it packs weights for.
const BLOCK: usize = 96;
/// Rows whose output error is summed together: the statistics are then read once for all of them.
const OUTPUT_BLOCK: usize = 256;

/// A weight whose rows can be had in f32. Holds Vh widened: r * n * 4 bytes.
pub(super) struct Rebuild<'a> {
    weight: &'a CompressedLinear,
    /// Vh^T [n, r], which lies as Vh does.
    vh: Option<Matrix>,
    cols: usize,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(weight: &'a CompressedLinear) -> Self {
        let turned = |vh: &Matrix| {
            let values = Values::F32(View::copied(&vh.to_f32()));
            Matrix::new(vh.cols(), vh.rows(), Order::ColumnMajor, values).ok()
        };
        let vh = weight.low_rank.as_ref().and_then(|low| turned(&low.vh));
        Self { weight, vh, cols: weight.shape().1 }
    }

    /// Rows of base + U Vh from `first` on, as many as `out` [t, n] holds. Each is summed in the order of the ranks,
    /// whichever rows are asked for together.
    pub(super) fn rows(&self, first: usize, out: &mut [f32]) {
        let cols = self.cols.max(1);
        match &self.weight.base {
            Some(base) => base.rows_from(first, out),
            None => out.fill(0.0),
        }
        let Some((low, vh)) = self.weight.low_rank.as_ref().zip(self.vh.as_ref()) else { return };
        let rank = low.u.cols();
        let mut u = vec![0.0; out.len() / cols * rank];
        low.u.rows_from(first, &mut u);
        vh.apply_add(&u, out);
    }
}

/// `||W - W'||_F / ||W||_F` as stored, summed in f64 in an order that does not depend on the threads; 0 for W = 0
/// approximated by 0, infinite for W = 0 approximated by anything else. The ambient rayon pool works on it.
///
/// # Errors
/// Cancelled.
pub fn measured_error(matrix: &Matrix, weight: &CompressedLinear, control: &Control) -> Result<f64, Cancelled> {
    let rebuild = Rebuild::new(weight);
    let blocks = (0..matrix.rows().div_ceil(BLOCK)).into_par_iter();
    let sums = blocks.map_init(Rows::default, |rows, block| {
        control.check()?;
        let (wanted, found) = rows.fill(matrix, &rebuild, block * BLOCK, BLOCK);
        Ok(difference_squares(wanted, found))
    });
    let sums = sums.collect::<Result<Vec<(f64, f64)>, Cancelled>>()?;
    let (error, energy) = sums.iter().fold((0.0, 0.0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
    Ok(share(error, energy))
}

/// `||(W - W') X||_F / ||W X||_F` as stored, over inputs with the given statistics; otherwise as [`measured_error`].
///
/// # Errors
/// Statistics that do not fit, cancelled.
pub fn measured_output_error(
    matrix: &Matrix,
    weight: &CompressedLinear,
    statistics: &InputStatistics,
    control: &Control,
) -> Result<f64, NumericError> {
    statistics.check(matrix.cols())?;
    let rebuild = Rebuild::new(weight);
    let blocks = (0..matrix.rows().div_ceil(OUTPUT_BLOCK)).into_par_iter();
    let energy = |rows: &[f32]| statistics.energies(rows, control).map(|rows| rows.iter().sum::<f64>().max(0.0));
    let sums = blocks.map_init(Rows::default, |rows, block| {
        let (wanted, found) = rows.fill(matrix, &rebuild, block * OUTPUT_BLOCK, OUTPUT_BLOCK);
        found.iter_mut().zip(&*wanted).for_each(|(x, w)| *x = w - *x);
        Ok((energy(found)?, energy(wanted)?))
    });
    let sums = sums.collect::<Result<Vec<(f64, f64)>, NumericError>>()?;
    let (error, energy) = sums.iter().fold((0.0, 0.0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
    Ok(share(error, energy))
}

/// Some rows of W and of W': memory that one thread uses for block after block.
#[derive(Default)]
struct Rows {
    wanted: Vec<f32>,
    found: Vec<f32>,
}

impl Rows {
    /// Those from `first` on, at most so many.
    fn fill(&mut self, matrix: &Matrix, rebuild: &Rebuild<'_>, first: usize, most: usize) -> (&mut [f32], &mut [f32]) {
        let length = most.min(matrix.rows() - first) * matrix.cols();
        self.wanted.resize(length, 0.0);
        self.found.resize(length, 0.0);
        matrix.rows_from(first, &mut self.wanted);
        rebuild.rows(first, &mut self.found);
        (&mut self.wanted, &mut self.found)
    }
}

/// The matrix that a weight stands for as the bytes of a tensor: [m, n], or [n, m] where it is stored `transposed`, in F64,
/// F32, F16 or BF16 (any other type is written as BF16). Values beyond the type's range become its largest.
pub(super) fn dense_bytes(
    weight: &CompressedLinear,
    dtype: Dtype,
    transposed: bool,
    control: &Control,
) -> Result<Vec<u8>, Cancelled> {
    match dtype {
        Dtype::F64 => typed_bytes(weight, transposed, |x| f64::from(x).to_le_bytes(), control),
        Dtype::F32 => typed_bytes(weight, transposed, f32::to_le_bytes, control),
        Dtype::F16 => {
            let most = f16::MAX.to_f32();
            let convert = |x: f32| f16::from_f32(x.clamp(-most, most)).to_le_bytes();
            typed_bytes(weight, transposed, convert, control)
        }
        _ => {
            let most = bf16::MAX.to_f32();
            let convert = |x: f32| bf16::from_f32(x.clamp(-most, most)).to_le_bytes();
            typed_bytes(weight, transposed, convert, control)
        }
    }
}

/// The matrix that a weight stands for in the eight-bit floats of `like`, with its scales; `None` where that is of another
/// format.
pub(super) fn eight_bits_like(
    weight: &CompressedLinear,
    like: &Matrix,
    control: &Control,
) -> Result<Option<Matrix>, Cancelled> {
    let elements = typed_bytes(weight, false, f32::to_ne_bytes, control)?;
    let elements: Vec<f32> = elements.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
    Ok(like.eight_bits_like(&elements))
}

fn typed_bytes<const SIZE: usize>(
    weight: &CompressedLinear,
    transposed: bool,
    convert: impl Fn(f32) -> [u8; SIZE] + Sync,
    control: &Control,
) -> Result<Vec<u8>, Cancelled> {
    let rebuild = Rebuild::new(weight);
    let (rows, cols) = weight.shape();
    let mut out = vec![[0; SIZE]; rows * cols];
    let blocks = out.par_chunks_mut((BLOCK * cols).max(1)).enumerate();
    blocks.try_for_each(|(block, out)| {
        control.check()?;
        let mut sums = vec![0.0; out.len()];
        rebuild.rows(block * BLOCK, &mut sums);
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = convert(sum));
        Ok(())
    })?;
    if transposed {
        let columns = (0..cols).flat_map(|col| out.iter().skip(col).step_by(cols.max(1)).copied());
        return Ok(columns.flatten().collect());
    }
    Ok(out.into_flattened())
}
