//! `SmolLM3` (transformers `modeling_smollm3.py`): LLaMA where some blocks have no positions.

use super::llama::{DEFAULTS, NAMES, biased};
use super::shared::{Defaults, HeadDim, describe_like, set, sliding_blocks, sliding_window, windowed};
use crate::model::config::{Config, wrong};
use crate::model::family::Family;
use crate::model::rope::{RopeDefaults, USUAL};
use crate::model::{Architecture, Attention, ModelError};

pub(in crate::model) static SMOLLM3: Family =
    Family { model_type: "smollm3", names: NAMES, tied_by_default: true, describe };

const MISSING: Defaults = Defaults {
    family: "smollm3",
    vocabulary: 128_256,
    hidden: 2048,
    blocks: 36,
    heads: 16,
    kv_heads: Some(4),
    head_dim: HeadDim::Floor,
    context: 32768,
    rope: RopeDefaults { theta: ("rope_theta", 2_000_000.0), ..USUAL },
    eos: &[128_001],
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    let turned = turned(config, base.blocks)?;
    let window = sliding_window(config, None)?;
    let sliding = set(config, "use_sliding_window", false)?;
    let rule = |block: usize| sliding && !turned.get(block).copied().unwrap_or_default();
    let slides = sliding_blocks(config, base.blocks, rule)?;
    let attention = windowed(base.attention, &slides, window).into_iter().zip(&turned);
    let attention = attention.map(|(block, turned)| Attention { rope: turned.then_some(0), ..block });
    Ok(Architecture { attention: attention.collect(), biased: biased(config)?, ..base })
}

/// Which blocks turn queries and keys: `no_rope_layers` (1: they do) or all but each `no_rope_layer_interval`-th.
fn turned(config: &Config, blocks: usize) -> Result<Vec<bool>, ModelError> {
    let interval = config.count_or(&["no_rope_layer_interval"], 4)?;
    let Some(flags) = config.numbers("no_rope_layers")? else {
        return Ok((1..=blocks).map(|block| !block.is_multiple_of(interval)).collect());
    };
    if flags.len() != blocks {
        let found = flags.len();
        return Err(wrong(format!("no_rope_layers describes {found} blocks, but num_hidden_layers is {blocks}")));
    }
    Ok(flags.into_iter().map(|flag| flag != 0.0).collect())
}
