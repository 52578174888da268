//! What the codec is told about a layer's inputs.

use std::sync::Arc;

use super::Calibration;
use crate::linalg::{DAMPING, InputStatistics};

/// The statistics of a layer's inputs, with a name for what is computed from them.
#[derive(Debug, Clone)]
pub struct LayerInputs {
    /// The statistics.
    pub statistics: Arc<InputStatistics>,
    key: String,
}

impl LayerInputs {
    /// Those of the layer of that name, where the calibration has them.
    pub fn of(calibration: Option<&Calibration>, layer: &str) -> Option<Self> {
        let calibration = calibration?;
        let statistics = calibration.statistics(layer)?;
        let name = format!("{}\0{layer}\0{DAMPING}", calibration.fingerprint());
        let key = blake3::hash(name.as_bytes()).to_hex().chars().take(32).collect();
        Some(Self { statistics, key })
    }

    /// What names them in the cache: the calibration, the layer, the damping.
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}
