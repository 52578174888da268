//! Qwen3 with a mixture of experts (transformers `modeling_qwen3_moe.py`).

use super::llama::{NAMES, NORMS, QUERY_KEY_NORMS, attention_biased};
use super::qwen2;
use super::shared::{Defaults, describe_like, set, sliding_window, windowed_all};
use crate::model::config::Config;
use crate::model::family::{Family, Names};
use crate::model::{Architecture, Experts, Kind, ModelError};

pub(in crate::model) static QWEN3_MOE: Family = Family {
    model_type: "qwen3_moe",
    names: Names {
        linears: &[
            (Kind::Q, "self_attn.q_proj"),
            (Kind::K, "self_attn.k_proj"),
            (Kind::V, "self_attn.v_proj"),
            (Kind::O, "self_attn.o_proj"),
            (Kind::Gate, "mlp.gate_proj"),
            (Kind::Up, "mlp.up_proj"),
            (Kind::Down, "mlp.down_proj"),
            (Kind::Router, "mlp.gate"),
            (Kind::ExpertGate, "mlp.experts.{}.gate_proj"),
            (Kind::ExpertUp, "mlp.experts.{}.up_proj"),
            (Kind::ExpertDown, "mlp.experts.{}.down_proj"),
        ],
        ..NAMES
    },
    tied_by_default: false,
    describe,
};

const MISSING: Defaults =
    Defaults { family: "qwen3_moe", hidden: 2048, intermediate: 6144, blocks: 24, kv_heads: Some(4), ..qwen2::MISSING };

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    let window = if set(config, "use_sliding_window", false)? { sliding_window(config, Some(4096))? } else { None };
    Ok(Architecture {
        attention: windowed_all(base.attention, window),
        norms: [NORMS, QUERY_KEY_NORMS].concat(),
        biased: attention_biased(config)?,
        experts: Some(experts(config, base.blocks)?),
        ..base
    })
}

fn experts(config: &Config, blocks: usize) -> Result<Experts, ModelError> {
    let dense = config.numbers("mlp_only_layers")?.unwrap_or_default();
    let step = config.count_or(&["decoder_sparse_step"], 1)?;
    let sparse = |block: usize| !dense.contains(&(block as f64)) && (block + 1).is_multiple_of(step);
    Ok(Experts {
        count: config.count_or(&["num_experts", "num_local_experts"], 128)?,
        chosen: config.count_or(&["num_experts_per_tok"], 8)?,
        width: config.count_or(&["moe_intermediate_size"], 768)?,
        normalised: set(config, "norm_topk_prob", false)?,
        blocks: (0..blocks).map(sparse).collect(),
    })
}
