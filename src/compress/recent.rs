//! What was used last, up to a number of bytes.

use std::collections::HashMap;
use std::sync::Arc;

/// Values by name; those that were not used for longest go first.
#[derive(Debug)]
pub(super) struct Recent<T> {
    held: HashMap<String, Held<T>>,
    bytes: u64,
    limit: u64,
    clock: u64,
}

#[derive(Debug)]
struct Held<T> {
    value: Arc<T>,
    bytes: u64,
    used: u64,
}

impl<T> Recent<T> {
    pub(super) fn new(limit: u64) -> Self {
        Self { held: HashMap::new(), bytes: 0, limit, clock: 0 }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.held.contains_key(key)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn get(&mut self, key: &str) -> Option<Arc<T>> {
        self.clock += 1;
        let held = self.held.get_mut(key)?;
        held.used = self.clock;
        Some(Arc::clone(&held.value))
    }

    /// Holds a value of so many bytes; one that is larger than the limit is not held.
    pub(super) fn hold(&mut self, key: &str, value: &Arc<T>, bytes: u64) {
        if bytes > self.limit || self.get(key).is_some() {
            return;
        }
        while self.bytes + bytes > self.limit {
            self.drop_oldest();
        }
        self.bytes += bytes;
        let held = Held { value: Arc::clone(value), bytes, used: self.clock };
        self.held.insert(key.to_owned(), held);
    }

    fn drop_oldest(&mut self) {
        let oldest = self.held.iter().min_by_key(|(_, held)| held.used).map(|(key, _)| key.clone());
        self.bytes = oldest.and_then(|key| self.held.remove(&key)).map_or(0, |held| self.bytes - held.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_used_last_stay() {
        let mut recent = Recent::new(80);
        for (key, known) in [("a", false), ("b", false), ("a", true), ("c", false), ("a", true), ("b", false)] {
            assert_eq!(recent.get(key).is_some(), known, "{key}");
            recent.hold(key, &Arc::new(key), 40);
        }
        assert_eq!((recent.bytes, recent.held.len()), (80, 2));
        recent.hold("large", &Arc::new("large"), 81);
        assert!(!recent.has("large") && recent.has("a") && recent.has("b"));
        recent.hold("all", &Arc::new("all"), 80);
        assert_eq!((recent.bytes, recent.get("all").as_deref()), (80, Some(&"all")));
    }
}
