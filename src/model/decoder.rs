//! The decoder: one loop over blocks that the architecture configures; weights shared and replaceable layer by layer.

use std::sync::Arc;

use super::attention::{BlockCache, attend};
use super::family::{Architecture, Positions};
use super::load::load;
use super::norm::Norm;
use super::rope::Rope;
use super::{CompressedLinear, Layer, ModelError};
use crate::checkpoint::{Checkpoint, Tokenizer};
use crate::control::Control;
use crate::linalg::Matrix;

/// Tokens that go through the blocks at once: enough to reuse each weight many times, few enough to stay in cache.
const BATCH: usize = 256;

/// A model that runs. Cloning is cheap: all weights are shared.
#[derive(Debug, Clone)]
pub struct Model {
    frame: Arc<Frame>,
    weights: Vec<Arc<CompressedLinear>>,
}

/// All of a model but the weights of its layers.
#[derive(Debug)]
struct Frame {
    architecture: Architecture,
    embedding: Matrix,
    positions: Option<Matrix>,
    rope: Option<Rope>,
    blocks: Vec<Block>,
    final_norm: Norm,
    head: Head,
    layers: Vec<Layer>,
    /// Bytes of all tensors but the layers'.
    other_bytes: u64,
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
    pub projections: Projections,
    pub output: Linear,
    pub mlp_norm: Norm,
    pub mlp: Mlp,
}

/// Queries, keys and values.
#[derive(Debug)]
pub(super) enum Projections {
    Separate([Linear; 3]),
    /// q, k, v below one another.
    Fused(Linear),
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

/// Receives hidden states as transformers returns them: index 0 the embeddings, i the output of block i-1, the last one
/// after the final norm; each [t, hidden].
pub trait HiddenSink {
    /// One state of all tokens.
    fn hidden(&mut self, index: usize, state: &[f32]);
}

/// Keys and values of the tokens so far; grows as needed, up to the context.
#[derive(Debug, Clone)]
pub struct Cache {
    blocks: Vec<BlockCache>,
    width: usize,
    len: usize,
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

    /// Continues `cache` by `ids`; returns the logits [vocabulary] of the last one.
    ///
    /// # Errors
    /// Context exceeded, id out of the vocabulary, no ids, cancelled; the cache is then as before.
    pub fn forward(&self, ids: &[u32], cache: &mut Cache, control: &Control) -> Result<Vec<f32>, ModelError> {
        self.check(ids, cache)?;
        let before = cache.len;
        let mut last = Vec::new();
        for batch in ids.chunks(BATCH) {
            last = self.batch(batch, cache, None, control).inspect_err(|_| cache.truncate(before))?;
        }
        let width = self.architecture().hidden;
        self.logits(last.get(last.len() - width..).unwrap_or_default(), control)
    }

    /// As [`Model::forward`], with the logits [t, vocabulary] of every id, and hidden states to `sink`. All ids go through
    /// at once, so memory grows with their number.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn forward_all(
        &self,
        ids: &[u32],
        cache: &mut Cache,
        sink: Option<&mut dyn HiddenSink>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        self.check(ids, cache)?;
        let before = cache.len;
        let hidden = self.batch(ids, cache, sink, control).inspect_err(|_| cache.truncate(before))?;
        self.logits(&hidden, control)
    }

    fn check(&self, ids: &[u32], cache: &Cache) -> Result<(), ModelError> {
        let shape = self.architecture();
        let tokens = cache.len + ids.len();
        if ids.is_empty() {
            return Err(ModelError::Empty);
        }
        if tokens > shape.context {
            return Err(ModelError::Context { tokens, context: shape.context });
        }
        match ids.iter().find(|id| **id as usize >= shape.vocabulary) {
            Some(id) => Err(ModelError::Token { id: *id, vocabulary: shape.vocabulary }),
            None => Ok(()),
        }
    }

    /// The blocks over one batch; the final hidden states [t, hidden].
    fn batch(
        &self,
        ids: &[u32],
        cache: &mut Cache,
        mut sink: Option<&mut dyn HiddenSink>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        let frame = &*self.frame;
        let mut x = self.embed(ids, cache.len);
        let mut normed = vec![0.0; x.len()];
        let mut show = |index: usize, state: &[f32]| {
            if let Some(sink) = sink.as_deref_mut() {
                sink.hidden(index, state);
            }
        };
        show(0, &x);
        for (index, block) in frame.blocks.iter().enumerate() {
            control.check()?;
            block.attention_norm.apply(&x, &mut normed);
            let attended = self.attention(index, block, &normed, cache, ids.len());
            add(&mut x, &self.linear(&block.output, &attended, ids.len()));
            block.mlp_norm.apply(&x, &mut normed);
            add(&mut x, &self.mlp(&block.mlp, &normed, ids.len()));
            if index + 1 < frame.blocks.len() {
                show(index + 1, &x);
            }
        }
        cache.len += ids.len();
        frame.final_norm.apply(&x, &mut normed);
        show(frame.blocks.len(), &normed);
        Ok(normed)
    }

