//! Mistral (transformers `modeling_mistral.py`): LLaMA with a sliding attention window and no biases.

use super::llama::{DEFAULTS, NAMES};
use super::shared::{Defaults, HeadDim, describe_like, sliding_window, windowed_all};
use crate::model::config::Config;
use crate::model::family::Family;
use crate::model::{Architecture, ModelError};

pub(in crate::model) static MISTRAL: Family =
    Family { model_type: "mistral", names: NAMES, tied_by_default: false, describe };

const MISSING: Defaults = Defaults {
    family: "mistral",
    intermediate: 14336,
    kv_heads: Some(8),
    head_dim: HeadDim::Floor,
    context: 131_072,
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    let window = sliding_window(config, Some(4096))?;
    Ok(Architecture { attention: windowed_all(base.attention, window), ..base })
}
