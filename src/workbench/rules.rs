//! The policy that the plans began from, and what its rules give on the open model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::draft::stamp;
use super::plans::admissible;
use super::{LayerRow, Severity};
use crate::checkpoint::escaped;
use crate::compress::{Plan, Policy, PolicyError, resolve};
use crate::measure::{Spectrum, energy_rank};
use crate::model::Layer;

/// A policy file as it was when it was read or written here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PolicyFile {
    pub(super) path: PathBuf,
    /// BLAKE3 of its text.
    pub(super) stamp: String,
}

impl PolicyFile {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self { path: path.to_owned(), stamp: stamp(text.as_bytes()) }
    }
}

/// A plan whose rank waits for the layer's spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Waiting {
    template: Plan,
    share: f64,
}

impl Waiting {
    /// The plan, now that the spectrum is known.
    pub(super) fn plan(&self, spectrum: &Spectrum) -> Plan {
        Plan { rank: energy_rank(&spectrum.values, self.share), ..self.template }
    }
}

/// A policy and the plans that its rules give.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) policy: Policy,
    /// One per layer; `None` while its rank waits for the spectrum.
    pub(super) plans: Vec<Option<Plan>>,
    /// What waits.
    pub(super) waiting: BTreeMap<usize, Waiting>,
}

/// A notice that opening or applying a policy gives rise to.
pub(super) type Notice = (Severity, String);

impl Rules {
    /// No rules: every layer dense.
    pub(super) fn none(layers: usize) -> Self {
        Self { policy: Policy::default(), plans: vec![Some(Plan::dense()); layers], waiting: BTreeMap::new() }
    }

    /// Resolves `policy`; ranks by energy wait where `spectrum` does not know the layer yet. Plans that a layer cannot have
    /// become dense, with a notice.
    ///
    /// # Errors
    /// As [`resolve`].
    pub(super) fn resolve(
        policy: Policy,
        layers: &[Layer],
        spectrum: &dyn Fn(usize) -> Option<Arc<Spectrum>>,
    ) -> Result<(Self, Vec<Notice>), PolicyError> {
        let mut shares = BTreeMap::new();
        let (resolved, issues) = resolve(&policy, layers, &mut |layer, share| {
            Ok(spectrum(layer).map_or_else(
                || {
                    shares.insert(layer, share);
                    1
                },
                |spectrum| energy_rank(&spectrum.values, share),
            ))
        })?;
        let mut rules = Self { policy, plans: Vec::new(), waiting: BTreeMap::new() };
        let mut notices: Vec<Notice> =
            issues.iter().map(|issue| (Severity::Warning, format!("policy: {issue}"))).collect();
        for (index, (layer, found)) in layers.iter().zip(&resolved).enumerate() {
            let plan = if layer.fixed { Ok(Plan::dense()) } else { checked(&found.plan, layer) };
            let share = shares.get(&index).filter(|_| found.plan.rank > 0);
            rules.plans.push(match (plan, share) {
                (Ok(template), Some(share)) => {
                    rules.waiting.insert(index, Waiting { template, share: *share });
                    None
                }
                (Ok(plan), None) => Some(plan),
                (Err(reason), _) => {
                    notices.push((
                        Severity::Warning,
                        format!("policy: {} stays dense: {reason}", escaped(&layer.name, 200)),
                    ));
                    Some(Plan::dense())
                }
            });
        }
        Ok((rules, notices))
    }

    /// The plans to begin with: dense where the rank waits.
    pub(super) fn initial(&self) -> Vec<Plan> {
        self.plans.iter().map(|plan| plan.unwrap_or_default()).collect()
    }

    /// The plan of a layer stored as `stored`: the rules' own (it knows flags that do not show in the stored parts) where
    /// both are of one form.
    pub(super) fn agree(&mut self, layer: usize, stored: Plan) -> Plan {
        let form = |plan: &Plan| (plan.base, plan.rank, plan.group, (plan.rank > 0).then_some(plan.factors));
        let waited = self.waiting.get(&layer).map(|waiting| Plan { rank: stored.rank, ..waiting.template });
        let Some(slot) = self.plans.get_mut(layer) else { return stored };
        match slot.or(waited) {
            Some(plan) if form(&plan) == form(&stored) => {
                *slot = Some(plan);
                self.waiting.remove(&layer);
                plan
            }
            _ => stored,
        }
    }

    /// Fingerprint of the statistics that the policy was made with.
    pub(super) fn made_with(&self) -> Option<&str> {
        self.policy.calibration.as_deref()
    }

    /// The policy that gives `wanted`: these rules, with exact ones for the layers that they give another plan. A layer that
    /// still waits keeps its rule unless it was `edited` meanwhile.
    pub(super) fn policy(&self, layers: &[Layer], wanted: &[Plan], edited: &dyn Fn(usize) -> bool) -> Policy {
        let unlike = |plan: &Plan| if plan.is_dense() { Plan::low_rank(1) } else { Plan::dense() };
        let given = self.plans.iter().zip(wanted).enumerate().map(|(layer, (plan, wanted))| {
            plan.unwrap_or_else(|| if edited(layer) { unlike(wanted) } else { *wanted })
        });
        self.policy.with_plans(layers, &given.collect::<Vec<_>>(), wanted)
    }
}

/// A plan as a rule states it, where the layer can have it.
fn checked(plan: &Plan, layer: &Layer) -> Result<Plan, &'static str> {
    if plan.is_dense() { Ok(*plan) } else { admissible(plan, layer) }
}

/// The errors of a policy as messages.
pub(super) fn errors(error: &PolicyError) -> impl Iterator<Item = Notice> {
    error.issues.iter().map(|issue| (Severity::Error, format!("policy: {issue}")))
}

/// The plans of all rows as the policy sees them: what is fixed is nobody's plan.
pub(super) fn plans(rows: &[LayerRow]) -> Vec<Plan> {
    rows.iter().map(|row| if row.layer.fixed { Plan::dense() } else { row.plan }).collect()
}
