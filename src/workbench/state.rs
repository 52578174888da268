//! The workbench itself: the screen's thread owns it; every method returns at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant};

use super::decompose::Decompose;
use super::events::{Event, Outbox};
use super::jobs::{End, Jobs};
use super::messages::Messages;
use super::metering::Wanted;
use super::open::{self, Loaded, Request, Runnable};
use super::pins::Pin;
use super::plans::Residual;
use super::rules::{PolicyFile, Rules};
use super::run::ModelCell;
use super::scan::Scan;
use super::shelf::Shelf;
use super::snapshots::Snapshot;
use super::{
    ComparisonView, Draft, FrontierView, History, JobId, JobKind, JobState, JobView, LayerRow, LiveView, Locations,
    Message, PLAN_TOKENS, ProbesView, Review, SessionStep, Severity, Source, Totals,
};
use crate::checkpoint::Checkpoint;
use crate::compress::{Calibration, FactorCache, Plan, Policy};
use crate::control::{Control, Told};
use crate::linalg::Arithmetic;
use crate::model::{CompressedLinear, Layer, Sampling};

/// Events folded in one drain at most; the rest waits for the next one.
const EVENTS_PER_DRAIN: usize = 256;

/// Time of one drain; a long queue is left to the next one.
const DRAIN_TIME: Duration = Duration::from_micros(700);

/// How long quitting waits for exports to remove their temporaries.
const SHUT_DOWN: Duration = Duration::from_secs(2);

/// What is known about the opened model.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Name for the header.
    pub label: String,
    /// Family (`gpt_neo`), or `None` where it cannot run.
    pub family: Option<String>,
    /// Why it cannot write text, if so (no config, unknown family, no tokenizer).
    pub cannot_generate: Option<String>,
    /// Why the prompt cannot be put into a chat, if so (no chat template).
    pub cannot_chat: Option<String>,
    /// Parameters of all tensors.
    pub parameters: u64,
    /// Blocks.
    pub blocks: usize,
    /// Context length, if it runs.
    pub context: Option<usize>,
    /// A compressed folder opened without `--original`: layers are fixed.
    pub fixed: bool,
}

/// How to write.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The prompt.
    pub prompt: String,
    /// Whether it is what a user says, to be written by the model's chat template.
    pub chat: bool,
    /// At most this many new tokens.
    pub max_tokens: usize,
    /// Sampling (same seed in both panes).
    pub sampling: Sampling,
}

/// A layer under way to its stored form.
#[derive(Debug)]
pub(super) struct Encoding {
    pub(super) job: JobId,
    pub(super) control: Control,
}

/// The open model and all that belongs to it alone.
#[derive(Debug)]
pub(super) struct Project {
    /// Which opening this is: news of an earlier one are dropped.
    pub(super) serial: u64,
    pub(super) name: String,
    /// The original that was asked for, for a compressed folder.
    pub(super) original: Option<String>,
    /// The policy that the plans began from.
    pub(super) start: Policy,
    pub(super) identity: String,
    pub(super) checkpoint: Arc<Checkpoint>,
    pub(super) layers: Arc<[Layer]>,
    pub(super) runnable: Option<Runnable>,
    /// The compressed model, where it runs.
    pub(super) compressed: Option<ModelCell>,
    /// How the compressed model computes.
    pub(super) arithmetic: Arithmetic,
    /// The policy below the edits.
    pub(super) rules: Rules,
    /// Plans as last saved or loaded; `None` while the rule waits for a spectrum.
    pub(super) saved: Vec<Option<Plan>>,
    /// Edits that were done when it was saved.
    pub(super) saved_edits: usize,
    pub(super) file: Option<PolicyFile>,
    pub(super) encoding: Vec<Option<Encoding>>,
    /// What was said of the memory that encoding takes.
    pub(super) told: Arc<Told>,
    /// Layers in their stored form, and under which plan.
    pub(super) encoded: Vec<Option<(Plan, Arc<CompressedLinear>)>>,
    /// What quantized bases left of the layers that were corrected last.
    pub(super) residuals: Vec<Option<Arc<Residual>>>,
    pub(super) focus: Arc<AtomicUsize>,
    /// Layers that could not be decomposed.
    pub(super) undecomposed: usize,
    /// Input statistics, once known, and the job that finds them.
    pub(super) calibration: Option<Calibration>,
    pub(super) calibrating: Option<JobId>,
    /// What begins once that job has ended.
    pub(super) wanted: Vec<Wanted>,
}

