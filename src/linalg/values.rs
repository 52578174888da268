//! Singular values alone.

use super::NumericError;
use super::band;
use super::chase::Band;
use super::decompose::{check_matrix, decompose, in_f32, power_of_two_above};
use super::gram::Tall;
use super::tridiagonal::eigenvalues;
use crate::control::Control;

/// Below this share of the largest singular value the root of an eigenvalue of the Gram matrix says too little.
const FLOOR: f64 = 1e-6;

/// The singular values of w [m, n] (row-major), descending, min(m, n) of them: what [`decompose`] finds, in a third of its time.
///
/// Roots of the eigenvalues of the smaller Gram matrix, in f64: each is right to about `1e-16 s_1^2 / s_i`, which is at most
/// `1e-8 s_1`. Shares of energy, ranks and norms see nothing of that; but where the matrix has values below `1e-6 s_1`
/// (lost ranks among them, which would stand at `1e-8 s_1` instead of 0), all are taken from [`decompose`], which
/// measures each by its vector. On the calling thread; the same to the bit at any number of threads. A cancel is seen within
/// milliseconds.
///
/// # Errors
/// [`NumericError`]: sizes, NaN, values beyond f32, no convergence, cancelled.
pub fn singular_values(w: &[f32], rows: usize, cols: usize, control: &Control) -> Result<Vec<f32>, NumericError> {
    check_matrix(w, rows, cols)?;
    let unit = power_of_two_above(w);
    let mut gram = Tall::new(w, rows, cols, unit.recip()).gram(control)?;
    band::reduce(&mut gram, control)?;
    let (diagonal, beside) = Band::of(&gram).tridiagonal(control)?;
    drop(gram);
    let roots: Vec<f64> =
        eigenvalues(diagonal, &beside, control)?.iter().map(|square| square.max(0.0).sqrt()).collect();
    match (roots.first(), roots.last()) {
        (Some(first), Some(last)) if *last < FLOOR * first => Ok(decompose(w, rows, cols, control)?.s),
        _ => in_f32(&roots, unit),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::super::testing::random;
    use super::*;

    fn values(w: &[f32], rows: usize, cols: usize) -> Vec<f32> {
        singular_values(w, rows, cols, &Control::new()).unwrap()
    }

    /// Householder reflections of a diagonal from both sides: a full matrix with these singular values.
    fn with_values(values: &[f64], rows: usize, cols: usize) -> Vec<f32> {
        let mut w: Vec<f64> =
            (0..rows * cols).map(|i| if i / cols == i % cols { values[i % cols] } else { 0.0 }).collect();
        let reflected = |numbers: Vec<f32>| {
            let square: f64 = numbers.iter().map(|x| f64::from(*x).powi(2)).sum();
            numbers.into_iter().map(move |x| f64::from(x) * (2.0 / square).sqrt()).collect::<Vec<_>>()
        };
        let (left, right) = (reflected(random(rows, 1)), reflected(random(cols, 2)));
        for row in w.chunks_exact_mut(cols) {
            let dot: f64 = row.iter().zip(&right).map(|(x, v)| x * v).sum();
            row.iter_mut().zip(&right).for_each(|(x, v)| *x -= dot * v);
        }
        for j in 0..cols {
            let dot: f64 = (0..rows).map(|i| w[i * cols + j] * left[i]).sum();
            (0..rows).for_each(|i| w[i * cols + j] -= dot * left[i]);
        }
        w.into_iter().map(|x| x as f32).collect()
    }

    #[test]
    fn agree_with_numpy() {
        let summary: serde_json::Value =
            serde_json::from_slice(include_bytes!("../../tests/data/svd_int8/summary.json")).unwrap();
        for name in summary["matrices"].as_object().unwrap().keys() {
            let path = format!("{}/tests/data/svd_int8/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
            let file = std::fs::read(path).unwrap();
            let golden = SafeTensors::deserialize(&file).unwrap();
            let sigma: Vec<f64> = bytemuck::pod_collect_to_vec(golden.tensor("sigma").unwrap().data());
            let w = golden.tensor("W").unwrap();
            let found = values(&bytemuck::pod_collect_to_vec::<u8, f32>(w.data()), w.shape()[0], w.shape()[1]);
            assert_eq!(found.len(), sigma.len());
            for (i, (s, wanted)) in found.iter().zip(&sigma).enumerate() {
                assert!((f64::from(*s) - wanted).abs() <= 1e-6 * sigma[0], "{name} s[{i}]: {s} not {wanted}");
            }
        }
    }

    #[test]
    fn are_those_of_the_decomposition_at_every_size() {
        // Less than a band, some of its blocks with and without a rest, more than one stripe and panel.
        for (rows, cols) in [
            (1, 1),
            (1, 9),
            (9, 1),
            (2, 2),
            (3, 3),
            (31, 40),
            (32, 32),
            (33, 33),
            (40, 65),
            (97, 64),
            (300, 260),
            (5, 1100),
        ] {
            let w = random(rows * cols, 3);
            let whole = decompose(&w, rows, cols, &Control::new()).unwrap();
            let found = values(&w, rows, cols);
            assert_eq!(found.len(), whole.s.len());
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * whole.s[0];
            assert!(found.iter().zip(&whole.s).all(near), "{rows} x {cols}");
        }
    }

    #[test]
    fn decaying_equal_and_lost_values_are_found() {
        let decaying: Vec<f64> = (0..70).map(|i| 10_f64.powf(-8.0 * f64::from(i) / 69.0)).collect();
        let steep: Vec<f64> = (0..70).map(|i| 10_f64.powf(-5.0 * f64::from(i) / 69.0)).collect();
        let lost: Vec<f64> = (0..70).map(|i| f64::from(u8::from(i < 40))).collect();
        for wanted in [decaying, steep, lost, vec![2.0; 70]] {
            for (rows, cols) in [(70, 70), (90, 70), (70, 90)] {
                let square: Vec<f64> = wanted.iter().copied().chain(vec![0.0; cols - 70]).collect();
                let found = values(&with_values(&square, rows, cols), rows, cols);
                for (s, wanted) in found.iter().zip(&wanted) {
                    // The matrix is f32: its own values are off by so much.
                    assert!((f64::from(*s) - wanted).abs() <= 1e-6 * square[0], "{rows} x {cols}: {s} not {wanted}");
                }
            }
        }
    }

    #[test]
    fn small_ones_are_right_beside_large_ones() {
        for expected in [[3e4_f32, 2.0, 1e-3, 5e-7], [1.0, 1e-2, 1e-4, 2e-6], [2.0, 1.0, 0.0, 0.0]] {
            let w: Vec<f32> = (0..16).map(|i| if i % 5 == 0 { expected[i / 5] } else { 0.0 }).collect();
            for (found, expected) in values(&w, 4, 4).iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-4 * expected, "{found} {expected}");
            }
        }
    }

    #[test]
    fn zeros_and_magnitudes_at_the_ends_of_f32_hold() {
        assert_eq!(values(&[0.0; 40 * 50], 40, 50), [0.0; 40]);
        assert_eq!(values(&[], 0, 3), [0.0; 0]);
        let plain = values(&random(40 * 50, 5), 40, 50);
        for scale in [1e-36_f32, 1e30] {
            let scaled: Vec<f32> = random(40 * 50, 5).iter().map(|x| x * scale).collect();
            let found = values(&scaled, 40, 50);
            assert!(found.iter().zip(&plain).all(|(a, b)| (a / scale - b).abs() <= 1e-5 * plain[0]), "{scale}");
        }
        let error = singular_values(&[f32::MAX; 4], 2, 2, &Control::new());
        assert!(matches!(error, Err(NumericError::Range(_))));
    }

    #[test]
    fn what_has_none_is_refused() {
        let control = Control::new();
        assert!(matches!(singular_values(&[0.0; 5], 2, 3, &control), Err(NumericError::Size { .. })));
        assert!(matches!(singular_values(&[f32::NAN, 1.0], 1, 2, &control), Err(NumericError::NonFinite(1))));
        control.cancel();
        assert!(matches!(singular_values(&[1.0; 4], 2, 2, &control), Err(NumericError::Cancelled(_))));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let w = random(150 * 170, 6);
        let in_pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| values(&w, 150, 170))
        };
        assert_eq!(in_pool(1), in_pool(3));
    }
}
