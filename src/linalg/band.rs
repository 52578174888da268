//! A symmetric matrix made a band by orthogonal similarities: products of matrices, nearly all of it.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor::{qr_in_place, qr_in_place_scratch};
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, Mat, MatMut, MatRef, Par, Spec};

use super::NumericError;
use super::gram::STRIPE;
use crate::control::Control;

/// Subdiagonals that are left, and columns reduced at a time.
pub const WIDTH: usize = 32;

/// A symmetric matrix becomes Q^T A Q with [`WIDTH`] subdiagonals; what then lies below them is of no use. Read and written are
/// the lower triangle and the blocks of [`STRIPE`] columns on the diagonal, which are whole before and after. On the calling
/// thread; checks `control` every few milliseconds.
///
/// C. Bischof, B. Lang, X. Sun: A framework for symmetric band reduction, 2000.
///
/// # Errors
/// Cancelled.
pub fn reduce(a: &mut Mat<f64>, control: &Control) -> Result<(), NumericError> {
    let n = a.nrows();
    for first in (0..n.saturating_sub(WIDTH)).step_by(WIDTH) {
        let below = first + WIDTH;
        let (_, _, panel, mut rest) = a.as_mut().split_at_mut(below, below);
        let (basis, factor) = triangularized(panel.subcols_mut(first, WIDTH));
        let mut image = symmetric_times(rest.as_ref(), below, basis.as_ref(), control)?;
        solve_lower_triangular_in_place(factor.transpose(), image.as_mut().transpose_mut(), Par::Seq);
        let mut inner = product(basis.transpose(), image.as_ref());
        solve_lower_triangular_in_place(factor.transpose(), inner.as_mut(), Par::Seq);
        matmul(image.as_mut(), Accum::Add, basis.as_ref(), inner.as_ref(), -0.5, Par::Seq);
        subtract_both(rest.as_mut(), below, &basis, &image, control)?;
    }
    Ok(())
}

/// The columns become R of their QR decomposition, Q = I - V F^-1 V^T: gives V [rows, k], with its ones, and F [k, k].
fn triangularized(mut panel: MatMut<'_, f64>) -> (Mat<f64>, Mat<f64>) {
    let (rows, cols) = (panel.nrows(), panel.ncols());
    let k = rows.min(cols);
    let mut factor = Mat::zeros(k, k);
    let scratch = qr_in_place_scratch::<f64>(rows, cols, k, Par::Seq, Spec::default());
    qr_in_place(
        panel.as_mut(),
        factor.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Spec::default(),
    );
    let basis = Mat::from_fn(rows, k, |i, j| match i.cmp(&j) {
        std::cmp::Ordering::Less => 0.0,
        std::cmp::Ordering::Equal => 1.0,
        std::cmp::Ordering::Greater => panel[(i, j)],
    });
    (basis, factor)
}

fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut product = Mat::zeros(a.nrows(), b.ncols());
    matmul(product.as_mut(), Accum::Replace, a, b, 1.0, Par::Seq);
    product
}

/// First and last column of each stripe of what is left of a matrix from column `first` on, counted from there.
fn stripes(first: usize, cols: usize) -> impl Iterator<Item = (usize, usize)> {
    let all = first + cols;
    (first / STRIPE..all.div_ceil(STRIPE))
        .map(move |stripe| ((stripe * STRIPE).max(first) - first, ((stripe + 1) * STRIPE).min(all) - first))
}

/// A B for what is left of a symmetric matrix from column `first` on.
fn symmetric_times(
    a: MatRef<'_, f64>,
    first: usize,
    b: MatRef<'_, f64>,
    control: &Control,
) -> Result<Mat<f64>, NumericError> {
    let mut image = Mat::zeros(a.nrows(), b.ncols());
    for (from, to) in stripes(first, a.ncols()) {
        control.check()?;
        let stripe = a.subcols(from, to - from);
        let (below, under) = (stripe.subrows(from, a.nrows() - from), stripe.subrows(to, a.nrows() - to));
        let here = b.subrows(from, to - from);
        matmul(image.as_mut().subrows_mut(from, a.nrows() - from), Accum::Add, below, here, 1.0, Par::Seq);
        let to_here = image.as_mut().subrows_mut(from, to - from);
        matmul(to_here, Accum::Add, under.transpose(), b.subrows(to, a.nrows() - to), 1.0, Par::Seq);
    }
    Ok(image)
}

/// A - V W^T - W V^T.
fn subtract_both(
    mut a: MatMut<'_, f64>,
    first: usize,
    v: &Mat<f64>,
    w: &Mat<f64>,
    control: &Control,
) -> Result<(), NumericError> {
    let (n, k) = (v.nrows(), v.ncols());
    let both = |one: &Mat<f64>, other: &Mat<f64>| {
        Mat::from_fn(n, 2 * k, |i, j| if j < k { one[(i, j)] } else { other[(i, j - k)] })
    };
    let (left, right) = (both(v, w), both(w, v));
    for (from, to) in stripes(first, n) {
        control.check()?;
        let stripe = a.as_mut().submatrix_mut(from, from, n - from, to - from);
        let right = right.as_ref().subrows(from, to - from);
        matmul(stripe, Accum::Add, left.as_ref().subrows(from, n - from), right.transpose(), -1.0, Par::Seq);
    }
    Ok(())
}
