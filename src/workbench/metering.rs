//! Jobs that measure plans on the open model and the evaluation text; they begin once input statistics are known.

use std::mem::discriminant;
use std::path::PathBuf;
use std::sync::Arc;

use super::events::Event;
use super::jobs::{End, Task};
use super::open::Runnable;
use super::rules::plans;
use super::state::Project;
use super::{EVALUATION_TEXT, JobId, JobState, Locations, PROMPTS, Severity, Workbench};
use crate::checkpoint::{Checkpoint, Tokenizer};
use crate::compress::{Budget, Calibration, FactorCache, Plan};
use crate::control::{Control, Need};
use crate::linalg::Arithmetic;
use crate::measure::{CompareOptions, KeptPasses, MeasureError, Mode, ModelMeter};
use crate::model::{CompressedLinear, Model};

/// Tokens of the evaluation text that damages of plans are measured on, unless told otherwise.
pub const PLAN_TOKENS: usize = 4096;

/// What waits for input statistics.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// A policy within a budget, with the budget as it was typed.
    Plan(Budget, String),
    /// The frontier.
    Frontier,
    /// A scan of single layers.
    Scan(Mode),
    /// Answers to the probes of a file, or of the demo by its name.
    Probes(String),
    /// Both models over a text of one's own, or over the one in the program.
    Comparison(Option<PathBuf>),
    /// The models of pinned plans.
    Pins,
    /// A report to this folder, and whether one that lies there may be replaced.
    Report(PathBuf, bool),
}

/// What a job needs to measure plans, as it was when the job began.
#[derive(Debug, Clone)]
pub(super) struct Metered {
    pub(super) plans: Vec<Plan>,
    /// Layers as they are stored already, which may be no form that their plans would give.
    stored: Vec<(usize, Arc<CompressedLinear>)>,
    /// How the compressed model computes.
    pub(super) arithmetic: Arithmetic,
    checkpoint: Arc<Checkpoint>,
    runnable: Runnable,
    cache: FactorCache,
    locations: Locations,
    calibration: Option<Calibration>,
    tokens: usize,
}

impl Metered {
    /// Ids of the first bundled prompt; none where the tokenizer cannot read it.
    pub(super) fn prompt(&self) -> Vec<u32> {
        self.runnable.tokenizer.encode(PROMPTS.lines().next().unwrap_or_default()).unwrap_or_default()
    }

