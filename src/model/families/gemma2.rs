//! Gemma 2 (transformers `modeling_gemma2.py`): norms before and after attention and MLP, weights counted from 1; scaled
//! embeddings; capped logits; a window in every other block.

use super::llama::{DEFAULTS, NAMES, attention_biased};
use super::shared::{Defaults, HeadDim, describe_like, set, sliding_blocks, sliding_window, windowed};
use crate::model::config::{Config, wrong};
use crate::model::family::Family;
use crate::model::{Architecture, Attention, ModelError, NormKind, Place, Scales};

pub(in crate::model) static GEMMA2: Family =
    Family { model_type: "gemma2", names: NAMES, tied_by_default: true, describe };

/// Norms that Gemma 2 and 3 share.
pub(super) const NORMS: &[(Place, &str)] = &[
    (Place::AttentionInput, "input_layernorm"),
    (Place::AttentionOutput, "post_attention_layernorm"),
    (Place::MlpInput, "pre_feedforward_layernorm"),
    (Place::MlpOutput, "post_feedforward_layernorm"),
    (Place::Final, "norm"),
];

/// What a config of Gemma's leaves out.
pub(super) const MISSING: Defaults = Defaults {
    family: "gemma2",
    vocabulary: 256_000,
    hidden: 2304,
    intermediate: 9216,
    blocks: 26,
    heads: 8,
    kv_heads: Some(4),
    head_dim: HeadDim::Given(256),
    context: 8192,
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    norms: NORMS,
    eos: &[1],
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = scaled(config, describe_like(config, &MISSING)?)?;
    let slides = sliding_blocks(config, base.blocks, |block| block.is_multiple_of(2))?;
    let cap = cap(config, "attn_logit_softcapping", Some(50.0))?;
    let attention = windowed(base.attention, &slides, sliding_window(config, Some(4096))?).into_iter();
    Ok(Architecture {
        attention: attention.map(|block| Attention { cap, ..block }).collect(),
        scales: Scales { cap: self::cap(config, "final_logit_softcapping", Some(30.0))?, ..base.scales },
        ..base
    })
}

/// What Gemma 2 and 3 do alike.
pub(super) fn scaled(config: &Config, base: Architecture) -> Result<Architecture, ModelError> {
    if set(config, "use_bidirectional_attention", false)? {
        return Err(wrong("use_bidirectional_attention is set: such a model does not write text".to_owned()));
    }
    let scale = config.positive_or("query_pre_attn_scalar", 256.0)?.sqrt().recip() as f32;
    Ok(Architecture {
        attention: base.attention.into_iter().map(|block| Attention { scale, ..block }).collect(),
        norm: NormKind::RmsOffset,
        scales: Scales { embedding: (base.hidden as f64).sqrt() as f32, ..base.scales },
        biased: attention_biased(config)?,
        ..base
    })
}

/// A cap of logits; `default` where the key is missing, none where it is null.
pub(super) fn cap(config: &Config, key: &'static str, default: Option<f64>) -> Result<Option<f32>, ModelError> {
    let default = if config.has(&[key]) { None } else { default };
    Ok(config.number(key)?.or(default).map(|cap| cap as f32))
}
