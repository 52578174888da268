//! Falcon (transformers `modeling_falcon.py`): layer norms, attention and MLP side by side, q, k and v in one projection: one key
//! and value head (old), one for each query head (old, without `multi_query`), or some (new decoder).

use super::llama::NAMES;
use super::shared::{root, set};
use crate::model::activation::Activation;
use crate::model::config::{Config, wrong};
use crate::model::family::{Family, Names, even_heads};
use crate::model::rope::{RopeSpec, USUAL};
use crate::model::{
    Alibi, Architecture, Attention, Fusion, HeadNorm, Kind, ModelError, NormKind, Norms, Place, Positions, Residual,
    Scales,
};

pub(in crate::model) static FALCON: Family = Family {
    model_type: "falcon",
    names: Names {
        prefixes: &["transformer.", ""],
        embedding: "word_embeddings.weight",
        block: "h.",
        linears: &[
            (Kind::Qkv, "self_attention.query_key_value"),
            (Kind::O, "self_attention.dense"),
            (Kind::Up, "mlp.dense_h_to_4h"),
            (Kind::Down, "mlp.dense_4h_to_h"),
        ],
        ..NAMES
    },
    tied_by_default: true,
    describe,
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let hidden = config.count_or(&["n_embed", "hidden_size"], 4544)?;
    let heads = config.count_or(&["num_attention_heads"], 71)?;
    let blocks = config.blocks(&["num_hidden_layers"], 32)?;
    let head_dim = even_heads(hidden, heads, ["hidden_size", "num_attention_heads"])?;
    let context = config.count_or(&["max_position_embeddings"], 2048)?;
    let new = set(config, "new_decoder_architecture", false)?;
    let parallel = set(config, "parallel_attn", true)?;
    let alibi = set(config, "alibi", false)?;
    let (positions, reached) = if alibi {
        (Positions::Alibi(Alibi::new(heads, root(head_dim), true)), context)
    } else {
        let rope = RopeSpec::read(config, head_dim, context, &USUAL)?;
        let reached = rope.context(context);
        (Positions::Rotary(vec![rope]), reached)
    };
    let plain = Attention { window: None, scale: root(head_dim), cap: None, rope: (!alibi).then_some(0) };
    let all = [Kind::Qkv, Kind::O, Kind::Up, Kind::Down];
    Ok(Architecture {
        family: "falcon",
        vocabulary: config.count_or(&["vocab_size"], 65024)?,
        hidden,
        embedding: hidden,
        blocks,
        context: reached,
        heads,
        kv_heads: kv_heads(config, new, heads)?,
        head_dim,
        intermediate: config.count(&["ffn_hidden_size"])?.unwrap_or(hidden.saturating_mul(4)),
        attention: vec![plain; blocks],
        positions,
        norm: NormKind::Layer,
        epsilon: config.positive_or("layer_norm_epsilon", 1e-5)? as f32,
        norms: norms(config, new, parallel)?,
        head_norm: HeadNorm::Head,
        residual: if new || parallel { Residual::Parallel } else { Residual::Sequential },
        scales: Scales::default(),
        activation: Activation::parse(config.word_or("activation", "gelu")?)?,
        experts: None,
        fused: Fusion::Grouped,
        biased: if set(config, "bias", false)? { all.to_vec() } else { Vec::new() },
        tied: config.tied()?,
        eos: config.ids("eos_token_id", &[11])?,
    })
}

fn kv_heads(config: &Config, new: bool, heads: usize) -> Result<usize, ModelError> {
    let multi_query = set(config, "multi_query", true)?;
    let kv_heads = match (new, multi_query) {
        (true, _) => config.count(&["num_kv_heads"])?.unwrap_or(heads),
        (false, true) => 1,
        (false, false) => heads,
    };
    if heads.is_multiple_of(kv_heads) {
        return Ok(kv_heads);
    }
    Err(wrong(format!("num_attention_heads {heads} is not a multiple of num_kv_heads {kv_heads}")))
}

fn norms(config: &Config, new: bool, parallel: bool) -> Result<Norms, ModelError> {
    let both = new && config.count(&["num_ln_in_parallel_attn"])?.unwrap_or(2) == 2;
    let within: &[(Place, &str)] = match (parallel, both) {
        (true, true) => &[(Place::AttentionInput, "ln_attn"), (Place::MlpInput, "ln_mlp")],
        (true, false) => &[(Place::AttentionInput, "input_layernorm")],
        (false, _) => &[(Place::AttentionInput, "input_layernorm"), (Place::MlpInput, "post_attention_layernorm")],
    };
    Ok([within, &[(Place::Final, "ln_f")]].concat())
}
