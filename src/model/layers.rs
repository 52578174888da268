//! The layers of a checkpoint: the two-dimensional weights of linear maps.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::architecture::Architecture;
use super::config::Config;
use super::family::{Family, family_by_tensors, family_of};
use super::formats::{float_matrix, why_unreadable};
use super::fused::{FusedPart, layer_name, part_name, parts_of, split_stem, stem_of};
use super::stored::{StoredLayer, split_part, stored_layers};
use crate::checkpoint::{Checkpoint, Dtype, Tensor};
use crate::linalg::Matrix;

/// What a layer does in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum Kind {
    Q,
    K,
    V,
    Qkv,
    O,
    Gate,
    Up,
    GateUp,
    Down,
    LmHead,
    ExpertGate,
    ExpertUp,
    ExpertDown,
    Router,
    Other,
}

impl Kind {
    /// The word in JSON and on the screen (`lm_head`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Q => "q",
            Self::K => "k",
            Self::V => "v",
            Self::O => "o",
            Self::Qkv => "qkv",
            Self::Gate => "gate",
            Self::Up => "up",
            Self::Down => "down",
            Self::GateUp => "gate_up",
            Self::LmHead => "lm_head",
            Self::ExpertGate => "expert_gate",
            Self::ExpertUp => "expert_up",
            Self::ExpertDown => "expert_down",
            Self::Router => "router",
            Self::Other => "other",
        }
    }
}

/// One layer: shape always [out, in] = [m, n].
#[derive(Debug, Clone)]
pub struct Layer {
    /// Tensor name as the checkpoint has it (for a compressed folder: the original `P.weight`); that of a part of a fused
    /// tensor has `#` and the part after it.
    pub name: String,
    /// Name of the tensor that holds it, or would if the file did not store it compressed.
    pub tensor: String,
    /// Which rows of a fused tensor it is, where it is a part of one and the config tells.
    pub part: Option<FusedPart>,
    /// Block index, where it lies in one.
    pub block: Option<usize>,
    /// What it does.
    pub kind: Kind,
    /// m, out.
    pub rows: usize,
    /// n, in.
    pub cols: usize,
    /// Type as stored (of the stored part, for a compressed one).
    pub dtype: Dtype,
    /// Bytes as stored.
    pub bytes: u64,
    /// Whether the file stores it compressed already (its plan is then fixed).
    pub fixed: bool,
    /// Whether the original file stores it [in, out] (GPT-2's Conv1D).
    pub transposed: bool,
}

impl Layer {
    /// m * n.
    pub fn parameters(&self) -> u64 {
        self.rows as u64 * self.cols as u64
    }

    /// min(m, n), the largest rank.
    pub fn max_rank(&self) -> usize {
        self.rows.min(self.cols)
    }

    /// The matrix as stored, sharing the file's bytes. `None` for a fixed (compressed) layer, and for a type that has no kernel.
    pub fn matrix(&self, checkpoint: &Checkpoint) -> Option<Matrix> {
        let tensor = checkpoint.tensor(&self.tensor).filter(|_| !self.fixed)?;
        match self.fused() {
            Some(part) => float_matrix(tensor, part.total, self.cols, self.transposed)?.select(part.rows).ok(),
            None => float_matrix(tensor, self.rows, self.cols, self.stored_transposed()),
        }
    }

    /// Why [`Layer::matrix`] has none, after the layer's name.
    pub fn why_no_matrix(&self, checkpoint: &Checkpoint) -> String {
        if self.fixed {
            return "is stored compressed already; what it was is in the model that it came from: ask there".to_owned();
        }
        let reason = checkpoint.tensor(&self.tensor).and_then(why_unreadable);
        reason.unwrap_or_else(|| "cannot be read as a matrix".to_owned())
    }

    /// Whether it is a part of a fused tensor.
    pub fn is_part(&self) -> bool {
        split_stem(&self.name).is_some()
    }

    /// The names that a glob may match: its own, and where it is a part that of its fused tensor.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let fused = split_stem(&self.name).map(|(tensor, _)| tensor);
        std::iter::once(self.name.as_str()).chain(fused)
    }

    /// Its place in the fused tensor, where the file has that.
    pub fn fused(&self) -> Option<&FusedPart> {
        self.part.as_ref().filter(|part| part.tensor == self.tensor)
    }

    /// Whether the tensor that holds it is [in, out]; a part alone never is.
    pub fn stored_transposed(&self) -> bool {
        self.transposed && (self.part.is_none() || self.fused().is_some())
    }

    /// What the tensors that store it compressed are named after: `P` of `P.weight`, `P#k` of `P.weight#k`. `None` where its
    /// name has no such ending.
    pub fn stem(&self) -> Option<String> {
        stem_of(&self.name)
    }
}

