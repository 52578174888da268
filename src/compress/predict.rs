//! Errors of every rank from a decomposition alone, before factors are quantized.

use super::Plan;
use crate::linalg::{Decomposition, OutputErrors};

/// Squares of a layer: what errors are shares of, and of which matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Energies {
    /// `||W||_F^2`.
    pub weight: f64,
    /// `||W X||_F^2` per token, where statistics are known.
    pub output: Option<f64>,
}

/// Errors as shares: `||W - W'||_F / ||W||_F` and `||(W - W') X||_F / ||W X||_F`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    /// Of the weight.
    pub weight: f64,
    /// Of the output, where statistics are known.
    pub output: Option<f64>,
}

/// What cutting a decomposition at several ranks costs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ErrorCurve {
    /// (rank, errors), in the order asked for.
    pub errors: Vec<(usize, Errors)>,
    /// Norms of what each direction adds to the output over the calibration inputs, in the order of the decomposition; empty
    /// without statistics.
    pub seen: Vec<f32>,
}

/// Errors of base + U Vh at the plan's rank, with exact factors: `decomposition` is that of E = W - base (E = W without a
/// base), `output` its errors in the output. `||E - c E_r||^2 = ||E - E_r||^2 + (c - 1)^2 ||E_r||^2` in either norm, since `E_r`
/// projects E from the left; c = `||E|| / ||E_r||` with norm correction, else 1.
pub fn predicted(
    plan: &Plan,
    decomposition: &Decomposition,
    output: Option<&OutputErrors>,
    whole: &Energies,
) -> Errors {
    let kept: f64 = decomposition.s.iter().take(plan.rank).rev().map(|s| f64::from(*s).powi(2)).sum();
    let tail = decomposition.s.iter().skip(plan.rank).rev();
    let lost = tail.fold(decomposition.rest, |sum, s| sum + f64::from(*s).powi(2));
    let grown = (correction(plan, decomposition) - 1.0).powi(2);
    let output = output.zip(whole.output);
    Errors {
        weight: share(lost + grown * kept, whole.weight),
        output: output
            .map(|(errors, whole)| share(errors.lost_at(plan.rank) + grown * errors.kept_at(plan.rank), whole)),
    }
}

/// Factor on the low-rank part: `||E|| / ||E_r||` with norm correction, else 1.
pub(super) fn correction(plan: &Plan, whole: &Decomposition) -> f64 {
    let kept: f64 = whole.s.iter().take(plan.rank).map(|s| f64::from(*s).powi(2)).sum();
    if plan.norm_correction && kept > 0.0 { (whole.energy / kept).sqrt() } else { 1.0 }
}

/// The root of a share of squares; 0 for nothing of nothing, infinite for something of nothing.
pub(super) fn share(error: f64, whole: f64) -> f64 {
    if error > 0.0 { (error / whole).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Base;

    fn diagonal(s: [f32; 2]) -> Decomposition {
        let (ut, vt) = (vec![1.0, 0.0, 0.0, 1.0], vec![1.0, 0.0, 0.0, 1.0]);
        let energy = s.iter().map(|s| f64::from(*s).powi(2)).sum();
        Decomposition { rows: 2, cols: 2, s: s.to_vec(), ut, vt, energy, rest: 0.0, output: None }
    }

    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
    }

    #[test]
    fn the_prediction_is_the_share_beyond_the_rank() {
        // E = diag(4, 3), of which x1 is seen and x2 hardly.
        let errors = OutputErrors { terms: vec![16.0, 0.09], rest: 0.0 };
        let whole = Energies { weight: 25.0, output: Some(16.09) };
        let plain = predicted(&Plan::low_rank(1), &diagonal([4.0, 3.0]), Some(&errors), &whole);
        near(plain.weight, 0.6);
        near(plain.output.unwrap(), (0.09_f64 / 16.09).sqrt());
        // W_1 = diag(4, 0) times 5/4 is diag(5, 0): the error is diag(-1, 3).
        let corrected = Plan { norm_correction: true, ..Plan::low_rank(1) };
        let found = predicted(&corrected, &diagonal([4.0, 3.0]), Some(&errors), &whole);
        near(found.weight, 10.0_f64.sqrt() / 5.0);
        near(found.output.unwrap(), (1.09_f64 / 16.09).sqrt());
    }

    #[test]
    fn with_a_base_the_rest_counts_against_the_whole() {
        let plan = Plan { base: Base::Int8, rank: 1, ..Plan::dense() };
        let whole = Energies { weight: 2500.0, output: None };
        let found = predicted(&plan, &diagonal([4.0, 3.0]), None, &whole);
        near(found.weight, 3.0 / 50.0);
        assert_eq!(found.output, None);
    }
}
