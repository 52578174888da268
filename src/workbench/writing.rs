//! What the person sets off: runs of both models, and exports.

use std::path::Path;

use super::export::Export;
use super::live::LiveView;
use super::rules::plans;
use super::run::Run;
use super::{GenerateOptions, JobKind, Severity, Workbench};
use crate::compress::{ExportKind, ExportOptions, ExportPlan, plan_export};
use crate::linalg::Arithmetic;

/// Largest data size of an exported file.
const SHARD_BYTES: u64 = 5_000_000_000;

impl Workbench {
    /// Starts a run of both models (stops one that runs).
    pub fn generate(&mut self, options: GenerateOptions) {
        self.stop();
        self.run = None;
        self.live = LiveView::begun(options.prompt.clone(), options.chat);
        let able = self.project.as_ref().and_then(|project| project.runnable.clone().zip(project.compressed.clone()));
        let Some((original, compressed)) = able else {
            let reason = self
                .opened()
                .map_or("no model is open", |opened| opened.cannot_generate.as_deref().unwrap_or("it cannot run"));
            let text = format!("no text can be written: {reason}");
            self.messages.say(Severity::Error, &text);
            (self.live.running, self.live.error) = (false, Some(text));
            return;
        };
        let name = "write both texts".to_owned();
        let run = Run { original, compressed, options };
        self.run = Some(self.jobs.spawn(JobKind::Generate, name, Vec::new(), move |task| run.run(task)));
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
        if let Some(run) = self.run {
            self.jobs.cancel(run);
        }
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
        self.jobs.spawn(JobKind::Export, name, Vec::new(), move |task| work.run(task));
    }
}

fn options(kind: ExportKind, out: &Path, force: bool) -> ExportOptions {
    ExportOptions { kind, out: out.to_owned(), shard_bytes: SHARD_BYTES, force }
}
