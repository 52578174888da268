//! GPT-Neo (transformers `modeling_gpt_neo.py`): global and local attention by turns, no attention scaling.

use serde_json::Value;

use crate::model::activation::Activation;
use crate::model::config::{Config, wrong};
use crate::model::family::{Family, Names, even_heads};
use crate::model::{
    Architecture, Attention, Fusion, HeadNorm, Kind, ModelError, NormKind, Place, Positions, Residual, Scales,
};

pub(in crate::model) static GPT_NEO: Family = Family {
    model_type: "gpt_neo",
    names: Names {
        prefixes: &["transformer.", ""],
        embedding: "wte.weight",
        positions: Some("wpe.weight"),
        projections: None,
        block: "h.",
        linears: &[
            (Kind::Q, "attn.attention.q_proj"),
            (Kind::K, "attn.attention.k_proj"),
            (Kind::V, "attn.attention.v_proj"),
            (Kind::O, "attn.attention.out_proj"),
            (Kind::Up, "mlp.c_fc"),
            (Kind::Down, "mlp.c_proj"),
        ],
        head: "lm_head",
        transposed: false,
    },
    tied_by_default: true,
    describe,
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let hidden = config.count_or(&["hidden_size"], 2048)?;
    let heads = config.count_or(&["num_heads", "num_attention_heads"], 16)?;
    let blocks = config.blocks(&["num_layers", "num_hidden_layers"], 24)?;
    let window = config.count_or(&["window_size"], 256)?;
    Ok(Architecture {
        family: "gpt_neo",
        vocabulary: config.count_or(&["vocab_size"], 50257)?,
        hidden,
        embedding: hidden,
        blocks,
        context: config.count_or(&["max_position_embeddings"], 2048)?,
        heads,
        kv_heads: heads,
        head_dim: even_heads(hidden, heads, ["hidden_size", "num_heads"])?,
        intermediate: config.count(&["intermediate_size"])?.unwrap_or(hidden.saturating_mul(4)),
        attention: attention(config, blocks, window)?,
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
        biased: vec![Kind::O, Kind::Up, Kind::Down],
        tied: config.tied()?,
        eos: config.ids("eos_token_id", &[50256])?,
    })
}

/// Per block, from `attention_types` ([[kinds], repeats] pairs) or, where that is missing, `attention_layers`.
fn attention(config: &Config, blocks: usize, window: usize) -> Result<Vec<Attention>, ModelError> {
    let mut kinds: Vec<&str> = Vec::new();
    if let Some((_, types)) = config.value(&["attention_types"]) {
        for pair in types.as_array().into_iter().flatten() {
            let names = pair.get(0).and_then(Value::as_array);
            let repeats = pair.get(1).and_then(Value::as_u64).unwrap_or(0);
            let names: Vec<&str> = names.into_iter().flatten().filter_map(Value::as_str).collect();
            for _ in 0..repeats.min(blocks as u64) {
                kinds.extend(&names);
            }
        }
    } else if let Some((_, layers)) = config.value(&["attention_layers"]) {
        kinds.extend(layers.as_array().into_iter().flatten().filter_map(Value::as_str));
    } else {
        return Ok((0..blocks).map(|i| span(if i % 2 == 0 { None } else { Some(window) })).collect());
    }
    if kinds.len() != blocks {
        return Err(wrong(format!("attention_types describes {} blocks, but num_layers is {blocks}", kinds.len())));
    }
    let windows = kinds.into_iter().map(|kind| match kind {
        "global" => Ok(span(None)),
        "local" => Ok(span(Some(window))),
        _ => Err(wrong("attention_types may hold \"global\" and \"local\" alone".to_owned())),
    });
    windows.collect()
}

fn span(window: Option<usize>) -> Attention {
    Attention { window, scale: 1.0, cap: None, rope: None }
}
