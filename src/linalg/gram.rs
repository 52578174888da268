//! The f64 work of a decomposition: Gram matrix, its eigenvectors, and the matrix times them, on the calling thread alone.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par, Spec};

use super::NumericError;
use crate::control::Control;

/// Rows of the long side that one product takes: bounds the f64 copies and the time between two checks for a cancel.
const PANEL: usize = 512;

/// A [long, short]: W [m, n] where m >= n, else W^T; long >= short. Read in panels, times a power of two.
#[derive(Debug, Clone, Copy)]
pub struct Tall<'a> {
    w: &'a [f32],
    cols: usize,
    transposed: bool,
    scale: f64,
    /// Rows of A.
    pub long: usize,
    /// Columns of A.
    pub short: usize,
}

impl<'a> Tall<'a> {
    /// Of w [rows, cols], row-major. `scale` is a factor on every element.
    pub fn new(w: &'a [f32], rows: usize, cols: usize, scale: f64) -> Self {
        Self { w, cols, transposed: rows < cols, scale, long: rows.max(cols), short: rows.min(cols) }
    }

    /// Rows first.. of A in f64, at most [`PANEL`], as `use_panel` wants them.
    fn panel<R>(&self, first: usize, use_panel: impl FnOnce(MatRef<'_, f64>) -> R) -> R {
        let count = PANEL.min(self.long - first);
        let at = |row: usize, col: usize| self.w.get(row * self.cols + col).map_or(0.0, |w| f64::from(*w) * self.scale);
        // Either way the copy is column-major with columns that are contiguous in w.
        if self.transposed {
            use_panel(Mat::from_fn(count, self.short, |i, j| at(j, first + i)).as_ref())
        } else {
            use_panel(Mat::from_fn(self.short, count, |j, i| at(first + i, j)).transpose())
        }
    }

    /// A^T A, its lower triangle.
    pub fn gram(&self, control: &Control) -> Result<Mat<f64>, NumericError> {
        let mut gram = Mat::zeros(self.short, self.short);
        for first in (0..self.long).step_by(PANEL) {
            control.check()?;
            self.panel(first, |panel| {
                triangular::matmul(
                    gram.as_mut(),
                    BlockStructure::TriangularLower,
                    Accum::Add,
                    panel.transpose(),
                    BlockStructure::Rectangular,
                    panel,
                    BlockStructure::Rectangular,
                    1.0,
                    Par::Seq,
                );
            });
        }
        Ok(gram)
    }

    /// `A v_i` for each column of `vectors`, as f32 rows [short, long], and `||A v_i||^2` of the f64 products.
    pub fn times(&self, vectors: &Mat<f64>, control: &Control) -> Result<(Vec<f32>, Vec<f64>), NumericError> {
        let mut rows = vec![0.0_f32; self.short * self.long];
        let mut squares = vec![0.0_f64; self.short];
        for first in (0..self.long).step_by(PANEL) {
            control.check()?;
            let mut product = Mat::<f64>::zeros(PANEL.min(self.long - first), self.short);
            self.panel(first, |panel| matmul(product.as_mut(), Accum::Replace, panel, vectors, 1.0, Par::Seq));
            for ((row, square), column) in
                rows.chunks_exact_mut(self.long.max(1)).zip(&mut squares).zip(product.col_iter())
            {
                for (out, value) in row.iter_mut().skip(first).zip(column.iter()) {
                    *out = *value as f32;
                    *square += value * value;
                }
            }
        }
        Ok((rows, squares))
    }
}

/// The eigenvalues of a symmetric matrix, of which the lower triangle is read, descending, and the eigenvectors as columns.
pub fn eigen(symmetric: &Mat<f64>) -> Result<(Vec<f64>, Mat<f64>), NumericError> {
    let n = symmetric.nrows();
    if n == 0 {
        return Ok((Vec::new(), Mat::new()));
    }
    let mut values = faer::diag::Diag::<f64>::zeros(n);
    let mut vectors = Mat::zeros(n, n);
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Spec::default());
    self_adjoint_evd(
        symmetric.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Spec::default(),
    )
    .map_err(|_| NumericError::NoConvergence)?;
    let descending = values.column_vector().iter().rev().copied().collect();
    Ok((descending, vectors.as_ref().reverse_cols().to_owned()))
}
