//! Decompositions on disk, by content hash. STUB (room `compress`).

use std::path::PathBuf;
use std::sync::Arc;

use super::CompressError;
use crate::checkpoint::Tensor;
use crate::control::Control;
use crate::linalg::{Decomposition, Matrix};

/// The cache could not be used; the work goes on without it.
#[derive(Debug, thiserror::Error)]
#[error("factor cache {path}: {source}")]
pub struct CacheError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub source: std::io::Error,
}

/// Decompositions of W (plain), kept in memory up to a limit and on disk by content hash (a safetensors file of our own
/// per tensor: s, ut, vt in f32, energy in metadata). Unreadable or foreign files are ignored and rewritten.
#[derive(Debug, Clone)]
pub struct FactorCache { _todo: () }

impl FactorCache {
    /// A cache in `folder` (made when first written); `None`: memory only.
    pub fn new(_folder: Option<PathBuf>) -> Self { todo!() }
    /// The decomposition of a layer's matrix, from memory, disk, or computed now (and stored). Two callers that ask for the
    /// same one at once compute it once.
    ///
    /// # Errors
    /// Numeric trouble or cancelled; trouble with the disk only costs the cache.
    pub fn get(&self, _tensor: &Tensor, _matrix: &Matrix, _control: &Control) -> Result<Arc<Decomposition>, CompressError> { todo!() }
}
