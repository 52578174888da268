//! The table's rows and the sums over them. STUB (room `workbench`).

use std::sync::Arc;

use crate::compress::Plan;
use crate::measure::Spectrum;
use crate::model::Layer;

/// The measured weight error of a layer as stored under its plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Measured {
    /// Dense: nothing to measure.
    Exact,
    /// Being encoded.
    Pending,
    /// ||W - W'||_F / ||W||_F.
    Error(f64),
    /// It could not be encoded; why.
    Failed(String),
}

/// One layer with all that is known about it.
#[derive(Debug, Clone)]
pub struct LayerRow {
    /// The layer.
    pub layer: Layer,
    /// Its plan now.
    pub plan: Plan,
    /// Its bytes under the plan (exact: shapes decide).
    pub bytes_after: u64,
    /// Its spectrum, once decomposed.
    pub spectrum: Option<Arc<Spectrum>>,
    /// Predicted weight error, from the spectrum, where the plan truncates and the spectrum is known; 0 for dense.
    pub predicted: Option<f64>,
    /// Measured weight error.
    pub measured: Measured,
}

/// Sums over the model.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Totals {
    /// Bytes of all tensors, original.
    pub bytes_original: u64,
    /// Bytes of all tensors under the plans.
    pub bytes_compressed: u64,
    /// Bits per weight over the layers alone, original and under the plans.
    pub bits_original: f64,
    /// As above.
    pub bits_compressed: f64,
    /// Layers that are not dense.
    pub changed: usize,
    /// Layers decomposed so far.
    pub decomposed: usize,
}
