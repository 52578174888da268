//! The job that measures a frontier, and what it has found so far.

use std::path::Path;

use super::events::Event;
use super::metering::Wanted;
use super::{JobId, JobKind, JobState, Severity, Workbench};
use crate::checkpoint::replace_file;
use crate::measure::{FrontierPoint, frontier_json, frontier_svg};

/// The frontier of the open model: bytes against KLD of several policies.
#[derive(Debug, Clone, Default)]
pub struct FrontierView {
    /// Points as they came.
    pub points: Vec<FrontierPoint>,
    /// The job that measures more, if any.
    pub job: Option<JobId>,
}

impl Workbench {
    /// Starts to measure the frontier anew; points come one by one.
    ///
    /// # Errors
    /// Why nothing can be measured on this model.
    pub fn measure_frontier(&mut self) -> Result<(), String> {
        self.begin_calibrated(Wanted::Frontier)
    }

    /// What was measured so far.
    pub fn frontier(&self) -> &FrontierView {
        &self.frontier
    }

    /// Shows points that are known already.
    pub fn take_frontier(&mut self, points: Vec<FrontierPoint>) {
        self.frontier = FrontierView { points, job: None };
    }

    /// Writes what was measured so far, as SVG or JSON by the path's extension; refuses an existing file unless `force`.
    ///
    /// # Errors
    /// The message for the line.
    pub fn save_frontier(&mut self, path: &Path, force: bool) -> Result<(), String> {
        let (Some(project), Some(opened)) = (&self.project, self.opened()) else {
            return Err("no model is open".into());
        };
        let points = &self.frontier.points;
        if points.is_empty() {
            return Err("no point is measured yet".into());
        }
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => frontier_svg(&opened.label, points),
            Some("json") => frontier_json(&opened.label, points),
            _ => return Err("type a path that ends in .svg or .json".into()),
        };
        let inputs = project.checkpoint.inputs();
        replace_file(path, force, &inputs, |out| out.write_all(text.as_bytes())).map_err(|error| error.to_string())?;
        self.messages.say(Severity::Info, &format!("wrote the frontier to {}", path.display()));
        Ok(())
    }

    pub(super) fn begin_frontier(&mut self) {
        let Some(metered) = self.metered() else { return };
        self.replace_job(self.frontier.job);
        let job = self.jobs.spawn(JobKind::Frontier, "measure the frontier".to_owned(), Vec::new(), move |task| {
            let tell = |point: &FrontierPoint| {
                task.outbox.send(Event::Frontier { job: task.id, point: point.clone() });
            };
            metered.measure(task, |meter| {
                task.tell_need("planning", meter.planning_need());
                meter.frontier(&metered.plans, &tell, &task.control)
            })?;
            Ok(())
        });
        self.frontier = FrontierView { points: Vec::new(), job: Some(job) };
    }

    pub(super) fn frontier_arrived(&mut self, job: JobId, point: FrontierPoint) {
        if self.frontier.job == Some(job) {
            self.frontier.points.push(point);
        }
    }

    /// The job came to an end; the points that it found stay.
    pub(super) fn frontier_ended(&mut self, job: JobId, state: &JobState) {
        if self.frontier.job == Some(job) {
            self.frontier.job = None;
            if *state == JobState::Done {
                self.messages.say(Severity::Info, "the frontier is measured");
            }
        }
    }
}
