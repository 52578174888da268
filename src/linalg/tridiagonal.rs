//! The eigenvalues of a symmetric tridiagonal matrix.

use super::NumericError;
use crate::control::Control;

/// Most sweeps for an eigenvalue, on average.
const PATIENCE: usize = 30;

/// Eigenvalues, descending, of the symmetric tridiagonal matrix with this diagonal [n] and these numbers beside it [n - 1],
/// right to some units of f64's rounding of the largest. `beside` is below about 1e150, so that squares are numbers.
///
/// The QL iteration without roots of Pal, Walker and Kahan (LAPACK's dsterf); checks `control` before each sweep.
///
/// # Errors
/// No convergence, cancelled.
pub fn eigenvalues(mut diagonal: Vec<f64>, beside: &[f64], control: &Control) -> Result<Vec<f64>, NumericError> {
    let mut squares: Vec<f64> = beside.iter().map(|e| e * e).collect();
    let (mut d, mut e) = (diagonal.as_mut_slice(), squares.as_mut_slice());
    while !d.is_empty() {
        let (block, rest) = d.split_at_mut(coupled(d, e));
        let (inside, beyond) = e.split_at_mut(block.len() - 1);
        if block.last().map(|d| d.abs()) < block.first().map(|d| d.abs()) {
            // The small ones first: so they keep their digits.
            block.reverse();
            inside.reverse();
        }
        solve(block, inside, control)?;
        (d, e) = (rest, beyond.get_mut(1..).unwrap_or_default());
    }
    diagonal.sort_unstable_by(|a, b| b.total_cmp(a));
    Ok(diagonal)
}

/// How many of the first rows hang together: up to the first pair with nothing beside it that counts.
fn coupled(d: &[f64], e: &[f64]) -> usize {
    let counts = |(square, pair): &(&f64, &[f64])| {
        let product: f64 = pair.iter().product();
        **square > f64::EPSILON * f64::EPSILON * product.abs()
    };
    1 + e.iter().zip(d.windows(2)).take_while(counts).count()
}

/// The eigenvalues in place of the diagonal.
fn solve(mut d: &mut [f64], mut e: &mut [f64], control: &Control) -> Result<(), NumericError> {
    let mut left = PATIENCE * d.len();
    while d.len() > 1 {
        let last = coupled(d, e) - 1;
        if last == 0 {
            (d, e) = (&mut d[1..], &mut e[1..]);
            continue;
        }
        control.check()?;
        left = left.checked_sub(1).ok_or(NumericError::NoConvergence)?;
        sweep(&mut d[..=last], &mut e[..last]);
    }
    Ok(())
}

/// One step of the iteration, from the last row to the first, on a diagonal and squares beside it that are not 0.
fn sweep(d: &mut [f64], e: &mut [f64]) {
    let last = e.len();
    let shift = shift(d[0], d[1], e[0]);
    let (mut c, mut s, mut gamma) = (1.0, 0.0, d[last] - shift);
    let mut p = gamma * gamma;
    for i in (0..last).rev() {
        let (square, r) = (e[i], p + e[i]);
        if i + 1 < last {
            e[i + 1] = s * r;
        }
        let (before, was) = (c, gamma);
        (c, s) = (p / r, square / r);
        gamma = c * (d[i] - shift) - s * was;
        d[i + 1] = was + (d[i] - gamma);
        p = if c == 0.0 { before * square } else { gamma * gamma / c };
    }
    e[0] = s * p;
    d[0] = shift + gamma;
}

/// The eigenvalue of the first two rows that lies nearer to the first.
fn shift(first: f64, second: f64, square: f64) -> f64 {
    let root = square.sqrt();
    let half = (second - first) / (2.0 * root);
    first - root / (half + half.hypot(1.0).copysign(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(diagonal: &[f64], beside: &[f64]) -> Vec<f64> {
        eigenvalues(diagonal.to_vec(), beside, &Control::new()).unwrap()
    }

    fn near(found: &[f64], wanted: &[f64]) -> bool {
        let most = wanted.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-14 * most)
    }

    #[test]
    fn second_differences_have_theirs() {
        let n = 100;
        let wanted: Vec<f64> =
            (1..=n).rev().map(|k| 2.0 - 2.0 * (f64::from(k) * std::f64::consts::PI / f64::from(n + 1)).cos()).collect();
        assert!(near(&found(&[2.0; 100], &[-1.0; 99]), &wanted));
    }

    #[test]
    fn blocks_and_small_ones_are_done_apart() {
        assert!(near(&found(&[1.0, 3.0, 0.0, 0.0, 5.0], &[0.0, 0.0, 2.0, 0.0]), &[5.0, 3.0, 2.0, 1.0, -2.0]));
        assert!(near(&found(&[1.0, 1.0], &[1.0]), &[2.0, 0.0]));
        assert_eq!(found(&[], &[]), [0.0; 0]);
        assert_eq!(found(&[7.0], &[]), [7.0]);
        assert_eq!(found(&[0.0; 3], &[0.0; 2]), [0.0; 3]);
    }

    #[test]
    fn small_ones_keep_their_digits_whichever_end_they_stand_at() {
        let graded: Vec<f64> = (0..12).map(|i| 10_f64.powi(-i)).collect();
        let beside: Vec<f64> = graded.windows(2).map(|pair| 0.1 * pair[1]).collect();
        let down = found(&graded, &beside);
        let turned = |numbers: &[f64]| numbers.iter().rev().copied().collect::<Vec<_>>();
        let up = found(&turned(&graded), &turned(&beside));
        assert!(down.iter().zip(&up).all(|(a, b)| (a - b).abs() <= 1e-12 * a));
    }

    #[test]
    fn a_cancel_and_what_is_no_number_end_it() {
        let control = Control::new();
        let endless = eigenvalues(vec![f64::NAN, f64::NAN], &[f64::INFINITY], &control);
        assert!(matches!(endless, Ok(_) | Err(NumericError::NoConvergence)));
        control.cancel();
        assert!(matches!(eigenvalues(vec![1.0, 2.0], &[1.0], &control), Err(NumericError::Cancelled(_))));
    }
}
