//! A policy found for a budget as a difference to the plans as they are, accepted or rejected layer by layer.

use super::LayerRow;
use crate::compress::Plan;
use crate::measure::{Priced, ProposedLayer, WithinBudget};
use crate::model::Kind;

/// A layer that would get another plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its index in the model.
    pub layer: usize,
    /// Its name.
    pub name: String,
    /// Its block, where it lies in one.
    pub block: Option<usize>,
    /// Its kind.
    pub kind: Kind,
    /// Its plan when the proposal came.
    pub now: Plan,
    /// Its bytes under that plan.
    pub bytes_now: u64,
    /// The damage of that plan (KLD in nats), where it is known.
    pub damage_now: Option<f64>,
    /// What is proposed, with its bytes and its predicted damage.
    pub proposed: Priced,
    /// The next smaller plan worth anything, which was not chosen.
    pub smaller: Option<Priced>,
    /// The next larger one.
    pub larger: Option<Priced>,
    /// Whether it is to be made.
    pub accepted: bool,
}

/// Sums over the model with the changes that are accepted so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReviewTotals {
    /// Changes accepted.
    pub accepted: usize,
    /// Bytes of the whole model.
    pub bytes: u64,
    /// Bits a weight over the layers.
    pub bits_per_weight: f64,
    /// The sum of the layers' damages, KLD in nats; `None` where the damage of a plan that would stay is not known.
    pub predicted: Option<f64>,
    /// The KLD measured with all changes made, where all are accepted.
    pub measured: Option<f64>,
}

/// The difference with what is accepted of it. All of it is at first, since only the whole was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// Grows with every proposal.
    pub serial: u64,
    /// The budget as it was typed.
    pub label: String,
    /// Bytes of the whole model that the budget allows.
    pub budget_bytes: u64,
    /// The layers that would change, in the model's order.
    pub changes: Vec<Change>,
    /// The KLD measured with all changes made.
    measured: f64,
    /// Bytes of the model and of its layers under the plans as they are, and parameters of the layers.
    bytes: u64,
    layer_bytes: u64,
    parameters: u64,
    /// The damage of the layers whose plan is what was proposed already.
    unchanged: f64,
}

impl Review {
    /// What `found` would change in `rows`, of a model that takes `bytes` under their plans.
    pub(super) fn new(serial: u64, label: String, found: &WithinBudget, rows: &[LayerRow], bytes: u64) -> Self {
        let each = || found.proposal.layers.iter().filter_map(|layer| Some((layer, rows.get(layer.layer)?)));
        let stays = |layer: &ProposedLayer, row: &LayerRow| layer.chosen.plan == row.plan;
        Self {
            serial,
            label,
            budget_bytes: found.budget.model_bytes(&found.sizes),
            changes: each()
                .filter(|(layer, row)| !stays(layer, row))
                .map(|(layer, row)| Change::new(layer, row))
                .collect(),
            measured: found.proposal.measured,
            bytes,
            layer_bytes: rows.iter().map(|row| row.bytes_after).sum(),
            parameters: found.sizes.parameters,
            unchanged: each().filter(|(layer, row)| stays(layer, row)).map(|(layer, _)| layer.chosen.damage).sum(),
        }
    }

    /// Accepts the change on a line, or rejects it where it was accepted.
    pub fn toggle(&mut self, line: usize) {
        if let Some(change) = self.changes.get_mut(line) {
            change.accepted = !change.accepted;
        }
    }

    /// Accepts every change of a layer of the same kind as that on a line; rejects them where all were accepted.
    pub fn toggle_kind(&mut self, line: usize) {
        let Some(kind) = self.changes.get(line).map(|change| change.kind) else { return };
        let all = self.changes.iter().filter(|change| change.kind == kind).all(|change| change.accepted);
        self.changes.iter_mut().filter(|change| change.kind == kind).for_each(|change| change.accepted = !all);
    }

    /// Accepts, or rejects, all.
    pub fn set_all(&mut self, accepted: bool) {
        self.changes.iter_mut().for_each(|change| change.accepted = accepted);
    }

    /// The sums over what is accepted.
    pub fn totals(&self) -> ReviewTotals {
        let chosen = || self.changes.iter().filter(|change| change.accepted);
        let (accepted, gained) = (chosen().count(), chosen().map(|change| change.proposed.bytes).sum::<u64>());
        let lost: u64 = chosen().map(|change| change.bytes_now).sum();
        let damage = |change: &Change| if change.accepted { Some(change.proposed.damage) } else { change.damage_now };
        ReviewTotals {
            accepted,
            bytes: (self.bytes + gained).saturating_sub(lost),
            bits_per_weight: 8.0 * (self.layer_bytes + gained).saturating_sub(lost) as f64
                / self.parameters.max(1) as f64,
            predicted: self.changes.iter().map(damage).sum::<Option<f64>>().map(|changed| changed + self.unchanged),
            measured: (accepted == self.changes.len()).then_some(self.measured),
        }
    }

    /// The plans of the accepted changes.
    pub(super) fn accepted(&self) -> Vec<(usize, Plan)> {
        let chosen = self.changes.iter().filter(|change| change.accepted);
        chosen.map(|change| (change.layer, change.proposed.plan)).collect()
    }

    /// `plan within 4.5bpw: 31 of 36 layers`.
    pub(super) fn edit_name(&self) -> String {
        format!("plan within {}: {} of {} layers", self.label, self.totals().accepted, self.changes.len())
    }
}

impl Change {
    fn new(layer: &ProposedLayer, row: &LayerRow) -> Self {
        Self {
            layer: layer.layer,
            name: row.layer.name.clone(),
            block: row.layer.block,
            kind: row.layer.kind,
            now: row.plan,
            bytes_now: row.bytes_after,
            damage_now: layer.now.filter(|now| now.plan == row.plan).map(|now| now.damage),
            proposed: layer.chosen,
            smaller: layer.smaller,
            larger: layer.larger,
            accepted: true,
        }
    }
}
