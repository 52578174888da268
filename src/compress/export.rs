//! Export: compressed folder (native, classic) and dense rebuilt folder.

use std::path::PathBuf;

use super::export_encode::Encoder;
use super::export_layout::Manifest;
use super::export_write::write_tensors;
use super::{Calibration, CompressError, FactorCache, Layout, Plan, Policy};
use crate::checkpoint::{Checkpoint, FolderWriter, TensorSpec, WriteError};
use crate::control::{Cancelled, Control};
use crate::model::{Layer, ModelError};

/// The policy's file in an exported folder.
const POLICY: &str = "policy.json";

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
    /// Layers that the file stores compressed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Writing.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<Cancelled> for ExportError {
    fn from(cancelled: Cancelled) -> Self {
        Self::Write(cancelled.into())
    }
}

/// Sizes alone; reads no tensor's data.
///
/// # Errors
/// [`ExportError::Layer`] for plans that a layer or the layout cannot have, [`ExportError::Refused`] for layers that are
/// stored compressed already and names that cannot be written.
pub fn plan_export(
    checkpoint: &Checkpoint,
    layers: &[Layer],
    plans: &[Plan],
    options: &ExportOptions,
) -> Result<ExportPlan, ExportError> {
    let manifest = Manifest::new(checkpoint, layers, plans, options.kind)?;
    let bytes = manifest.tensors.iter().map(|(_, tensor)| tensor.bytes).sum();
    let changed = manifest.changed.iter().map(|layer| (*layer, manifest.layer_bytes(*layer))).collect();
    let files = files(&manifest, options.shard_bytes);
    Ok(ExportPlan { bytes, original_bytes: checkpoint.total_bytes(), layers: changed, files })
}

/// The files that the writer will make: shards of at most `shard_bytes` of data, each of at least one tensor.
fn files(manifest: &Manifest, shard_bytes: u64) -> Vec<(String, u64)> {
    let mut shards: Vec<u64> = Vec::new();
    for (_, tensor) in &manifest.tensors {
        match shards.last_mut() {
            Some(filled) if filled.saturating_add(tensor.bytes) <= shard_bytes => *filled += tensor.bytes,
            _ => shards.push(tensor.bytes),
        }
    }
    if let [bytes] = shards.as_slice() {
        return vec![("model.safetensors".to_owned(), *bytes)];
    }
    let count = shards.len();
    let name = |index: usize| format!("model-{:05}-of-{count:05}.safetensors", index + 1);
    shards.iter().enumerate().map(|(index, bytes)| (name(index), *bytes)).collect()
}

/// Writes the folder: streamed tensor by tensor, the small files beside the weights copied, `policy.json` beside (for
/// compressed kinds). Layers that the input stores compressed keep their parts (rebuilt for the dense kind). The same
/// input gives the same bytes on any number of threads. Layers are coded side by side on the ambient rayon pool, as many
/// as fit in three times the largest tensor.
///
/// # Errors
/// As [`plan_export`]; [`ExportError::Write`] where the target cannot be written, or is an input; cancelled.
pub fn export(
    checkpoint: &Checkpoint,
    layers: &[Layer],
    plans: &[Plan],
    policy: &Policy,
    (cache, calibration): (&FactorCache, Option<&Calibration>),
    options: &ExportOptions,
    control: &Control,
) -> Result<Exported, ExportError> {
    let manifest = Manifest::new(checkpoint, layers, plans, options.kind)?;
    let bytes = manifest.tensors.iter().map(|(_, tensor)| tensor.bytes).sum();
    let coded: u64 = manifest.changed.iter().filter_map(|layer| layers.get(*layer)).map(|layer| layer.bytes).sum();
    control.set_total(bytes + coded);
    let mut encoder = Encoder::new(checkpoint, layers, plans, &manifest, (cache, calibration), control);
    // What stands in the header must be known before anything is written.
    let metas = encoder.part_metas(checkpoint)?;
    let text = policy_text(checkpoint, policy, &manifest);
    let metadata = manifest.metadata(checkpoint, &text, &metas);
    control.check()?;
    let specs: Vec<TensorSpec> = manifest.tensors.iter().map(|(name, tensor)| tensor.spec(name)).collect();
    let (shard, force, inputs) = (options.shard_bytes, options.force, checkpoint.inputs());
    let mut writer = FolderWriter::create(&options.out, specs, &metadata, shard, force, &inputs)?;
    write_tensors(checkpoint, &manifest, &mut encoder, &mut writer, control)?;
    for sidecar in checkpoint.sidecars().iter().filter(|sidecar| sidecar.name != POLICY) {
        writer.sidecar(&sidecar.name, &sidecar.data)?;
    }
    if matches!(options.kind, ExportKind::Compressed(_)) {
        writer.sidecar(POLICY, text.as_bytes())?;
    }
    // Nothing has its name yet: what was read must have been there.
    checkpoint.check().map_err(ModelError::from)?;
    let errors = encoder.finish();
    let files = writer.finish(control)?;
    let exported = |index: &usize| {
        let (index, error) = (*index, errors.get(index).copied().unwrap_or_default());
        ExportedLayer { index, bytes: manifest.layer_bytes(index), error }
    };
    let layers = manifest.changed.iter().map(exported).collect();
    Ok(Exported { out: options.out.clone(), files, bytes, original_bytes: checkpoint.total_bytes(), layers })
}

/// The policy to keep: the given one, or that of the compressed folder where nothing was added to it.
fn policy_text(checkpoint: &Checkpoint, policy: &Policy, manifest: &Manifest) -> String {
    let kept = checkpoint.policy_text().filter(|_| manifest.changed.is_empty());
    kept.unwrap_or_else(|| policy.to_text())
}
