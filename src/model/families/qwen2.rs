//! Qwen2 (transformers `modeling_qwen2.py`): LLaMA with biases on q, k and v, and a window in the later blocks if asked for.

use super::llama::{DEFAULTS, NAMES};
use super::shared::{Defaults, HeadDim, describe_like, set, sliding_blocks, sliding_window, windowed};
use crate::model::config::Config;
use crate::model::family::Family;
use crate::model::{Architecture, Attention, Kind, ModelError};

pub(in crate::model) static QWEN2: Family =
    Family { model_type: "qwen2", names: NAMES, tied_by_default: false, describe };

/// What a config of Qwen's leaves out.
pub(super) const MISSING: Defaults = Defaults {
    family: "qwen2",
    vocabulary: 151_936,
    intermediate: 22016,
    kv_heads: Some(32),
    head_dim: HeadDim::Floor,
    context: 32768,
    eos: &[],
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    Ok(Architecture { attention: attention(config, base.attention)?, biased: vec![Kind::Q, Kind::K, Kind::V], ..base })
}

/// `use_sliding_window`, from block `max_window_layers` on where `layer_types` does not say.
pub(super) fn attention(config: &Config, plain: Vec<Attention>) -> Result<Vec<Attention>, ModelError> {
    let window = if set(config, "use_sliding_window", false)? { sliding_window(config, Some(4096))? } else { None };
    let from = config.whole_or("max_window_layers", 28)?;
    let slides = sliding_blocks(config, plain.len(), |block| block >= from)?;
    Ok(windowed(plain, &slides, window))
}
