//! The input statistics of a model's layers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::linalg::InputStatistics;

/// The input statistics of a model's layers over one text. Layers that read the same input share theirs.
#[derive(Debug, Clone)]
pub struct Calibration {
    fingerprint: String,
    inputs: HashMap<String, Arc<InputStatistics>>,
}

impl Calibration {
    /// Of statistics by the layer's name. `fingerprint` names the model, the text and how they were computed: letters and
    /// digits, since it becomes a part of cached files' names.
    pub fn new(fingerprint: String, inputs: HashMap<String, Arc<InputStatistics>>) -> Self {
        Self { fingerprint, inputs }
    }

    /// What names these statistics: the same text for the same numbers.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Those of a layer's input, where the calibration reached it.
    pub fn statistics(&self, layer: &str) -> Option<Arc<InputStatistics>> {
        self.inputs.get(layer).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::Moments;

    #[test]
    fn layers_that_read_the_same_input_share_its_statistics() {
        let shared = Arc::new(InputStatistics { width: 1, tokens: 2, moments: Moments::Diagonal(Arc::from([1.0])) });
        let inputs = ["q", "k"].map(|name| (name.to_owned(), Arc::clone(&shared)));
        let calibration = Calibration::new("f00d".into(), inputs.into());
        assert_eq!(calibration.fingerprint(), "f00d");
        assert!(Arc::ptr_eq(&calibration.statistics("q").unwrap(), &calibration.statistics("k").unwrap()));
        assert_eq!(calibration.statistics("v"), None);
    }
}
