//! Qwen3 (transformers `modeling_qwen3.py`): Qwen2 with norms of queries and keys, head by head, and no biases unless asked for.

use super::llama::{NAMES, NORMS, QUERY_KEY_NORMS, attention_biased};
use super::qwen2;
use super::shared::{Defaults, HeadDim, describe_like};
use crate::model::config::Config;
use crate::model::family::Family;
use crate::model::{Architecture, ModelError};

pub(in crate::model) static QWEN3: Family =
    Family { model_type: "qwen3", names: NAMES, tied_by_default: false, describe };

const MISSING: Defaults = Defaults { family: "qwen3", head_dim: HeadDim::Given(128), ..qwen2::MISSING };

fn describe(config: &Config) -> Result<Architecture, ModelError> {
    let base = describe_like(config, &MISSING)?;
    Ok(Architecture {
        attention: qwen2::attention(config, base.attention)?,
        norms: [NORMS, QUERY_KEY_NORMS].concat(),
        biased: attention_biased(config)?,
        ..base
    })
}
