//! One decomposition that gives every rank. STUB (room `linalg`).

use crate::control::{Cancelled, Control};

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
        /// Elements needed.
        needed: usize,
        /// Elements found.
        found: usize,
    },
    /// NaN or infinity among the elements.
    #[error("the matrix holds {0} values that are NaN or infinite; it cannot be decomposed")]
    NonFinite(usize),
    /// The iteration did not converge.
    #[error("the eigendecomposition did not converge")]
    NoConvergence,
    /// Cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// W [m, n] = U diag(s) V^T, all ranks k = min(m, n); s descending. A rank r is the slice of the first r.
#[derive(Debug, Clone, PartialEq)]
pub struct Decomposition {
    /// m.
    pub rows: usize,
    /// n.
    pub cols: usize,
    /// Singular values, descending, k of them.
    pub s: Vec<f32>,
    /// Left singular vectors as rows: U^T [k, m], row-major, unit rows (zero rows where s is 0).
    pub ut: Vec<f32>,
    /// Right singular vectors as rows: V^T [k, n], row-major, unit rows.
    pub vt: Vec<f32>,
    /// ||W||_F^2, in f64.
    pub energy: f64,
}

impl Decomposition {
    /// ||W - W_r||_F / ||W||_F from the singular values alone: sqrt(sum_{i>r} s_i^2 / sum s_i^2), summed in f64; 0 for W = 0.
    pub fn error_at(&self, _rank: usize) -> f64 { todo!() }
    /// The least rank whose energy share sum_{i<=r} s_i^2 / sum s^2 reaches `share`; at least 1.
    pub fn rank_for_energy(&self, _share: f64) -> usize { todo!() }
}

/// Decomposes w [m, n] row-major by the f64 eigendecomposition of the smaller Gram matrix (W W^T or W^T W), on the
/// calling thread alone (deterministic; several layers run side by side). s_i = ||W v_i|| (or ||u_i^T W||), recomputed in
/// f64 from the eigenvectors, so that small values are right too. Signs: the largest |component| of each v_i is positive.
/// Checks `control` between its stages and inside the products.
///
/// # Errors
/// [`NumericError`].
pub fn decompose(_w: &[f32], _rows: usize, _cols: usize, _control: &Control) -> Result<Decomposition, NumericError> { todo!() }
