//! Atomic, streamed writing. STUB.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Bytes, Dtype};
use crate::control::{Cancelled, Control};

/// Why writing failed; nothing half-written remains at the target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The target is there already.
    #[error("{0} exists; nothing is written over without --force")]
    Exists(PathBuf),
    /// The target is (inside) an input.
    #[error("{0} is an input of this command and is never written over; choose another place")]
    IsInput(PathBuf),
    /// The system said no.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Cancelled between two tensors; the temporary is removed.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Header entry of a tensor that will be written; data follows later, in the same order.
#[derive(Debug, Clone)]
pub struct TensorSpec {
    /// Name.
    pub name: String,
    /// Type.
    pub dtype: Dtype,
    /// Dimensions.
    pub shape: Vec<usize>,
}

/// Writes a checkpoint folder into a temporary beside the target, then renames.
#[derive(Debug)]
pub struct FolderWriter { _todo: () }

impl FolderWriter {
    /// Plans the shards (each at most `shard_bytes` of data, at least one tensor; order sorted by name;
    /// `model.safetensors`, or `model-0000i-of-0000n.safetensors` with `model.safetensors.index.json`).
    /// Refuses an existing target unless `force`, and any target that is, holds or lies in one of `inputs`.
    ///
    /// # Errors
    /// As above.
    pub fn create(
        _target: &Path, _specs: Vec<TensorSpec>, _metadata: &BTreeMap<String, String>, _shard_bytes: u64, _force: bool,
        _inputs: &[PathBuf],
    ) -> Result<Self, WriteError> { todo!() }
    /// The order in which [`FolderWriter::tensor`] wants the data.
    pub fn order(&self) -> &[TensorSpec] { todo!() }
    /// Writes the next tensor's data.
    ///
    /// # Errors
    /// Wrong length, or the system's.
    pub fn tensor(&mut self, _data: &[u8]) -> Result<(), WriteError> { todo!() }
    /// Writes a small file beside the weights.
    ///
    /// # Errors
    /// The system's.
    pub fn sidecar(&mut self, _name: &str, _data: &[u8]) -> Result<(), WriteError> { todo!() }
    /// Syncs, renames to the target; returns (file name, bytes) sorted by name.
    ///
    /// # Errors
    /// The system's; the temporary is removed.
    pub fn finish(self, _control: &Control) -> Result<Vec<(String, u64)>, WriteError> { todo!() }
}

/// Writes one file by a synced temporary and a rename. Refuses an existing one unless `force`, any of `inputs` always.
///
/// # Errors
/// As above.
pub fn replace_file(_path: &Path, _force: bool, _inputs: &[PathBuf], _write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), WriteError> {
    let _: Option<Bytes> = None;
    todo!()
}
