//! LLaMA (transformers `modeling_llama.py`): RMS norms, rotary positions, grouped-query attention, gated MLP.

use crate::model::activation::Activation;
use crate::model::config::{Config, wrong};
use crate::model::family::{Architecture, Attention, Family, Names, NormKind, Positions, even_heads};
use crate::model::rope::RopeSpec;
use crate::model::{Fusion, Kind, ModelError};

pub(in crate::model) static LLAMA: Family =
    Family { model_type: "llama", names: NAMES, tied_by_default: false, describe };

/// Names that LLaMA and its descendants share.
pub(super) const NAMES: Names = Names {
    prefixes: &["model.", ""],
    embedding: "embed_tokens.weight",
    positions: None,
    block: "layers.",
    attention_norm: "input_layernorm",
    mlp_norm: "post_attention_layernorm",
    final_norm: "norm",
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

/// Sizes that a config of LLaMA's kind leaves out.
pub(super) struct Defaults {
    pub family: &'static str,
    pub intermediate: usize,
    pub context: usize,
    /// Key and value heads where the key is missing; `None`: as many as query heads.
    pub kv_heads: Option<usize>,
    pub epsilon: f64,
}

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let defaults = Defaults { family: "llama", intermediate: 11008, context: 2048, kv_heads: None, epsilon: 1e-6 };
    describe_like(config, &defaults, None)
}

/// The architecture that LLaMA and its descendants share; `window` as the descendant has it.
pub(super) fn describe_like(
    config: &Config,
    defaults: &Defaults,
    window: Option<usize>,
) -> Result<Architecture, ModelError> {
    let hidden = config.count_or(&["hidden_size"], 4096)?;
    let heads = config.count_or(&["num_attention_heads"], 32)?;
    let blocks = config.blocks(&["num_hidden_layers"], 32)?;
    let kv_default = if config.has(&["num_key_value_heads"]) { None } else { defaults.kv_heads };
    let kv_heads = config.count(&["num_key_value_heads"])?.or(kv_default).unwrap_or(heads);
    if !heads.is_multiple_of(kv_heads) {
        return Err(wrong(format!("num_attention_heads {heads} is not a multiple of num_key_value_heads {kv_heads}")));
    }
    let head_dim = match config.count(&["head_dim"])? {
        Some(width) => width,
        None => even_heads(hidden, heads, ["hidden_size", "num_attention_heads"])?,
    };
    if !head_dim.is_multiple_of(2) {
        return Err(wrong(format!("head_dim {head_dim} is odd, but rotary positions turn pairs")));
    }
    let context = config.count_or(&["max_position_embeddings"], defaults.context)?;
    let scale = (head_dim as f32).sqrt().recip();
    Ok(Architecture {
        family: defaults.family,
        vocabulary: config.count_or(&["vocab_size"], 32000)?,
        hidden,
        blocks,
        context,
        heads,
        kv_heads,
        head_dim,
        intermediate: config.count_or(&["intermediate_size"], defaults.intermediate)?,
        attention: vec![Attention { window, scale }; blocks],
        positions: Positions::Rotary(RopeSpec::read(config, head_dim)?),
        norm: NormKind::Rms,
        epsilon: config.positive_or("rms_norm_eps", defaults.epsilon)? as f32,
        activation: Activation::parse(config.word_or("hidden_act", "silu")?)?,
        fused: Fusion::Stacked,
        biased: biased(config)?,
        tied: config.flag("tie_word_embeddings")?,
        eos: config.ids("eos_token_id", &[2])?,
    })
}

/// Which linear maps have a bias: `attention_bias` and `mlp_bias`.
fn biased(config: &Config) -> Result<&'static [Kind], ModelError> {
    const ATTENTION: &[Kind] = &[Kind::Q, Kind::K, Kind::V, Kind::O];
    const MLP: &[Kind] = &[Kind::Gate, Kind::Up, Kind::Down];
    const BOTH: &[Kind] = &[Kind::Q, Kind::K, Kind::V, Kind::O, Kind::Gate, Kind::Up, Kind::Down];
    let set = |key| config.flag(key).map(Option::unwrap_or_default);
    Ok(match (set("attention_bias")?, set("mlp_bias")?) {
        (false, false) => &[],
        (true, false) => ATTENTION,
        (false, true) => MLP,
        (true, true) => BOTH,
    })
}
