//! The job that measures and writes a report.

use std::path::{Path, PathBuf};

use super::events::Event;
use super::jobs::Task;
use super::metering::{Metered, Wanted};
use super::{DRAWN_TEXTS, Damage, EVALUATION_TEXT, JobKind, PROMPTS, Severity, Workbench, prompts_of};
use crate::checkpoint::ReportFolder;
use crate::compress::Plan;
use crate::linalg::Arithmetic;
use crate::measure::{
    FrontierKind, FrontierPoint, MeasureError, Mode, ModelMeter, PAGE, Report, ReportAbout, ReportDamage, ReportOther,
    ReportRequest, ReportText, comparing_need, measure_report,
};
use crate::model::Model;

/// Most tokens written after each prompt.
const WRITTEN: usize = 96;
/// What encoding, measuring and writing take of the whole, roughly.
const SHARES: [u64; 3] = [10, 85, 5];

/// A line about what a report would hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportLine {
    /// What is told.
    pub text: String,
    /// The kind of job that would measure what is lacking, if so.
    pub lacks: Option<JobKind>,
}

/// What the job works on.
#[derive(Debug)]
struct Reporting {
    metered: Metered,
    out: PathBuf,
    force: bool,
    /// Files that are read, and so never written over.
    inputs: Vec<PathBuf>,
    policy: String,
    /// What was measured before, and still holds.
    frontier: Vec<FrontierPoint>,
    damages: Vec<Option<Damage>>,
    /// Pinned policies: name, file, model.
    pinned: Vec<(String, String, Model)>,
}

impl Workbench {
    /// Starts to measure the plans as they are over the evaluation text in exact arithmetic, and to write a report of that. A
    /// frontier and damages of single layers that are known already, and still hold, are part of it.
    ///
    /// # Errors
    /// Why nothing can be measured on this model.
    pub fn report(&mut self, out: &Path, force: bool) -> Result<(), String> {
        let wanted = Wanted::Report(out.to_owned(), force);
        if self.needs_statistics() { self.begin_calibrated(wanted) } else { self.begin_measured(wanted) }
    }

    /// What a report would hold, line by line.
    ///
    /// # Errors
    /// Why nothing can be measured on this model.
    pub fn plan_report(&self) -> Result<Vec<ReportLine>, String> {
        self.can_measure()?;
        let told = |text: &str| ReportLine { text: text.to_owned(), lacks: None };
        let known = |is: bool, what: &str, job: JobKind| {
            if is {
                told(&format!("{what}, as measured"))
            } else {
                ReportLine { text: format!("no {what}"), lacks: Some(job) }
            }
        };
        let single = "damage of single layers";
        let scanned =
            match (self.still_held().iter().any(Option::is_some), self.rows.iter().any(|row| row.damage.is_some())) {
                (false, true) => {
                    ReportLine { text: format!("no {single}, known of other plans alone"), lacks: Some(JobKind::Scan) }
                }
                (held, _) => known(held, single, JobKind::Scan),
            };
        let pinned = match self.models_of_pins().count() {
            0 => "no other policy beside it: none is pinned",
            1 => "pinned policy A beside it",
            _ => "pinned policies A and B beside it",
        };
        Ok(vec![
            told("a page, figures, pictures, policy and checksums"),
            told(&format!("measured first, over up to {} tokens of the evaluation text", self.plan_tokens)),
            told("texts of both models after the prompts in the program"),
            told(pinned),
            known(!self.frontier.points.is_empty(), "frontier", JobKind::Frontier),
            scanned,
        ])
    }

    /// What each changed layer does alone under its plan of now, where that is known.
    fn still_held(&self) -> Vec<Option<Damage>> {
        let holds = |row: &super::LayerRow| {
            let held = |damage: &Damage| damage.mode == Mode::Only && !damage.stale && damage.plan == row.plan;
            row.damage.filter(|damage| held(damage) && !row.plan.is_dense())
        };
        self.rows.iter().map(holds).collect()
    }

