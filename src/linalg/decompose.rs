//! One decomposition that gives every rank.

use faer::Mat;

use super::InputStatistics;
use super::NumericError;
use super::gram::{Tall, eigen};
use super::metric::{Metric, widened};
use super::working::decomposing_bytes;
use crate::control::{Control, afford};

/// Below this share of the largest singular value the long side's vectors are rounding noise of f64, and are zeroed.
const NOISE: f64 = 1e-12;

/// W [m, n] = U diag(s) V^T, all ranks k = min(m, n). A rank r is the slice of the first r, and `u_i^T W = s_i v_i`: the error
/// of each rank is a sum over those that are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Decomposition {
    /// m.
    pub rows: usize,
    /// n.
    pub cols: usize,
    /// Singular values, descending, k of them; of a decomposition weighted by activations `||u_i^T W||`, in the order of use.
    pub s: Vec<f32>,
    /// Left singular vectors as rows: U^T [k, m], row-major. Unit rows; where s is 0 (or below 1e-12 of the largest) those
    /// of the longer side, U or V, are zero.
    pub ut: Vec<f32>,
    /// Right singular vectors as rows: V^T [k, n], row-major, likewise.
    pub vt: Vec<f32>,
    /// ||W||_F^2, in f64.
    pub energy: f64,
    /// What of it no rank holds: 0, except where a weighted decomposition ends early.
    pub rest: f64,
    /// Of a decomposition weighted by activations: its errors in the layer's output.
    pub output: Option<OutputErrors>,
}

/// Errors in a layer's output, `||(W - W_r) X||_F^2` per token, for every rank r at once.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputErrors {
    /// `||(u_i^T W) X||^2` per token, k of them.
    pub terms: Vec<f64>,
    /// What no rank holds.
    pub rest: f64,
}

impl OutputErrors {
    /// `||(W - W_r) X||_F^2` per token.
    pub fn lost_at(&self, rank: usize) -> f64 {
        // Small ones first, so that they count, and the curve falls.
        self.terms.iter().skip(rank).rev().fold(self.rest, |sum, term| sum + term)
    }

    /// `||W_r X||_F^2` per token.
    pub fn kept_at(&self, rank: usize) -> f64 {
        self.terms.iter().take(rank).rev().sum()
    }
}

impl Decomposition {
    /// `||W - W_r||_F / ||W||_F` from the singular values alone, `sqrt(sum_{i>r} s_i^2 / sum s_i^2)`, summed in f64;
    /// 0 for W = 0.
    pub fn error_at(&self, rank: usize) -> f64 {
        // Small values first, so that they count.
        let tail = self.s.iter().skip(rank).rev().fold(self.rest, |sum, s| sum + square(*s));
        let all = self.s.iter().take(rank).rev().fold(tail, |sum, s| sum + square(*s));
        if all > 0.0 { (tail / all).sqrt() } else { 0.0 }
    }

    /// Errors in the output over inputs with given second moments G: of rank r `sum_{i>r} s_i^2 v_i^T G v_i`, since the `u_i` are
    /// orthogonal. In f64, on the calling thread.
    ///
    /// # Errors
    /// Statistics that do not fit, cancelled.
    pub fn output_errors(&self, statistics: &InputStatistics, control: &Control) -> Result<OutputErrors, NumericError> {
        statistics.check(self.cols)?;
        let v = widened(&self.vt, self.s.len(), self.cols, control)?;
        let energies = Metric::bare(statistics).energies(v.as_ref(), control)?;
        let terms = energies.iter().zip(&self.s).map(|(energy, s)| energy.max(0.0) * square(*s)).collect();
        Ok(OutputErrors { terms, rest: 0.0 })
    }
}

fn square(s: f32) -> f64 {
    f64::from(s) * f64::from(s)
}

