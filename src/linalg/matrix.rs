//! A matrix in the number format it is stored in. STUB (room `linalg`).

use half::{bf16, f16};

use crate::checkpoint::View;

/// How the elements of a matrix follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Row by row: [out, in] as `nn.Linear` stores it.
    RowMajor,
    /// Column by column: [in, out] as GPT-2's Conv1D stores it. Only for float formats.
    ColumnMajor,
}

/// Elements of a matrix, as stored.
#[derive(Debug, Clone)]
pub enum Values {
    /// IEEE single.
    F32(View<f32>),
    /// IEEE half.
    F16(View<f16>),
    /// bfloat16.
    Bf16(View<bf16>),
    /// Symmetric INT8, x = q * scale.
    I8 {
        /// Quantized elements.
        quant: View<i8>,
        /// One scale a row, or ceil(cols / group) a row.
        scales: View<f32>,
        /// Group length along the columns; `None`: one scale a row.
        group: Option<usize>,
    },
}

/// W [rows, cols] = [out, in]; y = W x. Elements stay as stored: kernels widen them in registers.
#[derive(Debug, Clone)]
pub struct Matrix { _todo: () }

impl Matrix {
    /// Checks that the counts fit.
    ///
    /// # Errors
    /// Which count does not.
    pub fn new(_rows: usize, _cols: usize, _order: Order, _values: Values) -> Result<Self, super::NumericError> { todo!() }
    /// m, the width of the output.
    pub fn rows(&self) -> usize { todo!() }
    /// n, the width of the input.
    pub fn cols(&self) -> usize { todo!() }
    /// The stored elements.
    pub fn values(&self) -> &Values { todo!() }
    /// Bytes as stored, scales included.
    pub fn bytes(&self) -> u64 { todo!() }
    /// y = x W^T for t = x.len() / cols inputs: x [t, cols], y [t, rows], both row-major.
    /// Each y is one dot product whose order of summation does not depend on t or on the number of threads,
    /// so prefill and decode agree to the bit. Runs on the ambient rayon pool; small products on the caller alone.
    pub fn apply(&self, _x: &[f32], _y: &mut [f32]) { todo!() }
    /// y += x W^T.
    pub fn apply_add(&self, _x: &[f32], _y: &mut [f32]) { todo!() }
    /// Row `i`, widened to f32, into `out` [cols]. (Embedding look-up; only cheap for `RowMajor`.)
    pub fn row(&self, _i: usize, _out: &mut [f32]) { todo!() }
    /// All of it as f32 [rows, cols], row-major. Allocates: for decompositions and exports, not for running.
    pub fn to_f32(&self) -> Vec<f32> { todo!() }
    /// How many elements are NaN and how many infinite (of the scales for INT8).
    pub fn non_finite(&self) -> (u64, u64) { todo!() }
}
