//! Matrices, kernels and decompositions. This room knows no model.

mod band;
mod brain;
mod chase;
mod decompose;
mod error;
mod fast;
mod float8;
mod gram;
mod kernels;
mod leave;
mod matrix;
mod metric;
mod moment_sum;
mod product;
mod products;
mod quantize;
mod quantize4;
mod refit;
mod selection;
mod statistics;
#[cfg(test)]
mod testing;
mod threads;
mod tridiagonal;
mod values;
mod weighted;
mod widened;
mod working;

pub use decompose::{Decomposition, OutputErrors, decompose};
pub use error::NumericError;
pub use fast::Arithmetic;
pub use float8::{BlockScales, Float8};
pub use kernels::{add_rows, axpy, difference_squares, exp_over, kernel_family, row_dots, times_sigmoid};
pub use matrix::{Matrix, Order, Values};
pub use metric::DAMPING;
pub use moment_sum::MomentSum;
pub use products::Products;
pub use quantize::{quantize_groups, quantize_rows, quantize_whole};
pub use quantize4::quantize4;
pub use refit::refit;
pub use selection::RowSelection;
pub use statistics::{InputStatistics, Moments};
pub use threads::{awake, row_by_row};
pub use values::singular_values;
pub use weighted::decompose_weighted;
pub use working::{decomposing_bytes, decomposition_bytes};
