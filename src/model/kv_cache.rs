//! The KV cache: keys and values head by head, so that a query reads them from one end to the other.

use std::collections::TryReserveError;

/// One block's keys and values.
#[derive(Debug, Clone)]
pub(super) struct BlockCache {
    heads: Vec<HeadCache>,
    head_dim: usize,
}

/// One head's keys and values, [positions, `head_dim`] each.
#[derive(Debug, Clone, Default)]
struct HeadCache {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl BlockCache {
    /// Without a position.
    pub(super) fn new(kv_heads: usize, head_dim: usize) -> Self {
        Self { heads: vec![HeadCache::default(); kv_heads], head_dim }
    }

    /// Makes room for `more` positions.
    pub(super) fn reserve(&mut self, more: usize) -> Result<(), TryReserveError> {
        let numbers = more.saturating_mul(self.head_dim);
        for held in self.heads.iter_mut().flat_map(|head| [&mut head.keys, &mut head.values]) {
            // Growing by halves again is fast, where there is so much.
            held.try_reserve(numbers).or_else(|_| held.try_reserve_exact(numbers))?;
        }
        Ok(())
    }

    /// Drops what lies at and after a position.
    pub(super) fn truncate(&mut self, positions: usize) {
        for held in self.heads.iter_mut().flat_map(|head| [&mut head.keys, &mut head.values]) {
            held.truncate(positions * self.head_dim);
        }
    }

    /// Adds those of the next positions, [t, `kv_heads` * `head_dim`] each.
    pub(super) fn extend(&mut self, keys: &[f32], values: &[f32]) {
        let (heads, width) = (self.heads.len(), self.head_dim.max(1));
        for (index, head) in self.heads.iter_mut().enumerate() {
            for (held, new) in [(&mut head.keys, keys), (&mut head.values, values)] {
                new.chunks_exact(width).skip(index).step_by(heads).for_each(|one| held.extend_from_slice(one));
            }
        }
    }

    /// The keys of a head from a position on; none where there are none.
    pub(super) fn keys(&self, head: usize, from: usize) -> &[f32] {
        self.heads.get(head).and_then(|head| head.keys.get(from * self.head_dim..)).unwrap_or_default()
    }

    /// The values of a head from a position on; none where there are none.
    pub(super) fn values(&self, head: usize, from: usize) -> &[f32] {
        self.heads.get(head).and_then(|head| head.values.get(from * self.head_dim..)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_has_its_own_positions() {
        let mut cache = BlockCache::new(2, 3);
        let keys: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let values: Vec<f32> = keys.iter().map(|key| -key).collect();
        cache.extend(&keys, &values);
        assert_eq!(cache.keys(0, 0), [0.0, 1.0, 2.0, 6.0, 7.0, 8.0]);
        assert_eq!((cache.keys(1, 1), cache.values(1, 1)), (&[9.0, 10.0, 11.0][..], &[-9.0, -10.0, -11.0][..]));
        cache.truncate(1);
        cache.extend(&[20.0; 6], &[21.0; 6]);
        assert_eq!(cache.keys(1, 0), [3.0, 4.0, 5.0, 20.0, 20.0, 20.0]);
        assert!(cache.keys(2, 0).is_empty() && cache.values(0, 3).is_empty());
        assert!(cache.reserve(usize::MAX).is_err());
    }
}
