//! GPT-2 (transformers `modeling_gpt2.py`): fused q, k, v; weights of linear maps stored [in, out] (Conv1D).

use crate::model::activation::Activation;
use crate::model::config::Config;
use crate::model::family::{Family, Names, even_heads};
use crate::model::{
    Architecture, Attention, Fusion, HeadNorm, Kind, ModelError, NormKind, Place, Positions, Residual, Scales,
};

pub(in crate::model) static GPT2: Family = Family {
    model_type: "gpt2",
    names: Names {
        prefixes: &["transformer.", ""],
        embedding: "wte.weight",
        positions: Some("wpe.weight"),
        projections: None,
        block: "h.",
        linears: &[
            (Kind::Qkv, "attn.c_attn"),
            (Kind::O, "attn.c_proj"),
            (Kind::Up, "mlp.c_fc"),
            (Kind::Down, "mlp.c_proj"),
        ],
        head: "lm_head",
        transposed: true,
    },
    tied_by_default: true,
    describe,
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let hidden = config.count_or(&["n_embd", "hidden_size"], 768)?;
    let heads = config.count_or(&["n_head", "num_attention_heads"], 12)?;
    let blocks = config.blocks(&["n_layer", "num_hidden_layers"], 12)?;
    let head_dim = even_heads(hidden, heads, ["n_embd", "n_head"])?;
    let scaled = config.flag("scale_attn_weights")?.unwrap_or(true);
    let by_block = config.flag("scale_attn_by_inverse_layer_idx")?.unwrap_or(false);
    let scale = |block: usize| {
        let base = if scaled { (head_dim as f32).sqrt().recip() } else { 1.0 };
        if by_block { base / (block + 1) as f32 } else { base }
    };
    let plain = |scale| Attention { window: None, scale, cap: None, rope: None };
    Ok(Architecture {
        family: "gpt2",
        vocabulary: config.count_or(&["vocab_size"], 50257)?,
        hidden,
        embedding: hidden,
        blocks,
        context: config.count_or(&["n_positions", "max_position_embeddings"], 1024)?,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate: config.count(&["n_inner"])?.unwrap_or(hidden.saturating_mul(4)),
        attention: (0..blocks).map(|block| plain(scale(block))).collect(),
        positions: Positions::Learned { skipped: 0 },
        norm: NormKind::Layer,
        epsilon: config.positive_or("layer_norm_epsilon", 1e-5)? as f32,
        norms: vec![(Place::AttentionInput, "ln_1"), (Place::MlpInput, "ln_2"), (Place::Final, "ln_f")],
        head_norm: HeadNorm::Head,
        residual: Residual::Sequential,
        scales: Scales::default(),
        activation: Activation::parse(config.word_or("activation_function", "gelu_new")?)?,
        experts: None,
        fused: Fusion::Stacked,
        biased: vec![Kind::Qkv, Kind::O, Kind::Up, Kind::Down],
        tied: config.tied()?,
        eos: config.ids("eos_token_id", &[50256])?,
    })
}