    /// Embeddings [t, hidden] of tokens from position `first` on.
    fn embed(&self, ids: &[u32], first: usize) -> Vec<f32> {
        let width = self.architecture().hidden;
        let mut x = vec![0.0; ids.len() * width];
        let mut position = vec![0.0; width];
        for (i, (id, row)) in ids.iter().zip(x.chunks_exact_mut(width.max(1))).enumerate() {
            self.frame.embedding.row(*id as usize, row);
            if let Some(table) = &self.frame.positions {
                table.row(first + i, &mut position);
                add(row, &position);
            }
        }
        x
    }

    /// Projects, turns, stores keys and values, attends: [t, heads * d].
    fn attention(&self, index: usize, block: &Block, x: &[f32], cache: &mut Cache, tokens: usize) -> Vec<f32> {
        let shape = self.architecture();
        let (q_width, kv_width) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
        let [mut q, mut k, v] = match &block.projections {
            Projections::Separate(maps) => maps.each_ref().map(|map| self.linear(map, x, tokens)),
            Projections::Fused(map) => split(&self.linear(map, x, tokens), [q_width, kv_width, kv_width]),
        };
        if let Some(rope) = &self.frame.rope {
            for (states, width) in [(&mut q, q_width), (&mut k, kv_width)] {
                let rows = states.chunks_exact_mut(width.max(1)).zip(cache.len..);
                rows.for_each(|(row, at)| rope.turn(row, at));
            }
        }
        let mut out = vec![0.0; q.len()];
        if let (Some(held), Some(span)) = (cache.blocks.get_mut(index), shape.attention.get(index)) {
            held.keys.truncate(cache.len * kv_width);
            held.values.truncate(cache.len * kv_width);
            held.keys.extend_from_slice(&k);
            held.values.extend_from_slice(&v);
            attend(shape, *span, held, &q, cache.len, &mut out);
        }
        out
    }

    fn mlp(&self, mlp: &Mlp, x: &[f32], tokens: usize) -> Vec<f32> {
        let activation = self.architecture().activation;
        let mut inner = self.linear(&mlp.up, x, tokens);
        match &mlp.gate {
            Some(gate) => {
                let mut gate = self.linear(gate, x, tokens);
                activation.apply(&mut gate);
                inner.iter_mut().zip(&gate).for_each(|(inner, gate)| *inner *= gate);
            }
            None => activation.apply(&mut inner),
        }
        self.linear(&mlp.down, &inner, tokens)
    }

    /// W x + b for each of `tokens` rows.
    fn linear(&self, map: &Linear, x: &[f32], tokens: usize) -> Vec<f32> {
        let mut y = vec![0.0; tokens * map.rows];
        if let Some(weight) = self.weights.get(map.layer) {
            weight.apply(x, &mut y);
        }
        if !map.bias.is_empty() {
            y.chunks_exact_mut(map.rows.max(1)).for_each(|row| add(row, &map.bias));
        }
        y
    }

    /// Logits of hidden states [t, hidden].
    fn logits(&self, hidden: &[f32], control: &Control) -> Result<Vec<f32>, ModelError> {
        control.check()?;
        let shape = self.architecture();
        let tokens = hidden.len() / shape.hidden.max(1);
        match &self.frame.head {
            Head::Own(map) => Ok(self.linear(map, hidden, tokens)),
            Head::Tied => {
                let mut logits = vec![0.0; tokens * shape.vocabulary];
                self.frame.embedding.apply(hidden, &mut logits);
                Ok(logits)
            }
        }
    }
}

/// x += y.
fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// Cuts the columns of `x` [t, a + b + c] into three matrices.
fn split(x: &[f32], widths: [usize; 3]) -> [Vec<f32>; 3] {
    let total: usize = widths.iter().sum();
    let mut parts = widths.map(|width| Vec::with_capacity(x.len() / total.max(1) * width));
    for row in x.chunks_exact(total.max(1)) {
        let mut rest = row;
        for (part, width) in parts.iter_mut().zip(widths) {
            let (now, later) = rest.split_at_checked(width).unwrap_or((rest, &[]));
            part.extend_from_slice(now);
            rest = later;
        }
    }
    parts
}
