//! A matrix decomposed so that a rank errs least in the layer's output, over inputs with given second moments.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltRegularization, cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Mat, MatRef, Par, Spec};

use super::decompose::{Decomposition, OutputErrors, check_matrix, fix_sign, in_f32};
use super::gram::{STRIPE, add_product, eigen, product, symmetric_product};
use super::metric::{Metric, widened};
use super::working::decomposing_bytes;
use super::{InputStatistics, NumericError};
use crate::control::{Control, afford};

/// Directions below this share of the largest carry nothing: they are left out, and rows of Q^T E are zero.
const NOTHING: f64 = 1e-7;
/// Where the last direction falls below this share of the first, Q is made orthonormal again.
const CRITICAL: f64 = 1e-4;
/// Columns made orthonormal at a time.
const BLOCK: usize = 32;

/// Decomposes E [m, n] (row-major) so that, with G the second moments of the inputs and G' = G + d I
/// ([`DAMPING`](super::DAMPING)), `E_r = Q_r Q_r^T E` has the least `||(E - E_r) G'^(1/2)||_F` of all matrices of rank r. In the
/// result U are the `q_i`, s are `||q_i^T E||` (in the order of their use, not descending), V^T the unit rows `q_i^T E / s_i`;
/// [`Decomposition::output`] holds `q_i^T E G E^T q_i`.
///
/// No inverse of G: for m <= n Q are the eigenvectors of E G' E^T; else, with G' = L L^T (Cholesky; from its eigenvectors where
/// rounding forbids that), M = E L and M^T M = Z S^2 Z^T, they are M Z / S, and E^T Q is L^-T Z S where no value is far
/// below the first. In f64, on one thread; a cancel is seen within some
/// hundredths of a second.
///
/// # Errors
/// [`NumericError`]: sizes, NaN, statistics that do not fit or hold NaN, no convergence, no thread, cancelled.
pub fn decompose_weighted(
    e: &[f32],
    rows: usize,
    cols: usize,
    statistics: &InputStatistics,
    control: &Control,
) -> Result<Decomposition, NumericError> {
    check_matrix(e, rows, cols)?;
    control.check()?;
    statistics.check(cols)?;
    afford(decomposing_bytes(rows, cols, true))?;
    let metric = Metric::damped(statistics);
    let transposed = widened(e, rows, cols, control)?;
    let energy = transposed.squared_norm_l2();
    let basis = if rows <= cols { wide(&transposed, metric, control)? } else { tall(&transposed, metric, control)? };
    let product = match basis.product {
        Some(product) => product,
        None => product(transposed.as_ref(), basis.q.as_ref(), control)?,
    };
    let seen = statistics.mean_squares().iter().any(|square| *square > 0.0);
    let squares: Vec<f64> = product.col_iter().map(|column| column.squared_norm_l2()).collect();
    let term = |(all, square): (&f64, &f64)| (all - metric.damping() * square).max(0.0);
    let mut terms: Vec<f64> = basis.squares.iter().zip(&squares).map(term).collect();
    terms.resize(rows.min(cols), 0.0);
    terms.iter_mut().filter(|_| !seen).for_each(|term| *term = 0.0);
    let beyond =
        |total: f64, part: &[f64]| if rows <= cols { 0.0 } else { (total - part.iter().sum::<f64>()).max(0.0) };
    let output_energy = basis.total - metric.damping() * energy;
    let output = OutputErrors { rest: if seen { beyond(output_energy, &terms) } else { 0.0 }, terms };
    let parts = Parts { rest: beyond(energy, &squares), q: basis.q, product, squares, energy };
    parts.decomposition(rows, cols, output)
}

/// Orthonormal columns Q [m, k], `q_i^T E G' E^T q_i` of each, tr(E G' E^T), and E^T Q [n, k] where that is known already.
struct Basis {
    q: Mat<f64>,
    squares: Vec<f64>,
    total: f64,
    product: Option<Mat<f64>>,
}

/// For m <= n: the eigenvectors of E G' E^T.
fn wide(transposed: &Mat<f64>, metric: Metric<'_>, control: &Control) -> Result<Basis, NumericError> {
    let (values, q) = eigen(form(transposed, metric, control)?, control)?;
    let squares: Vec<f64> = values.iter().map(|value| value.max(0.0)).collect();
    Ok(Basis { total: squares.iter().sum(), q, squares, product: None })
}

