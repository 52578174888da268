//! Matrices, kernels and decompositions. This room knows no model.

mod decompose;
mod matrix;
mod quantize;

pub use decompose::{Decomposition, NumericError, decompose};
pub use matrix::{Matrix, Order, Values};
pub use quantize::{quantize_groups, quantize_rows, quantize_whole};
