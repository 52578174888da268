//! Bloom (transformers `modeling_bloom.py`): layer norms, also on the embeddings; alibi; q, k and v in one projection, head by
//! head.

use super::llama::NAMES;
use super::shared::{root, set};
use crate::model::activation::Activation;
use crate::model::config::Config;
use crate::model::family::{Family, Names, even_heads};
use crate::model::{
    Alibi, Architecture, Attention, Fusion, HeadNorm, Kind, ModelError, NormKind, Place, Positions, Residual, Scales,
};

pub(in crate::model) static BLOOM: Family = Family {
    model_type: "bloom",
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
    let hidden = config.count_or(&["n_embed", "hidden_size"], 64)?;
    let heads = config.count_or(&["n_head", "num_attention_heads"], 8)?;
    let blocks = config.blocks(&["n_layer", "num_hidden_layers"], 2)?;
    let head_dim = even_heads(hidden, heads, ["hidden_size", "n_head"])?;
    let plain = Attention { window: None, scale: root(head_dim), cap: None, rope: None };
    let normed = set(config, "apply_residual_connection_post_layernorm", false)?;
    Ok(Architecture {
        family: "bloom",
        vocabulary: config.count_or(&["vocab_size"], 250_880)?,
        hidden,
        embedding: hidden,
        blocks,
        context: config.count_or(&["seq_length"], 2048)?,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate: hidden.saturating_mul(4),
        attention: vec![plain; blocks],
        positions: Positions::Alibi(Alibi::new(heads, 1.0, false)),
        norm: NormKind::Layer,
        epsilon: config.positive_or("layer_norm_epsilon", 1e-5)? as f32,
        norms: vec![
            (Place::Embedding, "word_embeddings_layernorm"),
            (Place::AttentionInput, "input_layernorm"),
            (Place::MlpInput, "post_attention_layernorm"),
            (Place::Final, "ln_f"),
        ],
        head_norm: HeadNorm::Head,
        residual: if normed { Residual::Normed } else { Residual::Sequential },
        scales: Scales::default(),
        activation: Activation::GeluTanh,
        experts: None,
        fused: Fusion::Grouped,
        biased: vec![Kind::Qkv, Kind::O, Kind::Up, Kind::Down],
        tied: config.tied()?,
        eos: config.ids("eos_token_id", &[2])?,
    })
}
