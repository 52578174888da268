//! A decoder's parts: what the architecture configures, and weights that are shared and replaceable layer by layer.

use std::sync::Arc;

use super::architecture::{Architecture, Place, Positions};
use super::kv_cache::{BlockCache, PAGE};
use super::load::load;
use super::norm::Norm;
use super::rope::Rope;
use super::{CompressedLinear, Kind, Layer, ModelError};
use crate::checkpoint::{Bytes, Checkpoint, Tokenizer};
use crate::linalg::{Arithmetic, Matrix};

/// A model that runs. Cloning is cheap: all weights are shared.
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) frame: Arc<Frame>,
    pub(super) weights: Vec<Arc<CompressedLinear>>,
    pub(super) arithmetic: Arithmetic,
}

/// All of a model but the weights of its layers.
#[derive(Debug)]
pub(super) struct Frame {
    pub architecture: Architecture,
    pub stem: Stem,
    pub ropes: Vec<Rope>,
    pub blocks: Vec<Block>,
    pub head: Head,
    pub layers: Vec<Layer>,
    /// Bytes of all tensors but the layers'.
    pub other_bytes: u64,
    /// The mapped files that the weights lie in.
    pub files: Vec<Bytes>,
}

/// What stands before the blocks and after them, but for the head.
#[derive(Debug)]
pub(super) struct Stem {
    pub embedding: Matrix,
    pub positions: Option<Matrix>,
    /// From the embedding's width to the stream's, and back, where these differ.
    pub projections: Option<[Matrix; 2]>,
    pub norms: NormsAt,
}

/// Norms and where they stand.
#[derive(Debug)]
pub(super) struct NormsAt(pub Vec<(Place, Norm)>);

impl NormsAt {
    fn at(&self, place: Place) -> Option<&Norm> {
        self.0.iter().find(|(at, _)| *at == place).map(|(_, norm)| norm)
    }

    /// `x` normalised as that place has it; a copy where there is no norm.
    pub(super) fn apply(&self, place: Place, x: &[f32]) -> Vec<f32> {
        let mut normed = x.to_vec();
        self.apply_in_place(place, &mut normed);
        normed
    }

    /// Normalises `x` as that place has it; leaves it where there is no norm.
    pub(super) fn apply_in_place(&self, place: Place, x: &mut [f32]) {
        if let Some(norm) = self.at(place) {
            norm.apply_in_place(x);
        }
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.at(place).is_some()
    }
}

/// What loading found.
pub(super) struct Parts {
    pub stem: Stem,
    pub blocks: Vec<Block>,
    pub head: Head,
    pub layers: Vec<Layer>,
    pub weights: Vec<Arc<CompressedLinear>>,
    pub total_bytes: u64,
    /// The mapped files that the weights lie in.
    pub files: Vec<Bytes>,
}

/// One block: attention and MLP, added to the stream as `Architecture::residual` says, with norms where the family has them.
#[derive(Debug)]
pub(super) struct Block {
    pub norms: NormsAt,
    /// Queries, keys and values.
    pub projections: [Linear; 3],
    pub output: Linear,
    pub mlp: Feed,
}

/// What a block computes of each token alone.
#[derive(Debug)]
pub(super) enum Feed {
    /// One MLP for all tokens.
    Mlp(Mlp),
    /// Several, of which the router chooses some for each token.
    Experts { router: Linear, experts: Vec<Mlp> },
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
    /// The embedding, and a bias (empty: none).
    Tied(Vec<f32>),
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
    /// The tokens.
    pub(super) ids: Vec<u32>,
    /// Length of the text that the keys were made for.
    pub(super) made_for: usize,
}

impl Cache {
    /// Tokens held.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Drops all tokens from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
        let held = self.ids.len();
        self.blocks.iter_mut().for_each(|block| block.truncate(held));
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
        let Parts { stem, blocks, head, layers, weights, total_bytes, files } = parts;
        let layer_bytes: u64 = layers.iter().map(|layer| layer.bytes).sum();
        let other_bytes = total_bytes.saturating_sub(layer_bytes);
        let ropes = match &architecture.positions {
            Positions::Rotary(specs) => specs.iter().map(Rope::new).collect(),
            Positions::Learned { .. } | Positions::Alibi(_) => Vec::new(),
        };
        let frame = Frame { architecture, stem, ropes, blocks, head, layers, other_bytes, files };
        Self { frame: Arc::new(frame), weights, arithmetic: Arithmetic::Exact }
    }

    /// Whether the files of its weights are as they were when they were opened, and all that was read of them was there.
    ///
    /// # Errors
    /// Says which is not.
    pub(super) fn check_files(&self) -> Result<(), ModelError> {
        Ok(self.frame.files.iter().try_for_each(Bytes::check)?)
    }

    /// The part of [`Model::check_files`] that costs next to nothing.
    ///
    /// # Errors
    /// Says which file could not be read.
    pub(super) fn check_read(&self) -> Result<(), ModelError> {
        Ok(self.frame.files.iter().try_for_each(Bytes::check_read)?)
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

    /// The same model with the products of its layers in another arithmetic; everything shared.
    #[must_use]
    pub fn with_arithmetic(&self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self.clone() }
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
        Cache { blocks: vec![self.block_cache(); self.architecture().blocks], ids: Vec::new(), made_for: 0 }
    }

    /// An empty cache of one block.
    pub(super) fn block_cache(&self) -> BlockCache {
        BlockCache::new(self.architecture().kv_heads, self.architecture().head_dim)
    }

    /// Bytes of the keys and values of so many tokens, in all blocks.
    pub fn cache_bytes(&self, tokens: usize) -> u64 {
        let shape = self.architecture();
        let positions = tokens.checked_next_multiple_of(PAGE).unwrap_or(tokens);
        let numbers = [2, shape.blocks, shape.kv_heads, shape.head_dim, positions];
        numbers.iter().fold(size_of::<f32>() as u64, |bytes, count| bytes.saturating_mul(*count as u64))
    }

    /// About the bytes that a pass of so many tokens at once takes beside its keys and values: what one block computes, its
    /// widest inputs once more as a product lays them out, and the logits of `scored` of them.
    pub fn pass_bytes(&self, tokens: usize, scored: usize) -> u64 {
        let shape = self.architecture();
        let attention = (3 * shape.heads + 2 * shape.kv_heads) * shape.head_dim;
        let each = 4 * shape.hidden + attention + 2 * shape.intermediate + shape.hidden.max(shape.intermediate);
        let numbers = |tokens: usize, each: usize| (tokens as u64).saturating_mul(each as u64);
        let sum = numbers(tokens, each).saturating_add(numbers(scored, shape.vocabulary));
        sum.saturating_mul(size_of::<f32>() as u64)
    }

    /// Bytes of weights read for one token of decode (embedding row excluded); of experts, those of as many as work on one.
    pub fn bytes_per_token(&self) -> u64 {
        let head = if matches!(self.frame.head, Head::Tied(_)) { self.frame.stem.embedding.bytes() } else { 0 };
        let experts = self.architecture().experts.as_ref();
        let read = |(layer, weight): (&Layer, &Arc<CompressedLinear>)| match (layer.kind, experts) {
            (Kind::ExpertGate | Kind::ExpertUp | Kind::ExpertDown, Some(experts)) => {
                weight.bytes() * experts.chosen as u64 / experts.count.max(1) as u64
            }
            _ => weight.bytes(),
        };
        head + self.layers().iter().zip(&self.weights).map(read).sum::<u64>()
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
