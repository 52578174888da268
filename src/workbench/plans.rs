//! What a plan means for one layer: whether it can be, its bytes, its predicted error.

use crate::compress::{Base, Factors, Plan, Weighting};
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
    if plan.base == Base::Int4 {
        return Err("int4 bases are not supported yet; choose int8");
    }
    if plan.weighting == Weighting::Activations {
        return Err("weighting by activations is not supported yet; choose plain");
    }
    if plan.refit {
        return Err("refit is not supported yet; leave it out");
    }
    if plan.base == Base::Dense && plan.rank > 0 {
        return Err("a dense layer takes no low-rank part; choose base none or int8");
    }
    let least = usize::from(plan.base == Base::None);
    Ok(Plan { rank: plan.rank.clamp(least, layer.max_rank().max(least)), ..*plan })
}

/// Bytes of a layer under `plan`, scales included; shapes alone decide.
pub(super) fn plan_bytes(plan: &Plan, layer: &Layer) -> u64 {
    let (m, n, r) = (layer.rows as u64, layer.cols as u64, plan.rank as u64);
    let groups = |length: Option<usize>| length.map_or(1, |length| n.div_ceil((length as u64).max(1)));
    let base = match plan.base {
        Base::None => 0,
        Base::Dense => layer.bytes,
        Base::Int8 => m * n + 4 * m * groups(plan.group),
        Base::Int4 => m * n.div_ceil(2) + 2 * m * groups(Some(plan.group.unwrap_or(32))),
    };
    let factors = match plan.factors {
        Factors::F32 => 4 * (m + n) * r,
        Factors::F16 => 2 * (m + n) * r,
        Factors::Int8 => (m + n) * r + 4 * (m + r),
    };
    base + if r == 0 { 0 } else { factors }
}

/// The weight error before factors are quantized: 0 for dense, from the spectrum of W where nothing but the rank decides.
/// With norm correction `c = ||W|| / ||W_r||`, and `h = ||W_r||^2 / ||W||^2`: `1 - h + (c - 1)^2 h = 2 - 2 sqrt(h)`.
pub(super) fn predicted_error(plan: &Plan, spectrum: Option<&Spectrum>) -> Option<f64> {
    match plan.base {
        Base::Dense => Some(0.0),
        Base::None if plan.norm_correction => {
            spectrum.map(|spectrum| (2.0 - 2.0 * spectrum.energy_at(plan.rank).max(0.0).sqrt()).max(0.0).sqrt())
        }
        Base::None => spectrum.map(|spectrum| spectrum.error_at(plan.rank)),
        Base::Int8 | Base::Int4 => None,
    }
}

/// The plan that a stored layer shows.
pub(super) fn stored_plan(weight: &CompressedLinear) -> Plan {
    let group = |matrix: &Matrix| match matrix.values() {
        Values::I8 { group, .. } => Some(*group),
        _ => None,
    };
    let (base, group) = match &weight.base {
        None => (Base::None, None),
        Some(matrix) => group(matrix).map_or((Base::Dense, None), |group| (Base::Int8, group)),
    };
    let factors = match weight.low_rank.as_ref().map(|low| low.u.values()) {
        Some(Values::F32(_)) => Factors::F32,
        Some(Values::F16(_) | Values::Bf16(_)) => Factors::F16,
        _ => Factors::Int8,
    };
    let rank = weight.low_rank.as_ref().map_or(0, |low| low.vh.rows());
    Plan { base, rank, factors, group, ..Plan::dense() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;
    use crate::model::Kind;

    fn layer() -> Layer {
        let (rows, cols) = (6, 10);
        Layer {
            name: "w".into(),
            block: None,
            kind: Kind::Up,
            rows,
            cols,
            dtype: Dtype::F32,
            bytes: 240,
            transposed: false,
            fixed: false,
        }
    }

    #[test]
    fn ranks_are_clamped_and_impossible_plans_refused() {
        assert_eq!(admissible(&Plan::low_rank(99), &layer()), Ok(Plan::low_rank(6)));
        assert_eq!(admissible(&Plan::low_rank(0), &layer()), Ok(Plan::low_rank(1)));
        let int8 = Plan { base: Base::Int8, ..Plan::dense() };
        assert_eq!(admissible(&int8, &layer()), Ok(int8));
        assert!(admissible(&Plan { base: Base::Int4, ..int8 }, &layer()).is_err());
        assert!(admissible(&Plan { weighting: Weighting::Activations, ..int8 }, &layer()).is_err());
        assert!(admissible(&Plan { rank: 2, ..Plan::dense() }, &layer()).is_err());
        assert!(admissible(&int8, &Layer { fixed: true, ..layer() }).unwrap_err().contains("--original"));
    }

    #[test]
    fn bytes_follow_the_stored_parts() {
        assert_eq!(plan_bytes(&Plan::dense(), &layer()), 240);
        assert_eq!(plan_bytes(&Plan::low_rank(3), &layer()), 3 * 16 + 4 * 6 + 4 * 3);
        assert_eq!(plan_bytes(&Plan { factors: Factors::F16, ..Plan::low_rank(3) }, &layer()), 2 * 3 * 16);
        let grouped = Plan { base: Base::Int8, group: Some(4), ..Plan::dense() };
        assert_eq!(plan_bytes(&grouped, &layer()), 60 + 4 * 6 * 3);
        assert_eq!(plan_bytes(&Plan { base: Base::Int4, ..grouped }, &layer()), 6 * 5 + 2 * 6 * 3);
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
}
