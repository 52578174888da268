//! The job that asks both models the probes, and what they answered.

use std::fs;
use std::path::Path;

use super::events::Event;
use super::metering::Wanted;
use super::rules::plans;
use super::{DEMO, JobId, JobKind, LayerRow, PROBES, Severity, Workbench};
use crate::checkpoint::escaped;
use crate::compress::Plan;
use crate::measure::{ModelMeter, Probe, ProbeReport, parse_probes, probe};

/// A file of probes is read on the screen's thread: no more than this, in bytes.
const MOST_BYTES: u64 = 4 << 20;

/// What original and compressed model answered to probes.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeAnswers {
    /// Where the probes lie: `demo` or a path.
    pub label: String,
    /// Shares answered, and the cases that changed.
    pub report: ProbeReport,
    /// The plans that the compressed model had.
    pub(super) plans: Vec<Plan>,
}

impl ProbeAnswers {
    /// Whether the plans have changed since.
    pub fn is_stale(&self, rows: &[LayerRow]) -> bool {
        self.plans != plans(rows)
    }
}

/// Probes of the open model: what was answered last, and the job that asks again.
#[derive(Debug, Clone, Default)]
pub struct ProbesView {
    /// The last answers.
    pub answers: Option<ProbeAnswers>,
    /// The job that asks, if any.
    pub job: Option<JobId>,
}

impl Workbench {
    /// Whether probes for the open model are part of the program.
    pub fn has_own_probes(&self) -> bool {
        self.project.as_ref().is_some_and(|project| project.name == DEMO.name)
    }

    /// Starts to ask both models the probes of a JSON Lines file, or those of the demo by its name. The compressed model is
    /// the one of the plans as they are now.
    ///
    /// # Errors
    /// The message for the line: no such file, what is wrong in it, a model that cannot run.
    pub fn ask_probes(&mut self, file: &str) -> Result<(), String> {
        let probes = read(file)?;
        let wanted = Wanted::Probes(probes, file.to_owned());
        if self.needs_statistics() { self.begin_calibrated(wanted) } else { self.begin_measured(wanted) }
    }

    /// What was answered last.
    pub fn probes(&self) -> &ProbesView {
        &self.probes
    }

    /// Shows answers that are known already, as those of the plans as they are.
    pub fn take_answers(&mut self, label: String, report: ProbeReport) {
        let answers = ProbeAnswers { label, report, plans: plans(&self.rows) };
        self.probes = ProbesView { answers: Some(answers), job: None };
    }

    pub(super) fn begin_probes(&mut self, probes: Vec<Probe>, label: String) {
        let Some(metered) = self.metered() else { return };
        self.replace_job(self.probes.job);
        let name = format!("ask {} probes of {}", probes.len(), escaped(&label, 100));
        let job = self.jobs.spawn(JobKind::Probe, name, Vec::new(), move |task| {
            let report = metered.measure(task, |meter: &ModelMeter<'_>| {
                let compressed = metered.compressed(meter, &task.control)?;
                Ok(probe(meter.model, &compressed, metered.tokenizer(), &probes, &task.control)?)
            })?;
            let answers = ProbeAnswers { label, report, plans: metered.plans };
            task.outbox.send(Event::Answered { job: task.id, answers: Box::new(answers) });
            Ok(())
        });
        self.probes.job = Some(job);
    }

    pub(super) fn answers_arrived(&mut self, job: JobId, answers: ProbeAnswers) {
        if self.probes.job == Some(job) {
            let changed = answers.report.changed.len();
            let cases = if changed == 1 { "case" } else { "cases" };
            self.messages.say(Severity::Info, &format!("the probes are answered: {changed} {cases} changed"));
            self.probes = ProbesView { answers: Some(answers), job: None };
        }
    }

    /// The job came to an end; what was answered before stays.
    pub(super) fn probes_ended(&mut self, job: JobId) {
        if self.probes.job == Some(job) {
            self.probes.job = None;
        }
    }
}

/// The probes of a file; those of the demo by its name.
fn read(file: &str) -> Result<Vec<Probe>, String> {
    let path = Path::new(file);
    if file == DEMO.name && !path.exists() {
        return parse_probes(PROBES);
    }
    if file.is_empty() {
        return Err("type the path of a JSON Lines file of \"prompt\" and \"expected\"".to_owned());
    }
    let found = fs::metadata(path).map_err(|error| format!("{}: {error}", escaped(file, 200)))?;
    if !found.is_file() || found.len() > MOST_BYTES {
        return Err(format!("{} is no file of at most {} MiB", escaped(file, 200), MOST_BYTES >> 20));
    }
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", escaped(file, 200)))?;
    parse_probes(&text).map_err(|reason| format!("{}: {}", escaped(file, 200), escaped(&reason, 300)))
}
