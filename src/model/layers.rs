//! The layers of a checkpoint: the two-dimensional weights of linear maps.

use std::collections::BTreeMap;

use serde::Serialize;

use super::config::Config;
use super::family::{Family, family_by_tensors, family_of};
use super::stored::{StoredLayer, split_part, stored_layers};
use crate::checkpoint::{Checkpoint, Dtype, Tensor};
use crate::linalg::{Matrix, Order, Values};

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
    /// Tensor name as the checkpoint has it (for a compressed folder: the original `P.weight`).
    pub name: String,
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
    /// Whether the file stores it [in, out] (GPT-2's Conv1D), or would if it did not store it compressed.
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
        let tensor = checkpoint.tensor(&self.name).filter(|_| !self.fixed)?;
        float_matrix(tensor, self.rows, self.cols, self.transposed)
    }
}

/// A floating-point tensor as a matrix [rows, cols] that shares its bytes; `None` for other types and sizes.
pub(super) fn float_matrix(tensor: &Tensor, rows: usize, cols: usize, transposed: bool) -> Option<Matrix> {
    let values = match tensor.dtype {
        Dtype::F32 => Values::F32(tensor.data.view()?),
        Dtype::F16 => Values::F16(tensor.data.view()?),
        Dtype::BF16 => Values::Bf16(tensor.data.view()?),
        _ => return None,
    };
    let order = if transposed { Order::ColumnMajor } else { Order::RowMajor };
    Matrix::new(rows, cols, order, values).ok()
}

/// Every layer, in the model's order: by block, then q k v (qkv) o gate up (`gate_up`) down, `lm_head` last.
/// Works on any checkpoint: where the family is unknown, every 2-D floating-point tensor that is no embedding is a layer of
/// kind `other` or as its name tells. Compressed layers that cannot be read are left out (running them says why).
pub fn layers_of(checkpoint: &Checkpoint) -> Vec<Layer> {
    let stored = stored_layers(checkpoint).unwrap_or_default();
    layers_with(checkpoint, &stored)
}

pub(super) fn layers_with(checkpoint: &Checkpoint, stored: &[StoredLayer]) -> Vec<Layer> {
    let by_config = checkpoint.config().ok().and_then(|map| family_of(&Config::new(map)).ok());
    let family = by_config.or_else(|| family_by_tensors(checkpoint));
    let naming = family.map_or(Naming::Guess, |family| Naming::Family(family, family.names.prefix(checkpoint)));
    let tied_by_config = checkpoint.config().ok().and_then(|map| map.get("tie_word_embeddings")?.as_bool());
    let tied = tied_by_config.unwrap_or(by_config.is_some_and(|family| family.tied_by_default));
    let mut layers: BTreeMap<SortKey, Layer> = BTreeMap::new();
    let mut insert = |layer: Layer| {
        let unused_head = layer.kind == Kind::LmHead && tied;
        if !unused_head {
            layers.insert((layer.block.unwrap_or(usize::MAX), layer.kind, layer.name.clone()), layer);
        }
    };
    for tensor in checkpoint.tensors() {
        let layer = naming.place(&tensor.name).and_then(|place| plain_layer(tensor, place, naming.transposed(place)));
        layer.into_iter().for_each(&mut insert);
    }
    for layer in stored {
        let (block, kind) = naming.place(&layer.name).unwrap_or((None, Kind::Other));
        insert(Layer {
            name: layer.name.clone(),
            block,
            kind,
            rows: layer.shape.0,
            cols: layer.shape.1,
            dtype: layer.dtype,
            bytes: layer.bytes,
            fixed: true,
            transposed: naming.transposed((block, kind)),
        });
    }
    layers.into_values().collect()
}

type SortKey = (usize, Kind, String);
type Place = (Option<usize>, Kind);

fn plain_layer(tensor: &Tensor, (block, kind): Place, transposed: bool) -> Option<Layer> {
    let [first, second] = *tensor.shape.as_slice() else { return None };
    let float =
        matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 | Dtype::F8_E4M3 | Dtype::F8_E5M2);
    if !float || first == 0 || second == 0 {
        return None;
    }
    let (rows, cols) = if transposed { (second, first) } else { (first, second) };
    let (name, dtype, bytes) = (tensor.name.clone(), tensor.dtype, tensor.data.len() as u64);
    Some(Layer { name, block, kind, rows, cols, dtype, bytes, fixed: false, transposed })
}

/// How names are read.
enum Naming {
    /// As the family has them.
    Family(&'static Family, &'static str),
    /// By words that many families use.
    Guess,
}

impl Naming {
    fn place(&self, name: &str) -> Option<Place> {
        let stem = name.strip_suffix(".weight")?;
        match self {
            Self::Guess => guess(stem),
            Self::Family(family, _) if stem == family.names.head => Some((None, Kind::LmHead)),
            Self::Family(family, prefix) => {
                let rest = stem.strip_prefix(prefix)?.strip_prefix(family.names.block)?;
                let (number, local) = rest.split_once('.')?;
                let linear = family.names.linears.iter().find(|(_, known)| *known == local)?;
                Some((Some(number.parse().ok()?), linear.0))
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
    let kind = match last {
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
        assert_eq!(guess("model.embed_tokens"), None);
        assert_eq!(guess("h.0.ln_1"), None);
    }
}
