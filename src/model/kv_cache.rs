//! The KV cache. Keys and values lie in pages, and in a page head by head: a query reads long runs, and nothing is copied when
//! a text grows.

use std::ops::Range;

/// Positions of a page.
pub(super) const PAGE: usize = 64;

/// One block's keys and values.
#[derive(Debug, Clone)]
pub(super) struct BlockCache {
    heads: usize,
    head_dim: usize,
    /// Positions held.
    len: usize,
    /// [heads, `PAGE`, `head_dim`] each.
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
}

impl BlockCache {
    /// Without a position.
    pub(super) fn new(heads: usize, head_dim: usize) -> Self {
        Self { heads, head_dim, len: 0, keys: Vec::new(), values: Vec::new() }
    }

    /// Drops what lies at and after a position.
    pub(super) fn truncate(&mut self, positions: usize) {
        self.len = self.len.min(positions);
        let pages = self.len.div_ceil(PAGE);
        self.keys.truncate(pages);
        self.values.truncate(pages);
    }

    /// Adds those of the next positions, [t, heads * `head_dim`] each.
    pub(super) fn extend(&mut self, keys: &[f32], values: &[f32]) {
        let width = (self.heads * self.head_dim).max(1);
        let (tokens, numbers) = (keys.len() / width, PAGE * self.heads * self.head_dim);
        let pages = (self.len + tokens).div_ceil(PAGE);
        let (len, head_dim) = (self.len, self.head_dim.max(1));
        let add = |held: &mut Vec<Vec<f32>>, new: &[f32]| {
            held.resize_with(pages, || vec![0.0; numbers]);
            for (at, token) in (len..).zip(new.chunks_exact(width)) {
                let Some(page) = held.get_mut(at / PAGE) else { continue };
                let slots = page.chunks_exact_mut(head_dim).skip(at % PAGE).step_by(PAGE);
                slots.zip(token.chunks_exact(head_dim)).for_each(|(slot, one)| slot.copy_from_slice(one));
            }
        };
        if tokens < PAGE {
            add(&mut self.keys, keys);
            add(&mut self.values, values);
        } else {
            rayon::join(|| add(&mut self.keys, keys), || add(&mut self.values, values));
        }
        self.len += tokens;
    }

    /// A head's keys at some positions, run by run: [.., `head_dim`].
    pub(super) fn keys(&self, head: usize, positions: Range<usize>) -> impl Iterator<Item = &[f32]> {
        self.runs(&self.keys, head, positions)
    }

    /// A head's values at some positions, run by run: [.., `head_dim`].
    pub(super) fn values(&self, head: usize, positions: Range<usize>) -> impl Iterator<Item = &[f32]> {
        self.runs(&self.values, head, positions)
    }

    fn runs<'a>(
        &self,
        pages: &'a [Vec<f32>],
        head: usize,
        positions: Range<usize>,
    ) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let (d, end) = (self.head_dim, positions.end.min(self.len));
        let first = positions.start / PAGE;
        let pages = pages.iter().enumerate().take(end.div_ceil(PAGE)).skip(first);
        pages.filter_map(move |(index, page)| {
            let within = |position: usize| position.saturating_sub(index * PAGE).min(PAGE);
            let place = |slot: usize| (head * PAGE + slot) * d;
            page.get(place(within(positions.start))..place(within(end)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of a head at a position, and its value.
    fn number(head: usize, position: usize) -> f32 {
        (1000 * head + position) as f32
    }

    fn filled(heads: usize, positions: Range<usize>) -> Vec<f32> {
        positions.flat_map(|at| (0..heads).flat_map(move |head| [number(head, at), 0.5])).collect()
    }

    fn firsts<'a>(runs: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
        runs.flat_map(|run| run.chunks_exact(2).map(|one| one[0])).collect()
    }

    #[test]
    fn each_head_has_its_own_runs_whatever_the_steps() {
        let mut cache = BlockCache::new(3, 2);
        for span in [0..1, 1..63, 63..64, 64..200, 200..201] {
            let new = filled(3, span);
            cache.extend(&new, &new.iter().map(|x| -x).collect::<Vec<_>>());
        }
        for head in 0..3 {
            for positions in [0..201, 5..6, 60..70, 64..128, 127..201, 0..0, 150..900] {
                let wanted: Vec<f32> =
                    positions.clone().take_while(|at| *at < 201).map(|at| number(head, at)).collect();
                assert_eq!(firsts(cache.keys(head, positions.clone())), wanted);
                assert_eq!(firsts(cache.values(head, positions)), wanted.iter().map(|x| -x).collect::<Vec<_>>());
            }
        }
        assert_eq!(cache.keys(3, 0..201).count(), 0);
    }

    #[test]
    fn what_is_dropped_is_written_anew() {
        let mut cache = BlockCache::new(1, 2);
        let new = filled(1, 0..130);
        cache.extend(&new, &new);
        cache.truncate(65);
        cache.truncate(100);
        cache.extend(&[7.0, 7.0], &[8.0, 8.0]);
        assert_eq!(firsts(cache.keys(0, 63..900)), [63.0, 64.0, 7.0]);
        assert_eq!(firsts(cache.values(0, 65..66)), [8.0]);
    }
}
