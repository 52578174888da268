//! Plans: edits with undo, what they set off, and what comes back of it.

use std::sync::Arc;

use super::encode::{Encode, Part};
use super::events::EncodedLayer;
use super::plans::admissible;
use super::state::Encoding;
use super::{Edit, History, JobId, JobKind, JobState, LayerRow, Measured, SessionStep, Severity, Workbench};
use crate::checkpoint::escaped;
use crate::compress::Plan;
use crate::control::Control;
use crate::measure::Spectrum;
use crate::model::CompressedLinear;

/// Layers that cannot be decomposed are named up to this many.
const NAMED: usize = 3;

impl Workbench {
    /// Changes plans as one undoable, named edit; plans that a layer cannot have are clamped or refused with a message.
    /// Encoding starts in the background (latest wins per layer); a running text takes the change from its next token on.
    pub fn set_plans(&mut self, name: &str, plans: &[(usize, Plan)]) {
        let mut changes: Vec<(usize, Plan, Plan)> = Vec::new();
        let mut refused: Vec<(usize, &'static str)> = Vec::new();
        for (layer, plan) in plans {
            let Some(row) = self.rows.get(*layer) else { continue };
            let dense = plan.is_dense() && !row.layer.fixed;
            match if dense { Ok(*plan) } else { admissible(plan, &row.layer) } {
                Ok(plan) => {
                    changes.retain(|change| change.0 != *layer);
                    if plan != row.plan || self.waits(*layer) {
                        changes.push((*layer, row.plan, plan));
                    }
                }
                Err(reason) => refused.push((*layer, reason)),
            }
        }
        self.refuse(&refused);
        if changes.is_empty() {
            return;
        }
        self.edit(Edit { name: name.to_owned(), changes });
    }

    /// Does an edit that is possible.
    pub(super) fn edit(&mut self, edit: Edit) {
        let wanted: Vec<_> = edit.changes.iter().map(|change| (change.0, change.2)).collect();
        self.record_edit(&edit);
        self.history.push(edit);
        self.apply(&wanted);
    }

    /// Undoes the last edit; its name.
    pub fn undo(&mut self) -> Option<String> {
        let edit = self.history.undo()?;
        self.steps.push(SessionStep::Undo);
        let plans: Vec<_> = edit.changes.iter().map(|change| (change.0, change.1)).collect();
        self.apply(&plans);
        Some(edit.name)
    }

    /// Redoes; its name.
    pub fn redo(&mut self) -> Option<String> {
        let edit = self.history.redo()?;
        self.steps.push(SessionStep::Redo);
        let plans: Vec<_> = edit.changes.iter().map(|change| (change.0, change.2)).collect();
        self.apply(&plans);
        Some(edit.name)
    }

    /// Edits so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Whether the plans differ from the policy last saved or loaded.
    pub fn unsaved(&self) -> bool {
        let Some(project) = &self.project else { return false };
        self.rows.iter().zip(&project.saved).enumerate().any(|(layer, (row, saved))| match saved {
            Some(saved) => row.plan != *saved,
            None => self.edited(layer),
        })
    }

    /// Whether an edit that is done changed this layer.
    pub(super) fn edited(&self, layer: usize) -> bool {
        self.history.done.iter().any(|edit| edit.changes.iter().any(|change| change.0 == layer))
    }

    fn waits(&self, layer: usize) -> bool {
        self.project.as_ref().is_some_and(|project| project.rules.waiting.contains_key(&layer))
    }

    fn refuse(&mut self, refused: &[(usize, &'static str)]) {
        let Some((first, reason)) = refused.first() else { return };
        let name = self.rows.get(*first).map_or(String::new(), |row| escaped(&row.layer.name, 200));
        let more = if refused.len() > 1 { format!(" and {} more", refused.len() - 1) } else { String::new() };
        self.messages.say(Severity::Warning, &format!("{name}{more}: {reason}"));
    }

    /// Gives layers other plans, and starts what follows from that.
    pub(super) fn apply(&mut self, plans: &[(usize, Plan)]) {
        let parts = plans.iter().filter_map(|(layer, plan)| self.change(*layer, *plan, None)).collect();
        self.encode(parts);
        self.calibrate_if_needed();
        self.note_stale();
        self.refresh_totals();
    }

    /// Encodes what waited for input statistics, and measures the output errors of what is encoded already.
    pub(super) fn encode_again(&mut self) {
        let rows = self.rows.iter().map(|row| row.plan).enumerate().filter(|(_, plan)| !plan.is_dense());
        let wanted: Vec<_> = rows.map(|(layer, plan)| (layer, plan, self.stored(layer, plan))).collect();
        let parts = wanted.into_iter().filter_map(|(layer, plan, given)| self.change(layer, plan, given)).collect();
        self.encode(parts);
    }

    /// Encodes the layers that could not be encoded.
    fn encode_failed(&mut self) {
        let failed = |row: &LayerRow| matches!(row.measured, Measured::Failed(_));
        let rows = self.rows.iter().enumerate().filter(|(_, row)| failed(row) && !row.layer.fixed);
        let plans: Vec<_> = rows.map(|(layer, row)| (layer, row.plan)).collect();
        self.apply(&plans);
    }

    /// The stored form of a layer, where it is known under this plan.
    pub(super) fn stored(&self, layer: usize, plan: Plan) -> Option<Arc<CompressedLinear>> {
        let kept = self.project.as_ref()?.encoded.get(layer)?.as_ref()?;
        (kept.0 == plan).then(|| Arc::clone(&kept.1))
    }

    /// Encodes what a freshly opened model's plans ask for.
    pub(super) fn encode_all(&mut self, given: Vec<Option<Arc<CompressedLinear>>>) {
        let plans: Vec<_> = self.rows.iter().map(|row| row.plan).collect();
        let parts = plans.iter().zip(given).enumerate().filter(|(_, (plan, _))| !plan.is_dense());
        let parts = parts.filter_map(|(layer, (plan, given))| self.change(layer, *plan, given)).collect();
        self.encode(parts);
        self.calibrate_if_needed();
    }

    /// Changes one layer; what is to be encoded for it.
    fn change(&mut self, layer: usize, plan: Plan, given: Option<Arc<CompressedLinear>>) -> Option<Part> {
        let (row, project) = (self.rows.get_mut(layer)?, self.project.as_mut()?);
        row.set_plan(plan);
        if let Some(Some(residual)) = project.residuals.get(layer) {
            row.set_residual(residual);
        }
        if row.layer.fixed {
            return None;
        }
        if let Some(earlier) = project.encoding.get_mut(layer).and_then(Option::take) {
            earlier.control.cancel();
        }
        if plan.is_dense() {
            let dense = project.runnable.as_ref().and_then(|runnable| runnable.model.weight(layer));
            if let (Some(cell), Some(weight)) = (&project.compressed, dense) {
                cell.swap(layer, plan, Arc::clone(weight));
            }
            project.encoded.get_mut(layer)?.take();
            return None;
        }
        // It is encoded once they are known.
        let waits = plan.needs_statistics() && project.calibration.is_none() && given.is_none();
        (!waits).then(|| Part { layer, plan, given, control: Control::new() })
    }

    fn encode(&mut self, parts: Vec<Part>) {
        let (Some(project), Some(first)) = (&mut self.project, parts.first()) else { return };
        let name = match (parts.len(), project.layers.get(first.layer)) {
            (1, Some(layer)) => format!("encode {}", escaped(&layer.name, 100)),
            (count, _) => format!("encode {count} layers"),
        };
        let controls: Vec<_> = parts.iter().map(|part| part.control.clone()).collect();
        let layers: Vec<_> = parts.iter().map(|part| part.layer).collect();
        let work = Encode {
            checkpoint: Arc::clone(&project.checkpoint),
            layers: Arc::clone(&project.layers),
            cache: self.cache.clone(),
            calibration: project.calibration.clone(),
            parts,
            told: Arc::clone(&project.told),
        };
        let job = self.jobs.spawn(JobKind::Encode, name, controls.clone(), move |task| work.run(task));
        self.jobs.again_by(job, Self::encode_failed);
        for (layer, control) in layers.into_iter().zip(controls) {
            if let Some(slot) = project.encoding.get_mut(layer) {
                *slot = Some(Encoding { job, control });
            }
        }
    }

    /// A layer came back encoded: if it is still what is wanted, the compressed model runs on it from now on.
    pub(super) fn encoded_arrived(&mut self, job: JobId, layer: usize, outcome: Result<EncodedLayer, String>) {
        let (Some(project), Some(row)) = (&mut self.project, self.rows.get_mut(layer)) else { return };
        let Some(slot) = project.encoding.get_mut(layer).filter(|slot| slot.as_ref().is_some_and(|one| one.job == job))
        else {
            return;
        };
        *slot = None;
        match outcome {
            Ok(EncodedLayer { weight, error, output_error, predicted, curve, residual }) => {
                row.set_curve(curve);
                row.note_measured(error, output_error);
                (row.measured, row.output_error) = (Measured::Error(error), output_error);
                if let (Some(residual), Some(slot)) = (residual, project.residuals.get_mut(layer)) {
                    row.set_residual(&residual);
                    *slot = Some(residual);
                }
                if let Some(errors) = predicted {
                    row.set_predicted(errors);
                }
                if let Some(cell) = &project.compressed {
                    cell.swap(layer, row.plan, Arc::clone(&weight));
                    if let Some(kept) = project.encoded.get_mut(layer) {
                        *kept = Some((row.plan, weight));
                    }
                }
            }
            Err(reason) => row.measured = Measured::Failed(reason),
        }
    }

    /// Layers that an encode job left undone when it ended.
    pub(super) fn give_up_encoding(&mut self, job: JobId, state: &JobState) {
        let Some(project) = &mut self.project else { return };
        let reason = match state {
            JobState::Failed(reason) => reason.clone(),
            _ => "cancelled; change the plan to encode it again".to_owned(),
        };
        for (slot, row) in project.encoding.iter_mut().zip(&mut self.rows) {
            if slot.as_ref().is_some_and(|one| one.job == job) {
                *slot = None;
                row.measured = Measured::Failed(reason.clone());
            }
        }
    }

    /// A layer's spectrum is known, or there is none.
    pub(super) fn spectrum_arrived(&mut self, model: u64, layer: usize, outcome: Result<Arc<Spectrum>, String>) {
        let (Some(project), Some(row)) = (&mut self.project, self.rows.get_mut(layer)) else { return };
        if project.serial != model {
            return;
        }
        let waiting = project.rules.waiting.remove(&layer);
        let plan = match &outcome {
            Ok(spectrum) => waiting.and_then(|waiting| admissible(&waiting.plan(spectrum), &row.layer).ok()),
            Err(reason) => {
                project.undecomposed += 1;
                let more = if project.undecomposed == NAMED { " (other layers like it are not named)" } else { "" };
                if project.undecomposed <= NAMED {
                    let name = escaped(&row.layer.name, 200);
                    self.messages.say(Severity::Warning, &format!("{name}: {reason}; keep it dense{more}"));
                }
                None
            }
        };
        if let Ok(spectrum) = outcome {
            row.set_spectrum(spectrum);
        }
        if waiting.is_some() {
            self.resolved(layer, plan.unwrap_or_default());
        }
    }

    pub(super) fn power_law_arrived(&mut self, model: u64, layer: usize, alpha: f64) {
        let same = self.project.as_ref().is_some_and(|project| project.serial == model);
        if let Some(row) = self.rows.get_mut(layer).filter(|_| same) {
            row.alpha = Some(alpha);
        }
    }

    /// The plan of a rule that waited for the spectrum is known.
    fn resolved(&mut self, layer: usize, plan: Plan) {
        let Some(project) = &mut self.project else { return };
        if let Some(slot) = project.rules.plans.get_mut(layer) {
            *slot = Some(plan);
        }
        if let Some(slot) = project.saved.get_mut(layer).filter(|slot| slot.is_none()) {
            *slot = Some(plan);
        }
        let name = self.rows.get(layer).map(|row| row.layer.name.clone()).unwrap_or_default();
        self.record_rebase(&name, plan);
        if !self.history.rebase(layer, plan) {
            self.apply(&[(layer, plan)]);
        }
    }
}