/// Every layer, in the model's order: by block, then q k v (qkv) o gate up (`gate_up`) down, `lm_head` last.
/// Works on any checkpoint: where the family is unknown, every 2-D floating-point tensor that is no embedding is a layer of
/// kind `other` or as its name tells. Compressed layers that cannot be read are left out (running them says why).
pub fn layers_of(checkpoint: &Checkpoint) -> Vec<Layer> {
    let stored = stored_layers(checkpoint).unwrap_or_default();
    layers_with(checkpoint, &stored)
}

pub(super) fn layers_with(checkpoint: &Checkpoint, stored: &[StoredLayer]) -> Vec<Layer> {
    let (config, by_config) = described(checkpoint);
    let finder = Finder::new(checkpoint, stored);
    let tied = match (config, by_config, &finder.naming) {
        (Some(config), Some(family), Naming::Family(_, prefix)) => {
            is_tied(checkpoint, stored, &config, (family, prefix))
        }
        (Some(config), ..) => config.tied().ok().flatten().unwrap_or_default(),
        (None, ..) => false,
    };
    let plain = checkpoint.tensors().iter().flat_map(|tensor| finder.plain(tensor));
    let layers = plain.chain(stored.iter().map(|layer| finder.stored(layer)));
    let key = |layer: &Layer| (layer.block.unwrap_or(usize::MAX), layer.kind, counted(&layer.name));
    let used = layers.filter(|layer| !(layer.kind == Kind::LmHead && tied));
    let sorted: BTreeMap<(usize, Kind, String), Layer> = used.map(|layer| (key(&layer), layer)).collect();
    sorted.into_values().collect()
}

/// Stored layers with those of fused tensors that were compressed as a whole each as its parts, where the config tells them: rows
/// of the base and of U, beside the same Vh.
pub(super) fn in_parts(checkpoint: &Checkpoint, stored: Vec<StoredLayer>) -> Vec<StoredLayer> {
    let finder = Finder::new(checkpoint, &stored);
    let parts = |layer: StoredLayer| match finder.parts_of_stored(&layer) {
        Some(parts) if !parts.is_empty() => parts,
        _ => vec![layer],
    };
    stored.into_iter().flat_map(parts).collect()
}

/// The config and its family, as far as they can be read.
fn described(checkpoint: &Checkpoint) -> (Option<Config<'_>>, Option<&'static Family>) {
    let config = checkpoint.config().ok().map(|map| Config::new(map).text());
    (config, config.and_then(|config| family_of(&config).ok()))
}

/// Whether the head is the embedding: where the config (or, without its word, the family) says so, or the
/// file names one tensor as an alias of the other; but not where both are there and differ (as transformers has it since 5).
pub(super) fn is_tied(
    checkpoint: &Checkpoint,
    stored: &[StoredLayer],
    config: &Config,
    (family, prefix): (&Family, &str),
) -> bool {
    let (names, embedding) = (&family.names, format!("{prefix}{}", family.names.embedding));
    let is_head = |name: &str| name.strip_suffix(".weight").is_some_and(|stem| names.is_head(stem));
    if stored.iter().any(|layer| is_head(&layer.name)) {
        return false;
    }
    let head = checkpoint.tensors().iter().find(|tensor| is_head(&tensor.name));
    let says = config.tied().ok().flatten().unwrap_or(family.tied_by_default);
    let alias = |gone: &str| checkpoint.metadata().get(gone);
    match (checkpoint.tensor(&embedding), head) {
        (Some(embedding), Some(head)) => says && same(embedding, head),
        (None, Some(head)) => says || alias(&embedding) == Some(&head.name),
        _ => says || alias(&format!("{}.weight", names.head)) == Some(&embedding),
    }
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    a.dtype == b.dtype && a.shape == b.shape && a.data[..] == b.data[..]
}

/// A name that sorts by the numbers in it.
fn counted(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    let mut digits = String::new();
    for c in name.chars().chain([' ']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if !digits.is_empty() {
            let _ = write!(key, "{digits:0>8}");
            digits.clear();
        }
        key.push(c);
    }
    key
}

