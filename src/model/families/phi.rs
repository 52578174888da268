//! Phi (transformers `modeling_phi.py`): layer norms, attention and MLP of the same norm side by side, a part of each head turned.

use super::llama::{DEFAULTS, NAMES};
use super::shared::{Defaults, HeadDim, describe_like, set};
use crate::model::config::Config;
use crate::model::family::{Family, Names};
use crate::model::rope::{RopeDefaults, USUAL};
use crate::model::{Architecture, Kind, ModelError, NormKind, Place, Residual};

pub(in crate::model) static PHI: Family = Family {
    model_type: "phi",
    names: Names {
        linears: &[
            (Kind::Q, "self_attn.q_proj"),
            (Kind::K, "self_attn.k_proj"),
            (Kind::V, "self_attn.v_proj"),
            (Kind::O, "self_attn.dense"),
            (Kind::Up, "mlp.fc1"),
            (Kind::Down, "mlp.fc2"),
        ],
        ..NAMES
    },
    tied_by_default: false,
    describe,
};

const NORMS: &[(Place, &str)] = &[(Place::AttentionInput, "input_layernorm"), (Place::Final, "final_layernorm")];

const QUERY_KEY_NORMS: &[(Place, &str)] =
    &[(Place::Query, "self_attn.q_layernorm"), (Place::Key, "self_attn.k_layernorm")];

const MISSING: Defaults = Defaults {
    family: "phi",
    vocabulary: 51200,
    hidden: 2048,
    intermediate: 8192,
    blocks: 24,
    head_dim: HeadDim::Floor,
    epsilon: ("layer_norm_eps", 1e-5),
    activation: ("hidden_act", "gelu_new"),
    rope: RopeDefaults { share: Some(("partial_rotary_factor", 0.5)), ..USUAL },
    norms: NORMS,
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    let norms = if set(config, "qk_layernorm", false)? { [NORMS, QUERY_KEY_NORMS].concat() } else { base.norms };
    Ok(Architecture {
        norm: NormKind::Layer,
        norms,
        residual: Residual::Parallel,
        biased: vec![Kind::Q, Kind::K, Kind::V, Kind::O, Kind::Up, Kind::Down, Kind::LmHead],
        ..base
    })
}