/// Decomposes w [m, n] row-major by the f64 eigendecomposition of the smaller Gram matrix (W W^T or W^T W), on the
/// calling thread alone (deterministic; several layers run side by side). `s_i = ||W v_i||` (or `||u_i^T W||`),
/// recomputed in f64 from the eigenvectors, so that small values are right too. Signs: the largest |component| of each
/// right vector is positive.
/// A cancel is seen within some hundredths of a second: the eigendecomposition of a large k x k matrix runs on a thread of its
/// own, which is left behind.
///
/// The shorter side's vectors are orthogonal to f64's rounding. The longer side's are `W v_i / s_i`: two of them are
/// orthogonal to about `1e-16 s_1^2 / (s_i s_j)`, so those of values far below `1e-6 s_1` are not; truncation errors, which
/// rest on the shorter side's, hold all the same.
///
/// # Errors
/// [`NumericError`].
pub fn decompose(w: &[f32], rows: usize, cols: usize, control: &Control) -> Result<Decomposition, NumericError> {
    check_matrix(w, rows, cols)?;
    afford(decomposing_bytes(rows, cols, false))?;
    let energy = w.iter().fold(0.0, |sum, x| sum + square(*x));
    let unit = power_of_two_above(w);
    let tall = Tall::new(w, rows, cols, unit.recip());
    let (_, vectors) = eigen(tall.gram(control)?, control)?;
    let (long, squares) = tall.times(&vectors, control)?;
    let mut pairs = Pairs { s: squares.iter().map(|s| s.sqrt()).collect(), long, short: rows_of(&vectors) };
    pairs.sort(tall.long, tall.short);
    pairs.normalize(tall.long);
    pairs.fix_signs(tall.long, tall.short, rows < cols);
    let s = in_f32(&pairs.s, unit)?;
    let (ut, vt) = if rows < cols { (pairs.short, pairs.long) } else { (pairs.long, pairs.short) };
    Ok(Decomposition { rows, cols, s, ut, vt, energy, rest: 0.0, output: None })
}

/// Whether `w` are the numbers of a matrix [rows, cols].
pub(super) fn check_matrix(w: &[f32], rows: usize, cols: usize) -> Result<(), NumericError> {
    let needed = rows.saturating_mul(cols);
    if needed != w.len() {
        return Err(NumericError::Size { rows, cols, needed, found: w.len() });
    }
    let bad = w.iter().filter(|x| !x.is_finite()).count();
    if bad > 0 { Err(NumericError::NonFinite(bad)) } else { Ok(()) }
}

/// A power of two at least max|w| and at most twice that (1 for zeros): division by it is exact and keeps f32 in range.
pub(super) fn power_of_two_above(w: &[f32]) -> f64 {
    let most = w.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    if most > 0.0 { f64::from(most).log2().ceil().exp2() } else { 1.0 }
}

/// Singular values of a matrix divided by `unit`, of the matrix itself.
pub(super) fn in_f32(s: &[f64], unit: f64) -> Result<Vec<f32>, NumericError> {
    match s.iter().copied().reduce(f64::max) {
        Some(first) if first * unit > f64::from(f32::MAX) => Err(NumericError::Range(first * unit)),
        _ => Ok(s.iter().map(|s| (s * unit) as f32).collect()),
    }
}

/// The columns of a matrix as f32 rows.
fn rows_of(vectors: &Mat<f64>) -> Vec<f32> {
    vectors.col_iter().flat_map(|column| column.iter().map(|x| *x as f32)).collect()
}

/// Singular values with the vectors of both sides as rows: long [k, long], short [k, k].
struct Pairs {
    s: Vec<f64>,
    long: Vec<f32>,
    short: Vec<f32>,
}

impl Pairs {
    /// Descending again: recomputed values may differ from the eigenvalues' order where those are nearly equal.
    fn sort(&mut self, long: usize, short: usize) {
        if self.s.is_sorted_by(|a, b| a >= b) {
            return;
        }
        let mut order: Vec<usize> = (0..self.s.len()).collect();
        order.sort_by(|a, b| self.s.get(*b).partial_cmp(&self.s.get(*a)).unwrap_or(std::cmp::Ordering::Equal));
        self.s = order.iter().filter_map(|i| self.s.get(*i).copied()).collect();
        self.long = permuted(&self.long, long, &order);
        self.short = permuted(&self.short, short, &order);
    }

