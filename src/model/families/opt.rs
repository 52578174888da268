//! OPT (transformers `modeling_opt.py`): learned positions from row 2 on, layer norms before attention and MLP, or (350m) after
//! them; there the embedding is narrower than the stream.

use super::shared::{root, set};
use crate::model::activation::Activation;
use crate::model::config::Config;
use crate::model::family::{Family, Names, even_heads};
use crate::model::{
    Architecture, Attention, Fusion, HeadNorm, Kind, ModelError, NormKind, Norms, Place, Positions, Residual, Scales,
};

pub(in crate::model) static OPT: Family = Family {
    model_type: "opt",
    names: Names {
        prefixes: &["model.decoder.", "decoder.", ""],
        embedding: "embed_tokens.weight",
        positions: Some("embed_positions.weight"),
        projections: Some(["project_in.weight", "project_out.weight"]),
        block: "layers.",
        linears: &[
            (Kind::Q, "self_attn.q_proj"),
            (Kind::K, "self_attn.k_proj"),
            (Kind::V, "self_attn.v_proj"),
            (Kind::O, "self_attn.out_proj"),
            (Kind::Up, "fc1"),
            (Kind::Down, "fc2"),
        ],
        head: "lm_head",
        transposed: false,
    },
    tied_by_default: true,
    describe,
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let hidden = config.count_or(&["hidden_size"], 768)?;
    let heads = config.count_or(&["num_attention_heads"], 12)?;
    let blocks = config.blocks(&["num_hidden_layers"], 12)?;
    let head_dim = even_heads(hidden, heads, ["hidden_size", "num_attention_heads"])?;
    let plain = Attention { window: None, scale: root(head_dim), cap: None, rope: None };
    let biased = [Kind::Q, Kind::K, Kind::V, Kind::O, Kind::Up, Kind::Down];
    let weighted = set(config, "layer_norm_elementwise_affine", true)?;
    Ok(Architecture {
        family: "opt",
        vocabulary: config.count_or(&["vocab_size"], 50272)?,
        hidden,
        embedding: config.count(&["word_embed_proj_dim"])?.unwrap_or(hidden),
        blocks,
        context: config.count_or(&["max_position_embeddings"], 2048)?,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate: config.count_or(&["ffn_dim"], 3072)?,
        attention: vec![plain; blocks],
        positions: Positions::Learned { skipped: 2 },
        norm: if weighted { NormKind::Layer } else { NormKind::LayerPlain },
        epsilon: 1e-5,
        norms: norms(config)?,
        head_norm: HeadNorm::Head,
        residual: Residual::Sequential,
        scales: Scales::default(),
        activation: Activation::parse(config.word_or("activation_function", "relu")?)?,
        experts: None,
        fused: Fusion::Stacked,
        biased: if set(config, "enable_bias", true)? { biased.to_vec() } else { Vec::new() },
        tied: config.tied()?,
        eos: config.ids("eos_token_id", &[2])?,
    })
}

/// `do_layer_norm_before`: norms before attention and MLP, and one after the last block; else after each is added.
fn norms(config: &Config) -> Result<Norms, ModelError> {
    if !set(config, "do_layer_norm_before", true)? {
        return Ok(vec![(Place::AfterAttention, "self_attn_layer_norm"), (Place::AfterMlp, "final_layer_norm")]);
    }
    let mut norms = vec![(Place::AttentionInput, "self_attn_layer_norm"), (Place::MlpInput, "final_layer_norm")];
    if !set(config, "_remove_final_layer_norm", false)? {
        norms.push((Place::Final, "final_layer_norm"));
    }
    Ok(norms)
}
