//! What the person sets off: runs of both models, and exports.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::export::Export;
use super::live::LiveView;
use super::rules::plans;
use super::run::{Branch, Run};
use super::{GenerateOptions, JobId, JobKind, JobState, Severity, Workbench};
use crate::compress::{ExportKind, ExportOptions, ExportPlan, Plan, plan_export};
use crate::linalg::Arithmetic;

/// Largest data size of an exported file.
const SHARD_BYTES: u64 = 5_000_000_000;

impl Workbench {
    /// Starts a run of both models from a prompt (stops one that runs).
    pub fn generate(&mut self, options: GenerateOptions) {
        self.write(options, None);
    }

    /// As [`Workbench::generate`], but where the text on the screen is a branch of the same prompt, from where that began.
    pub fn write_again(&mut self, options: GenerateOptions) {
        let live = self.live();
        let same = !live.earlier.is_empty() && (&live.prompt, live.chat) == (&options.prompt, options.chat);
        let from = same.then(|| Branch { context: live.context.clone(), earlier: live.earlier.clone() });
        self.write(options, from);
    }

    /// Writes anew from a token of the original's text on the screen: after exactly the ids before it, by the plans as they
    /// are. The prompt of `options` is that text's own.
    ///
    /// # Errors
    /// The message for the person.
    pub fn branch(&mut self, token: usize, options: &GenerateOptions) -> Result<(), String> {
        let live = self.live();
        let before = live.original.tokens.get(..token).filter(|_| !live.context.is_empty());
        let before = before.ok_or("there is no text to branch from")?;
        let context = live.context.iter().copied().chain(before.iter().map(|token| token.id)).collect();
        let earlier = live.earlier.iter().chain(before).cloned().collect();
        let GenerateOptions { max_tokens, sampling, .. } = *options;
        let options = GenerateOptions { prompt: live.prompt.clone(), chat: live.chat, max_tokens, sampling };
        self.write(options, Some(Branch { context, earlier }));
        Ok(())
    }

    fn write(&mut self, options: GenerateOptions, from: Option<Branch>) {
        self.stop();
        let begun = |plans: Vec<Plan>, policy: Option<char>| LiveView {
            earlier: from.as_ref().map(|from| from.earlier.clone()).unwrap_or_default(),
            plans,
            policy,
            ..LiveView::begun(options.prompt.clone(), options.chat)
        };
        let mut live = begun(self.rows.iter().map(|row| row.plan).collect(), None);
        live.rivals = self.models_of_pins().map(|(pin, _)| begun(pin.plans.clone(), Some(pin.name))).collect();
        if let Some(pin) = self.pins.iter().find(|pin| !pin.is_ready()) {
            let text = format!("policy {} is still being encoded; it writes from the next text on", pin.name);
            self.messages.say(Severity::Info, &text);
        }
        let able = self.project.as_ref().and_then(|project| project.runnable.clone().zip(project.compressed.clone()));
        let Some((original, compressed)) = able else {
            let reason = self
                .opened()
                .map_or("no model is open", |opened| opened.cannot_generate.as_deref().unwrap_or("it cannot run"));
            let text = format!("no text can be written: {reason}");
            self.messages.say(Severity::Error, &text);
            (live.running, live.error) = (false, Some(text));
            self.shelf.begin(live);
            return;
        };
        let policies = [compressed].into_iter().chain(self.pinned_models()).collect();
        let name = if self.pins.is_empty() { "write both texts" } else { "write all texts" }.to_owned();
        let (asked, earlier) = (options.clone(), live.earlier.len());
        let (again, branch) = (options.clone(), from.clone());
        let run = Run { original, policies, options, from, stop_at_loops: Arc::clone(&self.stop_at_loops) };
        let job = self.jobs.spawn(JobKind::Generate, name, Vec::new(), move |task| run.run(task));
        self.record_text(job, &asked, earlier);
        self.jobs.again_by(job, move |workbench| workbench.write(again.clone(), branch.clone()));
        live.job = Some(job);
        live.rivals.iter_mut().for_each(|rival| rival.job = Some(job));
        self.shelf.begin(live);
    }

