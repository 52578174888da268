//! The decoder. STUB (room `model`).

use std::sync::Arc;

use super::{Architecture, CompressedLinear, Layer, ModelError};
use crate::checkpoint::Checkpoint;
use crate::control::Control;

/// A model that runs. Cloning is cheap: all weights are shared.
#[derive(Debug, Clone)]
pub struct Model { _todo: () }

/// Receives hidden states as transformers returns them: index 0 the embeddings, i the output of block i-1, the last one
/// after the final norm; each [t, hidden].
pub trait HiddenSink {
    /// One state.
    fn hidden(&mut self, index: usize, state: &[f32]);
}

/// Keys and values of the tokens so far; grows as needed, up to the context.
#[derive(Debug, Clone)]
pub struct Cache { _todo: () }

impl Cache {
    /// Tokens held.
    pub fn len(&self) -> usize { todo!() }
    /// Whether it holds none.
    pub fn is_empty(&self) -> bool { self.len() == 0 }
    /// Drops all tokens from position `len` on.
    pub fn truncate(&mut self, _len: usize) { todo!() }
}

impl Model {
    /// Builds the decoder of a checkpoint; weights stay where they are (memory-mapped). Compressed folders load too.
    ///
    /// # Errors
    /// Config, family, tensors: what, where.
    pub fn load(_checkpoint: &Checkpoint) -> Result<Self, ModelError> { todo!() }
    /// What the config says.
    pub fn architecture(&self) -> &Architecture { todo!() }
    /// The layers, in the order of [`super::layers_of`].
    pub fn layers(&self) -> &[Layer] { todo!() }
    /// The weight of layer `index` (in the order of [`Model::layers`]).
    pub fn weight(&self, _index: usize) -> Option<&Arc<CompressedLinear>> { todo!() }
    /// The same model with another weight for layer `index`; everything else shared.
    #[must_use]
    pub fn with_weight(&self, _index: usize, _weight: Arc<CompressedLinear>) -> Self { todo!() }
    /// An empty cache.
    pub fn cache(&self) -> Cache { todo!() }
    /// Bytes of weights read for one token of decode (embedding row excluded).
    pub fn bytes_per_token(&self) -> u64 { todo!() }
    /// Bytes of all its tensors as stored.
    pub fn weight_bytes(&self) -> u64 { todo!() }
    /// Continues `cache` by `ids`; returns the logits [vocabulary] of the last one.
    ///
    /// # Errors
    /// Context exceeded, id out of the vocabulary, no ids, cancelled.
    pub fn forward(&self, _ids: &[u32], _cache: &mut Cache, _control: &Control) -> Result<Vec<f32>, ModelError> { todo!() }
    /// As [`Model::forward`], with the logits [t, vocabulary] of every id, and hidden states to `sink`.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn forward_all(&self, _ids: &[u32], _cache: &mut Cache, _sink: Option<&mut dyn HiddenSink>, _control: &Control) -> Result<Vec<f32>, ModelError> { todo!() }
}
