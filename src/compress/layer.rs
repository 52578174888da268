//! A layer of a checkpoint in the form in which a plan stores it.

use super::cache::Keep;
use super::codec::{CompressError, Encoded, Layout, encode};
use super::{Calibration, FactorCache, LayerInputs, Plan, Subject};
use crate::checkpoint::{Checkpoint, escaped};
use crate::control::Control;
use crate::model::{CompressedLinear, Layer};

/// The weight of `layer` as `plan` stores and runs it; its decomposition, or that of what a quantized base leaves over,
/// comes from `cache`, the statistics that weighting by activations needs from `calibration`.
///
/// # Errors
/// As [`encode`](super::encode); a layer that the file stores compressed already, or in a type that has no kernel;
/// [`CompressError::Uncalibrated`].
pub fn compressed_weight(
    checkpoint: &Checkpoint,
    layer: &Layer,
    plan: &Plan,
    layout: Layout,
    cache: &FactorCache,
    calibration: Option<&Calibration>,
    control: &Control,
) -> Result<CompressedLinear, CompressError> {
    let source = (cache, Keep::Memory, calibration);
    Ok(encoded_layer(checkpoint, layer, plan, layout, source, control)?.weight)
}

pub(super) fn encoded_layer(
    checkpoint: &Checkpoint,
    layer: &Layer,
    plan: &Plan,
    layout: Layout,
    (cache, keep, calibration): (&FactorCache, Keep, Option<&Calibration>),
    control: &Control,
) -> Result<Encoded, CompressError> {
    let found = checkpoint.tensor(&layer.tensor).zip(layer.matrix(checkpoint));
    let (tensor, matrix) = found.ok_or_else(|| CompressError::Plan(layer.why_no_matrix(checkpoint)))?;
    let inputs = needed_inputs(plan, layer, calibration)?;
    let subject = Subject { tensor, matrix: &matrix, inputs: inputs.as_ref() };
    let statistics = inputs.as_ref().map(|inputs| inputs.statistics.as_ref());
    let parts = cache.parts(subject, plan, keep, control);
    let encoded = encode(&matrix, plan, layout, statistics, &parts, control)?;
    tensor.data.check()?;
    Ok(encoded)
}

/// The statistics of a layer's inputs where its plan needs them.
fn needed_inputs(
    plan: &Plan,
    layer: &Layer,
    calibration: Option<&Calibration>,
) -> Result<Option<LayerInputs>, CompressError> {
    if !plan.needs_statistics() {
        return Ok(None);
    }
    let missing = || CompressError::Uncalibrated { layer: escaped(&layer.name, 200) };
    LayerInputs::of(calibration, &layer.name).ok_or_else(missing).map(Some)
}
