//! Phi-3 (transformers `modeling_phi3.py`): LLaMA with q, k, v in one projection, gate and up in another; longrope.

use super::llama::{DEFAULTS, NAMES};
use super::shared::{Defaults, HeadDim, describe_like, sliding_window, windowed_all};
use crate::model::config::Config;
use crate::model::family::{Family, Names};
use crate::model::rope::{RopeDefaults, USUAL};
use crate::model::{Architecture, Kind, ModelError};

pub(in crate::model) static PHI3: Family = Family {
    model_type: "phi3",
    names: Names {
        linears: &[
            (Kind::Qkv, "self_attn.qkv_proj"),
            (Kind::O, "self_attn.o_proj"),
            (Kind::GateUp, "mlp.gate_up_proj"),
            (Kind::Down, "mlp.down_proj"),
        ],
        ..NAMES
    },
    tied_by_default: false,
    describe,
};

const MISSING: Defaults = Defaults {
    family: "phi3",
    vocabulary: 32064,
    hidden: 3072,
    intermediate: 8192,
    head_dim: HeadDim::Floor,
    context: 4096,
    epsilon: ("rms_norm_eps", 1e-5),
    rope: RopeDefaults {
        share: Some(("partial_rotary_factor", 1.0)),
        long_names: &["su", "yarn"],
        trained: Some(4096),
        ..USUAL
    },
    eos: &[32000],
    ..DEFAULTS
};

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    let window = sliding_window(config, None)?;
    Ok(Architecture { attention: windowed_all(base.attention, window), ..base })
}
