//! Jobs: named background work with progress, a cancel that reaches inside, and one end.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::events::{Event, Outbox};
use super::{Severity, Workbench};
use crate::checkpoint::escaped;
use crate::control::{Cancelled, Control, Need, Told};

/// Ended jobs that stay in the list.
const KEPT: usize = 8;

/// Characters of a job's name in the log.
const LOGGED: usize = 200;

/// Seconds that a job must have run, and the share that it must have done, before what is left can be told.
const LEAST_SECONDS: f64 = 3.0;
const LEAST_SHARE: f64 = 0.02;

/// Identifies a job for as long as the workbench lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What a job does (decides how it is shown and what quitting says).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Opens a model.
    Open,
    /// Decomposes layers.
    Decompose,
    /// Computes input statistics.
    Calibrate,
    /// Encodes and measures changed layers.
    Encode,
    /// Writes text.
    Generate,
    /// Writes files.
    Export,
    /// Compares over a text.
    Compare,
    /// Seeks a policy within a budget.
    Plan,
    /// Asks probes.
    Probe,
    /// Measures several policies.
    Frontier,
    /// Measures single layers.
    Scan,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// At work.
    Running,
    /// Ended well.
    Done,
    /// Ended with a reason (a panic inside it, too).
    Failed(String),
    /// Cancelled.
    Cancelled,
}

impl JobState {
    /// In a word.
    const fn word(&self) -> &'static str {
        match self {
            Self::Running => "runs",
            Self::Done => "is done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "was cancelled",
        }
    }
}

/// A job as shown.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// Identity.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Its name: `decompose 36 layers`.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// Steps done and in all (0: unknown).
    pub progress: (u64, u64),
    /// Seconds since its start (until its end).
    pub seconds: f64,
    /// Whether it failed or was cancelled and can be done once more.
    pub retryable: bool,
}

impl JobView {
    /// Seconds that a running job may still take, going on as it went; `None` where too little is done to tell.
    pub fn seconds_left(&self) -> Option<f64> {
        let (done, total) = (self.progress.0 as f64, self.progress.1 as f64);
        let told = self.state == JobState::Running && self.seconds >= LEAST_SECONDS && done >= LEAST_SHARE * total;
        (told && total > 0.0).then(|| self.seconds * ((total - done) / done).max(0.0))
    }
}

/// What does a job once more.
#[derive(Clone)]
pub(super) struct Again(Arc<dyn Fn(&mut Workbench) + Send + Sync>);

impl Again {
    pub(super) fn go(&self, workbench: &mut Workbench) {
        (self.0)(workbench);
    }
}

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Again")
    }
}

/// How a job ends when it does not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    Failed(String),
    Cancelled,
}

impl From<Cancelled> for End {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// Reads how many bytes of memory are free; `None` where that is not known.
pub(super) type FreeMemory = fn() -> Option<u64>;

/// What a job's body is given.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: JobId,
    pub(super) control: Control,
    pub(super) outbox: Outbox,
    pub(super) free: FreeMemory,
}

impl Task {
    /// Says where this work needs more memory than is free.
    pub(super) fn tell_need(&self, doing: &str, need: Need) {
        self.say(need.told(doing, (self.free)()));
    }

    /// The same, unless as much was said before.
    pub(super) fn tell_need_once(&self, doing: &str, need: Need, told: &Told) {
        self.say(told.once(doing, need, (self.free)()));
    }

    fn say(&self, line: Option<String>) {
        line.into_iter().for_each(|line| self.outbox.send(Event::Say(Severity::Warning, line)));
    }
}

#[derive(Debug)]
struct Record {
    id: JobId,
    kind: JobKind,
    name: String,
    control: Control,
    /// Handles on parts of the work that can be cancelled one by one.
    parts: Vec<Control>,
    state: JobState,
    started: Instant,
    took: Option<Duration>,
    again: Option<Again>,
}

impl Record {
    fn running(&self) -> bool {
        self.state == JobState::Running
    }

    fn retryable(&self) -> bool {
        let broken = matches!(self.state, JobState::Failed(_) | JobState::Cancelled);
        broken && self.again.is_some()
    }

    fn cancel(&self) {
        self.control.cancel();
        self.parts.iter().for_each(Control::cancel);
    }

    /// Whether all its parts were given up because newer requests replaced them.
    fn superseded(&self) -> bool {
        !self.control.is_cancelled() && !self.parts.is_empty() && self.parts.iter().all(Control::is_cancelled)
    }

    fn view(&self) -> JobView {
        JobView {
            id: self.id,
            kind: self.kind,
            name: self.name.clone(),
            state: self.state.clone(),
            progress: self.control.progress(),
            seconds: self.took.unwrap_or_else(|| self.started.elapsed()).as_secs_f64(),
            retryable: self.retryable(),
        }
    }
}

/// All jobs: the running ones and the last few that ended.
#[derive(Debug)]
pub(super) struct Jobs {
    next: u64,
    records: Vec<Record>,
    outbox: Outbox,
    pub(super) free: FreeMemory,
    /// Called on the thread of each job before its work.
    pub(super) first: fn(),
}

