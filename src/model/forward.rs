//! Tokens through the blocks.

use std::ops::Range;

use super::attention::{Attending, BlockCache};
use super::decoder::{Block, Cache, Head, Linear, Mlp, Model};
use super::observe::Watch;
use super::{ModelError, Observer};
use crate::control::Control;

/// Tokens that go through the blocks at once: enough to reuse each weight many times, few enough to stay in cache.
const BATCH: usize = 256;

impl Model {
    /// Continues `cache` by `ids`; returns the logits [vocabulary] of the last one.
    ///
    /// # Errors
    /// Context exceeded, id out of the vocabulary, no ids, cancelled; the cache is then as before.
    pub fn forward(&self, ids: &[u32], cache: &mut Cache, control: &Control) -> Result<Vec<f32>, ModelError> {
        self.check(ids, cache.len)?;
        let before = cache.len;
        let mut last = Vec::new();
        for batch in ids.chunks(BATCH) {
            last = self.batch(batch, cache, &mut Watch(None), control).inspect_err(|_| cache.truncate(before))?;
        }
        let width = self.architecture().hidden;
        self.logits(last.get(last.len() - width..).unwrap_or_default(), &mut Watch(None), control)
    }

    /// As [`Model::forward`], with the logits [t, vocabulary] of every id, watched by `observer`. All ids go through at
    /// once, so memory grows with their number.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn forward_all(
        &self,
        ids: &[u32],
        cache: &mut Cache,
        observer: Option<&mut dyn Observer>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        self.check(ids, cache.len)?;
        let before = cache.len;
        let mut watch = Watch(observer);
        let hidden = self.batch(ids, cache, &mut watch, control).inspect_err(|_| cache.truncate(before))?;
        self.logits(&hidden, &mut watch, control)
    }

    /// What enters the first block for a window of `ids` from position 0 on: [t, hidden]. With [`Model::run_blocks`] and
    /// [`Model::finish`] this is [`Model::forward_all`] in pieces, equal to the bit.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn embeddings(&self, ids: &[u32]) -> Result<Vec<f32>, ModelError> {
        self.check(ids, 0)?;
        Ok(self.embed(ids, 0))
    }

    /// Takes `x` [t, hidden], what enters block `blocks.start` for a whole window from position 0 on, to what leaves the last
    /// of `blocks`. Blocks that do not exist do nothing. The observer sees no hidden states, these being `x`.
    ///
    /// # Errors
    /// Cancelled; `x` is then between two blocks.
    pub fn run_blocks(
        &self,
        blocks: Range<usize>,
        x: &mut [f32],
        observer: Option<&mut dyn Observer>,
        control: &Control,
    ) -> Result<(), ModelError> {
        let mut watch = Watch(observer);
        for index in blocks {
            control.check()?;
            let (mut held, mut normed) = (BlockCache::default(), vec![0.0; x.len()]);
            self.block(index, (x, &mut normed), (&mut held, 0), &mut watch);
        }
        Ok(())
    }

    /// The final norm and the head: the logits [t, vocabulary] of what left the last block [t, hidden].
    ///
    /// # Errors
    /// Cancelled.
    pub fn finish(
        &self,
        x: &[f32],
        observer: Option<&mut dyn Observer>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        let mut normed = vec![0.0; x.len()];
        self.frame.final_norm.apply(x, &mut normed);
        let mut watch = Watch(observer);
        watch.hidden(self.frame.blocks.len(), &normed);
        self.logits(&normed, &mut watch, control)
    }

    fn check(&self, ids: &[u32], held: usize) -> Result<(), ModelError> {
        let shape = self.architecture();
        let tokens = held + ids.len();
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
        watch: &mut Watch<'_>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        let frame = &*self.frame;
        let mut x = self.embed(ids, cache.len);
        let mut normed = vec![0.0; x.len()];
        watch.hidden(0, &x);
        for index in 0..frame.blocks.len() {
            control.check()?;
            let first = cache.len;
            if let Some(held) = cache.blocks.get_mut(index) {
                self.block(index, (&mut x, &mut normed), (held, first), watch);
            }
            if index + 1 < frame.blocks.len() {
                watch.hidden(index + 1, &x);
            }
        }
        cache.len += ids.len();
        frame.final_norm.apply(&x, &mut normed);
        watch.hidden(frame.blocks.len(), &normed);
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

    /// One block over `x` [t, hidden], in place; `normed` is room of the same size. `held` are the block's keys and values of
    /// the `first` tokens before these.
    fn block(
        &self,
        index: usize,
        (x, normed): (&mut [f32], &mut [f32]),
        held: (&mut BlockCache, usize),
        watch: &mut Watch<'_>,
    ) {
        let Some(block) = self.frame.blocks.get(index) else { return };
        block.attention_norm.apply(x, normed);
        let attended = self.attention(index, block, normed, held, watch);
        add(x, &self.linear(&block.output, &attended, watch));
        block.mlp_norm.apply(x, normed);
        add(x, &self.mlp(&block.mlp, normed, watch));
    }

    /// Projects, turns, stores keys and values, attends: [t, heads * d].
    fn attention(
        &self,
        index: usize,
        block: &Block,
        x: &[f32],
        (held, first): (&mut BlockCache, usize),
        watch: &mut Watch<'_>,
    ) -> Vec<f32> {
        let shape = self.architecture();
        let (q_width, kv_width) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
        let [mut q, mut k, v] = self.linears(block.projections.each_ref(), x, watch);
        if let Some(rope) = &self.frame.rope {
            for (states, width) in [(&mut q, q_width), (&mut k, kv_width)] {
                let rows = states.chunks_exact_mut(width.max(1)).zip(first..);
                rows.for_each(|(row, at)| rope.turn(row, at));
            }
        }
        let mut out = vec![0.0; q.len()];
        if let Some(span) = shape.attention.get(index) {
            held.keys.truncate(first * kv_width);
            held.values.truncate(first * kv_width);
            held.keys.extend_from_slice(&k);
            held.values.extend_from_slice(&v);
            let attending = Attending { architecture: shape, shape: *span, cache: held, queries: &q, first };
            watch.attending(index, &attending);
            attending.attend(&mut out);
        }
        out
    }

    fn mlp(&self, mlp: &Mlp, x: &[f32], watch: &mut Watch<'_>) -> Vec<f32> {
        let activation = self.architecture().activation;
        let mut inner;
        if let Some(gate) = &mlp.gate {
            let mut gate_output;
            [inner, gate_output] = self.linears([&mlp.up, gate], x, watch);
            activation.apply(&mut gate_output);
            inner.iter_mut().zip(&gate_output).for_each(|(inner, gate)| *inner *= gate);
        } else {
            inner = self.linear(&mlp.up, x, watch);
            activation.apply(&mut inner);
        }
        self.linear(&mlp.down, &inner, watch)
    }

    /// W x + b of one layer for each row of `x`.
    fn linear(&self, map: &Linear, x: &[f32], watch: &mut Watch<'_>) -> Vec<f32> {
        let [y] = self.linears([map], x, watch);
        y
    }

    /// W x + b of layers that read the same input, for each row of `x`.
    fn linears<const N: usize>(&self, maps: [&Linear; N], x: &[f32], watch: &mut Watch<'_>) -> [Vec<f32>; N] {
        watch.input(&maps.map(|map| map.layer), x);
        maps.map(|map| {
            let mut y = self.product(map, x);
            watch.output(map.layer, &mut y);
            y
        })
    }

    fn product(&self, map: &Linear, x: &[f32]) -> Vec<f32> {
        let Some(weight) = self.weights.get(map.layer) else { return Vec::new() };
        let tokens = x.len() / weight.shape().1.max(1);
        let mut y = vec![0.0; tokens * map.rows];
        weight.apply(x, &mut y);
        if !map.bias.is_empty() {
            y.chunks_exact_mut(map.rows.max(1)).for_each(|row| add(row, &map.bias));
        }
        y
    }

    /// Logits of hidden states [t, hidden].
    fn logits(&self, hidden: &[f32], watch: &mut Watch<'_>, control: &Control) -> Result<Vec<f32>, ModelError> {
        control.check()?;
        let shape = self.architecture();
        let tokens = hidden.len() / shape.hidden.max(1);
        match &self.frame.head {
            Head::Own(map) => Ok(self.linear(map, hidden, watch)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    const NAMES: [&str; 3] = ["gpt_neo", "gpt2", "llama"];

    fn model(name: &str) -> Model {
        let path = format!("tests/data/golden/{name}");
        Model::load(&Checkpoint::open(path.as_ref()).unwrap()).unwrap()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|x| x.to_bits()).collect()
    }

    /// Notes what it sees; doubles the output of one layer.
    #[derive(Default)]
    struct Notes {
        inputs: Vec<(Vec<usize>, usize)>,
        outputs: Vec<usize>,
        doubled: Option<usize>,
    }

    impl Observer for Notes {
        fn input(&mut self, layers: &[usize], x: &[f32]) {
            self.inputs.push((layers.to_vec(), x.len()));
        }

        fn output(&mut self, layer: usize, y: &mut [f32]) {
            self.outputs.push(layer);
            if self.doubled == Some(layer) {
                y.iter_mut().for_each(|y| *y *= 2.0);
            }
        }
    }

    #[test]
    fn the_pieces_are_the_whole_to_the_bit() {
        for name in NAMES {
            let (model, control) = (model(name), Control::new());
            let ids: Vec<u32> = (0..19).map(|i| i * 7 % 31).collect();
            let whole = model.forward_all(&ids, &mut model.cache(), None, &control).unwrap();
            let mut x = model.embeddings(&ids).unwrap();
            model.run_blocks(0..1, &mut x, None, &control).unwrap();
            model.run_blocks(1..model.architecture().blocks, &mut x, None, &control).unwrap();
            assert_eq!(bits(&model.finish(&x, None, &control).unwrap()), bits(&whole), "{name}");
        }
    }

    #[test]
    fn each_layer_is_seen_once_with_its_input() {
        for name in NAMES {
            let (model, mut notes) = (model(name), Notes::default());
            model.forward_all(&[1, 2, 3], &mut model.cache(), Some(&mut notes), &Control::new()).unwrap();
            let mut seen: Vec<usize> = notes.inputs.iter().flat_map(|(layers, _)| layers.clone()).collect();
            for (layers, length) in &notes.inputs {
                assert!(layers.iter().all(|layer| model.layers()[*layer].cols * 3 == *length), "{name}");
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..model.layers().len()).collect::<Vec<_>>(), "{name}");
            notes.outputs.sort_unstable();
            assert_eq!(seen, notes.outputs);
        }
    }

    #[test]
    fn a_disturbed_output_is_what_the_model_goes_on_with() {
        for name in NAMES {
            let (model, control) = (model(name), Control::new());
            let whole = model.forward_all(&[4, 5, 6], &mut model.cache(), None, &control).unwrap();
            for layer in 0..model.layers().len() {
                let mut notes = Notes { doubled: Some(layer), ..Notes::default() };
                let other = model.forward_all(&[4, 5, 6], &mut model.cache(), Some(&mut notes), &control).unwrap();
                assert_ne!(bits(&whole), bits(&other), "{name} {}", model.layers()[layer].name);
            }
        }
    }
}
