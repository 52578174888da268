//! One block over some tokens.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::Observer;
use super::architecture::{Place, Residual};
use super::attention::Attending;
use super::buffers::Buffers;
use super::decoder::{Block, Feed, Linear, Mlp, Model};
use super::experts::route;
use super::forward::{add, scale};
use super::kv_cache::BlockCache;
use super::observe::Watch;
use super::rope::Rope;
use super::together::OwnWeight;
use super::weight::CompressedLinear;
use crate::linalg::row_by_row;

/// What a pass over some tokens takes along. The tokens are of one text, or as many of each of several texts, one text after
/// the other; all begin at the same position.
pub(super) struct Pass<'m, 'o> {
    ropes: Vec<Cow<'m, Rope>>,
    /// Position of the first token.
    first: usize,
    /// Of the tokens before this one the block works out keys and values alone: what later tokens ask of them.
    pub asked: usize,
    pub watch: Watch<'o>,
    buffers: Buffers,
    texts: usize,
    /// Weights that single texts have for themselves.
    own: &'m [OwnWeight],
    /// The text of each token that a layer sees, ascending, where these are not all tokens of the pass: those of an expert.
    sent: Option<Vec<usize>>,
}

impl<'m, 'o> Pass<'m, 'o> {
    /// A pass from position `first` on, over a text that has `tokens` at its end.
    pub(super) fn new(model: &'m Model, first: usize, tokens: usize, observer: Option<&'o mut dyn Observer>) -> Self {
        let ropes = model.frame.ropes.iter().map(|rope| rope.at(tokens)).collect();
        let (watch, buffers) = (Watch(observer), Buffers::default());
        Self { ropes, first, asked: 0, watch, buffers, texts: 1, own: &[], sent: None }
    }

    /// A pass over so many texts, of which some have weights of their own.
    pub(super) fn of_texts(model: &'m Model, first: usize, tokens: usize, texts: usize, own: &'m [OwnWeight]) -> Self {
        Self { texts, own, ..Self::new(model, first, tokens, None) }
    }

    /// The positions of so many tokens.
    pub(super) fn positions(&self, tokens: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let (first, each) = (self.first, (tokens / self.texts).max(1));
        (0..tokens).map(move |token| first + token % each)
    }

    /// Which of the so many tokens that a layer sees are of a text.
    fn tokens_of(&self, text: usize, tokens: usize) -> Range<usize> {
        match &self.sent {
            None => text * (tokens / self.texts)..(text + 1) * (tokens / self.texts),
            Some(sent) => sent.partition_point(|of| *of < text)..sent.partition_point(|of| *of <= text),
        }
    }
}

