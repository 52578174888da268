//! GPT-NeoX (transformers `modeling_gpt_neox.py`): layer norms, q, k and v in one projection head by head, a part of each head
//! turned, attention and MLP side by side unless told.

use super::llama::{DEFAULTS, NAMES};
use super::shared::{Defaults, HeadDim, describe_like, set};
use crate::model::config::Config;
use crate::model::family::{Family, Names};
use crate::model::rope::{RopeDefaults, USUAL};
use crate::model::{Architecture, Fusion, Kind, ModelError, NormKind, Place, Residual};

pub(in crate::model) static GPT_NEOX: Family = Family {
    model_type: "gpt_neox",
    names: Names {
        prefixes: &["gpt_neox.", ""],
        embedding: "embed_in.weight",
        linears: &[
            (Kind::Qkv, "attention.query_key_value"),
            (Kind::O, "attention.dense"),
            (Kind::Up, "mlp.dense_h_to_4h"),
            (Kind::Down, "mlp.dense_4h_to_h"),
        ],
        head: "embed_out",
        ..NAMES
    },
    tied_by_default: false,
    describe,
};

const NORMS: &[(Place, &str)] = &[
    (Place::AttentionInput, "input_layernorm"),
    (Place::MlpInput, "post_attention_layernorm"),
    (Place::Final, "final_layer_norm"),
];

const MISSING: Defaults = Defaults {
    family: "gpt_neox",
    vocabulary: 50432,
    hidden: 6144,
    intermediate: 24576,
    blocks: 44,
    heads: 64,
    head_dim: HeadDim::Even,
    epsilon: ("layer_norm_eps", 1e-5),
    activation: ("hidden_act", "gelu"),
    rope: RopeDefaults { theta: ("rotary_emb_base", 10000.0), share: Some(("rotary_pct", 0.25)), ..USUAL },
    norms: NORMS,
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    let attention: &[Kind] = if set(config, "attention_bias", true)? { &[Kind::Qkv, Kind::O] } else { &[] };
    let parallel = set(config, "use_parallel_residual", true)?;
    Ok(Architecture {
        norm: NormKind::Layer,
        residual: if parallel { Residual::Parallel } else { Residual::Sequential },
        fused: Fusion::Grouped,
        biased: [attention, &[Kind::Up, Kind::Down]].concat(),
        ..base
    })
}
