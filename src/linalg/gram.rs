//! The f64 work of a decomposition: Gram matrix, its eigenvectors, and the matrix times them, on the calling thread alone.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par, Spec};

use super::NumericError;
use super::leave::unless_cancelled;
use crate::control::Control;

/// Rows of the long side that one product takes: bounds the f64 copies and the time between two checks for a cancel.
const PANEL: usize = 512;
/// Columns of a symmetric matrix that one product takes: bounds the time between two checks for a cancel, and what is computed
/// beyond the lower triangle.
pub const STRIPE: usize = 128;
/// Rows of a product, columns, and numbers that each of its sums takes, at a time: hundredths of a second.
const BLOCK: (usize, usize, usize) = (1024, 256, 2048);
/// Up to here eigenvectors are found before a person could notice.
const AT_ONCE: usize = 512;
/// Matrices of one's size that its eigendecomposition holds, its own among them.
const MATRICES: u64 = 5;

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

    /// A^T A: its lower triangle, and whole the blocks of [`STRIPE`] columns on the diagonal.
    pub fn gram(&self, control: &Control) -> Result<Mat<f64>, NumericError> {
        let mut gram = Mat::zeros(self.short, self.short);
        for first in (0..self.long).step_by(PANEL) {
            self.panel(first, |panel| add_gram(&mut gram, panel, control))?;
        }
        Ok(gram)
    }

    /// `A v_i` for each column of `vectors`, as f32 rows [short, long], and `||A v_i||^2` of the f64 products.
    pub fn times(&self, vectors: &Mat<f64>, control: &Control) -> Result<(Vec<f32>, Vec<f64>), NumericError> {
        let mut rows = vec![0.0_f32; self.short * self.long];
        let mut squares = vec![0.0_f64; self.short];
        for first in (0..self.long).step_by(PANEL) {
            let product = self.panel(first, |panel| product(panel, vectors.as_ref(), control))?;
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

/// G + P^T P, as [`Tall::gram`] has it.
fn add_gram(gram: &mut Mat<f64>, panel: MatRef<'_, f64>, control: &Control) -> Result<(), NumericError> {
    let n = gram.ncols();
    for first in (0..n).step_by(STRIPE) {
        let (count, rest) = (STRIPE.min(n - first), n - first);
        let stripe = gram.as_mut().submatrix_mut(first, first, rest, count);
        let (left, right) = (panel.subcols(first, rest), panel.subcols(first, count));
        add_product(stripe, left.transpose(), right, 1.0, control)?;
    }
    Ok(())
}

/// C + factor A B, on the calling thread, a block after the other with checks for a cancel between them.
pub fn add_product(
    mut to: MatMut<'_, f64>,
    a: MatRef<'_, f64>,
    b: MatRef<'_, f64>,
    factor: f64,
    control: &Control,
) -> Result<(), NumericError> {
    let pieces = |all: usize, step: usize| (0..all).step_by(step).map(move |first| (first, step.min(all - first)));
    for (col, cols) in pieces(b.ncols(), BLOCK.1) {
        for (inner, depth) in pieces(a.ncols(), BLOCK.2) {
            for (row, rows) in pieces(a.nrows(), BLOCK.0) {
                control.check()?;
                let (a, b) = (a.submatrix(row, inner, rows, depth), b.submatrix(inner, col, depth, cols));
                matmul(to.as_mut().submatrix_mut(row, col, rows, cols), Accum::Add, a, b, factor, Par::Seq);
            }
        }
    }
    Ok(())
}

/// A B, as [`add_product`] computes it.
pub fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>, control: &Control) -> Result<Mat<f64>, NumericError> {
    let mut product = Mat::zeros(a.nrows(), b.ncols());
    add_product(product.as_mut(), a, b, 1.0, control)?;
    Ok(product)
}

/// A B where that is symmetric: its lower triangle, as [`Tall::gram`] has it.
pub fn symmetric_product(a: MatRef<'_, f64>, b: MatRef<'_, f64>, control: &Control) -> Result<Mat<f64>, NumericError> {
    let n = a.nrows();
    let mut product = Mat::zeros(n, n);
    for first in (0..n).step_by(STRIPE) {
        let (count, rest) = (STRIPE.min(n - first), n - first);
        let stripe = product.as_mut().submatrix_mut(first, first, rest, count);
        add_product(stripe, a.subrows(first, rest), b.subcols(first, count), 1.0, control)?;
    }
    Ok(product)
}

/// The eigenvalues of a symmetric matrix, of which the lower triangle is read, descending, and the eigenvectors as columns. A
/// large one is decomposed on a thread of its own, which a cancel leaves behind.
pub fn eigen(symmetric: Mat<f64>, control: &Control) -> Result<(Vec<f64>, Mat<f64>), NumericError> {
    let n = symmetric.nrows();
    if n < AT_ONCE {
        control.check()?;
        return eigen_here(&symmetric);
    }
    let bytes = MATRICES * std::mem::size_of::<f64>() as u64 * (n as u64).pow(2);
    unless_cancelled(bytes, control, move || eigen_here(&symmetric))?
}

fn eigen_here(symmetric: &Mat<f64>) -> Result<(Vec<f64>, Mat<f64>), NumericError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(rows: usize, cols: usize) -> Mat<f64> {
        Mat::from_fn(rows, cols, |i, j| ((i * 7919 + j * 104_729 + i * j) % 1009) as f64 / 1009.0 - 0.5)
    }

    #[test]
    fn products_in_pieces_are_products() {
        let (a, b) = (numbers(1100, 2050), numbers(2050, 300));
        let (found, wanted) = (product(a.as_ref(), b.as_ref(), &Control::new()).unwrap(), &a * &b);
        assert!((&found - &wanted).norm_max() < 1e-9);
        let symmetric = symmetric_product(b.transpose(), b.as_ref(), &Control::new()).unwrap();
        let wanted = b.transpose() * &b;
        for j in 0..300 {
            assert!((j..300).all(|i| (symmetric[(i, j)] - wanted[(i, j)]).abs() < 1e-9));
        }
        let control = Control::new();
        control.cancel();
        assert!(matches!(product(a.as_ref(), b.as_ref(), &control), Err(NumericError::Cancelled(_))));
    }

    #[test]
    fn vectors_found_on_another_thread_are_those_of_the_matrix() {
        let b = numbers(AT_ONCE, AT_ONCE);
        let a = &b + b.transpose();
        let (values, vectors) = eigen(a.clone(), &Control::new()).unwrap();
        assert!(values.is_sorted_by(|a, b| a >= b));
        let image = &a * &vectors;
        for (j, value) in values.iter().enumerate() {
            assert!((0..AT_ONCE).all(|i| (image[(i, j)] - value * vectors[(i, j)]).abs() < 1e-9));
        }
        let control = Control::new();
        control.cancel();
        assert!(matches!(eigen(a, &control), Err(NumericError::Cancelled(_))));
    }
}
