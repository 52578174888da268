//! The input statistics of a model's layers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tracing::warn;

use crate::checkpoint::{Tensor, View};
use crate::linalg::{InputStatistics, Moments};

/// The input statistics of a model's layers over one text. Layers that read the same input share theirs. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Calibration {
    fingerprint: String,
    inputs: HashMap<String, Source>,
}

#[derive(Debug, Clone)]
enum Source {
    Held(Arc<InputStatistics>),
    Stored(Arc<Stored>),
}

/// Statistics in a file, in memory only as long as somebody uses them.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) tensor: Tensor,
    pub(super) width: usize,
    pub(super) tokens: u64,
    pub(super) gram: bool,
    pub(super) used: Mutex<Weak<InputStatistics>>,
}

impl Calibration {
    /// Of statistics by the layer's name. `fingerprint` names the model, the text and how they were computed: letters and
    /// digits, since it becomes a part of cached files' names.
    pub fn new(fingerprint: String, inputs: HashMap<String, Arc<InputStatistics>>) -> Self {
        let inputs = inputs.into_iter().map(|(layer, held)| (layer, Source::Held(held))).collect();
        Self { fingerprint, inputs }
    }

    /// Of statistics in a file, by the layer's name; they are read when they are asked for.
    pub(super) fn stored(fingerprint: String, inputs: HashMap<String, Arc<Stored>>) -> Self {
        let inputs = inputs.into_iter().map(|(layer, stored)| (layer, Source::Stored(stored))).collect();
        Self { fingerprint, inputs }
    }

    /// What names these statistics: the same text for the same numbers.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether there are some of a layer's input; nothing is read.
    pub fn has(&self, layer: &str) -> bool {
        self.inputs.contains_key(layer)
    }

    /// Those of a layer's input, where the calibration reached it.
    pub fn statistics(&self, layer: &str) -> Option<Arc<InputStatistics>> {
        match self.inputs.get(layer)? {
            Source::Held(held) => Some(Arc::clone(held)),
            Source::Stored(stored) => stored.read(),
        }
    }
}

impl Stored {
    fn read(&self) -> Option<Arc<InputStatistics>> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = used.upgrade() {
            return Some(held);
        }
        let view: View<f32> = self.tensor.data.view()?;
        let numbers: Arc<[f32]> = Arc::from(&view[..]);
        self.tensor.data.release();
        let moments = if self.gram { Moments::Gram(numbers) } else { Moments::Diagonal(numbers) };
        let found = Arc::new(InputStatistics { width: self.width, tokens: self.tokens, moments });
        if let Err(error) = found.check(self.width) {
            warn!(tensor = self.tensor.name, "statistics are not used: {error}");
            return None;
        }
        *used = Arc::downgrade(&found);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_read_the_same_input_share_its_statistics() {
        let shared = Arc::new(InputStatistics { width: 1, tokens: 2, moments: Moments::Diagonal(Arc::from([1.0])) });
        let inputs = ["q", "k"].map(|name| (name.to_owned(), Arc::clone(&shared)));
        let calibration = Calibration::new("f00d".into(), inputs.into());
        assert_eq!(calibration.fingerprint(), "f00d");
        assert!(Arc::ptr_eq(&calibration.statistics("q").unwrap(), &calibration.statistics("k").unwrap()));
        assert_eq!(calibration.statistics("v"), None);
        assert!(calibration.has("q") && !calibration.has("v"));
    }
}