    /// The pinned policies that are ready, as files.
    fn pinned_policies(&self) -> Vec<(String, String, Model)> {
        let Some(project) = &self.project else { return Vec::new() };
        let text = |plans: &[Plan]| project.rules.policy(&project.layers, plans, &|_| true).to_text();
        let exact = |model: &Model| model.with_arithmetic(Arithmetic::Exact);
        self.models_of_pins().map(|(pin, model)| (pin.name.to_string(), text(&pin.plans), exact(model))).collect()
    }

    pub(super) fn begin_report(&mut self, out: PathBuf, force: bool) {
        let (Some(metered), Some(project)) = (self.metered(), &self.project) else { return };
        let model = project.checkpoint.inputs().into_iter();
        let files = [self.policy_file(), self.calibration_file.as_deref()].into_iter().flatten().map(Path::to_path_buf);
        let name = format!("report to {}", out.display());
        let work = Reporting {
            metered,
            out,
            force,
            inputs: model.chain(files).collect(),
            policy: self.policy().to_text(),
            frontier: self.frontier.points.clone(),
            damages: self.still_held(),
            pinned: self.pinned_policies(),
        };
        self.jobs.spawn(JobKind::Export, name, Vec::new(), move |task| {
            work.metered.measure(task, |meter| work.run(meter, task))
        });
    }
}

impl Reporting {
    fn run(&self, meter: &ModelMeter<'_>, task: &Task) -> Result<(), MeasureError> {
        // Refused before all the work.
        let mut folder = ReportFolder::create(&self.out, self.force, &self.inputs)?;
        task.control.set_total(SHARES.iter().sum());
        let [encoding, measuring, writing] = SHARES.map(|share| task.control.part(share));
        let need = comparing_need(meter.model, meter.text);
        task.tell_need("reporting", self.metered.compressed_need(meter, need, task));
        let compressed = self.metered.compressed(meter, &encoding)?.with_arithmetic(Arithmetic::Exact);
        encoding.finish();
        let pinned = self.pinned.iter();
        let beside: Vec<ReportOther<'_>> = pinned
            .map(|(name, policy, model)| ReportOther { name: name.clone(), policy: policy.clone(), model })
            .collect();
        let request = ReportRequest {
            meter: *meter,
            compressed: &compressed,
            plans: &self.metered.plans,
            tokenizer: self.metered.tokenizer(),
            prompts: &prompts_of(PROMPTS),
            max_tokens: WRITTEN,
            drawn: DRAWN_TEXTS,
            beside: &beside,
        };
        let report = self.known(measure_report(&request, self.about(meter), &measuring)?);
        report.files().iter().try_for_each(|(name, data)| folder.file(name, data))?;
        meter.checkpoint.check().map_err(crate::model::ModelError::from)?;
        folder.finish(&writing)?;
        writing.finish();
        let told = format!("wrote the report to {}; begin with {PAGE}", self.out.display());
        task.outbox.send(Event::Say(Severity::Info, told));
        Ok(())
    }

    fn about(&self, meter: &ModelMeter<'_>) -> ReportAbout {
        let used = meter.calibration.filter(|_| self.metered.plans.iter().any(Plan::needs_statistics));
        let (family, text) = (meter.model.architecture().family, ReportText::new(None, EVALUATION_TEXT));
        ReportAbout {
            tokens: meter.text.limit.unwrap_or(usize::MAX),
            calibration: used.map(|used| used.fingerprint().to_owned()),
            ..ReportAbout::of(meter.checkpoint, env!("CARGO_PKG_VERSION"), family, self.policy.clone(), text)
        }
    }

    /// With what was measured before; the point of the plans as they are is the report's own.
    fn known(&self, mut report: Report) -> Report {
        for (row, damage) in report.layers.iter_mut().zip(&self.damages) {
            row.damage = damage.map(|damage| ReportDamage { kld: damage.kld, over_noise: damage.over_noise });
        }
        if !self.frontier.is_empty() {
            let metrics = &report.metrics;
            let own = FrontierPoint {
                kind: FrontierKind::Current,
                label: String::new(),
                bytes: metrics.bytes.compressed,
                bits_per_weight: metrics.bits_per_weight.unwrap_or_default(),
                kld: metrics.kld.mean,
            };
            let others = self.frontier.iter().filter(|point| point.kind != FrontierKind::Current).cloned();
            report.frontier = std::iter::once(own).chain(others).collect();
        }
        report
    }
}
