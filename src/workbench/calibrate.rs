//! The calibrate job: input statistics of the open model, from the first plan on that needs them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::events::Event;
use super::jobs::{End, Task};
use super::open::Runnable;
use super::{CALIBRATION_TEXT, JobId, JobKind, JobState, Locations, Measured, Severity, Workbench};
use crate::checkpoint::Checkpoint;
use crate::compress::{Calibration, CalibrationFile};
use crate::measure::{CalibrateOptions, WIDEST_INPUT, calibrate, calibrating_need, is_calibrated};

/// What the job works on.
#[derive(Debug)]
struct Calibrate {
    /// Which opening this is.
    model: u64,
    checkpoint: Arc<Checkpoint>,
    runnable: Option<Runnable>,
    locations: Locations,
    /// The file that the statistics come from, where one was given.
    given: Option<PathBuf>,
}

impl Calibrate {
    fn run(&self, task: &Task) -> Result<(), End> {
        let source = self.checkpoint.fingerprint();
        task.control.check()?;
        let digests = self.locations.digests();
        let (calibration, notes) = match &self.given {
            Some(path) => {
                let file = CalibrationFile::open(path, &source, digests.as_deref()).map_err(failed)?;
                (file.calibration, file.about.notes())
            }
            None => self.computed(&source, digests.as_deref(), task)?,
        };
        notes.into_iter().for_each(|note| task.outbox.send(Event::Say(Severity::Warning, note)));
        task.outbox.send(Event::Calibrated { model: self.model, calibration });
        Ok(())
    }

    fn computed(&self, source: &str, digests: Option<&Path>, task: &Task) -> Result<(Calibration, Vec<String>), End> {
        let missing = |what: &str| End::Failed(format!("{what}; give them with --calibration FILE"));
        let runnable = self.runnable.as_ref().ok_or_else(|| missing("the model cannot run"))?;
        let folder = self.locations.calibrations().ok_or_else(|| missing("there is no cache folder to work in"))?;
        let ids = runnable.tokenizer.encode_plain(CALIBRATION_TEXT).map_err(failed)?;
        let (bos, limit) = (runnable.tokenizer.opening(), None);
        let options = CalibrateOptions { ids, bos, limit, widest: WIDEST_INPUT };
        if !is_calibrated(&runnable.model, source, &options, &folder) {
            task.tell_need("calibrating", calibrating_need(&runnable.model, options.widest));
        }
        let found = calibrate(&runnable.model, source, &options, (&folder, digests), &task.control);
        task.control.check()?;
        let found = found.map_err(failed)?;
        Ok((found.file.calibration, found.notes))
    }
}

fn failed(error: impl std::fmt::Display) -> End {
    End::Failed(error.to_string())
}

impl Workbench {
    /// Takes input statistics from a file that `calibrate` wrote instead of computing them.
    pub fn use_calibration(&mut self, path: PathBuf) {
        self.calibration_file = Some(path);
    }

    /// Whether input statistics of the open model are known.
    pub fn calibrated(&self) -> bool {
        self.project.as_ref().is_some_and(|project| project.calibration.is_some())
    }

    /// Starts to compute the input statistics of the open model over the calibration text in the program, or to read the
    /// file that was given; nothing where that is done or under way.
    pub fn calibrate(&mut self) {
        let Some(project) = &mut self.project else { return };
        if project.calibration.is_some() || project.calibrating.is_some() {
            return;
        }
        let work = Calibrate {
            model: project.serial,
            checkpoint: Arc::clone(&project.checkpoint),
            runnable: project.runnable.clone(),
            locations: self.locations.clone(),
            given: self.calibration_file.clone(),
        };
        let job = self.jobs.spawn(JobKind::Calibrate, "calibrate".to_owned(), Vec::new(), move |task| work.run(task));
        self.jobs.again_by(job, Self::calibrate);
        project.calibrating = Some(job);
    }

    /// Calibrates where a layer waits for statistics.
    pub(super) fn calibrate_if_needed(&mut self) {
        if self.rows.iter().any(|row| row.plan.needs_statistics() && row.measured == Measured::Pending) {
            self.calibrate();
        }
    }

    /// Statistics are known: layers that waited for them are encoded, the output errors of the others measured.
    pub(super) fn calibration_arrived(&mut self, model: u64, calibration: Calibration) {
        let Some(project) = self.project.as_mut().filter(|project| project.serial == model) else { return };
        let made_with = project.rules.made_with();
        let needed = self.rows.iter().any(|row| row.plan.needs_statistics());
        if needed && made_with.is_some_and(|made_with| made_with != calibration.fingerprint()) {
            let text = "the policy was made with other input statistics; start with --calibration FILE to use those";
            self.messages.say(Severity::Warning, text);
        }
        project.calibration = Some(calibration);
        self.encode_again();
    }

    /// The calibrate job came to an end; without statistics, layers that wait for them stay as they are.
    pub(super) fn calibration_ended(&mut self, job: JobId, state: &JobState) {
        let Some(project) = self.project.as_mut().filter(|project| project.calibrating == Some(job)) else { return };
        project.calibrating = None;
        self.wanted_may_begin(state);
        let reason = match state {
            JobState::Done => return,
            JobState::Failed(reason) => format!("no input statistics: {reason}"),
            _ => "no input statistics: calibrating was cancelled; calibrate again".to_owned(),
        };
        let waiting = |measured: &Measured| *measured == Measured::Pending;
        for row in self.rows.iter_mut().filter(|row| row.plan.needs_statistics() && waiting(&row.measured)) {
            row.measured = Measured::Failed(reason.clone());
        }
    }
}
