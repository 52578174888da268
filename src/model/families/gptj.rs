//! GPT-J (transformers `modeling_gptj.py`): attention and MLP of the same norm side by side, neighbouring numbers turned, a head
//! with a bias.

use super::shared::root;
use crate::model::activation::Activation;
use crate::model::config::{Config, wrong};
use crate::model::family::{Family, Names, even_heads};
use crate::model::rope::{RopeSpec, neighbours};
use crate::model::{
    Architecture, Attention, Fusion, HeadNorm, Kind, ModelError, NormKind, Place, Positions, Residual, Scales,
};

pub(in crate::model) static GPTJ: Family = Family {
    model_type: "gptj",
    names: Names {
        prefixes: &["transformer.", ""],
        embedding: "wte.weight",
        positions: None,
        projections: None,
        block: "h.",
        linears: &[
            (Kind::Q, "attn.q_proj"),
            (Kind::K, "attn.k_proj"),
            (Kind::V, "attn.v_proj"),
            (Kind::O, "attn.out_proj"),
            (Kind::Up, "mlp.fc_in"),
            (Kind::Down, "mlp.fc_out"),
        ],
        head: "lm_head",
        transposed: false,
    },
    tied_by_default: false,
    describe,
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let hidden = config.count_or(&["n_embd", "hidden_size"], 4096)?;
    let heads = config.count_or(&["n_head", "num_attention_heads"], 16)?;
    let blocks = config.blocks(&["n_layer", "num_hidden_layers"], 28)?;
    let head_dim = even_heads(hidden, heads, ["n_embd", "n_head"])?;
    let plain = Attention { window: None, scale: root(head_dim), cap: None, rope: Some(0) };
    Ok(Architecture {
        family: "gptj",
        vocabulary: config.count_or(&["vocab_size"], 50400)?,
        hidden,
        embedding: hidden,
        blocks,
        context: config.count_or(&["n_positions", "max_position_embeddings"], 2048)?,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate: config.count(&["n_inner"])?.unwrap_or(hidden.saturating_mul(4)),
        attention: vec![plain; blocks],
        positions: Positions::Rotary(vec![rope(config, head_dim)?]),
        norm: NormKind::Layer,
        epsilon: config.positive_or("layer_norm_epsilon", 1e-5)? as f32,
        norms: vec![(Place::AttentionInput, "ln_1"), (Place::Final, "ln_f")],
        head_norm: HeadNorm::Head,
        residual: Residual::Parallel,
        scales: Scales::default(),
        activation: Activation::parse(config.word_or("activation_function", "gelu_new")?)?,
        experts: None,
        fused: Fusion::Stacked,
        biased: vec![Kind::Up, Kind::Down, Kind::LmHead],
        tied: config.tied()?,
        eos: config.ids("eos_token_id", &[50256])?,
    })
}

/// `rotary_dim` numbers of each head; null: all.
fn rope(config: &Config, head_dim: usize) -> Result<RopeSpec, ModelError> {
    let default = if config.has(&["rotary_dim"]) { head_dim } else { 64 };
    let width = config.count_or(&["rotary_dim"], default)?;
    if width > head_dim || !width.is_multiple_of(2) {
        return Err(wrong(format!("rotary_dim {width} does not fit in a head of {head_dim}, or is odd")));
    }
    Ok(neighbours(width))
}
