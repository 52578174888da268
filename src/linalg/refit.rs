//! The best U for a Vh that is given.

use super::decompose::check_matrix;
use super::gram::{eigen, product};
use super::metric::{Metric, widened};
use super::{InputStatistics, NumericError};
use crate::control::Control;

/// Directions of Vh whose share of the largest eigenvalue is below this are noise, and not inverted.
const NOISE: f64 = 1e-12;

/// U [m, r] with the least `||(E - U Vh) G'^(1/2)||_F` for E [m, n] and Vh [r, n], row-major: U = E G' Vh^T (Vh G' Vh^T)^+, where
/// G' are the damped moments of `statistics`, or I without. In f64 on the calling thread.
///
/// # Errors
/// [`NumericError`]: sizes, NaN, statistics that do not fit, no convergence, cancelled.
pub fn refit(
    e: &[f32],
    (rows, cols): (usize, usize),
    vh: &[f32],
    rank: usize,
    statistics: Option<&InputStatistics>,
    control: &Control,
) -> Result<Vec<f32>, NumericError> {
    check_matrix(e, rows, cols)?;
    check_matrix(vh, rank, cols)?;
    statistics.map(|statistics| statistics.check(cols)).transpose()?;
    let metric = statistics.map_or(Metric::identity(cols), Metric::damped);
    let vh = widened(vh, rank, cols, control)?;
    let weighted = metric.times(vh.as_ref(), control)?;
    let form = product(weighted.transpose(), vh.as_ref(), control)?;
    let (values, vectors) = eigen(form, control)?;
    let floor = values.first().map_or(0.0, |first| first * NOISE);
    let inverse = |value: f64| if value > floor { value.recip() } else { 0.0 };
    // U^T = Z diag(1 / values) Z^T (Vh G' E^T)
    let with_e = product(weighted.transpose(), widened(e, rows, cols, control)?.as_ref(), control)?;
    let mut turned = product(vectors.transpose(), with_e.as_ref(), control)?;
    for column in turned.col_iter_mut() {
        column.iter_mut().zip(&values).for_each(|(x, value)| *x *= inverse(*value));
    }
    let ut = product(vectors.as_ref(), turned.as_ref(), control)?;
    Ok(ut.col_iter().flat_map(|column| column.iter().map(|x| *x as f32)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use faer::Mat;
    use proptest::prelude::*;

    use super::super::Moments;
    use super::*;

    /// `||(E - U Vh) G'^(1/2)||^2`.
    fn error(e: &[f32], u: &[f32], vh: &[f32], (rows, cols): (usize, usize), metric: Metric<'_>) -> f64 {
        let rank = vh.len() / cols;
        let rest = Mat::from_fn(cols, rows, |j, i| {
            let product: f64 = (0..rank).map(|k| f64::from(u[i * rank + k]) * f64::from(vh[k * cols + j])).sum();
            f64::from(e[i * cols + j]) - product
        });
        metric.energies(rest.as_ref(), &Control::new()).unwrap().iter().sum()
    }

    #[test]
    fn what_vh_spans_is_met_exactly_even_if_its_rows_are_alike() {
        let vh = [1.0, 0.0, 2.0, 1.0, 0.0, 2.0, 0.0, 1.0, 0.0];
        let e = [3.0, -1.0, 6.0, -2.0, 5.0, -4.0];
        let u = refit(&e, (2, 3), &vh, 3, None, &Control::new()).unwrap();
        assert!(error(&e, &u, &vh, (2, 3), Metric::identity(3)) < 1e-10);
        assert!(u.iter().all(|u| u.abs() < 10.0));
        assert_eq!(refit(&e, (2, 3), &[0.0; 3], 1, None, &Control::new()).unwrap(), [0.0; 2]);
        assert!(refit(&e, (2, 3), &vh, 2, None, &Control::new()).is_err());
    }

    proptest! {
        #[test]
        fn no_other_u_is_better(
            (rows, cols, rank, numbers) in (1_usize..6, 1_usize..8, 1_usize..4).prop_flat_map(|(m, n, r)| {
                (Just(m), Just(n), Just(r), prop::collection::vec(-2.0_f32..2.0, m * n + r * n + n + m * r))
            }),
            weighted: bool,
        ) {
            let (e, rest) = numbers.split_at(rows * cols);
            let (vh, rest) = rest.split_at(rank * cols);
            let (squares, other) = rest.split_at(cols);
            let moments = Moments::Diagonal(squares.iter().map(|x| x.abs()).collect::<Arc<[f32]>>());
            let statistics = InputStatistics { width: cols, tokens: 5, moments };
            let given = weighted.then_some(&statistics);
            let metric = given.map_or(Metric::identity(cols), Metric::damped);
            let u = refit(e, (rows, cols), vh, rank, given, &Control::new()).unwrap();
            let best = error(e, &u, vh, (rows, cols), metric);
            for step in [1e-3_f32, 0.1, 1.0] {
                let moved: Vec<f32> = u.iter().zip(other).map(|(u, x)| u + step * x).collect();
                let found = error(e, &moved, vh, (rows, cols), metric);
                let size = error(e, &vec![0.0; rows * rank], vh, (rows, cols), metric);
                prop_assert!(best <= found + 1e-5 * size, "{best} {found} {size}");
            }
        }
    }
}