    /// The long side's rows come as `A v_i`: makes them unit, or zero where there is only noise.
    fn normalize(&mut self, long: usize) {
        let floor = self.s.first().map_or(0.0, |first| first * NOISE);
        for (row, s) in self.long.chunks_exact_mut(long.max(1)).zip(&self.s) {
            let factor = if *s > floor { s.recip() } else { 0.0 };
            for x in row {
                *x = (f64::from(*x) * factor) as f32;
            }
        }
    }

    fn fix_signs(&mut self, long: usize, short: usize, right_is_long: bool) {
        for (a, b) in self.long.chunks_exact_mut(long.max(1)).zip(self.short.chunks_exact_mut(short.max(1))) {
            if right_is_long { fix_sign(b, a) } else { fix_sign(a, b) }
        }
    }
}

/// Turns both vectors round where the largest component of the right one is negative.
pub(super) fn fix_sign(left: &mut [f32], right: &mut [f32]) {
    let largest = right.iter().fold(0.0_f32, |most, x| if x.abs() > most.abs() { *x } else { most });
    if largest < 0.0 {
        left.iter_mut().chain(right).for_each(|x| *x = -*x);
    }
}

fn permuted(rows: &[f32], width: usize, order: &[usize]) -> Vec<f32> {
    order.iter().filter_map(|i| rows.get(i * width..(i + 1) * width)).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::super::testing::random;
    use super::*;

    fn run(w: &[f32], rows: usize, cols: usize) -> Decomposition {
        decompose(w, rows, cols, &Control::new()).unwrap()
    }

    /// `||W - U_r S_r V_r^T||_F / ||W||_F`, from the vectors.
    fn rebuilt_error(w: &[f32], d: &Decomposition, rank: usize) -> f64 {
        let mut rest: Vec<f64> = w.iter().map(|x| f64::from(*x)).collect();
        for i in 0..rank {
            for (row, u) in rest.chunks_exact_mut(d.cols).zip(&d.ut[i * d.rows..]) {
                for (x, v) in row.iter_mut().zip(&d.vt[i * d.cols..]) {
                    *x -= f64::from(*u) * f64::from(d.s[i]) * f64::from(*v);
                }
            }
        }
        (rest.iter().map(|x| x * x).sum::<f64>() / d.energy).sqrt()
    }

    #[test]
    fn agrees_with_numpy() {
        let summary: serde_json::Value =
            serde_json::from_slice(include_bytes!("../../tests/data/svd_int8/summary.json")).unwrap();
        for (name, about) in summary["matrices"].as_object().unwrap() {
            let path = format!("{}/tests/data/svd_int8/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
            let file = std::fs::read(path).unwrap();
            let golden = SafeTensors::deserialize(&file).unwrap();
            let w = golden.tensor("W").unwrap();
            let sigma: Vec<f64> = bytemuck::pod_collect_to_vec(golden.tensor("sigma").unwrap().data());
            let (rows, cols) = (w.shape()[0], w.shape()[1]);
            let w: Vec<f32> = bytemuck::pod_collect_to_vec(w.data());
            let d = run(&w, rows, cols);
            assert_eq!(d.s.len(), sigma.len());
            for (i, (s, expected)) in d.s.iter().zip(&sigma).enumerate() {
                assert!(
                    (f64::from(*s) - expected).abs() <= 1e-5 + 1e-3 * expected,
                    "{name} s[{i}]: {s} not {expected}"
                );
            }
            for at in about["ranks"].as_array().unwrap() {
                let rank = at["rank"].as_u64().unwrap() as usize;
                let expected = at["err_rank"].as_f64().unwrap();
                for error in [d.error_at(rank), rebuilt_error(&w, &d, rank)] {
                    assert!(
                        (error - expected).abs() <= 1e-5 + 1e-3 * expected,
                        "{name} at {rank}: {error} not {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn vectors_are_orthonormal_and_rebuild_the_matrix() {
        for (rows, cols) in [(1, 1), (1, 7), (7, 1), (40, 23), (23, 40), (600, 5), (5, 1100)] {
            let w = random(rows * cols, 1);
            let d = run(&w, rows, cols);
            let k = rows.min(cols);
            assert!(rebuilt_error(&w, &d, k) < 1e-6, "{rows} x {cols}");
            assert!(d.s.is_sorted_by(|a, b| a >= b));
            for (vectors, width) in [(&d.ut, rows), (&d.vt, cols)] {
                for i in 0..k {
                    for j in 0..=i {
                        let pairs = vectors[i * width..(i + 1) * width].iter().zip(&vectors[j * width..]);
                        let dot: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let expected = if i == j { 1.0 } else { 0.0 };
                        assert!((dot - expected).abs() < 1e-6, "{rows} x {cols}: {i} . {j} = {dot}");
                    }
                }
            }
            for v in d.vt.chunks_exact(cols) {
                let (most, least) = v.iter().fold((0.0_f32, 0.0_f32), |(most, least), x| (most.max(*x), least.min(*x)));
                assert!(most >= -least, "{rows} x {cols}: sign");
            }
        }
    }

    #[test]
    fn every_error_is_that_of_the_rebuilt_matrix() {
        let w = random(20 * 12, 2);
        let d = run(&w, 20, 12);
        for rank in 0..=12 {
            assert!((d.error_at(rank) - rebuilt_error(&w, &d, rank)).abs() < 1e-6);
        }
        assert!((d.error_at(0) - 1.0).abs() < 1e-12);
        assert_eq!(d.error_at(99).to_bits(), 0);
    }

    #[test]
    fn zeros_and_lost_ranks_give_zero_vectors() {
        let d = run(&[0.0; 6], 3, 2);
        assert_eq!((d.s, d.ut, d.energy.to_bits()), (vec![0.0; 2], vec![0.0; 6], 0));
        let (u, v) = (random(9, 3), random(4, 4));
        let w: Vec<f32> =
            u.iter().flat_map(|u| v.iter().map(move |v| (u * 64.0).round() * (v * 64.0).round())).collect();
        let d = run(&w, 9, 4);
        assert!(d.s[1] < 1e-6 * d.s[0]);
        for row in d.ut.chunks_exact(9).chain(d.vt.chunks_exact(4)) {
            let norm: f32 = row.iter().map(|x| x * x).sum();
            assert!(norm == 0.0 || (norm - 1.0).abs() < 1e-5, "{norm}");
        }
    }

    #[test]
    fn small_values_are_right_beside_large_ones() {
        let mut w = vec![0.0; 16];
        for (i, s) in [3e4_f32, 2.0, 1e-3, 5e-7].iter().enumerate() {
            w[i * 5] = *s;
        }
        assert_eq!(run(&w, 4, 4).s, [3e4, 2.0, 1e-3, 5e-7]);
    }

    #[test]
    fn magnitudes_at_the_ends_of_f32_hold() {
        for scale in [1e-38_f32, 1e30] {
            let w: Vec<f32> = random(6 * 4, 5).iter().map(|x| x * scale).collect();
            assert!(rebuilt_error(&w, &run(&w, 6, 4), 4) < 1e-6, "{scale}");
        }
        let error = decompose(&[f32::MAX; 4], 2, 2, &Control::new());
        assert!(matches!(error, Err(NumericError::Range(_))));
    }

    #[test]
    fn what_cannot_be_decomposed_is_refused() {
        let control = Control::new();
        assert!(matches!(decompose(&[0.0; 5], 2, 3, &control), Err(NumericError::Size { needed: 6, found: 5, .. })));
        assert!(matches!(decompose(&[0.0; 5], usize::MAX, 3, &control), Err(NumericError::Size { .. })));
        let w = [f32::NAN, 1.0, f32::INFINITY, 2.0];
        assert!(matches!(decompose(&w, 2, 2, &control), Err(NumericError::NonFinite(2))));
        assert!(decompose(&[], 0, 3, &control).unwrap().s.is_empty());
        control.cancel();
        assert!(matches!(decompose(&[1.0; 4], 2, 2, &control), Err(NumericError::Cancelled(_))));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let w = random(70 * 90, 6);
        let in_pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&w, 70, 90))
        };
        assert_eq!(in_pool(1), in_pool(3));
    }
}
