//! What a plan means for one layer: whether it can be, its predicted error.

use crate::compress::{Base, Factors, Plan};
use crate::linalg::{Matrix, Values};
use crate::measure::Spectrum;
use crate::model::{CompressedLinear, Layer};

/// `plan` with its rank within what the layer allows.
///
/// # Errors
/// Why the layer cannot have it, as one phrase.
pub(super) fn admissible(plan: &Plan, layer: &Layer) -> Result<Plan, &'static str> {
    if layer.fixed {
        return Err("stored compressed, so its plan is fixed; open with --original MODEL to change it");
    }
    if let (Base::Dense, Some(reason)) = (plan.base, plan.meaningless()) {
        return Err(reason);
    }
    let least = usize::from(plan.base == Base::None);
    Ok(Plan { rank: plan.rank.clamp(least, layer.max_rank().max(least)), ..*plan }.normalized())
}

/// The weight error before factors are quantized: 0 for dense, from the spectrum of W where nothing but the rank decides.
/// With norm correction `c = ||W|| / ||W_r||`, and `h = ||W_r||^2 / ||W||^2`: `1 - h + (c - 1)^2 h = 2 - 2 sqrt(h)`.
pub(super) fn predicted_error(plan: &Plan, spectrum: Option<&Spectrum>) -> Option<f64> {
    match plan.base {
        _ if plan.needs_statistics() => None,
        Base::Dense => Some(0.0),
        Base::None if plan.norm_correction => {
            spectrum.map(|spectrum| (2.0 - 2.0 * spectrum.energy_at(plan.rank).max(0.0).sqrt()).max(0.0).sqrt())
        }
        Base::None => spectrum.map(|spectrum| spectrum.error_at(plan.rank)),
        Base::Int8 | Base::Int4 => None,
    }
}

/// What a quantized base leaves of a matrix: E = W - base.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Residual {
    pub(super) base: Base,
    pub(super) group: Option<usize>,
    /// Singular values of E, descending.
    pub(super) values: Vec<f32>,
    /// `||E||^2` and `||W||^2`.
    pub(super) energy: f64,
    pub(super) whole: f64,
}

impl Residual {
    /// Whether it is what the base of `plan` leaves.
    pub(super) fn fits(&self, plan: &Plan) -> bool {
        (self.base, self.group) == (plan.base, plan.base_group()) && !plan.needs_statistics()
    }

    /// `||E - c E_r|| / ||W||` for the rank of `plan`, c being 1 or with norm correction `||E|| / ||E_r||`.
    pub(super) fn error(&self, plan: &Plan) -> f64 {
        let kept: f64 = self.values.iter().take(plan.rank).map(|s| f64::from(*s).powi(2)).sum();
        let c = if plan.norm_correction && kept > 0.0 { (self.energy / kept).sqrt() } else { 1.0 };
        let lost = (self.energy - kept).max(0.0) + (c - 1.0).powi(2) * kept;
        if self.whole > 0.0 { (lost / self.whole).sqrt() } else { 0.0 }
    }
}

/// The plan that a stored layer shows.
pub(super) fn stored_plan(weight: &CompressedLinear) -> Plan {
    let (base, group) = match weight.base.as_ref().map(Matrix::values) {
        None => (Base::None, None),
        Some(Values::I8 { group, .. }) => (Base::Int8, *group),
        Some(Values::I4 { group, .. }) => (Base::Int4, Some(*group)),
        Some(_) => (Base::Dense, None),
    };
    let factors = match weight.low_rank.as_ref().map(|low| low.u.values()) {
        Some(Values::F32(_)) => Factors::F32,
        Some(Values::F16(_) | Values::Bf16(_)) => Factors::F16,
        _ => Factors::Int8,
    };
    let rank = weight.low_rank.as_ref().map_or(0, |low| low.vh.rows());
    Plan { base, rank, factors, group, ..Plan::dense() }.normalized()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;
    use crate::compress::Weighting;
    use crate::model::Kind;

    fn layer() -> Layer {
        let (rows, cols) = (6, 10);
        Layer {
            name: "w".into(),
            tensor: "w".into(),
            block: None,
            kind: Kind::Up,
            rows,
            cols,
            dtype: Dtype::F32,
            bytes: 240,
            transposed: false,
            part: None,
            fixed: false,
        }
    }

    #[test]
    fn ranks_are_clamped_and_impossible_plans_refused() {
        assert_eq!(admissible(&Plan::low_rank(99), &layer()), Ok(Plan::low_rank(6)));
        assert_eq!(admissible(&Plan::low_rank(0), &layer()), Ok(Plan::low_rank(1)));
        let int8 = Plan { base: Base::Int8, ..Plan::dense() };
        assert_eq!(admissible(&int8, &layer()), Ok(int8));
        // The scales of INT8 do not depend on what is minimised.
        assert_eq!(admissible(&Plan { weighting: Weighting::Activations, ..int8 }, &layer()), Ok(int8));
        assert!(admissible(&Plan { rank: 2, ..Plan::dense() }, &layer()).is_err());
        assert!(admissible(&int8, &Layer { fixed: true, ..layer() }).unwrap_err().contains("--original"));
    }

    #[test]
    fn the_norm_corrected_error_is_that_of_the_scaled_slice() {
        let spectrum = Spectrum::new(vec![4.0, 3.0], 2, 2);
        let plan = Plan { norm_correction: true, ..Plan::low_rank(1) };
        // W = diag(4, 3); W' = diag(5, 0): ||W - W'||^2 = 1 + 9, over 25.
        let error = predicted_error(&plan, Some(&spectrum)).unwrap();
        assert!((error - (10.0_f64 / 25.0).sqrt()).abs() < 1e-12);
        assert_eq!(predicted_error(&Plan::low_rank(1), None), None);
    }

    #[test]
    fn with_a_base_the_rest_counts_against_the_whole() {
        let rest = Residual { base: Base::Int8, group: None, values: vec![4.0, 3.0], energy: 25.0, whole: 2500.0 };
        let plan = Plan { base: Base::Int8, rank: 1, ..Plan::dense() };
        assert!(rest.fits(&plan) && !rest.fits(&Plan { group: Some(4), ..plan }));
        assert!((rest.error(&plan) - 3.0 / 50.0).abs() < 1e-12);
        let corrected = Plan { norm_correction: true, ..plan };
        assert!((rest.error(&corrected) - 10.0_f64.sqrt() / 50.0).abs() < 1e-12);
    }
}
