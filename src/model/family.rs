//! Families as descriptions: what the decoder needs to know, made from a family's table and a config.

use super::activation::Activation;
use super::config::{Config, wrong};
use super::families::{GPT_NEO, GPT2, LLAMA, MISTRAL};
use super::rope::RopeSpec;
use super::{Fusion, Kind, ModelError};
use crate::checkpoint::{Checkpoint, escaped};

/// Every family that runs. Adding one means adding its file and a line here.
static FAMILIES: &[&Family] = &[&GPT2, &GPT_NEO, &LLAMA, &MISTRAL];

/// A family: how its tensors are called, and how its config is read.
#[derive(Debug)]
pub(super) struct Family {
    /// `model_type` in config.json.
    pub model_type: &'static str,
    /// Tensor names.
    pub names: Names,
    /// Whether the head is the embedding where config.json does not say (`tie_word_embeddings`).
    pub tied_by_default: bool,
    /// Config to architecture.
    pub describe: fn(&Config) -> Result<Architecture, ModelError>,
}

/// How a family calls its tensors. Linear maps are given without `.weight`, relative to their block.
#[derive(Debug)]
pub(super) struct Names {
    /// Prefixes of everything but the head, tried in order.
    pub prefixes: &'static [&'static str],
    /// Token embedding, with `.weight`.
    pub embedding: &'static str,
    /// Position embedding, with `.weight`.
    pub positions: Option<&'static str>,
    /// Prefix of the blocks, before their number.
    pub block: &'static str,
    /// Norm before attention.
    pub attention_norm: &'static str,
    /// Norm before the MLP.
    pub mlp_norm: &'static str,
    /// Norm after the last block.
    pub final_norm: &'static str,
    /// The linear maps of a block, in the model's order.
    pub linears: &'static [(Kind, &'static str)],
    /// The head, without `.weight`, with no prefix.
    pub head: &'static str,
    /// Whether linear maps of the blocks are stored [in, out] (GPT-2's Conv1D).
    pub transposed: bool,
}

/// How positions enter.
#[derive(Debug, Clone)]
pub enum Positions {
    /// A learned embedding per position, added to the token's.
    Learned,
    /// Rotary embedding of queries and keys.
    Rotary(RopeSpec),
}

/// A normalisation of the residual stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NormKind {
    /// Mean and variance, with weight and bias.
    Layer,
    /// Root mean square, with weight.
    Rms,
}

/// What one block's attention looks at, and how sharply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// A query at i sees keys i - window + 1 ..= i; `None`: all before it.
    pub window: Option<usize>,
    /// Factor on q . k before the softmax.
    pub scale: f32,
}

/// What a family's description and a config make: everything that the decoder needs to know.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// `model_type`.
    pub family: &'static str,
    /// Vocabulary size (rows of the embedding).
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Context in tokens.
    pub context: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads (fewer than `heads`: grouped-query attention).
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of the MLP.
    pub intermediate: usize,
    /// Per block.
    pub attention: Vec<Attention>,
    /// How positions enter.
    pub positions: Positions,
    /// All norms.
    pub norm: NormKind,
    /// Epsilon of the norms.
    pub epsilon: f32,
    /// The MLP's nonlinearity; on the gate where there is one.
    pub activation: Activation,
    /// How q, k and v lie in one projection, where they share one.
    pub fused: Fusion,
    /// Kinds of linear maps that have a bias.
    pub biased: &'static [Kind],
    /// Whether the head is the embedding: as config.json says, or `None` where it does not say.
    pub tied: Option<bool>,
    /// End-of-text ids (`config.json` and `generation_config.json`).
    pub eos: Vec<u32>,
}

/// The families that run, for messages.
pub fn supported_families() -> Vec<&'static str> {
    FAMILIES.iter().map(|family| family.model_type).collect()
}

/// The family that `config.json` names.
pub(super) fn family_of(config: &Config) -> Result<&'static Family, ModelError> {
    let found = config.word_or("model_type", "")?;
    let family = FAMILIES.iter().find(|family| family.model_type == found);
    family.copied().ok_or_else(|| match found {
        "" => wrong("no model_type, so the architecture is unknown".to_owned()),
        _ => ModelError::Family { found: escaped(found, 60), supported: supported_families().join(", ") },
    })
}

/// The family whose names the tensors bear, for files without a config.
pub(super) fn family_by_tensors(checkpoint: &Checkpoint) -> Option<&'static Family> {
    FAMILIES.iter().copied().find(|family| {
        family.names.prefixes.iter().any(|prefix| {
            let first = |name: &str| format!("{prefix}{}0.{name}.weight", family.names.block);
            family.names.linears.iter().all(|(_, name)| checkpoint.tensor(&first(name)).is_some())
        })
    })
}

impl Names {
    /// The prefix that this checkpoint uses: the one under which the embedding lies, else the first.
    pub(super) fn prefix(&self, checkpoint: &Checkpoint) -> &'static str {
        let here = |prefix: &&&str| checkpoint.tensor(&format!("{prefix}{}", self.embedding)).is_some();
        self.prefixes.iter().find(here).or(self.prefixes.first()).copied().unwrap_or_default()
    }
}

/// Checks that hidden is a multiple of heads, as transformers does, and gives the width of a head.
pub(super) fn even_heads(hidden: usize, heads: usize, names: [&str; 2]) -> Result<usize, ModelError> {
    if hidden.is_multiple_of(heads) {
        return Ok(hidden / heads);
    }
    Err(wrong(format!("{} {hidden} is not a multiple of {} {heads}", names[0], names[1])))
}