impl Model {
    /// One block over `x` [t, hidden], in place; rows that are not asked for stay as they are. `held` are the block's keys and
    /// values of the tokens before these, of each text.
    pub(super) fn block(&self, index: usize, x: &mut [f32], held: &mut [&mut BlockCache], pass: &mut Pass<'_, '_>) {
        let Some(block) = self.frame.blocks.get(index) else { return };
        let shape = self.architecture();
        let mut read = pass.buffers.copy(x);
        block.norms.apply_in_place(Place::AttentionInput, &mut read);
        let attended = self.attention(index, block, &read, held, pass);
        let unasked = (pass.asked * shape.hidden).min(x.len());
        let x = x.get_mut(unasked..).unwrap_or_default();
        read.drain(..unasked);
        let mut added = self.linear(&block.output, &attended, pass);
        pass.buffers.give([attended]);
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
            read.copy_from_slice(x);
            block.norms.apply_in_place(Place::MlpInput, &mut read);
        }
        let mut computed = self.feed(&block.mlp, &read, pass);
        block.norms.apply_in_place(Place::MlpOutput, &mut computed);
        scale(&mut computed, shape.scales.residual);
        match shape.residual {
            Residual::Sequential => {}
            Residual::Parallel => add(x, &added),
            Residual::Normed => x.copy_from_slice(&read),
        }
        add(x, &computed);
        block.norms.apply_in_place(Place::AfterMlp, x);
        pass.buffers.give([read, added, computed]);
    }

    /// Projects, turns, stores keys and values, attends: [t, heads * d] of the tokens that are asked for.
    fn attention(
        &self,
        index: usize,
        block: &Block,
        x: &[f32],
        held: &mut [&mut BlockCache],
        pass: &mut Pass<'_, '_>,
    ) -> Vec<f32> {
        let (shape, first) = (self.architecture(), pass.first);
        let d = shape.head_dim;
        let [mut q, mut k, v] = self.linears(block.projections.each_ref(), x, pass);
        block.norms.apply_in_place(Place::Query, &mut q);
        block.norms.apply_in_place(Place::Key, &mut k);
        let unasked = (pass.asked * shape.heads * d).min(q.len());
        let Some(span) = shape.attention.get(index) else { return vec![0.0; q.len() - unasked] };
        let mut out = pass.buffers.take(q.len() - unasked);
        if let Some(rope) = span.rope.and_then(|rope| pass.ropes.get(rope)) {
            for (states, heads) in [(&mut q, shape.heads), (&mut k, shape.kv_heads)] {
                let width = (heads * d).max(1);
                let positions = pass.positions(states.len() / width);
                row_by_row(states, width, |first, states| {
                    let rows = states.chunks_exact_mut(width).zip(positions.clone().skip(first));
                    rows.for_each(|(row, at)| rope.turn(row, d, at));
                });
            }
        }
        q.drain(..unasked);
        let [queries, new] = [q.len(), k.len()].map(|numbers| (numbers / held.len().max(1)).max(1));
        for (held, (k, v)) in held.iter_mut().zip(k.chunks_exact(new).zip(v.chunks_exact(new))) {
            held.truncate(first);
            held.extend(k, v);
        }
        let texts = held.iter().zip(q.chunks_exact(queries));
        let texts: Vec<Attending<'_>> = texts
            .map(|(cache, queries)| Attending {
                architecture: shape,
                shape: *span,
                cache,
                queries,
                first: first + pass.asked,
            })
            .collect();
        texts.iter().for_each(|attending| pass.watch.attending(index, attending));
        match &texts[..] {
            [alone] => alone.attend(&mut out),
            _ => texts.par_iter().zip(out.par_chunks_exact_mut(queries)).for_each(|(text, out)| text.attend(out)),
        }
        drop(texts);
        pass.buffers.give([q, k, v]);
        out
    }

    fn feed(&self, feed: &Feed, x: &[f32], pass: &mut Pass<'_, '_>) -> Vec<f32> {
        match feed {
            Feed::Mlp(mlp) => self.mlp(mlp, x, pass),
            Feed::Experts { router, experts } => self.experts(router, experts, x, pass),
        }
    }

    fn mlp(&self, mlp: &Mlp, x: &[f32], pass: &mut Pass<'_, '_>) -> Vec<f32> {
        let activation = self.architecture().activation;
        let mut inner;
        if let Some(gate) = &mlp.gate {
            let mut gate_output;
            [inner, gate_output] = self.linears([&mlp.up, gate], x, pass);
            activation.apply(&mut gate_output);
            row_by_row(&mut inner, 1, |first, inner| {
                let gate = gate_output.get(first..).unwrap_or_default();
                inner.iter_mut().zip(gate).for_each(|(inner, gate)| *inner *= gate);
            });
            pass.buffers.give([gate_output]);
        } else {
            inner = self.linear(&mlp.up, x, pass);
            activation.apply(&mut inner);
        }
        let out = self.linear(&mlp.down, &inner, pass);
        pass.buffers.give([inner]);
        out
    }

    /// Each expert over the tokens that the router sends to it, in the order of the experts, so that a token's result depends on
    /// no other token.
    fn experts(&self, router: &Linear, experts: &[Mlp], x: &[f32], pass: &mut Pass<'_, '_>) -> Vec<f32> {
        let shape = self.architecture();
        let mut out = vec![0.0; x.len()];
        let Some(rule) = &shape.experts else { return out };
        let width = shape.hidden.max(1);
        let each = (x.len() / width / pass.texts).max(1);
        let mut logits = self.linear(router, x, pass);
        let routes = route(rule, &mut logits);
        for (expert, mlp) in experts.iter().enumerate() {
            let tokens = routes.iter().filter(|route| route.expert == expert);
            let rows = tokens.clone().filter_map(|route| x.get(route.token * width..(route.token + 1) * width));
            let rows: Vec<f32> = rows.flatten().copied().collect();
            pass.sent = Some(tokens.clone().map(|route| route.token / each).collect());
            let computed = self.mlp(mlp, &rows, pass);
            for (route, y) in tokens.zip(computed.chunks_exact(width)) {
                let row = out.get_mut(route.token * width..(route.token + 1) * width).unwrap_or_default();
                row.iter_mut().zip(y).for_each(|(out, y)| *out += route.weight * y);
            }
        }
        pass.sent = None;
        out
    }

    /// W x + b of one layer for each row of `x`.
    pub(super) fn linear(&self, map: &Linear, x: &[f32], pass: &mut Pass<'_, '_>) -> Vec<f32> {
        let [y] = self.linears([map], x, pass);
        y
    }

    /// W x + b of layers that read the same input, for each row of `x`.
    fn linears<const N: usize>(&self, maps: [&Linear; N], x: &[f32], pass: &mut Pass<'_, '_>) -> [Vec<f32>; N] {
        pass.watch.input(&maps.map(|map| map.layer), x);
        let mut y = self.products(maps, x, pass);
        maps.into_iter().zip(&mut y).for_each(|(map, y)| pass.watch.output(map.layer, y));
        y
    }

    fn products<const N: usize>(&self, maps: [&Linear; N], x: &[f32], pass: &mut Pass<'_, '_>) -> [Vec<f32>; N] {
        let weight = |map: &Linear| self.weights.get(map.layer).map(|weight| (&**weight, weight.shape().1.max(1)));
        let mut y = maps.map(|map| pass.buffers.take(weight(map).map_or(0, |(_, cols)| x.len() / cols * map.rows)));
        let shared = maps.into_iter().zip(&mut y).filter_map(|(map, y)| Some((weight(map)?.0, y.as_mut_slice())));
        CompressedLinear::apply_all(self.arithmetic, x, &mut shared.collect::<Vec<_>>());
        for (map, y) in maps.into_iter().zip(&mut y) {
            self.products_of_texts(map, x, y, pass);
            if !map.bias.is_empty() {
                let rows = map.rows.max(1);
                row_by_row(y, rows, |_, y| y.chunks_exact_mut(rows).for_each(|row| add(row, &map.bias)));
            }
        }
        y
    }

    /// What texts that have a weight of their own say instead.
    fn products_of_texts(&self, map: &Linear, x: &[f32], y: &mut [f32], pass: &Pass<'_, '_>) {
        let tokens = y.len() / map.rows.max(1);
        let cols = x.len() / tokens.max(1);
        for own in pass.own.iter().filter(|own| own.layer == map.layer) {
            let of_text = pass.tokens_of(own.text, tokens);
            let x = x.get(of_text.start * cols..of_text.end * cols).unwrap_or_default();
            let y = y.get_mut(of_text.start * map.rows..of_text.end * map.rows).unwrap_or_default();
            own.weight.apply_in(self.arithmetic, x, y);
        }
    }
}
