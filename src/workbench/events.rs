//! What background threads tell the screen's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use super::live::LiveEvent;
use super::open::Loaded;
use super::plans::Residual;
use super::{Compared, Damage, JobId, JobState, ProbeAnswers, Severity};
use crate::compress::{Calibration, ErrorCurve, Errors, Plan};
use crate::measure::{FrontierPoint, Spectrum, WithinBudget};
use crate::model::{CompressedLinear, Model};

/// A layer encoded under its plan.
#[derive(Debug)]
pub(super) struct EncodedLayer {
    pub(super) weight: Arc<CompressedLinear>,
    /// ||W - W'||_F / ||W||_F.
    pub(super) error: f64,
    /// ||(W - W')X||_F / ||WX||_F over the calibration inputs, once those are known.
    pub(super) output_error: Option<f64>,
    /// What the decomposition that it is cut from predicts.
    pub(super) predicted: Option<Errors>,
    /// What its decomposition predicts at other ranks, where the plan truncates.
    pub(super) curve: Option<Arc<ErrorCurve>>,
    /// What a quantized base left, where a low-rank part corrects it.
    pub(super) residual: Option<Arc<Residual>>,
}

/// One piece of news; each is small to fold.
#[derive(Debug)]
pub(super) enum Event {
    /// A job came to its end.
    Ended(JobId, JobState),
    /// A notice.
    Say(Severity, String),
    /// The model that the open job read.
    Opened(JobId, Box<Loaded>),
    /// A layer's spectrum, or why there is none. `model` tells which opening it belongs to.
    Spectrum { model: u64, layer: usize, outcome: Result<Arc<Spectrum>, String> },
    /// The exponent of the power law in the tail of a layer's spectrum.
    PowerLaw { model: u64, layer: usize, alpha: f64 },
    /// A layer as stored under its plan.
    Encoded { job: JobId, layer: usize, outcome: Result<EncodedLayer, String> },
    /// The input statistics of a model. `model` tells which opening they belong to.
    Calibrated { model: u64, calibration: Calibration },
    /// A policy within the budget `label`.
    Proposed { job: JobId, label: String, found: Box<WithinBudget> },
    /// A policy of the frontier was measured.
    Frontier { job: JobId, point: FrontierPoint },
    /// What a scan found out about a layer.
    Damage { job: JobId, layer: usize, damage: Damage },
    /// What both models answered to probes.
    Answered { job: JobId, answers: Box<ProbeAnswers> },
    /// What is known of both models over a text so far.
    Compared { job: JobId, found: Box<Compared> },
    /// The model of pinned plans that a draft had. `model` tells which opening it belongs to.
    Pinned { model: u64, name: char, plans: Vec<Plan>, pinned: Box<Model> },
    /// What a policy wrote in a run since its last event, or without a policy the original.
    Live { run: JobId, policy: Option<usize>, batch: Vec<LiveEvent> },
}

/// Wakes the screen's thread, once per drain.
struct Bell {
    rung: AtomicBool,
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// The sending end; clones go to every job.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: Sender<Event>,
    bell: Arc<Bell>,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox")
    }
}

impl Outbox {
    /// Both ends of a channel whose events call `wake`.
    pub(super) fn new(wake: Arc<dyn Fn() + Send + Sync>) -> (Self, Receiver<Event>) {
        let (sender, receiver) = mpsc::channel();
        (Self { sender, bell: Arc::new(Bell { rung: AtomicBool::new(false), wake }) }, receiver)
    }

    /// Sends and wakes. Where the workbench is gone already, nobody is left to care.
    pub(super) fn send(&self, event: Event) {
        if self.sender.send(event).is_ok() {
            self.ring();
        }
    }

    /// Calls `wake` unless a call is already on its way.
    pub(super) fn ring(&self) {
        if !self.bell.rung.swap(true, Ordering::AcqRel) {
            (self.bell.wake)();
        }
    }

    /// To be called before draining: what comes from now on wakes again.
    pub(super) fn heard(&self) {
        self.bell.rung.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn many_events_wake_once_until_heard() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let (outbox, receiver) = Outbox::new(Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        }));
        (0..3).for_each(|_| outbox.send(Event::Say(Severity::Info, String::new())));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        outbox.heard();
        assert_eq!(receiver.try_iter().count(), 3);
        outbox.send(Event::Say(Severity::Info, String::new()));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }
}
