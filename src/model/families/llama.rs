//! LLaMA (transformers `modeling_llama.py`): RMS norms, rotary positions, grouped-query attention, gated MLP.

use super::shared::{Defaults, HeadDim, describe_like, set};
use crate::model::config::Config;
use crate::model::family::{Family, Names};
use crate::model::rope::USUAL;
use crate::model::{Architecture, Kind, ModelError, Place};

pub(in crate::model) static LLAMA: Family =
    Family { model_type: "llama", names: NAMES, tied_by_default: false, describe };

/// Names that LLaMA and its descendants share.
pub(super) const NAMES: Names = Names {
    prefixes: &["model.", ""],
    embedding: "embed_tokens.weight",
    positions: None,
    projections: None,
    block: "layers.",
    linears: &[
        (Kind::Q, "self_attn.q_proj"),
        (Kind::K, "self_attn.k_proj"),
        (Kind::V, "self_attn.v_proj"),
        (Kind::O, "self_attn.o_proj"),
        (Kind::Gate, "mlp.gate_proj"),
        (Kind::Up, "mlp.up_proj"),
        (Kind::Down, "mlp.down_proj"),
    ],
    head: "lm_head",
    transposed: false,
};

/// Norms that LLaMA and its descendants share.
pub(super) const NORMS: &[(Place, &str)] = &[
    (Place::AttentionInput, "input_layernorm"),
    (Place::MlpInput, "post_attention_layernorm"),
    (Place::Final, "norm"),
];

/// Norms of queries and keys that some descendants have.
pub(super) const QUERY_KEY_NORMS: &[(Place, &str)] =
    &[(Place::Query, "self_attn.q_norm"), (Place::Key, "self_attn.k_norm")];

/// What a config of LLaMA's kind leaves out.
pub(super) const DEFAULTS: Defaults = Defaults {
    family: "llama",
    vocabulary: 32000,
    hidden: 4096,
    intermediate: 11008,
    blocks: 32,
    heads: 32,
    kv_heads: None,
    head_dim: HeadDim::Even,
    context: 2048,
    epsilon: ("rms_norm_eps", 1e-6),
    activation: ("hidden_act", "silu"),
    rope: USUAL,
    norms: NORMS,
    eos: &[2],
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    Ok(Architecture { biased: biased(config)?, ..describe_like(config, &DEFAULTS)? })
}

/// Which linear maps have a bias: `attention_bias` and `mlp_bias`.
pub(super) fn biased(config: &Config) -> Result<Vec<Kind>, ModelError> {
    let mut biased = attention_biased(config)?;
    if set(config, "mlp_bias", false)? {
        biased.extend([Kind::Gate, Kind::Up, Kind::Down]);
    }
    Ok(biased)
}

/// As [`biased`], for families whose MLP never has one.
pub(super) fn attention_biased(config: &Config) -> Result<Vec<Kind>, ModelError> {
    let kinds = [Kind::Q, Kind::K, Kind::V, Kind::O];
    Ok(if set(config, "attention_bias", false)? { kinds.to_vec() } else { Vec::new() })
}
