//! How a compressed layer lies in a checkpoint (INTERFACE: "Compressed checkpoint"). STUB (room `model`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CompressedLinear, ModelError};
use crate::checkpoint::{Checkpoint, Dtype};

/// Key of the JSON text in `__metadata__`.
pub const CLASSIC_META_KEY: &str = "compression_meta";

/// The parts that may replace `P.weight`, and their tensor-name suffixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `P.U...`
    U,
    /// `P.S...` (classic only)
    S,
    /// `P.Vh...`
    Vh,
    /// `P.base...`
    Base,
}

/// One entry of `compression_meta`: of `P.U`, `P.S`, `P.Vh` or `P.base`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartMeta {
    /// One scale for the part; null where a scale tensor holds it.
    pub scale: Option<f64>,
    /// x = (q - zero_point) * scale.
    pub zero_point: i64,
    /// Shape of the part, unpacked.
    pub original_shape: Vec<usize>,
    /// `float32` or as the writer says.
    pub original_dtype: String,
}

/// A compressed layer found in a checkpoint.
#[derive(Debug, Clone)]
pub struct StoredLayer {
    /// `P.weight`.
    pub name: String,
    /// [m, n].
    pub shape: (usize, usize),
    /// Bytes of its tensors.
    pub bytes: u64,
    /// Type of the first part.
    pub dtype: Dtype,
    /// The weight, run as stored (the classic layout's S is folded into U's row... see code).
    pub weight: CompressedLinear,
}

/// The checked `compression_meta` of a checkpoint; empty where there is none.
///
/// # Errors
/// Not JSON, or entries that cannot be (scale not finite or not positive, shapes).
pub fn parse_compression_meta(_checkpoint: &Checkpoint) -> Result<BTreeMap<String, PartMeta>, ModelError> { todo!() }

/// All compressed layers of a checkpoint, native and classic; shapes and ranks checked before any allocation.
///
/// # Errors
/// Parts that are missing or disagree.
pub fn stored_layers(_checkpoint: &Checkpoint) -> Result<Vec<StoredLayer>, ModelError> { todo!() }
