//! Export: compressed folder (native, classic) and dense rebuilt folder. STUB (room `compress`).

use std::path::{Path, PathBuf};

use super::{CompressError, FactorCache, Layout, Plan, Policy};
use crate::checkpoint::{Checkpoint, WriteError};
use crate::control::Control;
use crate::model::Layer;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportKind {
    /// Compressed layers as parts.
    Compressed(Layout),
    /// Ordinary tensors rebuilt in the original type.
    Dense,
}

/// Where and how.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// What.
    pub kind: ExportKind,
    /// Target folder.
    pub out: PathBuf,
    /// Largest data size of a file.
    pub shard_bytes: u64,
    /// Write over an existing target.
    pub force: bool,
}

/// What an export will write, before anything is written (`--dry-run`, the dialog).
#[derive(Debug, Clone)]
pub struct ExportPlan {
    /// Bytes of all tensors.
    pub bytes: u64,
    /// Bytes before.
    pub original_bytes: u64,
    /// (layer index, bytes) of the changed layers.
    pub layers: Vec<(usize, u64)>,
    /// Files (name, bytes of data).
    pub files: Vec<(String, u64)>,
}

/// One compressed layer as written.
#[derive(Debug, Clone)]
pub struct ExportedLayer {
    /// Index into the layers given.
    pub index: usize,
    /// Bytes stored.
    pub bytes: u64,
    /// Measured weight error as stored.
    pub error: f64,
}

/// What an export wrote.
#[derive(Debug, Clone)]
pub struct Exported {
    /// Folder.
    pub out: PathBuf,
    /// (name, bytes) of every file.
    pub files: Vec<(String, u64)>,
    /// Bytes of all tensors.
    pub bytes: u64,
    /// Bytes before.
    pub original_bytes: u64,
    /// Changed layers.
    pub layers: Vec<ExportedLayer>,
}

/// Why an export failed; nothing half-written remains.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Encoding a layer.
    #[error("{layer}: {source}")]
    Layer {
        /// Its name, escaped.
        layer: String,
        /// The reason.
        source: CompressError,
    },
    /// The model or the plans do not allow this export.
    #[error("{0}")]
    Refused(String),
    /// Writing.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Sizes alone; reads no tensor.
///
/// # Errors
/// Plans that the layout cannot hold (classic: svd + int8 alone).
pub fn plan_export(_checkpoint: &Checkpoint, _layers: &[Layer], _plans: &[Plan], _options: &ExportOptions) -> Result<ExportPlan, ExportError> { todo!() }

/// Writes the folder: streamed tensor by tensor, sidecars copied, `policy.json` beside (for compressed kinds).
///
/// # Errors
/// [`ExportError`].
pub fn export(
    _checkpoint: &Checkpoint, _layers: &[Layer], _plans: &[Plan], _policy: &Policy, _cache: &FactorCache, _options: &ExportOptions,
    _control: &Control,
) -> Result<Exported, ExportError> {
    let _: Option<&Path> = None;
    todo!()
}
