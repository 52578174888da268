//! Mixtral (transformers `modeling_mixtral.py`): Mistral with a mixture of experts in every block.

use super::llama::{DEFAULTS, NAMES};
use super::shared::{Defaults, HeadDim, describe_like, sliding_window, windowed_all};
use crate::model::config::Config;
use crate::model::family::{Family, Names};
use crate::model::rope::{RopeDefaults, USUAL};
use crate::model::{Architecture, Experts, Kind, ModelError};

pub(in crate::model) static MIXTRAL: Family = Family {
    model_type: "mixtral",
    names: Names {
        linears: &[
            (Kind::Q, "self_attn.q_proj"),
            (Kind::K, "self_attn.k_proj"),
            (Kind::V, "self_attn.v_proj"),
            (Kind::O, "self_attn.o_proj"),
            (Kind::Router, "block_sparse_moe.gate"),
            (Kind::ExpertGate, "block_sparse_moe.experts.{}.w1"),
            (Kind::ExpertUp, "block_sparse_moe.experts.{}.w3"),
            (Kind::ExpertDown, "block_sparse_moe.experts.{}.w2"),
        ],
        ..NAMES
    },
    tied_by_default: false,
    describe,
};

const MISSING: Defaults = Defaults {
    family: "mixtral",
    intermediate: 14336,
    kv_heads: Some(8),
    head_dim: HeadDim::Floor,
    context: 131_072,
    epsilon: ("rms_norm_eps", 1e-5),
    rope: RopeDefaults { theta: ("rope_theta", 1_000_000.0), ..USUAL },
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    Ok(Architecture {
        attention: windowed_all(base.attention, sliding_window(config, None)?),
        experts: Some(Experts {
            count: config.count_or(&["num_local_experts", "num_experts"], 8)?,
            chosen: config.count_or(&["num_experts_per_tok"], 2)?,
            width: base.intermediate,
            normalised: true,
            blocks: vec![true; base.blocks],
        }),
        ..base
    })
}
