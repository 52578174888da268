//! A layer there and back: predicted and measured errors.

use crate::checkpoint::Checkpoint;
use crate::compress::{
    Calibration, CompressError, Errors, FactorCache, LayerInputs, Layout, Plan, Subject, compressed_weight,
    measured_error, measured_output_error,
};
use crate::control::Control;
use crate::model::Layer;

/// One row of `roundtrip`.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundTrip {
    /// From the decomposition alone, before factors are quantized; `None` where a quantized base carries the layer.
    pub predicted: Option<Errors>,
    /// As stored.
    pub measured: Errors,
    /// Bytes as stored.
    pub bytes: u64,
}

/// Encodes the layer as planned and measures it. Output errors are there where the calibration knows the layer's inputs.
///
/// # Errors
/// [`CompressError`]: a layer that the file stores compressed, a plan that it cannot have or that needs statistics where
/// there are none, numeric trouble, cancelled.
pub fn round_trip(
    checkpoint: &Checkpoint,
    layer: &Layer,
    plan: &Plan,
    layout: Layout,
    cache: &FactorCache,
    calibration: Option<&Calibration>,
    control: &Control,
) -> Result<RoundTrip, CompressError> {
    let no_matrix = || CompressError::Plan(layer.why_no_matrix(checkpoint));
    let (tensor, matrix) = checkpoint.tensor(&layer.tensor).zip(layer.matrix(checkpoint)).ok_or_else(no_matrix)?;
    let weight = compressed_weight(checkpoint, layer, plan, layout, cache, calibration, control)?;
    let inputs = LayerInputs::of(calibration, &layer.name);
    let subject = Subject { tensor, matrix: &matrix, inputs: inputs.as_ref() };
    let output = |inputs: &LayerInputs| measured_output_error(&matrix, &weight, &inputs.statistics, control);
    // Classic: U, S and Vh as I8; their three scales lie in the header.
    let classic =
        (layout == Layout::Classic && plan.rank > 0).then(|| (plan.rank * (layer.rows + 1 + layer.cols)) as u64);
    let found = RoundTrip {
        predicted: cache.predicted(&subject, plan, control)?,
        measured: Errors {
            weight: measured_error(&matrix, &weight, control)?,
            output: inputs.as_ref().map(output).transpose()?,
        },
        bytes: classic.unwrap_or_else(|| weight.bytes()),
    };
    tensor.data.check()?;
    Ok(found)
}