/// What the config makes of the blocks that the tensors hold, where it can be read.
fn architecture(
    checkpoint: &Checkpoint,
    family: &Family,
    naming: &Naming,
    stored: &[StoredLayer],
) -> Option<Architecture> {
    let names = checkpoint.tensors().iter().map(|tensor| &tensor.name).chain(stored.iter().map(|layer| &layer.name));
    let blocks = names.filter_map(|name| naming.place(&stem_of(name)?)?.0);
    let config = Config::new(checkpoint.config().ok()?).text();
    (family.describe)(&config.holding_blocks(blocks.max().map_or(0, |last| last.saturating_add(1)))).ok()
}

type Place = (Option<usize>, Kind);

/// Finds the layers that tensors stand for.
struct Finder {
    naming: Naming,
    architecture: Option<Architecture>,
}

impl Finder {
    fn new(checkpoint: &Checkpoint, stored: &[StoredLayer]) -> Self {
        let (_, by_config) = described(checkpoint);
        let family = by_config.or_else(|| family_by_tensors(checkpoint));
        let naming = family.map_or(Naming::Guess, |family| Naming::Family(family, family.names.prefix(checkpoint)));
        let architecture = by_config.and_then(|family| architecture(checkpoint, family, &naming, stored));
        Self { naming, architecture }
    }

    /// The parts of a fused layer that was compressed as a whole; `None` where the config does not make it so.
    fn parts_of_stored(&self, layer: &StoredLayer) -> Option<Vec<StoredLayer>> {
        let whole = self.stored(layer);
        let part = |kind: &Kind| {
            let cut = self.cut(&whole, *kind)?;
            let weight = layer.weight.select(cut.part?.rows).ok()?;
            Some(StoredLayer {
                name: cut.name,
                shape: (cut.rows, cut.cols),
                bytes: cut.bytes,
                dtype: layer.dtype,
                weight,
            })
        };
        parts_of(whole.kind).iter().map(part).collect()
    }

    /// The layer, or the parts, that a tensor is as it stands.
    fn plain(&self, tensor: &Tensor) -> Vec<Layer> {
        let stem = tensor.name.strip_suffix(".weight");
        let Some((stem, place)) = stem.and_then(|stem| Some((stem, self.naming.place(stem)?))) else {
            return Vec::new();
        };
        let alone = split_stem(stem).is_some();
        let transposed = self.naming.transposed(place);
        let Some(mut layer) = plain_layer(tensor, place, transposed && !alone) else { return Vec::new() };
        layer.transposed = transposed;
        if alone {
            layer.name = layer_name(stem);
            layer.part = self.part(&layer.name);
            return vec![layer];
        }
        let parts: Option<Vec<Layer>> = parts_of(layer.kind).iter().map(|part| self.cut(&layer, *part)).collect();
        parts.filter(|parts| !parts.is_empty()).unwrap_or_else(|| vec![layer])
    }

    /// A part of a fused layer; `None` where the config does not make it so.
    fn cut(&self, fused: &Layer, kind: Kind) -> Option<Layer> {
        let name = part_name(&fused.name, kind);
        let part = self.part(&name).filter(|part| part.total == fused.rows && part.rows.rows > 0)?;
        let bytes = fused.bytes * part.rows.rows as u64 / part.total as u64;
        Some(Layer { name, kind, rows: part.rows.rows, bytes, part: Some(part), ..fused.clone() })
    }

    /// A layer that the file stores compressed.
    fn stored(&self, layer: &StoredLayer) -> Layer {
        let place = stem_of(&layer.name).and_then(|stem| self.naming.place(&stem)).unwrap_or((None, Kind::Other));
        Layer {
            name: layer.name.clone(),
            tensor: layer.name.clone(),
            part: self.part(&layer.name),
            block: place.0,
            kind: place.1,
            rows: layer.shape.0,
            cols: layer.shape.1,
            dtype: layer.dtype,
            bytes: layer.bytes,
            fixed: true,
            transposed: self.naming.transposed(place),
        }
    }

    /// Where the part of that name lies in its fused tensor.
    fn part(&self, name: &str) -> Option<FusedPart> {
        let (tensor, kind) = split_stem(name)?;
        let (rows, total) = self.architecture.as_ref()?.fused_rows(kind)?;
        Some(FusedPart { tensor: tensor.to_owned(), rows, total })
    }
}

