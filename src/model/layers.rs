//! The layers of a checkpoint: the two-dimensional weights of linear maps. STUB (room `model`).

use serde::Serialize;

use crate::checkpoint::{Checkpoint, Dtype};
use crate::linalg::Matrix;

/// What a layer does in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum Kind { Q, K, V, O, Qkv, Gate, Up, Down, GateUp, LmHead, ExpertGate, ExpertUp, ExpertDown, Router, Other }

impl Kind {
    /// The word in JSON and on the screen (`lm_head`).
    pub fn name(self) -> &'static str { todo!() }
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
}

impl Layer {
    /// m * n.
    pub fn parameters(&self) -> u64 { self.rows as u64 * self.cols as u64 }
    /// min(m, n), the largest rank.
    pub fn max_rank(&self) -> usize { self.rows.min(self.cols) }
    /// The matrix as stored, sharing the file's bytes. `None` for a fixed (compressed) layer.
    pub fn matrix(&self, _checkpoint: &Checkpoint) -> Option<Matrix> { todo!() }
}

/// Every layer, in the model's order: by block, then q k v o (qkv) gate up down, lm_head last.
/// Works on any checkpoint: where the family is unknown, every 2-D floating-point tensor that is no embedding is a layer of
/// kind `other` or as its name tells.
pub fn layers_of(_checkpoint: &Checkpoint) -> Vec<Layer> { todo!() }
