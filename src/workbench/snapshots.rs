//! Named copies of all plans, to go back to and to compare with.

use std::collections::BTreeMap;

use super::draft::DraftPlan;
use super::plans::admissible;
use super::{LayerRow, SessionStep, Workbench};
use crate::checkpoint::escaped;
use crate::compress::{Plan, diff};

/// No more than so many are kept.
const KEPT: usize = 50;

/// The plans of all layers under a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The name.
    pub name: String,
    /// A plan for every layer.
    pub plans: Vec<Plan>,
}

/// A snapshot as a draft keeps it: the layers that are not dense.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct DraftSnapshot {
    /// The name.
    pub name: String,
    /// The plans.
    pub plans: Vec<DraftPlan>,
}

impl Workbench {
    /// The plans as they are.
    pub fn plans(&self) -> Vec<Plan> {
        self.rows.iter().map(|row| row.plan).collect()
    }

    /// The plans after so many edits, those that were undone counted on.
    pub fn plans_after(&self, edits: usize) -> Vec<Plan> {
        let mut plans = self.plans();
        let mut set = |layer: usize, plan: Plan| {
            if let Some(slot) = plans.get_mut(layer) {
                *slot = plan;
            }
        };
        let done = self.history.done.len();
        self.history
            .done
            .iter()
            .skip(edits)
            .rev()
            .for_each(|edit| edit.changes.iter().for_each(|one| set(one.0, one.1)));
        let again = self.history.undone.iter().rev().take(edits.saturating_sub(done));
        again.for_each(|edit| edit.changes.iter().for_each(|one| set(one.0, one.2)));
        plans
    }

    /// Undoes or redoes until so many edits are done, as one change of the models.
    pub fn go_to_edit(&mut self, edits: usize) {
        let wanted = self.plans_after(edits);
        while self.history.done.len() > edits && self.history.undo().is_some() {
            self.steps.push(SessionStep::Undo);
        }
        while self.history.done.len() < edits && self.history.redo().is_some() {
            self.steps.push(SessionStep::Redo);
        }
        let plans = self.plans();
        let changed: Vec<_> = diff(&plans, &wanted).into_iter().map(|(layer, _, plan)| (layer, plan)).collect();
        self.apply(&changed);
    }

    /// The named snapshots, oldest first.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// Keeps the plans as they are under a name; one of that name is replaced.
    ///
    /// # Errors
    /// The message for the line: no name, or too many.
    pub fn take_snapshot(&mut self, name: &str) -> Result<(), String> {
        let name = escaped(name.trim(), 60);
        if name.is_empty() {
            return Err("type a name".into());
        }
        if self.project.is_none() {
            return Err("no model is open".into());
        }
        self.snapshots.retain(|one| one.name != name);
        if self.snapshots.len() >= KEPT {
            return Err(format!("{KEPT} snapshots are kept; drop one first"));
        }
        self.snapshots.push(Snapshot { name, plans: self.plans() });
        Ok(())
    }

    /// Gives all layers the plans of a snapshot, as one undoable edit.
    pub fn restore_snapshot(&mut self, index: usize) {
        let Some(snapshot) = self.snapshots.get(index).cloned() else { return };
        let fixed = |row: &LayerRow| row.layer.fixed;
        let plans = snapshot.plans.into_iter().enumerate();
        let open: Vec<_> = plans.filter(|(layer, _)| self.rows.get(*layer).is_some_and(|row| !fixed(row))).collect();
        self.set_plans(&format!("snapshot {}", snapshot.name), &open);
    }

    /// Forgets a snapshot.
    pub fn drop_snapshot(&mut self, index: usize) {
        if index < self.snapshots.len() {
            self.snapshots.remove(index);
        }
    }

    pub(super) fn kept_snapshots(&self) -> Vec<DraftSnapshot> {
        let kept = |snapshot: &Snapshot| {
            let changed = snapshot.plans.iter().zip(&self.rows).filter(|(plan, _)| !plan.is_dense());
            let plans = changed.map(|(plan, row)| DraftPlan::new(row.layer.name.clone(), *plan)).collect();
            DraftSnapshot { name: snapshot.name.clone(), plans }
        };
        self.snapshots.iter().map(kept).collect()
    }

    /// Takes kept snapshots back; layers that are not there, or plans that they cannot have, are dense.
    pub(super) fn take_back_snapshots(&mut self, kept: &[DraftSnapshot]) {
        for one in kept.iter().take(KEPT) {
            let named: BTreeMap<&str, Plan> = one.plans.iter().map(|plan| (plan.layer.as_str(), plan.plan())).collect();
            let plan = |row: &LayerRow| {
                let plan = named.get(row.layer.name.as_str())?;
                admissible(plan, &row.layer).ok()
            };
            let plans = self.rows.iter().map(|row| plan(row).unwrap_or_default()).collect();
            self.snapshots.push(Snapshot { name: escaped(&one.name, 60), plans });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_keeps_what_is_not_dense() {
        let kept = DraftSnapshot { name: "a".into(), plans: vec![DraftPlan::new("h.0".into(), Plan::low_rank(3))] };
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<DraftSnapshot>(&text).unwrap(), kept);
    }
}
