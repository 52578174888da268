//! One block over some tokens.

use std::borrow::Cow;

use super::Observer;
use super::architecture::{Place, Residual};
use super::attention::Attending;
use super::decoder::{Block, Feed, Linear, Mlp, Model};
use super::experts::route;
use super::forward::{add, scale};
use super::kv_cache::BlockCache;
use super::observe::Watch;
use super::rope::Rope;

/// What a pass over some tokens takes along.
pub(super) struct Pass<'m, 'o> {
    ropes: Vec<Cow<'m, Rope>>,
    /// Position of the first token.
    first: usize,
    pub watch: Watch<'o>,
}

impl<'m, 'o> Pass<'m, 'o> {
    /// A pass from position `first` on, over a text that has `tokens` at its end.
    pub(super) fn new(model: &'m Model, first: usize, tokens: usize, observer: Option<&'o mut dyn Observer>) -> Self {
        let ropes = model.frame.ropes.iter().map(|rope| rope.at(tokens)).collect();
        Self { ropes, first, watch: Watch(observer) }
    }
}

impl Model {
    /// One block over `x` [t, hidden], in place. `held` are the block's keys and values of the tokens before these.
    pub(super) fn block(&self, index: usize, x: &mut [f32], held: &mut BlockCache, pass: &mut Pass<'_, '_>) {
        let Some(block) = self.frame.blocks.get(index) else { return };
        let shape = self.architecture();
        let mut read = block.norms.apply(Place::AttentionInput, x);
        let attended = self.attention(index, block, &read, held, pass);
        let mut added = self.linear(&block.output, &attended, &mut pass.watch);
        block.norms.apply_in_place(Place::AttentionOutput, &mut added);
        scale(&mut added, shape.scales.residual);
        let parallel = shape.residual == Residual::Parallel;
        if shape.residual == Residual::Normed {
            x.copy_from_slice(&read);
        }
        if !parallel {
            add(x, &added);
            block.norms.apply_in_place(Place::AfterAttention, x);
        }
        if !parallel || block.norms.has(Place::MlpInput) {
            read = block.norms.apply(Place::MlpInput, x);
        }
        let mut computed = self.feed(&block.mlp, &read, &mut pass.watch);
        block.norms.apply_in_place(Place::MlpOutput, &mut computed);
        scale(&mut computed, shape.scales.residual);
        match shape.residual {
            Residual::Sequential => {}
            Residual::Parallel => add(x, &added),
            Residual::Normed => x.copy_from_slice(&read),
        }
        add(x, &computed);
        block.norms.apply_in_place(Place::AfterMlp, x);
    }

    /// Projects, turns, stores keys and values, attends: [t, heads * d].
    fn attention(
        &self,
        index: usize,
        block: &Block,
        x: &[f32],
        held: &mut BlockCache,
        pass: &mut Pass<'_, '_>,
    ) -> Vec<f32> {
        let (shape, first) = (self.architecture(), pass.first);
        let d = shape.head_dim;
        let [mut q, mut k, v] = self.linears(block.projections.each_ref(), x, &mut pass.watch);
        block.norms.apply_in_place(Place::Query, &mut q);
        block.norms.apply_in_place(Place::Key, &mut k);
        let mut out = vec![0.0; q.len()];
        let Some(span) = shape.attention.get(index) else { return out };
        if let Some(rope) = span.rope.and_then(|rope| pass.ropes.get(rope)) {
            for (states, heads) in [(&mut q, shape.heads), (&mut k, shape.kv_heads)] {
                let rows = states.chunks_exact_mut((heads * d).max(1)).zip(first..);
                rows.for_each(|(row, at)| rope.turn(row, d, at));
            }
        }
        held.truncate(first);
        held.extend(&k, &v);
        let attending = Attending { architecture: shape, shape: *span, cache: held, queries: &q, first };
        pass.watch.attending(index, &attending);
        attending.attend(&mut out);
        out
    }

    fn feed(&self, feed: &Feed, x: &[f32], watch: &mut Watch<'_>) -> Vec<f32> {
        match feed {
            Feed::Mlp(mlp) => self.mlp(mlp, x, watch),
            Feed::Experts { router, experts } => self.experts(router, experts, x, watch),
        }
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

    /// Each expert over the tokens that the router sends to it, in the order of the experts, so that a token's result depends on
    /// no other token.
    fn experts(&self, router: &Linear, experts: &[Mlp], x: &[f32], watch: &mut Watch<'_>) -> Vec<f32> {
        let shape = self.architecture();
        let mut out = vec![0.0; x.len()];
        let Some(rule) = &shape.experts else { return out };
        let width = shape.hidden.max(1);
        let mut logits = self.linear(router, x, watch);
        let routes = route(rule, &mut logits);
        for (expert, mlp) in experts.iter().enumerate() {
            let tokens = routes.iter().filter(|route| route.expert == expert);
            let rows = tokens.clone().filter_map(|route| x.get(route.token * width..(route.token + 1) * width));
            let computed = self.mlp(mlp, &rows.flatten().copied().collect::<Vec<_>>(), watch);
            for (route, y) in tokens.zip(computed.chunks_exact(width)) {
                let row = out.get_mut(route.token * width..(route.token + 1) * width).unwrap_or_default();
                row.iter_mut().zip(y).for_each(|(out, y)| *out += route.weight * y);
            }
        }
        out
    }

    /// W x + b of one layer for each row of `x`.
    pub(super) fn linear(&self, map: &Linear, x: &[f32], watch: &mut Watch<'_>) -> Vec<f32> {
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
        weight.apply_in(self.arithmetic, x, &mut y);
        if !map.bias.is_empty() {
            y.chunks_exact_mut(map.rows.max(1)).for_each(|row| add(row, &map.bias));
        }
        y
    }
}
