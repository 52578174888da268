//! A layer there and back: predicted and measured error. STUB (room `measure`).

use crate::compress::{CompressError, FactorCache, Layout, Plan};
use crate::control::Control;
use crate::checkpoint::Checkpoint;
use crate::model::Layer;

/// One row of `roundtrip`.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundTrip {
    /// From the decomposition alone, before factors are quantized; `None` where the base alone carries the layer.
    pub predicted_error: Option<f64>,
    /// Weight error as stored.
    pub error: f64,
    /// Bytes as stored.
    pub bytes: u64,
}

/// Encodes the layer as planned and measures it.
///
/// # Errors
/// [`CompressError`].
pub fn round_trip(_checkpoint: &Checkpoint, _layer: &Layer, _plan: &Plan, _layout: Layout, _cache: &FactorCache, _control: &Control) -> Result<RoundTrip, CompressError> { todo!() }
