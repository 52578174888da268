//! Opening a checkpoint. STUB: to be written (room `checkpoint`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Bytes, CheckpointError, Dtype, Tokenizer};

/// A tensor of a checkpoint: its description and its bytes, shared with the file. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Name as the checkpoint has it (may hold any characters: escape before display).
    pub name: String,
    /// Element type as stored.
    pub dtype: Dtype,
    /// Dimensions as stored.
    pub shape: Vec<usize>,
    /// The elements' bytes, little endian, row-major.
    pub data: Bytes,
}

/// A model that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// The word that names it (`demo`).
    pub name: &'static str,
    /// `config.json`.
    pub config: &'static str,
    /// `tokenizer.json`.
    pub tokenizer: &'static str,
    /// `model.safetensors`, aligned to 8 bytes or more.
    pub weights: &'static [u8],
}

/// A small file that travels with the weights (`config.json`, tokenizer files, `generation_config.json`).
#[derive(Debug, Clone)]
pub struct Sidecar {
    /// Plain file name.
    pub name: String,
    /// Content.
    pub data: Bytes,
}

/// An opened model: tensors by name, config, tokenizer. Tensors are validated and memory-mapped, never read as a whole.
#[derive(Debug)]
pub struct Checkpoint {
    _todo: (),
}

impl Checkpoint {
    /// Opens a folder in Hugging Face layout or one `.safetensors` file. Tensor data is validated by header only.
    ///
    /// # Errors
    /// [`CheckpointError`] naming file, tensor and reason.
    pub fn open(_path: &Path) -> Result<Self, CheckpointError> { todo!() }
    /// Opens a model that is part of the program.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn embedded(_model: Embedded) -> Result<Self, CheckpointError> { todo!() }
    /// A short name for the screen and for JSON's `model`: the folder's name, the file's name, `demo`.
    pub fn label(&self) -> &str { todo!() }
    /// Where it lies (the folder or file opened); `None` when embedded.
    pub fn path(&self) -> Option<&Path> { todo!() }
    /// All tensors, sorted by name.
    pub fn tensors(&self) -> &[Tensor] { todo!() }
    /// The tensor of that name.
    pub fn tensor(&self, _name: &str) -> Option<&Tensor> { todo!() }
    /// `__metadata__` of all files, merged.
    pub fn metadata(&self) -> &BTreeMap<String, String> { todo!() }
    /// `config.json` as an object. Missing, not JSON, or not an object: an error that says so.
    ///
    /// # Errors
    /// As above.
    pub fn config(&self) -> Result<&serde_json::Map<String, serde_json::Value>, CheckpointError> { todo!() }
    /// Reads and checks `tokenizer.json` (each call parses it anew; keep the result).
    ///
    /// # Errors
    /// Missing, malformed, of an unknown kind.
    pub fn tokenizer(&self) -> Result<Tokenizer, CheckpointError> { todo!() }
    /// The files beside the weights that an export copies (config.json, tokenizer*, vocab.json, merges.txt,
    /// special_tokens_map.json, generation_config.json, chat_template*); small ones only (at most 64 MiB each).
    pub fn sidecars(&self) -> Vec<Sidecar> { todo!() }
    /// `policy.json` beside the weights, if there (a compressed folder).
    pub fn policy_text(&self) -> Option<String> { todo!() }
    /// Every file that holds tensors (never to be written over).
    pub fn weight_files(&self) -> Vec<PathBuf> { todo!() }
    /// Bytes of all tensors as stored.
    pub fn total_bytes(&self) -> u64 { todo!() }
    /// BLAKE3 over the sorted (name, dtype, shape, data) of all tensors, hex. Reads everything: call from a job.
    pub fn fingerprint(&self) -> String { todo!() }
}

impl Tensor {
    /// Number of elements.
    pub fn elements(&self) -> usize { todo!() }
    /// BLAKE3 of dtype, shape and data, hex: the key of caches.
    pub fn digest(&self) -> String { todo!() }
}

/// What `MODEL` names on disk: an existing path, else a repository name (`owner/name`) found in the Hugging Face cache
/// `hub_cache` (its `models--owner--name/refs/main` and `snapshots/`).
///
/// # Errors
/// Neither: says both places that were looked at and, for a near miss, the nearest name in the folder.
pub fn locate(_model: &str, _hub_cache: Option<&Path>) -> Result<PathBuf, CheckpointError> { todo!() }