fn plain_layer(tensor: &Tensor, (block, kind): Place, transposed: bool) -> Option<Layer> {
    let [first, second] = *tensor.shape.as_slice() else { return None };
    let float =
        matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 | Dtype::F8_E4M3 | Dtype::F8_E5M2);
    if !float || first == 0 || second == 0 {
        return None;
    }
    let (rows, cols) = if transposed { (second, first) } else { (first, second) };
    let (name, dtype, bytes) = (tensor.name.clone(), tensor.dtype, tensor.stored_bytes());
    let tensor = name.clone();
    Some(Layer { name, tensor, part: None, block, kind, rows, cols, dtype, bytes, fixed: false, transposed })
}

/// How names are read.
enum Naming {
    /// As the family has them.
    Family(&'static Family, String),
    /// By words that many families use.
    Guess,
}

impl Naming {
    /// The place of what is named after `stem`: a tensor, or a part of one.
    fn place(&self, stem: &str) -> Option<Place> {
        if let Some((owner, part)) = split_stem(stem) {
            let (block, _) = self.place(owner).filter(|(_, kind)| parts_of(*kind).contains(&part))?;
            return Some((block, part));
        }
        match self {
            Self::Guess => guess(stem),
            Self::Family(family, _) if family.names.is_head(stem) => Some((None, Kind::LmHead)),
            Self::Family(family, prefix) => {
                let rest = stem.strip_prefix(prefix.as_str())?.strip_prefix(family.names.block)?;
                let (number, local) = rest.split_once('.')?;
                Some((Some(number.parse().ok()?), family.names.kind_of(local)?))
            }
        }
    }

    fn transposed(&self, place: Place) -> bool {
        matches!(self, Self::Family(family, _) if family.names.transposed && place.0.is_some())
    }
}

/// Place of a tensor by the words of its name; embeddings and norms have none.
fn guess(stem: &str) -> Option<Place> {
    let last = stem.rsplit('.').next()?;
    let lower = stem.to_ascii_lowercase();
    let excluded = ["embed", "wte", "wpe", "norm", "ln_", "position", "relative_attention"];
    if split_part(&format!("{stem}.weight")).is_some() || excluded.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let expert = stem.contains(".experts.");
    let kind = match last {
        "gate_proj" | "w1" if expert => Kind::ExpertGate,
        "up_proj" | "w3" if expert => Kind::ExpertUp,
        "down_proj" | "w2" if expert => Kind::ExpertDown,
        "gate" | "router" => Kind::Router,
        "q_proj" | "query" | "wq" | "q" | "to_q" => Kind::Q,
        "k_proj" | "key" | "wk" | "k" | "to_k" => Kind::K,
        "v_proj" | "value" | "wv" | "v" | "to_v" => Kind::V,
        "o_proj" | "out_proj" | "wo" | "o" | "to_out" => Kind::O,
        "query_key_value" | "qkv_proj" | "c_attn" | "qkv" | "in_proj" => Kind::Qkv,
        "gate_proj" | "w1" => Kind::Gate,
        "up_proj" | "fc1" | "c_fc" | "fc_in" | "dense_h_to_4h" | "w3" | "wi" => Kind::Up,
        "down_proj" | "fc2" | "fc_out" | "dense_4h_to_h" | "w2" => Kind::Down,
        "gate_up_proj" => Kind::GateUp,
        "lm_head" | "embed_out" => Kind::LmHead,
        _ => Kind::Other,
    };
    let block = stem.split('.').find_map(|part| part.parse().ok());
    Some((block, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unknown_families_are_guessed() {
        assert_eq!(guess("encoder.layer.3.attention.query"), Some((Some(3), Kind::Q)));
        assert_eq!(guess("decoder.blocks.11.mlp.odd"), Some((Some(11), Kind::Other)));
        assert_eq!(guess("model.layers.2.mlp.experts.7.gate_proj"), Some((Some(2), Kind::ExpertGate)));
        assert_eq!(guess("model.layers.2.mlp.experts.7.w2"), Some((Some(2), Kind::ExpertDown)));
        assert_eq!(guess("model.layers.2.mlp.gate"), Some((Some(2), Kind::Router)));
        assert_eq!(guess("model.embed_tokens"), None);
        assert_eq!(guess("h.0.ln_1"), None);
    }
}