impl Jobs {
    pub(super) fn new(outbox: Outbox) -> Self {
        Self { next: 0, records: Vec::new(), outbox, free: || None, first: || {} }
    }

    /// Starts a job on a thread of its own. Its end, be it a panic, arrives as [`Event::Ended`].
    pub(super) fn spawn<F>(&mut self, kind: JobKind, name: String, parts: Vec<Control>, body: F) -> JobId
    where
        F: FnOnce(&Task) -> Result<(), End> + Send + 'static,
    {
        self.next += 1;
        let id = JobId(self.next);
        info!(job = id.0, "{} begins", escaped(&name, LOGGED));
        let control = Control::new();
        let task = Task { id, control: control.clone(), outbox: self.outbox.clone(), free: self.free };
        let thread = thread::Builder::new().name(format!("rankscope {}", word(kind)));
        let first = self.first;
        let started = thread.spawn(move || {
            let work = || {
                first();
                body(&task)
            };
            let state =
                catch_unwind(AssertUnwindSafe(work)).map_or_else(|panic| JobState::Failed(reason(&*panic)), state_of);
            task.outbox.send(Event::Ended(id, state));
        });
        self.records.push(Record {
            id,
            kind,
            name,
            control,
            parts,
            state: JobState::Running,
            started: Instant::now(),
            took: None,
            again: None,
        });
        if let Err(error) = started {
            self.outbox.send(Event::Ended(id, JobState::Failed(format!("no thread could be started: {error}"))));
        }
        id
    }

    /// The job that was begun last, if any.
    pub(super) fn latest(&self) -> Option<JobId> {
        self.records.last().map(|record| record.id)
    }

    /// Says how a job is done once more.
    pub(super) fn again_by(&mut self, id: JobId, again: impl Fn(&mut Workbench) + Send + Sync + 'static) {
        if let Some(record) = self.records.iter_mut().find(|record| record.id == id) {
            record.again = Some(Again(Arc::new(again)));
        }
    }

    /// Takes a job that failed or was cancelled off the list, to be done once more.
    pub(super) fn take_again(&mut self, id: JobId) -> Option<Again> {
        let at = self.records.iter().position(|record| record.id == id && record.retryable())?;
        self.records.remove(at).again
    }

    /// Notes a job's end; its kind and name, unless it was superseded (then it leaves the list without a word).
    pub(super) fn ended(&mut self, id: JobId, state: JobState) -> Option<(JobKind, String)> {
        let at = self.records.iter().position(|record| record.id == id)?;
        if self.records.get(at).is_some_and(Record::superseded) {
            let record = self.records.remove(at);
            debug!(job = id.0, "{} was replaced by a newer one", escaped(&record.name, LOGGED));
            return None;
        }
        let record = self.records.get_mut(at)?;
        record.state = state;
        let took = record.started.elapsed();
        record.took = Some(took);
        // Of a failure the message tells the reason.
        let (name, end, seconds) = (escaped(&record.name, LOGGED), record.state.word(), took.as_secs_f64());
        info!(job = id.0, "{name} {end} after {seconds:.2} s");
        let told = (record.kind, record.name.clone());
        let over = self.records.iter().filter(|record| !record.running()).count().saturating_sub(KEPT);
        let mut dropped = 0;
        self.records.retain(|record| {
            let drop = !record.running() && dropped < over;
            dropped += usize::from(drop);
            !drop
        });
        Some(told)
    }

    /// Asks a job to stop.
    pub(super) fn cancel(&self, id: JobId) {
        self.records.iter().filter(|record| record.id == id).for_each(Record::cancel);
    }

    /// Asks all jobs of these kinds to stop.
    pub(super) fn cancel_kinds(&self, kinds: &[JobKind]) {
        self.records.iter().filter(|record| kinds.contains(&record.kind)).for_each(Record::cancel);
    }

    /// Asks all jobs to stop.
    pub(super) fn cancel_all(&self) {
        self.records.iter().for_each(Record::cancel);
    }

    /// Running jobs of a kind, oldest first.
    pub(super) fn running(&self, kind: JobKind) -> impl Iterator<Item = JobView> {
        self.records.iter().filter(move |record| record.kind == kind && record.running()).map(Record::view)
    }

    /// Running ones first, then the ended ones, the latest first.
    pub(super) fn views(&self) -> Vec<JobView> {
        let running = self.records.iter().filter(|record| record.running());
        running.chain(self.records.iter().rev().filter(|record| !record.running())).map(Record::view).collect()
    }
}

