//! `StarCoder 2` (transformers `modeling_starcoder2.py`): layer norms, biases everywhere, an MLP without a gate, a window.

use super::llama::{DEFAULTS, NAMES};
use super::shared::{Defaults, HeadDim, describe_like, set, sliding_window, windowed_all};
use crate::model::config::Config;
use crate::model::family::{Family, Names};
use crate::model::{Architecture, Kind, ModelError, NormKind};

pub(in crate::model) static STARCODER2: Family = Family {
    model_type: "starcoder2",
    names: Names {
        linears: &[
            (Kind::Q, "self_attn.q_proj"),
            (Kind::K, "self_attn.k_proj"),
            (Kind::V, "self_attn.v_proj"),
            (Kind::O, "self_attn.o_proj"),
            (Kind::Up, "mlp.c_fc"),
            (Kind::Down, "mlp.c_proj"),
        ],
        ..NAMES
    },
    tied_by_default: true,
    describe,
};

const MISSING: Defaults = Defaults {
    family: "starcoder2",
    vocabulary: 49152,
    hidden: 3072,
    intermediate: 12288,
    blocks: 30,
    heads: 24,
    kv_heads: Some(2),
    head_dim: HeadDim::Floor,
    context: 4096,
    epsilon: ("norm_epsilon", 1e-5),
    activation: ("hidden_act", "gelu_pytorch_tanh"),
    eos: &[50256],
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    let all = [Kind::Q, Kind::K, Kind::V, Kind::O, Kind::Up, Kind::Down];
    Ok(Architecture {
        attention: windowed_all(base.attention, sliding_window(config, None)?),
        norm: NormKind::Layer,
        biased: if set(config, "use_bias", true)? { all.to_vec() } else { Vec::new() },
        ..base
    })
}