/// M [m, n] and L [n, n] of G' = L L^T, where there is one.
type Rooted = (Mat<f64>, Option<Mat<f64>>);

/// The lower triangle of E G' E^T.
fn form(transposed: &Mat<f64>, metric: Metric<'_>, control: &Control) -> Result<Mat<f64>, NumericError> {
    let image = metric.half_times(transposed.as_ref(), control)?;
    let half = product(image.transpose(), transposed.as_ref(), control)?;
    let n = half.nrows();
    Ok(Mat::from_fn(n, n, |i, j| if i < j { 0.0 } else { half[(i, j)] + half[(j, i)] }))
}

/// For m > n: M Z / S. With M = E L, E^T of that is L^-T M^T M Z / S, which is L^-T Z S: an eighth of the product's work at
/// 8192 x 2048.
fn tall(transposed: &Mat<f64>, metric: Metric<'_>, control: &Control) -> Result<Basis, NumericError> {
    let (m, lower) = rooted(transposed, metric, control)?;
    let (_, mut z) = eigen(symmetric_product(m.transpose(), m.as_ref(), control)?, control)?;
    let mut q = product(m.as_ref(), z.as_ref(), control)?;
    let mut squares: Vec<f64> = q.col_iter().map(|column| column.squared_norm_l2()).collect();
    let first = squares.iter().copied().fold(0.0, f64::max);
    let kept = squares.iter().take_while(|square| **square > NOTHING.powi(2) * first).count();
    squares.truncate(kept);
    q.truncate(m.nrows(), kept);
    for (column, square) in q.col_iter_mut().zip(&squares) {
        column.iter_mut().for_each(|x| *x /= square.sqrt());
    }
    let total = m.squared_norm_l2();
    if squares.last().is_some_and(|last| *last < CRITICAL.powi(2) * first) {
        drop(z);
        orthonormalize(&mut q, control)?;
        squares =
            product(m.transpose(), q.as_ref(), control)?.col_iter().map(|column| column.squared_norm_l2()).collect();
        return Ok(Basis { q, squares, total, product: None });
    }
    drop(m);
    z.truncate(z.nrows(), kept);
    let product = lower.map(|lower| unrooted(&lower, z, &squares, control)).transpose()?;
    Ok(Basis { q, squares, total, product })
}

/// L^-T Z S, in place of Z, where S are the roots of `squares`.
fn unrooted(lower: &Mat<f64>, mut z: Mat<f64>, squares: &[f64], control: &Control) -> Result<Mat<f64>, NumericError> {
    for (column, square) in z.col_iter_mut().zip(squares) {
        column.iter_mut().for_each(|x| *x *= square.sqrt());
    }
    for first in (0..z.ncols()).step_by(STRIPE) {
        control.check()?;
        let count = STRIPE.min(z.ncols() - first);
        solve_upper_triangular_in_place(lower.transpose(), z.as_mut().subcols_mut(first, count), Par::Seq);
    }
    Ok(z)
}

/// M = E R [m, n] of G' = R R^T, from E^T, and R where it is a lower triangle that took work. Any root will do: M M^T, and with it
/// Q, is the same.
fn rooted(transposed: &Mat<f64>, metric: Metric<'_>, control: &Control) -> Result<Rooted, NumericError> {
    if let Some(diagonal) = metric.diagonal() {
        let root: Vec<f64> = diagonal.iter().map(|g| g.sqrt()).collect();
        let m = Mat::from_fn(transposed.ncols(), transposed.nrows(), |i, j| transposed[(j, i)] * root[j]);
        return Ok((m, None));
    }
    let e = transposed.transpose();
    if let Some(root) = cholesky(metric.lower(), control)? {
        return Ok((times_lower(e, &root, control)?, Some(root)));
    }
    let (values, vectors) = eigen(metric.lower(), control)?;
    let mut m = product(e, vectors.as_ref(), control)?;
    for (column, value) in m.col_iter_mut().zip(values) {
        column.iter_mut().for_each(|x| *x *= value.max(0.0).sqrt());
    }
    Ok((m, None))
}

