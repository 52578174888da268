//! Gemma 3's text model (transformers `modeling_gemma3.py`): Gemma 2 with norms of queries and keys instead of caps, and a
//! rotary embedding of their own for the blocks with a window.

use super::gemma2::{self, NORMS, cap, scaled};
use super::llama::{NAMES, QUERY_KEY_NORMS};
use super::shared::{Defaults, describe_like, sliding_blocks, sliding_window, windowed};
use crate::model::config::Config;
use crate::model::family::Family;
use crate::model::rope::{RopeDefaults, RopeSpec, USUAL};
use crate::model::{Architecture, Attention, ModelError, Positions, Scales};

pub(in crate::model) static GEMMA3_TEXT: Family =
    Family { model_type: "gemma3_text", names: NAMES, tied_by_default: true, describe };

const MISSING: Defaults = Defaults { family: "gemma3_text", vocabulary: 262_208, context: 131_072, ..gemma2::MISSING };

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = scaled(config, describe_like(config, &MISSING)?)?;
    let context = config.count_or(&["max_position_embeddings"], MISSING.context)?;
    let ropes = ropes(config, base.head_dim, context)?;
    let pattern = config.count_or(&["sliding_window_pattern"], 6)?;
    let slides = sliding_blocks(config, base.blocks, |block| !(block + 1).is_multiple_of(pattern))?;
    let attention = windowed(base.attention, &slides, sliding_window(config, Some(4096))?).into_iter().zip(slides);
    Ok(Architecture {
        context: ropes.first().map_or(context, |rope| rope.context(context)),
        attention: attention.map(|(block, slides)| Attention { rope: Some(usize::from(slides)), ..block }).collect(),
        positions: Positions::Rotary(ropes),
        scales: Scales { cap: cap(config, "final_logit_softcapping", None)?, ..base.scales },
        norms: [NORMS, QUERY_KEY_NORMS].concat(),
        ..base
    })
}

/// Of the blocks that see everything, and of those with a window: `rope_parameters` by kind of block (new style), or
/// `rope_theta` with `rope_scaling`, and `rope_local_base_freq` (old style).
fn ropes(config: &Config, head_dim: usize, context: usize) -> Result<Vec<RopeSpec>, ModelError> {
    let sections = config.object(&["rope_parameters"])?;
    let one = |kind: &'static str, theta: (&'static str, f64), old: &[&'static str]| {
        let new = sections.as_ref().map_or(Ok(None), |sections| sections.object(&[kind]))?;
        let section = config.object(old)?.or(new);
        RopeSpec::read_section(section.as_ref(), config, head_dim, context, &RopeDefaults { theta, ..USUAL })
    };
    Ok(vec![
        one("full_attention", ("rope_theta", 1_000_000.0), &["rope_scaling"])?,
        one("sliding_attention", ("rope_local_base_freq", 10000.0), &[])?,
    ])
}