/// Model, plans with undo, results, jobs.
#[derive(Debug)]
pub struct Workbench {
    pub(super) locations: Locations,
    pub(super) outbox: Outbox,
    events: Receiver<Event>,
    pub(super) jobs: Jobs,
    pub(super) messages: Messages,
    pub(super) cache: FactorCache,
    opening: Option<JobId>,
    openings: u64,
    pub(super) project: Option<Project>,
    opened: Option<Opened>,
    pub(super) rows: Vec<LayerRow>,
    pub(super) totals: Totals,
    pub(super) history: History,
    /// What was done on the open model so far.
    pub(super) steps: Vec<SessionStep>,
    /// The steps that jobs write.
    pub(super) written: BTreeMap<JobId, usize>,
    pub(super) shelf: Shelf,
    /// Policies that write beside the plans as they are.
    pub(super) pins: Vec<Pin>,
    /// Whether a text ends where it loops.
    pub(super) stop_at_loops: Arc<AtomicBool>,
    /// The file that input statistics come from, where one was given.
    pub(super) calibration_file: Option<PathBuf>,
    /// A draft that waits for its model.
    pub(super) draft: Option<Draft>,
    /// The job that seeks a policy within a budget, what was found last, and how many were found.
    pub(super) planning: Option<JobId>,
    pub(super) review: Option<Review>,
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) reviews: u64,
    /// Bytes against KLD of several policies.
    pub(super) frontier: FrontierView,
    /// The scan of single layers that was begun last.
    pub(super) scan: Option<Scan>,
    /// Answers to probes.
    pub(super) probes: ProbesView,
    /// Both models over a text.
    pub(super) comparison: ComparisonView,
    /// Tokens of the evaluation text that damages of plans are measured on.
    pub(super) plan_tokens: usize,
}

impl Workbench {
    /// An empty workbench. `wake` is called (from any thread) when events wait to be drained.
    pub fn new(locations: Locations, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (outbox, events) = Outbox::new(wake);
        Self {
            cache: FactorCache::new(locations.cache.clone()),
            locations,
            jobs: Jobs::new(outbox.clone()),
            outbox,
            events,
            messages: Messages::default(),
            opening: None,
            openings: 0,
            project: None,
            opened: None,
            rows: Vec::new(),
            totals: Totals::default(),
            history: History::default(),
            steps: Vec::new(),
            written: BTreeMap::new(),
            shelf: Shelf::default(),
            pins: Vec::new(),
            stop_at_loops: Arc::default(),
            calibration_file: None,
            draft: None,
            planning: None,
            review: None,
            snapshots: Vec::new(),
            reviews: 0,
            frontier: FrontierView::default(),
            scan: None,
            probes: ProbesView::default(),
            comparison: ComparisonView::default(),
            plan_tokens: PLAN_TOKENS,
        }
    }

    /// Lets every job that begins from now on say where it needs more memory than `free` reads.
    pub fn watch_memory(&mut self, free: fn() -> Option<u64>) {
        self.jobs.free = free;
    }

    /// Lets every job that begins from now on call `first` on its thread before its work, as to give way to a screen.
    pub fn begin_jobs_by(&mut self, first: fn()) {
        self.jobs.first = first;
    }

    /// Starts opening a model (a job). Replaces what is open once it succeeded; a failure is a message and changes nothing.
    /// `policy`: a policy file to begin with. `original`: for a compressed folder, the model it came from.
    pub fn open(&mut self, source: Source, policy: Option<PathBuf>, original: Option<Source>) {
        self.open_as(Request { source, policy, start: None, original, locations: self.locations.clone() });
    }

    /// As [`Workbench::open`], with the text of a policy to begin with.
    pub(super) fn open_from(&mut self, source: Source, start: String, original: Option<Source>) {
        let locations = self.locations.clone();
        self.open_as(Request { source, policy: None, start: Some(start), original, locations });
    }

    fn open_as(&mut self, request: Request) {
        if let Some(earlier) = self.opening.take() {
            self.jobs.cancel(earlier);
        }
        let name = format!("open {}", request.source.name());
        let same = request.clone();
        let job = self.jobs.spawn(JobKind::Open, name, Vec::new(), move |task| {
            let loaded = open::open(&request, task)?;
            task.outbox.send(Event::Opened(task.id, Box::new(loaded)));
            Ok::<(), End>(())
        });
        self.jobs.again_by(job, move |workbench| workbench.open_as(same.clone()));
        self.opening = Some(job);
    }

