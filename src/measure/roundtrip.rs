//! A layer there and back: predicted and measured error.

use crate::checkpoint::Checkpoint;
use crate::compress::{Base, CompressError, FactorCache, Layout, Plan, compressed_weight, measured_error};
use crate::control::Control;
use crate::linalg::Decomposition;
use crate::model::Layer;

/// One row of `roundtrip`.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundTrip {
    /// From the decomposition alone, before factors are quantized; `None` where a quantized base carries the layer.
    pub predicted_error: Option<f64>,
    /// Weight error as stored.
    pub error: f64,
    /// Bytes as stored.
    pub bytes: u64,
}

/// Encodes the layer as planned and measures it.
///
/// # Errors
/// [`CompressError`]: a layer that the file stores compressed, a plan that it cannot have, numeric trouble, cancelled.
pub fn round_trip(
    checkpoint: &Checkpoint,
    layer: &Layer,
    plan: &Plan,
    layout: Layout,
    cache: &FactorCache,
    control: &Control,
) -> Result<RoundTrip, CompressError> {
    let (tensor, matrix) = checkpoint.tensor(&layer.name).zip(layer.matrix(checkpoint)).ok_or_else(unreadable)?;
    let weight = compressed_weight(checkpoint, layer, plan, layout, cache, control)?;
    let predicted_error = match (plan.rank, plan.base) {
        (0, _) => plan.is_dense().then_some(0.0),
        (_, Base::None) => Some(predicted(cache.get(tensor, &matrix, control)?.as_ref(), &matrix.to_f32(), plan)),
        _ => {
            let rest = cache.get_residual(tensor, &matrix, plan, control)?;
            Some(predicted(rest.as_ref(), &matrix.to_f32(), plan))
        }
    };
    // Classic: U, S and Vh as I8; their three scales lie in the header.
    let classic =
        (layout == Layout::Classic && plan.rank > 0).then(|| (plan.rank * (layer.rows + 1 + layer.cols)) as u64);
    Ok(RoundTrip {
        predicted_error,
        error: measured_error(&matrix, &weight, control)?,
        bytes: classic.unwrap_or_else(|| weight.bytes()),
    })
}

fn unreadable() -> CompressError {
    CompressError::Plan(
        "is no plain matrix (stored compressed, or no float type); name the model that it came from".into(),
    )
}

/// ||W - W'|| / ||W|| of base + U Vh at the plan's rank, factors exact: ||E - c `E_r`|| / ||W||, where c = ||E|| / ||`E_r`|| with
/// norm correction and 1 without. With e the energy share kept, ||E - c `E_r`||^2 = ||E||^2 (1 - 2 c e + c^2 e).
fn predicted(decomposition: &Decomposition, w: &[f32], plan: &Plan) -> f64 {
    let truncated = decomposition.error_at(plan.rank).powi(2);
    let kept = 1.0 - truncated;
    let lost = if plan.norm_correction && kept > 0.0 { 2.0 - 2.0 * kept.sqrt() } else { truncated };
    let energy: f64 = w.iter().map(|x| f64::from(*x).powi(2)).sum();
    if energy > 0.0 { (lost * decomposition.energy / energy).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decomposition(s: Vec<f32>) -> Decomposition {
        let energy = s.iter().map(|s| f64::from(*s).powi(2)).sum();
        Decomposition { rows: 2, cols: 2, s, ut: vec![1.0, 0.0, 0.0, 1.0], vt: vec![1.0, 0.0, 0.0, 1.0], energy }
    }

    #[test]
    fn the_prediction_is_the_share_beyond_the_rank() {
        let w = [4.0, 0.0, 0.0, 3.0];
        let plain = predicted(&decomposition(vec![4.0, 3.0]), &w, &Plan::low_rank(1));
        assert!((plain - 0.6).abs() < 1e-12);
        let corrected = Plan { norm_correction: true, ..Plan::low_rank(1) };
        let error = predicted(&decomposition(vec![4.0, 3.0]), &w, &corrected);
        // W_1 = diag(4, 0) times 5/4 is diag(5, 0): the error is |diag(-1, 3)| / 5.
        assert!((error - 10.0_f64.sqrt() / 5.0).abs() < 1e-12);
    }

    #[test]
    fn with_a_base_the_rest_counts_against_the_whole() {
        let w = [30.0, 40.0, 0.0, 0.0];
        let plan = Plan { base: Base::Int8, rank: 1, ..Plan::dense() };
        assert!((predicted(&decomposition(vec![4.0, 3.0]), &w, &plan) - 3.0 / 50.0).abs() < 1e-12);
    }
}
