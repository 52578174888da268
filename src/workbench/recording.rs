//! The record that a session leaves: every step as it is taken, texts as they come out.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::draft::DraftPlan;
use super::events::Event;
use super::jobs::End;
use super::live::{LiveEvent, Side};
use super::run::Running;
use super::{
    Edit, GenerateOptions, JobId, JobKind, Pin, SessionModel, SessionPinned, SessionRecord, SessionSegment,
    SessionStep, SessionText, Severity, Workbench,
};
use crate::checkpoint::replace_file;
use crate::compress::{Plan, Policy};
use crate::linalg::Arithmetic;
use crate::model::Layer;

impl Workbench {
    /// Notes a change of plans.
    pub(super) fn record_edit(&mut self, edit: &Edit) {
        let named = |pick: fn(&(usize, Plan, Plan)) -> Plan| {
            let plan = |change: &(usize, Plan, Plan)| {
                Some(DraftPlan::new(self.rows.get(change.0)?.layer.name.clone(), pick(change)))
            };
            edit.changes.iter().filter_map(plan).collect()
        };
        let (from, to) = (named(|change| change.1), named(|change| change.2));
        self.steps.push(SessionStep::Plans { name: edit.name.clone(), from, to });
    }

    /// Notes that another policy lies below the edits.
    pub(super) fn record_rules(&mut self, policy: &Policy) {
        self.steps.push(SessionStep::Rules { policy: value(policy) });
    }

    /// A layer's plan before all edits turned out to be another one.
    pub(super) fn record_rebase(&mut self, layer: &str, plan: Plan) {
        let froms = self.steps.iter_mut().filter_map(|step| match step {
            SessionStep::Plans { from, .. } => from.iter_mut().find(|before| before.layer == layer),
            _ => None,
        });
        if let Some(before) = { froms }.next() {
            *before = DraftPlan::new(layer.to_owned(), plan);
        }
    }

    /// Notes that a job begins a text, of which so many tokens were written before.
    pub(super) fn record_text(&mut self, job: JobId, options: &GenerateOptions, earlier: usize) {
        let GenerateOptions { prompt, chat, max_tokens, sampling } = options;
        let pinned = self.pins.iter().filter(|pin| pin.is_ready()).map(|pin| self.pinned(pin)).collect();
        self.written.insert(job, self.steps.len());
        self.steps.push(SessionStep::Write(SessionText {
            prompt: prompt.clone(),
            chat: *chat,
            earlier,
            max_tokens: *max_tokens,
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            seed: sampling.seed,
            pinned,
            ..SessionText::default()
        }));
    }

    fn pinned(&self, pin: &Pin) -> SessionPinned {
        let changed = self.rows.iter().zip(&pin.plans).filter(|(_, plan)| !plan.is_dense());
        SessionPinned {
            name: pin.name,
            fast: self.arithmetic() == Arithmetic::Fast,
            plans: changed.map(|(row, plan)| DraftPlan::new(row.layer.name.clone(), *plan)).collect(),
            ids: Vec::new(),
        }
    }

    /// Notes what a job has written since, of pinned policies what they wrote themselves.
    pub(super) fn record_live(&mut self, job: JobId, policy: Option<usize>, batch: &[LiveEvent]) {
        let Some(project) = &self.project else { return };
        let step = self.written.get(&job).and_then(|step| self.steps.get_mut(*step));
        let Some(SessionStep::Write(text)) = step else { return };
        let pin = policy.and_then(|policy| policy.checked_sub(1));
        if let Some(pinned) = pin.map(|pin| text.pinned.get_mut(pin)) {
            let own = batch.iter().filter_map(|event| match event {
                LiveEvent::Token { side: Side::Compressed, token, .. } => Some(token.id),
                _ => None,
            });
            pinned.into_iter().for_each(|pinned| pinned.ids.extend(own.clone()));
            return;
        }
        for event in batch {
            match event {
                LiveEvent::Context(ids) => text.prompt_ids = ids.to_vec(),
                LiveEvent::Token { side: Side::Original, token, .. } => text.original.push(token.id),
                LiveEvent::Token { side: Side::Compressed, token, .. } => text.compressed.push(token.id),
                LiveEvent::Running { at, running } => {
                    text.compressed_as.retain(|segment| segment.from != *at);
                    text.compressed_as.push(segment(*at, running, &project.layers));
                }
                _ => {}
            }
        }
    }

    /// Starts to write the session so far to a file (a job, since the model's fingerprint may have to be read). Refuses an
    /// existing file unless `force`.
    ///
    /// # Errors
    /// The message for the dialog.
    pub fn save_session(&mut self, path: &Path, force: bool) -> Result<(), String> {
        let record = self.session_record()?;
        let Some(project) = &self.project else { return Err("no model is open".into()) };
        let (checkpoint, path) = (Arc::clone(&project.checkpoint), path.to_owned());
        let name = format!("session to {}", path.display());
        let again = path.clone();
        let job = self.jobs.spawn(JobKind::Export, name, Vec::new(), move |task| {
            let mut record = record;
            record.model.fingerprint = checkpoint.fingerprint();
            task.control.check()?;
            let (text, inputs) = (record.to_text(), checkpoint.inputs());
            replace_file(&path, force, &inputs, |out| out.write_all(text.as_bytes()))
                .map_err(|error| End::Failed(error.to_string()))?;
            let told = format!("saved the session to {}; rankscope replay does it again", path.display());
            task.outbox.send(Event::Say(Severity::Info, told));
            Ok(())
        });
        self.jobs.again_by(job, move |workbench| {
            if let Err(reason) = workbench.save_session(&again, force) {
                workbench.say(Severity::Error, reason);
            }
        });
        Ok(())
    }

    /// The session so far, without the model's fingerprint.
    ///
    /// # Errors
    /// Why it cannot be kept now.
    pub fn session_record(&self) -> Result<SessionRecord, String> {
        let Some(project) = &self.project else { return Err("no model is open".into()) };
        if self.needs_statistics() && project.calibrating.is_some() {
            return Err("input statistics are being computed; save the session once they are known".into());
        }
        let model = SessionModel {
            name: project.name.clone(),
            original: project.original.clone(),
            family: self.locations.family.clone(),
            fingerprint: String::new(),
        };
        let mut record = SessionRecord::new(model, value(&project.start));
        record.policy = value(&self.policy());
        record.calibration = project.calibration.as_ref().map(|known| known.fingerprint().to_owned());
        let begun = |step: &&SessionStep| !matches!(step, SessionStep::Write(text) if text.prompt_ids.is_empty());
        record.steps = self.steps.iter().filter(begun).cloned().collect();
        Ok(record)
    }

    /// How many steps a session saved now would have, and how many of them are texts.
    pub fn session_steps(&self) -> (usize, usize) {
        let texts = self.steps.iter().filter(|step| matches!(step, SessionStep::Write(_))).count();
        (self.steps.len(), texts)
    }
}

/// A policy as JSON.
pub(super) fn value(policy: &Policy) -> Value {
    // What the program writes it can read.
    serde_json::from_str(&policy.to_text()).unwrap_or_default()
}

/// What the compressed model was, by the names of layers.
fn segment(from: usize, running: &Running, layers: &[Layer]) -> SessionSegment {
    let changed = layers.iter().zip(&running.plans).filter(|(_, plan)| !plan.is_dense());
    let plans = changed.map(|(layer, plan)| DraftPlan::new(layer.name.clone(), *plan)).collect();
    SessionSegment { from, fast: running.arithmetic == Arithmetic::Fast, plans }
}