    /// Folds waiting events into the state; whether anything changed. Bounded work per call: where more waits, `wake` is
    /// called again.
    pub fn drain(&mut self) -> bool {
        self.outbox.heard();
        let clock = Instant::now();
        let mut folded = 0;
        let more = loop {
            if folded == EVENTS_PER_DRAIN || (folded > 0 && clock.elapsed() >= DRAIN_TIME) {
                break true;
            }
            let Ok(event) = self.events.try_recv() else { break false };
            self.fold(event);
            folded += 1;
        };
        if more {
            self.outbox.ring();
        }
        if folded > 0 {
            self.refresh_totals();
        }
        folded > 0
    }

    /// Whether a model is being opened.
    pub fn opening(&self) -> bool {
        self.opening.is_some()
    }

    /// The opened model, if any.
    pub fn opened(&self) -> Option<&Opened> {
        self.opened.as_ref()
    }

    /// One row per layer, in the model's order.
    pub fn rows(&self) -> &[LayerRow] {
        &self.rows
    }

    /// Sums.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Jobs, running ones first, the last few ended ones after.
    pub fn jobs(&self) -> Vec<JobView> {
        self.jobs.views()
    }

    /// Asks a job to stop.
    pub fn cancel(&mut self, job: JobId) {
        self.jobs.cancel(job);
    }

    /// Does a job that failed or was cancelled once more; whether it can be.
    pub fn retry(&mut self, job: JobId) -> bool {
        let again = self.jobs.take_again(job);
        again.iter().for_each(|again| again.go(self));
        again.is_some()
    }

    /// The run on the screen.
    pub fn live(&self) -> &LiveView {
        self.shelf.shown()
    }

    /// Messages so far, oldest first (the last 100).
    pub fn messages(&self) -> &[Message] {
        self.messages.list()
    }

    /// Adds a message of the face's own.
    pub fn say(&mut self, severity: Severity, text: impl AsRef<str>) {
        self.messages.say(severity, text.as_ref());
    }

    /// Tells which layer is looked at: it is decomposed next.
    pub fn focus(&mut self, layer: usize) {
        if let Some(project) = &self.project {
            project.focus.store(layer, Ordering::Relaxed);
        }
    }