/// L of G' = L L^T, of which the lower triangle is given; `None` where rounding left G' an eigenvalue that is not above 0.
fn cholesky(mut g: Mat<f64>, control: &Control) -> Result<Option<Mat<f64>>, NumericError> {
    let n = g.ncols();
    for first in (0..n).step_by(STRIPE) {
        let count = STRIPE.min(n - first);
        let (done, mut rest) = g.as_mut().split_at_col_mut(first);
        let (left, mut stripe) =
            (done.as_ref().subrows(first, n - first), rest.as_mut().submatrix_mut(first, 0, n - first, count));
        add_product(stripe.as_mut(), left, left.subrows(0, count).transpose(), -1.0, control)?;
        let (mut head, tail) = stripe.split_at_row_mut(count);
        let scratch = cholesky_in_place_scratch::<f64>(count, Par::Seq, Spec::default());
        let mut memory = MemBuffer::new(scratch);
        let (own, stack) = (LltRegularization::default(), MemStack::new(&mut memory));
        if cholesky_in_place(head.as_mut(), own, Par::Seq, stack, Spec::default()).is_err() {
            return Ok(None);
        }
        solve_lower_triangular_in_place(head.as_ref(), tail.transpose_mut(), Par::Seq);
    }
    Ok(Some(g))
}

/// E L for a lower triangle L, of which nothing above the diagonal is read.
fn times_lower(e: MatRef<'_, f64>, l: &Mat<f64>, control: &Control) -> Result<Mat<f64>, NumericError> {
    let n = l.ncols();
    let mut product = Mat::zeros(e.nrows(), n);
    for first in (0..n).step_by(STRIPE) {
        let count = STRIPE.min(n - first);
        let stripe = Mat::from_fn(n - first, count, |i, j| if i < j { 0.0 } else { l[(first + i, first + j)] });
        let to = product.as_mut().subcols_mut(first, count);
        add_product(to, e.subcols(first, n - first), stripe.as_ref(), 1.0, control)?;
    }
    Ok(product)
}

/// Gram and Schmidt's method by blocks, each twice: the spans of the first columns stay. A column that the earlier ones
/// hold becomes zero.
fn orthonormalize(q: &mut Mat<f64>, control: &Control) -> Result<(), NumericError> {
    for first in (0..q.ncols()).step_by(BLOCK) {
        control.check()?;
        let count = BLOCK.min(q.ncols() - first);
        let (done, mut rest) = q.as_mut().split_at_col_mut(first);
        let mut block = rest.as_mut().subcols_mut(0, count);
        for _ in 0..2 {
            let mut overlap = Mat::<f64>::zeros(first, count);
            add_product(overlap.as_mut(), done.as_ref().transpose(), block.as_ref(), 1.0, control)?;
            add_product(block.as_mut(), done.as_ref(), overlap.as_ref(), -1.0, control)?;
            for j in 0..count {
                let (before, mut from_j) = block.as_mut().split_at_col_mut(j);
                let mut column = from_j.as_mut().col_mut(0);
                for other in before.as_ref().col_iter() {
                    let dot: f64 = other.iter().zip(column.as_ref().iter()).map(|(a, b)| a * b).sum();
                    column.as_mut().iter_mut().zip(other.iter()).for_each(|(x, other)| *x -= dot * other);
                }
                let norm = column.norm_l2();
                column.iter_mut().for_each(|x| *x = if norm > NOTHING { *x / norm } else { 0.0 });
            }
        }
    }
    Ok(())
}

/// What a decomposition is made of: Q [m, k], E^T Q [n, k] and its columns' squares, `||E||^2`, and what of it no column holds.
struct Parts {
    q: Mat<f64>,
    product: Mat<f64>,
    squares: Vec<f64>,
    energy: f64,
    rest: f64,
}

