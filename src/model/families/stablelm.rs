//! `StableLM` (transformers `modeling_stablelm.py`): LLaMA with layer norms, a quarter of each head turned, and options.

use super::llama::{DEFAULTS, NAMES, NORMS};
use super::shared::{Defaults, HeadDim, describe_like, set};
use crate::model::config::Config;
use crate::model::family::Family;
use crate::model::rope::{RopeDefaults, USUAL};
use crate::model::{Architecture, HeadNorm, Kind, ModelError, NormKind, Place, Residual};

pub(in crate::model) static STABLELM: Family =
    Family { model_type: "stablelm", names: NAMES, tied_by_default: false, describe };

const PARALLEL_NORMS: &[(Place, &str)] = &[(Place::AttentionInput, "input_layernorm"), (Place::Final, "norm")];

const QUERY_KEY_NORMS: &[(Place, &str)] =
    &[(Place::Query, "self_attn.q_layernorm.norms.{}"), (Place::Key, "self_attn.k_layernorm.norms.{}")];

const MISSING: Defaults = Defaults {
    family: "stablelm",
    vocabulary: 50304,
    hidden: 2560,
    intermediate: 6912,
    kv_heads: Some(32),
    head_dim: HeadDim::Even,
    context: 4096,
    epsilon: ("layer_norm_eps", 1e-5),
    rope: RopeDefaults { share: Some(("partial_rotary_factor", 0.25)), ..USUAL },
    eos: &[0],
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    let parallel = set(config, "use_parallel_residual", false)?;
    let of_stream = if parallel { PARALLEL_NORMS } else { NORMS };
    let of_heads = if set(config, "qk_layernorm", false)? { QUERY_KEY_NORMS } else { &[] };
    let biased = set(config, "use_qkv_bias", false)?;
    Ok(Architecture {
        norm: NormKind::Layer,
        norms: [of_stream, of_heads].concat(),
        head_norm: HeadNorm::EachHead,
        residual: if parallel { Residual::Parallel } else { Residual::Sequential },
        biased: if biased { vec![Kind::Q, Kind::K, Kind::V] } else { Vec::new() },
        ..base
    })
}