    /// Cancels all jobs and waits at most briefly for exports to clean up their temporaries.
    pub fn shut_down(&mut self) {
        self.jobs.cancel_all();
        let until = Instant::now() + SHUT_DOWN;
        while self.jobs.running(JobKind::Export).next().is_some() {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(event) => self.fold(event),
                Err(_) => return,
            }
        }
    }

    fn fold(&mut self, event: Event) {
        match event {
            Event::Ended(job, state) => self.job_ended(job, state),
            Event::Say(severity, text) => self.messages.say(severity, &text),
            Event::Opened(job, loaded) if self.opening == Some(job) => self.install(*loaded),
            // Nobody waits for that model any more; unmapping it is not the screen's work.
            Event::Opened(_, loaded) => discard(loaded),
            Event::Spectrum { model, layer, outcome } => self.spectrum_arrived(model, layer, outcome),
            Event::PowerLaw { model, layer, alpha } => self.power_law_arrived(model, layer, alpha),
            Event::Encoded { job, layer, outcome } => self.encoded_arrived(job, layer, outcome),
            Event::Calibrated { model, calibration } => self.calibration_arrived(model, calibration),
            Event::Proposed { job, label, found } => self.proposal_arrived(job, label, &found),
            Event::Frontier { job, point } => self.frontier_arrived(job, point),
            Event::Damage { job, layer, damage } => self.damage_arrived(job, layer, damage),
            Event::Compared { job, found } => self.comparison_arrived(job, found),
            Event::Pinned { model, name, plans, pinned } => self.pinned_arrived(model, name, &plans, *pinned),
            Event::Answered { job, answers } => self.answers_arrived(job, *answers),
            Event::Live { run, policy, batch } => {
                self.record_live(run, policy, &batch);
                if let Some(live) = self.shelf.written_by(run) {
                    live.take(policy, batch);
                }
            }
        }
    }

    fn job_ended(&mut self, job: JobId, state: JobState) {
        if self.opening == Some(job) {
            self.opening = None;
        }
        self.writing_ended(job, &state);
        self.give_up_encoding(job, &state);
        self.calibration_ended(job, &state);
        self.frontier_ended(job, &state);
        self.probes_ended(job);
        self.comparison_ended(job);
        let reason = if let JobState::Failed(reason) = &state { Some(reason.clone()) } else { None };
        if let (Some((_, name)), Some(reason)) = (self.jobs.ended(job, state), reason) {
            self.messages.say(Severity::Error, &format!("{name}: {reason}"));
        }
    }

    /// Replaces what is open.
    fn install(&mut self, loaded: Loaded) {
        self.jobs.cancel_kinds(&[
            JobKind::Decompose,
            JobKind::Calibrate,
            JobKind::Encode,
            JobKind::Generate,
            JobKind::Compare,
            JobKind::Plan,
            JobKind::Frontier,
            JobKind::Scan,
            JobKind::Probe,
        ]);
        self.snapshots.clear();
        (self.planning, self.review, self.frontier, self.scan) = (None, None, FrontierView::default(), None);
        (self.probes, self.comparison) = (ProbesView::default(), ComparisonView::default());
        (self.history, self.shelf, self.pins) = (History::default(), Shelf::default(), Vec::new());
        self.steps.clear();
        self.written.clear();
        self.openings += 1;
        self.rows =
            loaded.layers.iter().zip(&loaded.plans).map(|(layer, plan)| LayerRow::new(layer.clone(), *plan)).collect();
        self.opened = Some(loaded.opened);
        let waits = |layer: usize| loaded.rules.waiting.contains_key(&layer);
        let saved = loaded.plans.iter().enumerate().map(|(layer, plan)| (!waits(layer)).then_some(*plan)).collect();
        let project = Project {
            serial: self.openings,
            name: loaded.name,
            original: loaded.original,
            start: loaded.rules.policy.clone(),
            identity: loaded.identity,
            arithmetic: Arithmetic::Exact,
            compressed: loaded.runnable.as_ref().map(|runnable| ModelCell::new(runnable.model.clone())),
            runnable: loaded.runnable,
            saved,
            saved_edits: 0,
            rules: loaded.rules,
            file: loaded.file,
            encoding: loaded.layers.iter().map(|_| None).collect(),
            told: Arc::default(),
            encoded: vec![None; loaded.layers.len()],
            residuals: vec![None; loaded.layers.len()],
            focus: Arc::new(AtomicUsize::new(usize::MAX)),
            undecomposed: 0,
            calibration: None,
            calibrating: None,
            wanted: Vec::new(),
            checkpoint: loaded.checkpoint,
            layers: loaded.layers,
        };
        if let Some(old) = self.project.replace(project) {
            discard(old);
        }
        loaded.notices.iter().for_each(|(severity, text)| self.messages.say(*severity, text));
        self.encode_all(loaded.given);
        self.decompose();
        self.refresh_totals();
        self.opening = None;
        if let Some(draft) = self.draft.take() {
            self.apply_draft(draft);
        }
    }

    /// Starts the decomposition of all layers in the background.
    fn decompose(&mut self) {
        let Some(project) = &self.project else { return };
        let first = self.rows.iter().enumerate().filter(|(_, row)| !row.plan.is_dense()).map(|(index, _)| index);
        let work = Decompose {
            model: project.serial,
            checkpoint: Arc::clone(&project.checkpoint),
            layers: Arc::clone(&project.layers),
            cache: self.cache.clone(),
            focus: Arc::clone(&project.focus),
            first: project.rules.waiting.keys().copied().chain(first).collect(),
        };
        let name = format!("decompose {} layers", project.layers.len());
        let job = self.jobs.spawn(JobKind::Decompose, name, Vec::new(), move |task| work.run(task));
        self.jobs.again_by(job, Self::decompose);
    }

    pub(super) fn refresh_totals(&mut self) {
        let bytes = self.project.as_ref().map_or(0, |project| project.checkpoint.total_bytes());
        self.totals = Totals::of(&self.rows, bytes);
    }
}

impl Drop for Workbench {
    fn drop(&mut self) {
        self.jobs.cancel_all();
    }
}

/// Drops on a thread of its own what may take long to drop (memory maps, factors).
fn discard<T: Send + 'static>(old: T) {
    // Where no thread can be had, the closure is dropped here, and `old` with it.
    let _ = thread::Builder::new().name("rankscope drop".into()).spawn(move || drop(old));
}
