//! A decoder's parts: what the architecture configures, and weights that are shared and replaceable layer by layer.

use std::sync::Arc;

use super::attention::BlockCache;
use super::family::{Architecture, Positions};
use super::load::load;
use super::norm::Norm;
use super::rope::Rope;
use super::{CompressedLinear, Layer, ModelError};
use crate::checkpoint::{Checkpoint, Tokenizer};
use crate::linalg::Matrix;

/// A model that runs. Cloning is cheap: all weights are shared.
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) frame: Arc<Frame>,
    pub(super) weights: Vec<Arc<CompressedLinear>>,
}

/// All of a model but the weights of its layers.
#[derive(Debug)]
pub(super) struct Frame {
    pub architecture: Architecture,
    pub embedding: Matrix,
    pub positions: Option<Matrix>,
    pub rope: Option<Rope>,
    pub blocks: Vec<Block>,
    pub final_norm: Norm,
    pub head: Head,
    pub layers: Vec<Layer>,
    /// Bytes of all tensors but the layers'.
    pub other_bytes: u64,
}

/// What loading found.
pub(super) struct Parts {
    pub embedding: Matrix,
    pub positions: Option<Matrix>,
    pub blocks: Vec<Block>,
    pub final_norm: Norm,
    pub head: Head,
    pub layers: Vec<Layer>,
    pub weights: Vec<Arc<CompressedLinear>>,
    pub total_bytes: u64,
}

/// One block: x += o(attention(norm(x))); x += mlp(norm(x)).
#[derive(Debug)]
pub(super) struct Block {
    pub attention_norm: Norm,
    /// Queries, keys and values.
    pub projections: [Linear; 3],
    pub output: Linear,
    pub mlp_norm: Norm,
    pub mlp: Mlp,
}

/// down(act(gate(x)) * up(x)), or down(act(up(x))) without a gate.
#[derive(Debug)]
pub(super) struct Mlp {
    pub gate: Option<Linear>,
    pub up: Linear,
    pub down: Linear,
}

/// The map to logits.
#[derive(Debug)]
pub(super) enum Head {
    /// The embedding.
    Tied,
    /// A layer of its own.
    Own(Linear),
}

/// A linear map: a layer's weight, by index, and a bias (empty: none).
#[derive(Debug)]
pub(super) struct Linear {
    pub layer: usize,
    pub rows: usize,
    pub bias: Vec<f32>,
}

/// Keys and values of the tokens so far; grows as needed, up to the context.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(super) blocks: Vec<BlockCache>,
    width: usize,
    pub(super) len: usize,
}

impl Cache {
    /// Tokens held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops all tokens from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        for block in &mut self.blocks {
            block.keys.truncate(self.len * self.width);
            block.values.truncate(self.len * self.width);
        }
    }
}

impl Model {
    /// Builds the decoder of a checkpoint; weights stay where they are (memory-mapped). Compressed folders load too.
    ///
    /// # Errors
    /// Config, family, tensors: what, where.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self, ModelError> {
        load(checkpoint)
    }

    pub(super) fn assemble(architecture: Architecture, parts: Parts) -> Self {
        let Parts { embedding, positions, blocks, final_norm, head, layers, weights, total_bytes } = parts;
        let layer_bytes: u64 = layers.iter().map(|layer| layer.bytes).sum();
        let other_bytes = total_bytes.saturating_sub(layer_bytes);
        let rope = match &architecture.positions {
            Positions::Rotary(spec) => Some(Rope::new(spec)),
            Positions::Learned => None,
        };
        let frame = Frame { architecture, embedding, positions, rope, blocks, final_norm, head, layers, other_bytes };
        Self { frame: Arc::new(frame), weights }
    }

    /// What the config says.
    pub fn architecture(&self) -> &Architecture {
        &self.frame.architecture
    }

    /// The layers, in the order of [`super::layers_of`].
    pub fn layers(&self) -> &[Layer] {
        &self.frame.layers
    }

    /// The weight of layer `index` (in the order of [`Model::layers`]).
    pub fn weight(&self, index: usize) -> Option<&Arc<CompressedLinear>> {
        self.weights.get(index)
    }

    /// The same model with another weight for layer `index`; everything else shared. A weight of another shape is ignored.
    #[must_use]
    pub fn with_weight(&self, index: usize, weight: Arc<CompressedLinear>) -> Self {
        let mut changed = self.clone();
        if let Some(slot) = changed.weights.get_mut(index).filter(|slot| slot.shape() == weight.shape()) {
            *slot = weight;
        }
        changed
    }

    /// An empty cache.
    pub fn cache(&self) -> Cache {
        let shape = self.architecture();
        let blocks = vec![BlockCache::default(); shape.blocks];
        Cache { blocks, width: shape.kv_heads * shape.head_dim, len: 0 }
    }

    /// Bytes of weights read for one token of decode (embedding row excluded).
    pub fn bytes_per_token(&self) -> u64 {
        let head = if matches!(self.frame.head, Head::Tied) { self.frame.embedding.bytes() } else { 0 };
        head + self.weights.iter().map(|weight| weight.bytes()).sum::<u64>()
    }

    /// Bytes of all its tensors as stored.
    pub fn weight_bytes(&self) -> u64 {
        self.frame.other_bytes + self.weights.iter().map(|weight| weight.bytes()).sum::<u64>()
    }

    /// Refuses a tokenizer whose ids the embedding does not have.
    ///
    /// # Errors
    /// Says both counts.
    pub fn check_tokenizer(&self, tokenizer: &Tokenizer) -> Result<(), ModelError> {
        let (bound, vocabulary) = (tokenizer.id_bound(), self.architecture().vocabulary);
        if bound <= vocabulary {
            return Ok(());
        }
        Err(ModelError::Tensor(format!(
            "tokenizer.json has token id {} but the model has only {vocabulary} embeddings; tokenizer and weights do not belong together",
            bound - 1
        )))
    }
}
