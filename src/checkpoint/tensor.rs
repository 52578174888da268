//! One tensor of a checkpoint.

use std::sync::{Arc, OnceLock};

use super::{Bytes, Dtype, Scale};

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
    /// The digest, once known; clones share it.
    digest: Arc<OnceLock<String>>,
    /// Its scales, where it is of eight-bit floats and has them beside it.
    scale: Option<Arc<Scale>>,
}

impl Tensor {
    /// A tensor of that description and content.
    pub fn new(name: String, dtype: Dtype, shape: Vec<usize>, data: Bytes) -> Self {
        Self { name, dtype, shape, data, digest: Arc::default(), scale: None }
    }

    /// Whether it is no weight but a constant that older programs stored beside them: a mask, what fills it, positions, or the
    /// frequencies of rotary embeddings.
    pub fn is_buffer(&self) -> bool {
        let ends = |words: &[&str]| self.name.rsplit('.').next().is_some_and(|last| words.contains(&last));
        let mask = self.dtype == Dtype::BOOL || (self.shape.len() == 4 && ends(&["bias"]));
        mask || ends(&["masked_bias", "inv_freq", "position_ids", "cos_cached", "sin_cached"])
    }

    /// Number of elements.
    pub fn elements(&self) -> usize {
        // Cannot overflow for a tensor that was opened: its header's check multiplied the same numbers.
        self.shape.iter().product()
    }

    /// What its numbers are multiplied by: known for eight-bit floats that have scales beside them.
    pub fn scale(&self) -> Option<&Scale> {
        self.scale.as_deref()
    }

    /// Gives it scales.
    pub(super) fn scale_by(&mut self, scale: Scale) {
        (self.scale, self.digest) = (Some(Arc::new(scale)), Arc::default());
    }

    /// Bytes as stored, its scales' included.
    pub fn stored_bytes(&self) -> u64 {
        self.data.len() as u64 + self.scale().map_or(0, |scale| scale.tensor.data.len() as u64)
    }

    /// BLAKE3 of dtype, shape and data, and of the scales it has, hex: the key of caches. The first call reads the data, on rayon's threads.
    pub fn digest(&self) -> String {
        let compute = || {
            let mut hasher = blake3::Hasher::new();
            hasher.update(self.dtype.to_string().as_bytes());
            hasher.update(format!("{:?}", self.shape).as_bytes());
            hasher.update_rayon(&self.data);
            if let Some(scale) = self.scale() {
                hasher.update(format!("{:?}{}", scale.block, scale.tensor.digest()).as_bytes());
            }
            hasher.finalize().to_hex().to_string()
        };
        self.digest.get_or_init(compute).clone()
    }

    /// The digest, if it is known without reading the data.
    pub(super) fn known_digest(&self) -> Option<&str> {
        self.digest.get().map(String::as_str)
    }

    /// Takes `digest` over, which was found before.
    pub(super) fn recall_digest(&self, digest: String) {
        let _ = self.digest.set(digest);
    }
}

/// BLAKE3 over name and digest of every tensor, in the order given, hex. Only one tensor at a time stays in memory.
pub fn fingerprint(tensors: &[Tensor]) -> String {
    let mut hasher = blake3::Hasher::new();
    for tensor in tensors {
        // The length first, so that no two lists of names run together alike.
        hasher.update(&(tensor.name.len() as u64).to_le_bytes());
        hasher.update(tensor.name.as_bytes());
        let read = tensor.known_digest().is_none();
        hasher.update(tensor.digest().as_bytes());
        if read {
            tensor.data.release();
        }
    }
    hasher.finalize().to_hex().to_string()
}
