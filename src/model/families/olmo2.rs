//! `OLMo 2` (transformers `modeling_olmo2.py`): LLaMA with norms after attention and MLP instead of before them, and norms of
//! queries and keys, all heads together.

use super::llama::{DEFAULTS, NAMES, QUERY_KEY_NORMS, attention_biased};
use super::shared::{Defaults, HeadDim, describe_like};
use crate::model::config::Config;
use crate::model::family::Family;
use crate::model::{Architecture, HeadNorm, ModelError, Place};

pub(in crate::model) static OLMO2: Family =
    Family { model_type: "olmo2", names: NAMES, tied_by_default: false, describe };

const NORMS: &[(Place, &str)] = &[
    (Place::AttentionOutput, "post_attention_layernorm"),
    (Place::MlpOutput, "post_feedforward_layernorm"),
    (Place::Final, "norm"),
];

const MISSING: Defaults = Defaults {
    family: "olmo2",
    vocabulary: 50304,
    head_dim: HeadDim::Floor,
    epsilon: ("rms_norm_eps", 1e-5),
    eos: &[50279],
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    Ok(Architecture {
        norms: [NORMS, QUERY_KEY_NORMS].concat(),
        head_norm: HeadNorm::Whole,
        biased: attention_biased(config)?,
        ..describe_like(config, &MISSING)?
    })
}
