//! Mistral (transformers `modeling_mistral.py`): LLaMA with a sliding attention window and no biases.

use super::llama::{Defaults, NAMES, describe_like};
use crate::model::ModelError;
use crate::model::config::Config;
use crate::model::family::{Architecture, Family};

pub(in crate::model) static MISTRAL: Family =
    Family { model_type: "mistral", names: NAMES, tied_by_default: false, describe };

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let defaults =
        Defaults { family: "mistral", intermediate: 14336, context: 131_072, kv_heads: Some(8), epsilon: 1e-6 };
    let window_default = if config.has(&["sliding_window"]) { None } else { Some(4096) };
    let window = config.count(&["sliding_window"])?.or(window_default);
    Ok(Architecture { biased: &[], ..describe_like(config, &defaults, window)? })
}
