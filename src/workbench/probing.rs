//! The job that asks both models the probes, and what they answered.

use std::fs;
use std::path::Path;

use super::events::Event;
use super::jobs::End;
use super::metering::Wanted;
use super::rules::plans;
use super::{DEMO, JobId, JobKind, LayerRow, PROBES, Severity, Workbench};
use crate::checkpoint::escaped;
use crate::compress::Plan;
use crate::control::Need;
use crate::measure::{ModelMeter, Probe, ProbeReport, parse_probes, probe, writing_need};
use crate::model::Model;

/// A file of probes is no larger than this, in bytes.
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
    /// The message for the line: no such file, a model that cannot run. What is wrong in the file ends the job.
    pub fn ask_probes(&mut self, file: &str) -> Result<(), String> {
        check(file)?;
        let wanted = Wanted::Probes(file.to_owned());
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

    pub(super) fn begin_probes(&mut self, label: String) {
        let Some(metered) = self.metered() else { return };
        self.replace_job(self.probes.job);
        let name = format!("ask the probes of {}", escaped(&label, 100));
        let job = self.jobs.spawn(JobKind::Probe, name, Vec::new(), move |task| {
            let probes = read(&label).map_err(End::Failed)?;
            let report = metered.measure(task, |meter: &ModelMeter<'_>| {
                task.tell_need("asking probes", metered.compressed_need(meter, need(meter.model, &probes), task));
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

/// Whether a name is that of probes in the program.
fn is_own(file: &str) -> bool {
    file == DEMO.name && !Path::new(file).exists()
}

/// Whether there is a file that may be read.
fn check(file: &str) -> Result<(), String> {
    if is_own(file) {
        return Ok(());
    }
    if file.is_empty() {
        return Err("type the path of a JSON Lines file of \"prompt\" and \"expected\"".to_owned());
    }
    let found = fs::metadata(file).map_err(|error| format!("{}: {error}", escaped(file, 200)))?;
    let sound = found.is_file() && found.len() <= MOST_BYTES;
    let shown = || format!("{} is no file of at most {} MiB", escaped(file, 200), MOST_BYTES >> 20);
    if sound { Ok(()) } else { Err(shown()) }
}

/// The probes of a file; those of the demo by its name.
fn read(file: &str) -> Result<Vec<Probe>, String> {
    if is_own(file) {
        return parse_probes(PROBES);
    }
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", escaped(file, 200)))?;
    parse_probes(&text).map_err(|reason| format!("{}: {}", escaped(file, 200), escaped(&reason, 300)))
}

/// As many answers as there are threads, none of more tokens than bytes.
fn need(model: &Model, probes: &[Probe]) -> Need {
    let longest = probes.iter().map(|probe| probe.prompt.len() + probe.expected.len()).max().unwrap_or_default();
    let each = writing_need(model, longest);
    (1..rayon::current_num_threads()).fold(each, |sum, _| sum.and(each))
}
