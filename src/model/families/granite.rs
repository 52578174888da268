//! Granite (transformers `modeling_granite.py`): LLaMA with factors on embeddings, attention, residuals and logits.

use super::llama::{DEFAULTS, NAMES, biased};
use super::shared::{Defaults, HeadDim, describe_like};
use crate::model::config::Config;
use crate::model::family::Family;
use crate::model::{Architecture, Attention, ModelError, Scales};

pub(in crate::model) static GRANITE: Family =
    Family { model_type: "granite", names: NAMES, tied_by_default: false, describe };

const MISSING: Defaults = Defaults { family: "granite", head_dim: HeadDim::Floor, ..DEFAULTS };

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    let factor = |key| config.number(key).map(|factor| factor.unwrap_or(1.0) as f32);
    let scale = factor("attention_multiplier")?;
    Ok(Architecture {
        attention: base.attention.into_iter().map(|block| Attention { scale, ..block }).collect(),
        scales: Scales {
            embedding: factor("embedding_multiplier")?,
            residual: factor("residual_multiplier")?,
            logits: config.positive_or("logits_scaling", 1.0)? as f32,
            cap: None,
        },
        biased: biased(config)?,
        ..base
    })
}