/// Runs `work` on `threads` threads at once, the caller's among them; a panic in one comes out here.
pub(super) fn side_by_side(threads: usize, name: &str, control: &Control, work: &(dyn Fn() + Sync)) {
    let guarded = || {
        let _stop = StopOthers(control);
        work();
    };
    thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, guarded).ok();
        let others: Vec<_> = (1..threads).filter_map(spawn).collect();
        let mine = catch_unwind(AssertUnwindSafe(guarded));
        let outcomes: Vec<_> = others.into_iter().map(thread::ScopedJoinHandle::join).chain([mine]).collect();
        if let Some(panic) = outcomes.into_iter().find_map(Result::err) {
            resume_unwind(panic);
        }
    });
}

/// Cancels what goes on beside this thread if it panics.
pub(super) struct StopOthers<'a>(pub(super) &'a Control);

impl Drop for StopOthers<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.cancel();
        }
    }
}

fn state_of(outcome: Result<(), End>) -> JobState {
    match outcome {
        Ok(()) => JobState::Done,
        Err(End::Failed(reason)) => JobState::Failed(reason),
        Err(End::Cancelled) => JobState::Cancelled,
    }
}

/// What a panic said.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("internal error: {}", escaped(text.unwrap_or("a panic without words"), 300))
}

fn word(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Open => "open",
        JobKind::Decompose => "decompose",
        JobKind::Calibrate => "calibrate",
        JobKind::Encode => "encode",
        JobKind::Generate => "generate",
        JobKind::Export => "export",
        JobKind::Compare => "compare",
        JobKind::Plan => "plan",
        JobKind::Probe => "probe",
        JobKind::Frontier => "frontier",
        JobKind::Scan => "scan",
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::mpsc::Receiver;

    use super::*;

    fn jobs() -> (Jobs, Receiver<Event>) {
        let (outbox, receiver) = Outbox::new(Arc::new(|| {}));
        (Jobs::new(outbox), receiver)
    }

    fn end(jobs: &mut Jobs, events: &Receiver<Event>) -> JobState {
        match events.recv().unwrap() {
            Event::Ended(id, state) => {
                jobs.ended(id, state.clone());
                state
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_panic_fails_its_job_alone() {
        let (mut jobs, events) = jobs();
        jobs.spawn(JobKind::Open, "one".into(), Vec::new(), |_| panic!("a {}", "thorn"));
        assert_eq!(end(&mut jobs, &events), JobState::Failed("internal error: a thorn".into()));
        jobs.spawn(JobKind::Open, "two".into(), Vec::new(), |_| Ok(()));
        assert_eq!(end(&mut jobs, &events), JobState::Done);
        assert_eq!(jobs.views().iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["two", "one"]);
    }

    #[test]
    fn a_job_begins_on_its_thread_by_what_was_asked() {
        thread_local!(static BEGUN: Cell<bool> = const { Cell::new(false) });
        let (mut jobs, events) = jobs();
        jobs.first = || BEGUN.set(true);
        jobs.spawn(JobKind::Scan, "one".into(), Vec::new(), |_| if BEGUN.get() { Ok(()) } else { Err(End::Cancelled) });
        assert_eq!(end(&mut jobs, &events), JobState::Done);
        assert!(!BEGUN.get());
    }

    #[test]
    fn a_cancel_reaches_inside() {
        let (mut jobs, events) = jobs();
        let id = jobs.spawn(JobKind::Export, "long".into(), Vec::new(), |task| {
            loop {
                task.control.check()?;
                thread::yield_now();
            }
        });
        assert_eq!(jobs.running(JobKind::Export).count(), 1);
        jobs.cancel(id);
        assert_eq!(end(&mut jobs, &events), JobState::Cancelled);
    }

    #[test]
    fn what_is_left_is_told_once_enough_is_done() {
        let view = |state, progress, seconds| JobView {
            id: JobId(1),
            kind: JobKind::Scan,
            name: String::new(),
            state,
            progress,
            seconds,
            retryable: false,
        };
        let left = |progress, seconds| view(JobState::Running, progress, seconds).seconds_left();
        assert_eq!((left((1, 4), 10.0), left((4, 4), 10.0), left((9, 4), 10.0)), (Some(30.0), Some(0.0), Some(0.0)));
        assert_eq!(
            (left((1, 4), 1.0), left((1, 1000), 10.0), left((0, 0), 10.0), left((5, 0), 10.0)),
            (None, None, None, None)
        );
        assert_eq!(view(JobState::Done, (1, 4), 10.0).seconds_left(), None);
    }

    #[test]
    fn a_superseded_job_leaves_the_list() {
        let (mut jobs, events) = jobs();
        let part = Control::new();
        part.cancel();
        jobs.spawn(JobKind::Encode, "old".into(), vec![part], |_| Ok(()));
        end(&mut jobs, &events);
        assert!(jobs.views().is_empty());
    }

    #[test]
    fn a_panic_side_by_side_comes_out_and_stops_the_others() {
        let control = Control::new();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            side_by_side(3, "test", &control, &|| {
                assert_ne!(thread::current().name(), Some("test"), "inside");
                while !control.is_cancelled() {
                    thread::yield_now();
                }
            });
        }));
        assert!(reason(&*caught.unwrap_err()).contains("inside"));
    }
}
