//! Softmax attention of new queries over the keys and values held so far.

use rayon::prelude::*;

use super::family::{Architecture, Attention};
use crate::linalg::{row_dots, row_sum};

/// Work (queries x keys x width) below which one thread is faster than several.
const PARALLEL_FROM: usize = 1 << 18;

/// One block's keys and values, [positions, `kv_heads` * `head_dim`] each.
#[derive(Debug, Clone, Default)]
pub(super) struct BlockCache {
    pub keys: Vec<f32>,
    pub values: Vec<f32>,
}

/// Attends from `queries` [t, heads * d], whose first is at position `first`, into `out` of the same shape. Each
/// (query, head) is computed alone, in a fixed order, so neither t nor threads change a bit.
pub(super) fn attend(
    architecture: &Architecture,
    shape: Attention,
    cache: &BlockCache,
    queries: &[f32],
    first: usize,
    out: &mut [f32],
) {
    let d = architecture.head_dim;
    let width = architecture.heads * d;
    let one = |(i, out): (usize, &mut [f32])| {
        let (token, head) = (i / architecture.heads, i % architecture.heads);
        if let Some(query) = queries.get(i * d..(i + 1) * d) {
            head_output(architecture, shape, cache, query, (first + token, head), out);
        }
    };
    let tokens = queries.len() / width.max(1);
    let work = tokens * (first + tokens) * width;
    if work < PARALLEL_FROM {
        out.chunks_exact_mut(d).enumerate().for_each(one);
    } else {
        out.par_chunks_exact_mut(d).enumerate().for_each(one);
    }
}

/// The output [d] of one head for the query at `position`.
fn head_output(
    architecture: &Architecture,
    shape: Attention,
    cache: &BlockCache,
    query: &[f32],
    (position, head): (usize, usize),
    out: &mut [f32],
) {
    let d = architecture.head_dim;
    let stride = architecture.kv_heads * d;
    let offset = head / (architecture.heads / architecture.kv_heads).max(1) * d;
    let start = shape.window.map_or(0, |window| (position + 1).saturating_sub(window));
    let first = start * stride + offset;
    let mut scores = vec![0.0; position + 1 - start];
    row_dots(query, cache.keys.get(first..).unwrap_or_default(), stride, &mut scores);
    scores.iter_mut().for_each(|score| *score *= shape.scale);
    softmax(&mut scores);
    row_sum(&scores, cache.values.get(first..).unwrap_or_default(), stride, out);
}

/// Softmax in place; the sum in f64.
fn softmax(scores: &mut [f32]) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0_f64;
    for score in scores.iter_mut() {
        *score = (*score - top).exp();
        sum += f64::from(*score);
    }
    let scale = sum.recip() as f32;
    scores.iter_mut().for_each(|score| *score *= scale);
}