    /// Of the model.
    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.runnable.tokenizer
    }

    /// The plans of layers that are not in their stored form yet.
    fn unknown(&self) -> Vec<(usize, Plan)> {
        let stored = |layer: usize| self.stored.iter().any(|(other, _)| *other == layer);
        self.plans.iter().copied().enumerate().filter(|(layer, _)| !stored(*layer)).collect()
    }

    /// What the model of these plans needs beyond what is there, and what is done with it besides.
    pub(super) fn compressed_need(&self, meter: &ModelMeter<'_>, then: Need, task: &Task) -> Need {
        meter.compressed_need(&self.unknown(), then, (task.free)())
    }

    /// The model of the plans as they were, in the arithmetic that is switched on.
    pub(super) fn compressed(&self, meter: &ModelMeter<'_>, control: &Control) -> Result<Model, MeasureError> {
        let unknown = self.unknown();
        let known = self.stored.iter().map(|(layer, weight)| (*layer, Arc::clone(weight)));
        let compressed = meter.compressed(&unknown, control)?;
        let compressed = known.fold(compressed, |model, (layer, weight)| model.with_weight(layer, weight));
        Ok(compressed.with_arithmetic(self.arithmetic))
    }

    /// Measures with `work` over the evaluation text.
    pub(super) fn measure<T>(
        &self,
        task: &Task,
        work: impl FnOnce(&ModelMeter<'_>) -> Result<T, MeasureError>,
    ) -> Result<T, End> {
        self.measure_over(EVALUATION_TEXT, task, work)
    }

    /// Measures with `work` over a text.
    pub(super) fn measure_over<T>(
        &self,
        text: &str,
        task: &Task,
        work: impl FnOnce(&ModelMeter<'_>) -> Result<T, MeasureError>,
    ) -> Result<T, End> {
        let failed = |error: &dyn std::fmt::Display| End::Failed(error.to_string());
        let Runnable { model, tokenizer, .. } = &self.runnable;
        let ids = tokenizer.encode_plain(text).map_err(|error| failed(&error))?;
        let text = CompareOptions { ids, bos: tokenizer.opening(), limit: Some(self.tokens) };
        let folder = self.locations.passes();
        let passes = folder.map(|folder| KeptPasses::new(folder, model, &self.checkpoint.fingerprint()));
        let (checkpoint, cache, calibration) = (&*self.checkpoint, &self.cache, self.calibration.as_ref());
        let found = work(&ModelMeter { checkpoint, model, cache, calibration, text: &text, passes: passes.as_ref() });
        let note = passes.as_ref().and_then(KeptPasses::note);
        note.into_iter().for_each(|note| task.outbox.send(Event::Say(Severity::Warning, note.to_owned())));
        task.control.check()?;
        found.map_err(|error| failed(&error))
    }
}

impl Workbench {
    /// Begins as soon as input statistics are known, or known not to be had.
    ///
    /// # Errors
    /// Why nothing can be measured on this model.
    pub(super) fn begin_calibrated(&mut self, wanted: Wanted) -> Result<(), String> {
        if self.project.as_ref().is_some_and(|project| project.calibration.is_some()) {
            return self.begin_measured(wanted);
        }
        let project = self.measurable()?;
        // The newest of a kind is what is meant.
        project.wanted.retain(|other| discriminant(other) != discriminant(&wanted));
        project.wanted.push(wanted);
        self.calibrate();
        Ok(())
    }

    /// Begins at once.
    ///
    /// # Errors
    /// Why nothing can be measured on this model.
    pub(super) fn begin_measured(&mut self, wanted: Wanted) -> Result<(), String> {
        self.measurable()?;
        self.begin(wanted);
        Ok(())
    }

    /// Whether some plan is weighted by inputs.
    pub(super) fn needs_statistics(&self) -> bool {
        self.rows.iter().any(|row| !row.layer.fixed && row.plan.needs_statistics())
    }

    fn measurable(&mut self) -> Result<&mut Project, String> {
        self.can_measure()?;
        self.project.as_mut().ok_or_else(|| "no model is open".into())
    }

    /// Whether anything can be measured on the open model.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn can_measure(&self) -> Result<(), String> {
        let Some(project) = &self.project else { return Err("no model is open".into()) };
        if project.runnable.is_none() {
            let reason = self.opened().and_then(|opened| opened.cannot_generate.clone());
            return Err(format!("nothing can be measured: {}", reason.unwrap_or_else(|| "it cannot run".into())));
        }
        Ok(())
    }

    /// The calibrate job came to an end.
    pub(super) fn wanted_may_begin(&mut self, state: &JobState) {
        let wanted = self.project.as_mut().map(|project| std::mem::take(&mut project.wanted)).unwrap_or_default();
        match state {
            JobState::Cancelled if wanted.is_empty() => {}
            JobState::Cancelled => {
                self.messages.say(Severity::Warning, "nothing was measured: calibrating was cancelled");
            }
            _ => wanted.into_iter().for_each(|wanted| self.begin(wanted)),
        }
    }

    fn begin(&mut self, wanted: Wanted) {
        let (before, same) = (self.jobs.latest(), wanted.clone());
        self.begin_now(wanted);
        if let Some(job) = self.jobs.latest().filter(|job| Some(*job) != before) {
            self.jobs.again_by(job, move |workbench| {
                if let Err(reason) = workbench.begin_measured(same.clone()) {
                    workbench.say(Severity::Error, reason);
                }
            });
        }
    }

    fn begin_now(&mut self, wanted: Wanted) {
        match wanted {
            Wanted::Plan(budget, label) => self.begin_plan(budget, label),
            Wanted::Frontier => self.begin_frontier(),
            Wanted::Scan(mode) => self.begin_scan(mode),
            Wanted::Probes(file) => self.begin_probes(file),
            Wanted::Comparison(text) => self.begin_comparison(text),
            Wanted::Pins => self.begin_pins(),
            Wanted::Report(out, force) => self.begin_report(out, force),
        }
    }

    /// Measures damages of plans on at most so many tokens of the evaluation text.
    pub fn measure_on(&mut self, tokens: usize) {
        self.plan_tokens = tokens;
    }

    /// What a job that begins now measures with.
    pub(super) fn metered(&self) -> Option<Metered> {
        let project = self.project.as_ref()?;
        let plans = plans(&self.rows);
        let stored = plans.iter().enumerate().filter_map(|(layer, plan)| Some((layer, self.stored(layer, *plan)?)));
        Some(Metered {
            stored: stored.collect(),
            arithmetic: project.arithmetic,
            plans,
            checkpoint: Arc::clone(&project.checkpoint),
            runnable: project.runnable.clone()?,
            cache: self.cache.clone(),
            locations: self.locations.clone(),
            calibration: project.calibration.clone(),
            tokens: self.plan_tokens,
        })
    }

    /// Asks the job in a slot to stop.
    pub(super) fn replace_job(&mut self, earlier: Option<JobId>) {
        if let Some(earlier) = earlier {
            self.jobs.cancel(earlier);
        }
    }
}
