//! A layer of a checkpoint in the form in which a plan stores it.

use super::cache::Keep;
use super::codec::{CompressError, Encoded, Layout, encode};
use super::{Base, FactorCache, Plan};
use crate::checkpoint::Checkpoint;
use crate::control::Control;
use crate::model::{CompressedLinear, Layer};

/// The weight of `layer` as `plan` stores and runs it; its decomposition, or that of what a quantized base leaves over,
/// comes from `cache`.
///
/// # Errors
/// As [`encode`](super::encode); a layer that the file stores compressed already, or in a type that has no kernel.
pub fn compressed_weight(
    checkpoint: &Checkpoint,
    layer: &Layer,
    plan: &Plan,
    layout: Layout,
    cache: &FactorCache,
    control: &Control,
) -> Result<CompressedLinear, CompressError> {
    Ok(encoded_layer(checkpoint, layer, plan, layout, (cache, Keep::Memory), control)?.weight)
}

pub(super) fn encoded_layer(
    checkpoint: &Checkpoint,
    layer: &Layer,
    plan: &Plan,
    layout: Layout,
    (cache, keep): (&FactorCache, Keep),
    control: &Control,
) -> Result<Encoded, CompressError> {
    let found = checkpoint.tensor(&layer.name).zip(layer.matrix(checkpoint));
    let (tensor, matrix) = found.ok_or_else(|| CompressError::Plan(unreadable(layer)))?;
    let mut decomposition = || match plan.base {
        Base::Int8 | Base::Int4 => cache.residual(tensor, &matrix, plan, keep, control),
        _ => cache.whole(tensor, &matrix, keep, control),
    };
    encode(&matrix, plan, layout, &mut decomposition, control)
}

/// Why a layer has no matrix.
fn unreadable(layer: &Layer) -> String {
    if layer.fixed {
        "the file stores it compressed already; pass --original with the model it came from".into()
    } else {
        format!("it is stored as {}; only F32, F16 and BF16 can be compressed", layer.dtype)
    }
}
