//! What the configs of most families share.

use crate::model::activation::Activation;
use crate::model::config::{Config, wrong};
use crate::model::family::even_heads;
use crate::model::rope::{RopeDefaults, RopeSpec};
use crate::model::{
    Architecture, Attention, Fusion, HeadNorm, ModelError, NormKind, Place, Positions, Residual, Scales,
};

/// What a config leaves out, under the key names of LLaMA and its descendants.
pub(super) struct Defaults {
    pub family: &'static str,
    pub vocabulary: usize,
    pub hidden: usize,
    pub intermediate: usize,
    pub blocks: usize,
    pub heads: usize,
    /// Key and value heads where the key is missing; `None`: as many as query heads.
    pub kv_heads: Option<usize>,
    pub head_dim: HeadDim,
    pub context: usize,
    /// Key and value.
    pub epsilon: (&'static str, f64),
    /// Key and value.
    pub activation: (&'static str, &'static str),
    pub rope: RopeDefaults,
    pub norms: &'static [(Place, &'static str)],
    pub eos: &'static [u32],
}

/// The width of a head where the config does not give it.
#[derive(Debug, Clone, Copy)]
pub(super) enum HeadDim {
    /// This.
    Given(usize),
    /// hidden / heads, which is to be a whole number.
    Even,
    /// hidden / heads, rounded down.
    Floor,
}

/// The architecture that LLaMA and its descendants share: RMS norms, rotary positions, no biases.
pub(super) fn describe_like(config: &Config, defaults: &Defaults) -> Result<Architecture, ModelError> {
    let hidden = config.count_or(&["hidden_size"], defaults.hidden)?;
    let heads = config.count_or(&["num_attention_heads"], defaults.heads)?;
    let blocks = config.blocks(&["num_hidden_layers"], defaults.blocks)?;
    let kv_default = if config.has(&["num_key_value_heads"]) { None } else { defaults.kv_heads };
    let kv_heads = config.count(&["num_key_value_heads"])?.or(kv_default).unwrap_or(heads);
    if !heads.is_multiple_of(kv_heads) {
        return Err(wrong(format!("num_attention_heads {heads} is not a multiple of num_key_value_heads {kv_heads}")));
    }
    let head_dim = head_dim(config, defaults.head_dim, [hidden, heads])?;
    let context = config.count_or(&["max_position_embeddings"], defaults.context)?;
    let rope = RopeSpec::read(config, head_dim, context, &defaults.rope)?;
    let plain = Attention { window: None, scale: root(head_dim), cap: None, rope: Some(0) };
    Ok(Architecture {
        family: defaults.family,
        vocabulary: config.count_or(&["vocab_size"], defaults.vocabulary)?,
        hidden,
        embedding: hidden,
        blocks,
        context: rope.context(context),
        heads,
        kv_heads,
        head_dim,
        intermediate: config.count_or(&["intermediate_size"], defaults.intermediate)?,
        attention: vec![plain; blocks],
        positions: Positions::Rotary(vec![rope]),
        norm: NormKind::Rms,
        epsilon: config.positive_or(defaults.epsilon.0, defaults.epsilon.1)? as f32,
        norms: defaults.norms.to_vec(),
        head_norm: HeadNorm::Head,
        residual: Residual::Sequential,
        scales: Scales::default(),
        activation: Activation::parse(config.word_or(defaults.activation.0, defaults.activation.1)?)?,
        experts: None,
        fused: Fusion::Stacked,
        biased: Vec::new(),
        tied: config.tied()?,
        eos: config.ids("eos_token_id", defaults.eos)?,
    })
}

fn head_dim(config: &Config, default: HeadDim, [hidden, heads]: [usize; 2]) -> Result<usize, ModelError> {
    if let Some(width) = config.count(&["head_dim"])? {
        return Ok(width);
    }
    match default {
        HeadDim::Given(width) if !config.has(&["head_dim"]) => Ok(width),
        HeadDim::Even => even_heads(hidden, heads, ["hidden_size", "num_attention_heads"]),
        _ if hidden < heads => Err(wrong(format!("hidden_size {hidden} is less than num_attention_heads {heads}"))),
        _ => Ok(hidden / heads),
    }
}

/// 1 / sqrt(width), the usual scale of attention.
pub(super) fn root(width: usize) -> f32 {
    (width as f32).sqrt().recip()
}

/// A flag, or the family's default.
pub(super) fn set(config: &Config, key: &'static str, default: bool) -> Result<bool, ModelError> {
    Ok(config.flag(key)?.unwrap_or(default))
}

/// `sliding_window`; `default` where the key is missing, none where it is null.
pub(super) fn sliding_window(config: &Config, default: Option<usize>) -> Result<Option<usize>, ModelError> {
    let default = if config.has(&["sliding_window"]) { None } else { default };
    Ok(config.count(&["sliding_window"])?.or(default))
}

/// Which blocks slide: as `layer_types` says or, where it is missing, as the family's rule.
pub(super) fn sliding_blocks(
    config: &Config,
    blocks: usize,
    rule: impl Fn(usize) -> bool,
) -> Result<Vec<bool>, ModelError> {
    let Some(types) = config.list("layer_types")? else { return Ok((0..blocks).map(rule).collect()) };
    if types.len() != blocks {
        return Err(wrong(format!("layer_types describes {} blocks, but num_hidden_layers is {blocks}", types.len())));
    }
    let slides = types.iter().map(|kind| match kind.as_str() {
        Some("full_attention") => Ok(false),
        Some("sliding_attention") => Ok(true),
        _ => Err(wrong("layer_types may hold \"full_attention\" and \"sliding_attention\" alone".to_owned())),
    });
    slides.collect()
}

/// The same attention with a window in the blocks that slide.
pub(super) fn windowed(attention: Vec<Attention>, slides: &[bool], window: Option<usize>) -> Vec<Attention> {
    let one = |(block, slides): (Attention, &bool)| Attention { window: window.filter(|_| *slides), ..block };
    attention.into_iter().zip(slides).map(one).collect()
}

/// The same attention with a window in every block.
pub(super) fn windowed_all(attention: Vec<Attention>, window: Option<usize>) -> Vec<Attention> {
    attention.into_iter().map(|block| Attention { window, ..block }).collect()
}
