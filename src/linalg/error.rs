//! What a numeric routine refuses.

use crate::control::{Cancelled, OutOfMemory};

/// What a numeric routine refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NumericError {
    /// Sizes that do not fit together.
    #[error("a matrix of {rows} x {cols} needs {needed} elements, but {found} were given")]
    Size {
        /// Rows.
        rows: usize,
        /// Columns.
        cols: usize,
        /// Elements needed; `usize::MAX` where their number does not fit the machine.
        needed: usize,
        /// Elements found.
        found: usize,
    },
    /// INT8 and INT4 elements are read row by row, with at least one column to a scale.
    #[error("INT8 or INT4 with {0} cannot be read; store it row by row with one scale a row or a group")]
    Layout(&'static str),
    /// Rows that a stored matrix does not have.
    #[error("a selection of rows {0}; the tensor is not fused in that way")]
    Selection(&'static str),
    /// NaN or infinity among the elements.
    #[error("the matrix holds {0} values that are NaN or infinite; it cannot be decomposed; leave it dense")]
    NonFinite(usize),
    /// Input statistics that cannot be used.
    #[error("the input statistics are unusable: {0}; calibrate anew, or leave the layer dense")]
    Statistics(String),
    /// A singular value beyond the largest f32.
    #[error("the matrix's largest singular value is {0:e}, beyond f32; scale the matrix down")]
    Range(f64),
    /// The iteration did not converge.
    #[error("the eigendecomposition did not converge")]
    NoConvergence,
    /// Beyond the machine.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// The system starts no more threads.
    #[error("no thread could be started for a decomposition: {0}; try fewer --threads")]
    Thread(String),
    /// Cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
