//! A policy resolved against a model's layers. STUB (room `compress`).

use super::{Issue, Plan, Policy, PolicyError};
use crate::model::Layer;

/// A layer's plan and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The plan.
    pub plan: Plan,
    /// Index of the rule that won; `None`: no rule matched, dense.
    pub rule: Option<usize>,
}

/// Answers `{"energy": q}` for layer `index`: the least rank that keeps the share q.
pub type RankSource<'a> = &'a mut dyn FnMut(usize, f64) -> Result<usize, String>;

/// Resolves every layer; warnings are rules that match nothing. Fixed layers keep `Plan::dense()` and no rule may touch them.
///
/// # Errors
/// Ranks above min(m, n), a plan of nothing (base none, rank 0), globs that are not.
pub fn resolve(_policy: &Policy, _layers: &[Layer], _energy_rank: RankSource<'_>) -> Result<(Vec<Resolved>, Vec<Issue>), PolicyError> { todo!() }

/// Layers whose plans differ between two resolutions: (index, from, to).
pub fn diff(_from: &[Resolved], _to: &[Resolved]) -> Vec<(usize, Plan, Plan)> { todo!() }
