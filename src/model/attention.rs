//! Softmax attention of new queries over the keys and values held so far.

use rayon::prelude::*;

use super::architecture::{Architecture, Attention, Positions};
use super::experts::softmax;
use super::kv_cache::BlockCache;
use crate::linalg::{add_rows, row_by_row, row_dots};

/// Work (queries x keys x width) below which one thread is faster than several.
const PARALLEL_FROM: usize = 1 << 18;

/// Queries of one block, with all that their attention is made of.
#[derive(Debug, Clone, Copy)]
pub struct Attending<'a> {
    pub(super) architecture: &'a Architecture,
    pub(super) shape: Attention,
    pub(super) cache: &'a BlockCache,
    /// [t, heads * d], turned to their positions.
    pub(super) queries: &'a [f32],
    /// Position of the first query.
    pub(super) first: usize,
}

impl Attending<'_> {
    /// How many queries there are, a token each.
    pub fn tokens(&self) -> usize {
        self.queries.len() / (self.architecture.heads * self.architecture.head_dim).max(1)
    }

    /// How many heads ask.
    pub fn heads(&self) -> usize {
        self.architecture.heads
    }

    /// What the softmax of one query (counted from 0) and head gets: a number for each position that it may look at, the last
    /// one its own. Empty for a query that is not there.
    pub fn logits(&self, token: usize, head: usize) -> Vec<f32> {
        let Some(query) = self.query(token, head) else { return Vec::new() };
        let position = self.first + token;
        let start = self.start(position);
        let mut logits = vec![f32::NAN; position + 1 - start];
        let mut rest = logits.as_mut_slice();
        for keys in self.cache.keys(self.kv_head(head), start..position + 1) {
            let (dots, later) = rest.split_at_mut((keys.len() / query.len().max(1)).min(rest.len()));
            row_dots(query, keys, dots);
            rest = later;
        }
        logits.iter_mut().for_each(|logit| *logit *= self.shape.scale);
        if let Some(cap) = self.shape.cap {
            logits.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
        }
        if let Positions::Alibi(alibi) = &self.architecture.positions {
            alibi.add(head, start, &mut logits);
        }
        logits
    }

    /// Attends into `out` [t, heads * d]. Each (query, head) is computed alone, in a fixed order, so neither t nor threads
    /// change a bit.
    pub(super) fn attend(&self, out: &mut [f32]) {
        let Architecture { heads, head_dim, .. } = *self.architecture;
        let tokens = self.tokens();
        if tokens == 1 {
            return self.attend_by_heads(1, out);
        }
        // Head by head, so that one head's keys and values stay in the cache for all its queries.
        let mut by_heads = vec![0.0; out.len()];
        self.attend_by_heads(tokens, &mut by_heads);
        row_by_row(out, head_dim, |first, out| {
            for (out, i) in out.chunks_exact_mut(head_dim).zip(first..) {
                let start = (i % heads * tokens + i / heads) * head_dim;
                by_heads.get(start..start + head_dim).into_iter().for_each(|one| out.copy_from_slice(one));
            }
        });
    }

    /// Attends into `out` [heads, t, d].
    fn attend_by_heads(&self, tokens: usize, out: &mut [f32]) {
        let Architecture { heads, head_dim, .. } = *self.architecture;
        let one = |(i, out): (usize, &mut [f32])| self.head_output((i % tokens, i / tokens), out);
        if tokens * (self.first + tokens) * heads * head_dim < PARALLEL_FROM {
            out.chunks_exact_mut(head_dim).enumerate().for_each(one);
        } else {
            out.par_chunks_exact_mut(head_dim).enumerate().for_each(one);
        }
    }

    /// The output [d] of one head for one query.
    fn head_output(&self, (token, head): (usize, usize), out: &mut [f32]) {
        let mut scores = self.logits(token, head);
        softmax(&mut scores);
        let (position, mut rest) = (self.first + token, scores.as_slice());
        out.fill(0.0);
        for values in self.cache.values(self.kv_head(head), self.start(position)..position + 1) {
            let (weights, later) = rest.split_at((values.len() / out.len().max(1)).min(rest.len()));
            add_rows(weights, values, out);
            rest = later;
        }
    }

    fn query(&self, token: usize, head: usize) -> Option<&[f32]> {
        let (d, i) = (self.architecture.head_dim, token * self.architecture.heads + head);
        self.queries.get(i * d..(i + 1) * d).filter(|_| head < self.architecture.heads)
    }

    /// The first position that a query at `position` may look at.
    fn start(&self, position: usize) -> usize {
        self.shape.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// Whose keys and values a head reads.
    fn kv_head(&self, head: usize) -> usize {
        head / (self.architecture.heads / self.architecture.kv_heads).max(1)
    }
}
