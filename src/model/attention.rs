//! Softmax attention of new queries over the keys and values held so far.

use rayon::prelude::*;

use super::architecture::{Architecture, Attention, Positions};
use super::experts::softmax;
use crate::linalg::{row_dots, row_sum};

/// Work (queries x keys x width) below which one thread is faster than several.
const PARALLEL_FROM: usize = 1 << 18;

/// One block's keys and values, [positions, `kv_heads` * `head_dim`] each.
#[derive(Debug, Clone, Default)]
pub(super) struct BlockCache {
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
}

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
        let mut logits = vec![0.0; position + 1 - start];
        let keys = self.cache.keys.get(self.place(start, head)..).unwrap_or_default();
        row_dots(query, keys, self.stride(), &mut logits);
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
        let one = |(i, out): (usize, &mut [f32])| self.head_output((i / heads, i % heads), out);
        let tokens = self.tokens();
        let work = tokens * (self.first + tokens) * heads * head_dim;
        if work < PARALLEL_FROM {
            out.chunks_exact_mut(head_dim).enumerate().for_each(one);
        } else {
            out.par_chunks_exact_mut(head_dim).enumerate().for_each(one);
        }
    }

    /// The output [d] of one head for one query.
    fn head_output(&self, (token, head): (usize, usize), out: &mut [f32]) {
        let mut scores = self.logits(token, head);
        softmax(&mut scores);
        let first = self.place(self.start(self.first + token), head);
        row_sum(&scores, self.cache.values.get(first..).unwrap_or_default(), self.stride(), out);
    }

    fn query(&self, token: usize, head: usize) -> Option<&[f32]> {
        let (d, i) = (self.architecture.head_dim, token * self.architecture.heads + head);
        self.queries.get(i * d..(i + 1) * d).filter(|_| head < self.architecture.heads)
    }

    /// The first position that a query at `position` may look at.
    fn start(&self, position: usize) -> usize {
        self.shape.window.map_or(0, |window| (position + 1).saturating_sub(window))
    }

    /// Numbers of one position's keys, or values.
    fn stride(&self) -> usize {
        self.architecture.kv_heads * self.architecture.head_dim
    }

    /// Where the key, or value, that a head reads at `position` begins.
    fn place(&self, position: usize, head: usize) -> usize {
        let Architecture { heads, kv_heads, head_dim, .. } = *self.architecture;
        position * self.stride() + head / (heads / kv_heads).max(1) * head_dim
    }
}