impl Parts {
    fn decomposition(self, rows: usize, cols: usize, output: OutputErrors) -> Result<Decomposition, NumericError> {
        let rank = rows.min(cols);
        let mut s: Vec<f64> = self.squares.iter().map(|square| square.sqrt()).collect();
        s.resize(rank, 0.0);
        let first = s.iter().copied().fold(0.0, f64::max);
        let mut ut: Vec<f32> = self.q.col_iter().flat_map(|column| column.iter().map(|x| *x as f32)).collect();
        let unit = |norm: f64| if norm > NOTHING * NOTHING * first { norm.recip() } else { 0.0 };
        let columns = self.product.col_iter().zip(&s);
        let mut vt: Vec<f32> =
            columns.flat_map(|(column, norm)| column.iter().map(move |x| (*x * unit(*norm)) as f32)).collect();
        ut.resize(rank * rows, 0.0);
        vt.resize(rank * cols, 0.0);
        for (u, v) in ut.chunks_exact_mut(rows.max(1)).zip(vt.chunks_exact_mut(cols.max(1))) {
            fix_sign(u, v);
        }
        let s = in_f32(&s, 1.0)?;
        Ok(Decomposition { rows, cols, s, ut, vt, energy: self.energy, rest: self.rest, output: Some(output) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use safetensors::SafeTensors;

    use super::super::testing::random;
    use super::super::{Moments, decompose};
    use super::*;

    /// Statistics of `tokens` correlated inputs, the last of which is always 0.
    fn statistics(width: usize, tokens: usize, diagonal: bool, seed: u64) -> InputStatistics {
        let (x, common) = (random(tokens * width, seed), random(width, seed + 1));
        let input = |t: usize, i: usize| {
            let own = f64::from(x[t * width + i]);
            let shared = f64::from(x[t * width]) * 3.0 * f64::from(common[i]);
            if i + 1 == width && width > 2 { 0.0 } else { own + shared }
        };
        let mean = |i, j| (0..tokens).map(|t| input(t, i) * input(t, j)).sum::<f64>() / tokens.max(1) as f64;
        let moments = if diagonal {
            Moments::Diagonal((0..width).map(|i| mean(i, i) as f32).collect())
        } else {
            Moments::Gram((0..width).flat_map(|i| (0..=i).map(move |j| mean(i, j) as f32)).collect())
        };
        InputStatistics { width, tokens: tokens as u64, moments }
    }

    /// `||E - E_r||^2` and `||(E - E_r) X||^2` per token of the f32 factors.
    fn measured(e: &[f32], d: &Decomposition, rank: usize, statistics: &InputStatistics) -> (f64, f64) {
        let mut rest = e.to_vec();
        for (row, rest) in rest.chunks_exact_mut(d.cols).enumerate() {
            for (j, rest) in rest.iter_mut().enumerate() {
                let term =
                    |i: usize| f64::from(d.ut[i * d.rows + row]) * f64::from(d.s[i]) * f64::from(d.vt[i * d.cols + j]);
                *rest = (f64::from(*rest) - (0..rank).map(term).sum::<f64>()) as f32;
            }
        }
        let energy = rest.iter().map(|x| f64::from(*x).powi(2)).sum();
        // G in f32 may have eigenvalues below 0.
        (energy, statistics.energies(&rest, &Control::new()).unwrap().iter().sum::<f64>().max(0.0))
    }

    /// Errors as shares agree to 1e-4, or to what f32 factors can tell.
    fn near(found: f64, wanted: f64, whole: f64, most: f64) -> bool {
        // Roundings are shares of `most`, the largest that the whole could be: those of the factors, and those of G, whose
        // least eigenvalues may fall below 0.
        let of_g = (found - wanted).abs() <= 1e-8 * most;
        let (found, wanted) = ((found / whole).sqrt(), (wanted / whole).sqrt());
        of_g || (found - wanted).abs() <= 1e-4 * wanted + 2e-6 * (most / whole).sqrt()
    }

    #[test]
    fn agrees_with_numpy() {
        // The reference takes the singular vectors of E V D^(1/2) by LAPACK and measures each rank's errors.
        let file = SafeTensors::deserialize(include_bytes!("../../tests/data/weighted/reference.safetensors")).unwrap();
        let doubles = |name: String| bytemuck::pod_collect_to_vec::<u8, f64>(file.tensor(&name).unwrap().data());
        let singles = |name: String| bytemuck::pod_collect_to_vec::<u8, f32>(file.tensor(&name).unwrap().data());
        for name in ["wide", "tall", "few", "tall_few", "diag", "diag_tall"] {
            let shape = file.tensor(&format!("{name}_W")).unwrap().shape().to_vec();
            let (rows, cols) = (shape[0], shape[1]);
            let (w, numbers) = (singles(format!("{name}_W")), Arc::from(singles(format!("{name}_G"))));
            let moments = if name.starts_with("diag") { Moments::Diagonal(numbers) } else { Moments::Gram(numbers) };
            let statistics = InputStatistics { width: cols, tokens: 30, moments };
            let found = decompose_weighted(&w, rows, cols, &statistics, &Control::new()).unwrap();
            let plain = decompose(&w, rows, cols, &Control::new()).unwrap();
            let (errors, of_plain) =
                (found.output.clone().unwrap(), plain.output_errors(&statistics, &Control::new()).unwrap());
            let same = |found: f64, wanted: f64| (found - wanted).abs() <= 1e-6 * wanted + 1e-7;
            for (s, wanted) in found.s.iter().zip(doubles(format!("{name}_s"))) {
                assert!(same(f64::from(*s), wanted), "{name}: {s} {wanted}");
            }
            let share = |errors: &OutputErrors, rank| (errors.lost_at(rank) / errors.lost_at(0)).sqrt();
            for (rank, wanted) in doubles(format!("{name}_errors")).chunks(2).enumerate() {
                assert!(same(found.error_at(rank), wanted[0]), "{name} {rank}");
                assert!(same(share(&errors, rank), wanted[1]), "{name} {rank}: {} {}", share(&errors, rank), wanted[1]);
            }
            for (rank, wanted) in doubles(format!("{name}_plain")).into_iter().enumerate() {
                assert!(same(share(&of_plain, rank), wanted), "{name} {rank}");
            }
        }
    }

    #[test]
    fn without_a_direction_that_counts_more_it_is_the_plain_one() {
        for (rows, cols) in [(5, 8), (8, 5), (6, 6)] {
            let e = random(rows * cols, 3);
            let even =
                InputStatistics { width: cols, tokens: 4, moments: Moments::Diagonal(Arc::from(vec![2.0; cols])) };
            let weighted = decompose_weighted(&e, rows, cols, &even, &Control::new()).unwrap();
            let plain = decompose(&e, rows, cols, &Control::new()).unwrap();
            for rank in 0..=rows.min(cols) {
                assert!((weighted.error_at(rank) - plain.error_at(rank)).abs() < 1e-6);
            }
            assert!(weighted.s.iter().zip(&plain.s).all(|(a, b)| (a - b).abs() < 1e-5 * plain.s[0]));
            let zeros =
                InputStatistics { width: cols, tokens: 0, moments: Moments::Diagonal(Arc::from(vec![0.0; cols])) };
            let unseen = decompose_weighted(&e, rows, cols, &zeros, &Control::new()).unwrap();
            assert!((unseen.error_at(1) - plain.error_at(1)).abs() < 1e-6);
            assert!(unseen.output.unwrap().lost_at(0) == 0.0);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |e: &[f32], width: usize, moment: f32| {
            let moments = Moments::Diagonal(Arc::from(vec![moment; width]));
            let statistics = InputStatistics { width, tokens: 1, moments };
            decompose_weighted(e, 1, 2, &statistics, &Control::new()).unwrap_err()
        };
        assert!(matches!(refused(&[1.0], 2, 1.0), NumericError::Size { .. }));
        assert!(matches!(refused(&[1.0, f32::NAN], 2, 1.0), NumericError::NonFinite(1)));
        assert!(matches!(refused(&[1.0, 2.0], 3, 1.0), NumericError::Statistics(_)));
        assert!(matches!(refused(&[1.0, 2.0], 2, f32::NAN), NumericError::Statistics(_)));
    }

    #[test]
    fn any_root_will_do() {
        // More than one stripe; more inputs than tokens, so that G is singular where nothing is added.
        let (rows, width) = (5, 300);
        let statistics = statistics(width, 20, false, 4);
        let e = widened(&random(rows * width, 6), rows, width, &Control::new()).unwrap();
        for (metric, regular) in [(Metric::damped(&statistics), true), (Metric::bare(&statistics), false)] {
            assert_eq!(cholesky(metric.lower(), &Control::new()).unwrap().is_some(), regular);
            let (m, lower) = rooted(&e, metric, &Control::new()).unwrap();
            assert_eq!(lower.is_some(), regular);
            let (found, wanted) =
                (&m * m.transpose(), e.transpose() * metric.times(e.as_ref(), &Control::new()).unwrap());
            assert!((&found - &wanted).norm_max() < 1e-6 * wanted.norm_max());
        }
    }

    #[test]
    fn columns_made_orthonormal_span_what_they_did() {
        let (m, k) = (90, 70);
        let numbers = random(m * k, 5);
        // The later columns nearly lie in the span of the first.
        let mut q = Mat::from_fn(m, k, |i, j| {
            f64::from(numbers[i]) + 1e-6_f64.powf(j as f64 / k as f64) * f64::from(numbers[j * m + i])
        });
        let first = q.col(0).to_owned();
        orthonormalize(&mut q, &Control::new()).unwrap();
        let gram = q.transpose() * &q;
        for i in 0..k {
            for j in 0..k {
                assert!((gram[(i, j)] - if i == j { 1.0 } else { 0.0 }).abs() < 1e-12);
            }
        }
        let along: f64 = (0..m).map(|i| first[i] * q[(i, 0)]).sum();
        assert!((along - first.norm_l2()).abs() < 1e-9);
        let mut twice = Mat::from_fn(3, 2, |i, _| i as f64);
        orthonormalize(&mut twice, &Control::new()).unwrap();
        assert!(twice.col(1).norm_l2() == 0.0);
    }

    proptest! {
        #[test]
        fn every_predicted_error_is_that_of_the_factors_and_none_is_better(
            (rows, cols) in (1_usize..14, 1_usize..14), tokens in 0_usize..20, diagonal: bool, deficient: bool, seed in 0_u64..1000,
        ) {
            let mut e = random(rows * cols, seed);
            if deficient {
                // Two rows alike, and one column empty.
                let first = e[..cols].to_vec();
                e[(rows - 1) * cols..].copy_from_slice(&first);
                e.iter_mut().step_by(cols).for_each(|x| *x = 0.0);
            }
            let statistics = statistics(cols, tokens, diagonal, seed + 7);
            let control = Control::new();
            let weighted = decompose_weighted(&e, rows, cols, &statistics, &control).unwrap();
            let plain = decompose(&e, rows, cols, &control).unwrap();
            let trace: f64 = statistics.mean_squares().iter().map(|x| f64::from(*x)).sum();
            let damping = Metric::damped(&statistics).damping();
            let energy: f64 = e.iter().map(|x| f64::from(*x).powi(2)).sum();
            let total: f64 = statistics.energies(&e, &control).unwrap().iter().sum();
            let (of_plain, of_weighted) =
                (plain.output_errors(&statistics, &control).unwrap(), weighted.output.clone().unwrap());
            // What is summed up to the whole may be far more than it: an output can be nearly 0 where its parts are not.
            let rounding = 1e-8 * energy * trace;
            prop_assert!((of_weighted.lost_at(0) - total).abs() <= 1e-6 * total + rounding);
            for rank in 0..=rows.min(cols) {
                for (d, output) in [(&plain, &of_plain), (&weighted, &of_weighted)] {
                    let (weight, seen) = measured(&e, d, rank, &statistics);
                    prop_assert!(energy == 0.0 || near(d.error_at(rank).powi(2) * energy, weight, energy, energy), "{rank}");
                    let (lost, kept) = (output.lost_at(rank), output.kept_at(rank));
                    prop_assert!(total == 0.0 || near(lost, seen, total, energy * trace), "{rank}: {lost} {seen} of {total}");
                    prop_assert!((kept + lost - total).abs() <= 1e-5 * total + rounding);
                    prop_assert!(rank == 0 || lost <= output.lost_at(rank - 1));
                }
                let damped = |d: &Decomposition, output: &OutputErrors| {
                    output.lost_at(rank) + damping * d.error_at(rank).powi(2) * energy
                };
                prop_assert!(damped(&weighted, &of_weighted) <= damped(&plain, &of_plain) + 1e-6 * (total + damping * energy));
            }
        }
    }
}