    pub(super) fn writing_ended(&mut self, job: JobId, state: &JobState) {
        let Some(live) = self.shelf.written_by(job) else { return };
        live.running = false;
        live.rivals.iter_mut().for_each(|rival| rival.running = false);
        // While text is written, changes of plans reach it.
        live.plans = self.rows.iter().map(|row| row.plan).collect();
        if let JobState::Failed(reason) = state {
            live.error = Some(reason.clone());
        }
    }

    /// The runs that are kept, and the place of the one on the screen.
    pub fn texts(&self) -> (&[LiveView], usize) {
        (self.shelf.runs(), self.shelf.place())
    }

    /// Shows another of the runs that are kept; whether there is one at that place.
    pub fn show_text(&mut self, place: usize) -> bool {
        self.shelf.show(place)
    }

    /// Keeps the run on the screen no longer.
    pub fn close_text(&mut self) {
        if let Some(job) = self.shelf.close() {
            self.jobs.cancel(job);
        }
    }

    /// Shows the text that was closed last again.
    ///
    /// # Errors
    /// The message for the person.
    pub fn reopen_text(&mut self) -> Result<(), &'static str> {
        self.shelf.reopen()
    }

    /// Whether a text ends as soon as it loops.
    pub fn stops_at_loops(&self) -> bool {
        self.stop_at_loops.load(Ordering::Relaxed)
    }

    /// Lets texts end as soon as they loop, those being written too, or no longer.
    pub fn set_stop_at_loops(&mut self, stop: bool) {
        self.stop_at_loops.store(stop, Ordering::Relaxed);
    }

    /// How the compressed model computes its products.
    pub fn arithmetic(&self) -> Arithmetic {
        self.project.as_ref().map_or(Arithmetic::Exact, |project| project.arithmetic)
    }

    /// Lets the compressed model compute in another arithmetic, a run at work from its next token on.
    pub fn set_arithmetic(&mut self, arithmetic: Arithmetic) {
        let Some(project) = &mut self.project else { return };
        project.arithmetic = arithmetic;
        project.compressed.iter().for_each(|cell| cell.set_arithmetic(arithmetic));
    }

    /// Stops the run.
    pub fn stop(&mut self) {
        let writing: Vec<JobId> = self.shelf.writing().collect();
        writing.into_iter().for_each(|job| self.jobs.cancel(job));
    }

    /// What an export would write.
    ///
    /// # Errors
    /// The message for the dialog.
    pub fn plan_export(&self, kind: ExportKind, out: &Path) -> Result<ExportPlan, String> {
        let project = self.project.as_ref().ok_or("no model is open")?;
        let options = options(kind, out, false);
        plan_export(&project.checkpoint, &project.layers, &plans(&self.rows), &options)
            .map_err(|error| error.to_string())
    }

    /// Starts an export job.
    pub fn export(&mut self, kind: ExportKind, out: &Path, force: bool) {
        let policy = self.policy();
        let Some(project) = &self.project else {
            self.messages.say(Severity::Error, "nothing to export: no model is open");
            return;
        };
        let plans = plans(&self.rows);
        let ready = project.encoded.iter().zip(&plans);
        let ready = ready.map(|(kept, plan)| kept.as_ref().filter(|kept| kept.0 == *plan).map(|kept| kept.1.clone()));
        let work = Export {
            checkpoint: project.checkpoint.clone(),
            layers: project.layers.clone(),
            ready: ready.collect(),
            runnable: project.runnable.clone(),
            cache: self.cache.clone(),
            calibration: project.calibration.clone(),
            options: options(kind, out, force),
            policy,
            plans,
        };
        let name = format!("export to {}", out.display());
        let job = self.jobs.spawn(JobKind::Export, name, Vec::new(), move |task| work.run(task));
        let out = out.to_owned();
        self.jobs.again_by(job, move |workbench| workbench.export(kind, &out, force));
    }
}

fn options(kind: ExportKind, out: &Path, force: bool) -> ExportOptions {
    ExportOptions { kind, out: out.to_owned(), shard_bytes: SHARD_BYTES, force }
}
