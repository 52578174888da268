//! Families as descriptions: a table of names, and a function from a config to an architecture.

use std::collections::BTreeSet;

use super::config::{Config, wrong};
use super::families::FAMILIES;
use super::{Architecture, Kind, ModelError};
use crate::checkpoint::{Checkpoint, escaped};

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

/// How a family calls its tensors. Linear maps and norms are given without `.weight`, relative to their block.
#[derive(Debug)]
pub(super) struct Names {
    /// Prefixes of everything but the head, tried in order.
    pub prefixes: &'static [&'static str],
    /// Token embedding, with `.weight`.
    pub embedding: &'static str,
    /// Position embedding, with `.weight`.
    pub positions: Option<&'static str>,
    /// Maps from the embedding's width to the stream's and back, with `.weight`, for where these differ.
    pub projections: Option<[&'static str; 2]>,
    /// Prefix of the blocks, before their number.
    pub block: &'static str,
    /// The linear maps of a block, in the model's order; `{}` stands for the number of an expert.
    pub linears: &'static [(Kind, &'static str)],
    /// The head, without `.weight`, with no prefix.
    pub head: &'static str,
    /// Whether linear maps of the blocks are stored [in, out] (GPT-2's Conv1D).
    pub transposed: bool,
}

/// The families that run, for messages.
pub fn supported_families() -> Vec<&'static str> {
    FAMILIES.iter().map(|family| family.model_type).collect()
}

/// The key of a config that names the family.
pub(super) const MODEL_TYPE: &str = "model_type";

/// The family that `config.json` names.
pub(super) fn family_of(config: &Config) -> Result<&'static Family, ModelError> {
    let found = config.word_or(MODEL_TYPE, "")?;
    let family = FAMILIES.iter().find(|family| family.model_type == found);
    family.copied().ok_or_else(|| match found {
        "" => wrong("no model_type, so the architecture is unknown".to_owned()),
        _ => ModelError::Family {
            found: escaped(found, 60),
            supported: supported_families().join(", "),
            alike: String::new(),
        },
    })
}

/// A family whose names the linear maps of the first block bear, for files whose config does not tell: each of its maps is
/// there, and no other. Families that differ in other things may bear the same names.
pub(super) fn family_by_tensors(checkpoint: &Checkpoint) -> Option<&'static Family> {
    FAMILIES.iter().copied().find(|family| {
        let first = format!("{}{}0.", family.names.prefix(checkpoint), family.names.block);
        let maps = checkpoint.tensors().iter().filter(|tensor| tensor.shape.len() == 2);
        let maps = maps.filter_map(|tensor| tensor.name.strip_prefix(&first)?.strip_suffix(".weight"));
        let found: Option<BTreeSet<Kind>> = maps.map(|local| family.names.kind_of(local)).collect();
        found.is_some_and(|found| found == family.names.linears.iter().map(|(kind, _)| *kind).collect())
    })
}

/// Where models that also see or hear keep their text model.
const NESTED: [&str; 3] = ["", "language_model.", "model.language_model."];

impl Names {
    /// The prefix that this checkpoint uses: the one under which the embedding lies, else a block, else the first.
    pub(super) fn prefix(&self, checkpoint: &Checkpoint) -> String {
        let all = || NESTED.iter().flat_map(|outer| self.prefixes.iter().map(move |prefix| format!("{outer}{prefix}")));
        let embedded = |prefix: &String| checkpoint.tensor(&format!("{prefix}{}", self.embedding)).is_some();
        let holds = |prefix: &String| {
            let first = format!("{prefix}{}0.", self.block);
            checkpoint.tensors().iter().any(|tensor| tensor.name.starts_with(&first))
        };
        all().find(embedded).or_else(|| all().find(holds)).or_else(|| all().next()).unwrap_or_default()
    }

    /// The kind of the linear map of a block that is called `local`.
    pub(super) fn kind_of(&self, local: &str) -> Option<Kind> {
        self.linears.iter().find(|(_, known)| bears(known, local)).map(|(kind, _)| *kind)
    }

    /// Whether the head is called `stem`.
    pub(super) fn is_head(&self, stem: &str) -> bool {
        stem.strip_suffix(self.head).is_some_and(|outer| NESTED.contains(&outer))
    }
}

/// Whether `name` is `pattern`, where `{}` stands for a number.
fn bears(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once("{}") else { return pattern == name };
    let number = name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Checks that hidden is a multiple of heads, as transformers does, and gives the width of a head.
pub(super) fn even_heads(hidden: usize, heads: usize, names: [&str; 2]) -> Result<usize, ModelError> {
    if hidden.is_multiple_of(heads) {
        return Ok(hidden / heads);
    }
    Err(wrong(format!("{} {hidden} is not a multiple of {} {heads}", names[0], names[1])))
}
