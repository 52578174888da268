//! Doing a session again, without a screen: the same steps on the same model, text by text and plan by plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde::Serialize;

use super::draft::DraftPlan;
use super::open::Runnable;
use super::plans::admissible;
use super::recording::value;
use super::rules::Rules;
use super::{
    Edit, JobKind, Locations, SessionPinned, SessionRecord, SessionSegment, SessionStep, SessionText, Severity, Source,
    Workbench,
};
use crate::checkpoint::escaped;
use crate::compress::{Layout, Plan, Policy, compressed_weight};
use crate::control::{Cancelled, Control};
use crate::linalg::Arithmetic;
use crate::model::{CompressedLinear, Model, ModelError, Sampler, Sampling};

/// How often a wait looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// What came out otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The step, counted from 1; null for what is no step's.
    pub step: Option<usize>,
    /// What it is.
    pub what: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.step.map_or(Ok(()), |step| write!(f, "step {step}: "))?;
        f.write_str(&self.what)
    }
}

/// A session that was done again.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// As it came out now; equal to what was given where nothing differs.
    pub record: SessionRecord,
    /// The policy at the end, as a file has it.
    pub policy: String,
    /// What came out otherwise.
    pub differences: Vec<Difference>,
}

/// Why a session cannot be done again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The model could not be opened.
    #[error("the session's model cannot be opened: {0}")]
    Open(String),
    /// Another model.
    #[error(
        "{name} is another model than the session's: its fingerprint is {found}, not {expected}; name the right one with --model"
    )]
    Fingerprint {
        /// Its name.
        name: String,
        /// What it has.
        found: String,
        /// What the session says.
        expected: String,
    },
    /// Other input statistics.
    #[error("the session used other input statistics than those in use; give its own with --calibration FILE")]
    Calibration,
    /// A step that cannot be done.
    #[error("step {step}: {reason}")]
    Step {
        /// Counted from 1.
        step: usize,
        /// Why.
        reason: String,
    },
    /// Cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Does a session again on `source` (and `original`, for a compressed folder) in the workbench that `locations` and
/// `calibration` make. What differs is told; the steps after it are done nevertheless.
///
/// # Errors
/// Another model, other input statistics, a step that cannot be done, cancelled.
pub fn replay(
    session: &SessionRecord,
    (source, original): (Source, Option<Source>),
    (locations, calibration): (Locations, Option<std::path::PathBuf>),
    control: &Control,
) -> Result<Replayed, ReplayError> {
    control.set_total(session.steps.len() as u64);
    let mut stage = Stage::new(locations, calibration, control);
    stage.open(session, source, original)?;
    for (index, step) in session.steps.iter().enumerate() {
        stage.take(index + 1, step, session)?;
        control.advance(1);
    }
    Ok(stage.end(session))
}

/// A workbench whose news are waited for.
struct Stage<'a> {
    workbench: Workbench,
    woken: Receiver<()>,
    control: &'a Control,
    /// Layers as the model that was opened stores them.
    given: Vec<Option<(Plan, Arc<CompressedLinear>)>>,
    /// Layers of the compressed model that wrote last, each under its plan.
    weights: BTreeMap<(usize, String), Arc<CompressedLinear>>,
    differences: Vec<Difference>,
    done: Vec<SessionStep>,
}

impl<'a> Stage<'a> {
    fn new(locations: Locations, calibration: Option<std::path::PathBuf>, control: &'a Control) -> Self {
        let (sender, woken) = mpsc::channel();
        let wake = move || {
            // Where nobody waits any more, nobody needs to be woken.
            let _ = sender.send(());
        };
        let mut workbench = Workbench::new(locations, Arc::new(wake));
        calibration.into_iter().for_each(|path| workbench.use_calibration(path));
        Self {
            workbench,
            woken,
            control,
            given: Vec::new(),
            weights: BTreeMap::new(),
            differences: Vec::new(),
            done: Vec::new(),
        }
    }

    fn until(&mut self, done: impl Fn(&Workbench) -> bool) -> Result<(), ReplayError> {
        loop {
            self.workbench.drain();
            if done(&self.workbench) {
                return Ok(());
            }
            self.control.check()?;
            // Woken, or time to look for a cancel: the loop does the same.
            let _ = self.woken.recv_timeout(LOOK);
        }
    }

    fn open(&mut self, session: &SessionRecord, source: Source, original: Option<Source>) -> Result<(), ReplayError> {
        let name = source.name();
        self.workbench.open_from(source, session.start.to_string(), original);
        self.until(|workbench| !workbench.opening())?;
        let Some(project) = &self.workbench.project else {
            return Err(ReplayError::Open(self.complaint()));
        };
        let (found, expected) = (project.checkpoint.fingerprint(), session.model.fingerprint.clone());
        if found != expected {
            return Err(ReplayError::Fingerprint { name: escaped(&name, 200), found, expected });
        }
        if !same(&session.start, &project.start) {
            let why = "the policy that the session began from does not fit the model";
            return Err(ReplayError::Open(format!("{why}: {}", self.complaint())));
        }
        let decomposed = |workbench: &Workbench| workbench.project.as_ref().is_none_or(|p| p.rules.waiting.is_empty());
        self.until(decomposed)?;
        self.workbench.jobs.cancel_kinds(&[JobKind::Decompose]);
        self.settle(0, session)?;
        self.until(|workbench| workbench.jobs.running(JobKind::Encode).next().is_none())?;
        self.given = self.workbench.project.as_ref().map(|project| project.encoded.clone()).unwrap_or_default();
        Ok(())
    }

    /// What the workbench said last of what went wrong.
    fn complaint(&self) -> String {
        let bad = self.workbench.messages().iter().rev().find(|message| message.severity != Severity::Info);
        bad.map_or_else(|| "it says no reason".to_owned(), |message| message.text.clone())
    }

    /// Waits for input statistics where plans need them; they must be those of the session.
    fn settle(&mut self, step: usize, session: &SessionRecord) -> Result<(), ReplayError> {
        if !self.workbench.needs_statistics() {
            return Ok(());
        }
        self.workbench.calibrate();
        self.until(|workbench| workbench.project.as_ref().is_none_or(|project| project.calibrating.is_none()))?;
        let known = self.workbench.project.as_ref().and_then(|project| project.calibration.as_ref());
        match (known, &session.calibration) {
            (None, _) => Err(ReplayError::Step { step, reason: self.complaint() }),
            (Some(known), Some(expected)) if known.fingerprint() != expected => Err(ReplayError::Calibration),
            _ => Ok(()),
        }
    }

    fn differs(&mut self, step: usize, what: String) {
        self.differences.push(Difference { step: Some(step), what });
    }

    fn take(&mut self, number: usize, step: &SessionStep, session: &SessionRecord) -> Result<(), ReplayError> {
        self.control.check()?;
        let mut done = step.clone();
        match step {
            SessionStep::Rules { policy } => self.take_rules(number, policy),
            SessionStep::Plans { name, from, to } => self.take_plans(number, name, (from, to)),
            SessionStep::Undo if self.workbench.undo().is_none() => {
                self.differs(number, "there is nothing to undo".to_owned());
            }
            SessionStep::Redo if self.workbench.redo().is_none() => {
                self.differs(number, "there is nothing to redo".to_owned());
            }
            SessionStep::Undo | SessionStep::Redo => {}
            SessionStep::Write(text) => done = SessionStep::Write(self.write(number, text)?),
        }
        // Models that write are put together here, as they were at the time.
        self.workbench.jobs.cancel_kinds(&[JobKind::Encode]);
        self.done.push(done);
        self.settle(number, session)
    }

    fn take_rules(&mut self, number: usize, policy: &serde_json::Value) {
        let rows = &self.workbench.rows;
        let spectra = |layer: usize| rows.get(layer).and_then(|row| row.spectrum.clone());
        let Some(project) = &mut self.workbench.project else { return };
        match Policy::parse(&policy.to_string()).and_then(|policy| Rules::resolve(policy, &project.layers, &spectra)) {
            Ok((rules, _)) => project.rules = rules,
            Err(error) => self.differs(number, error.to_string()),
        }
    }

    fn take_plans(&mut self, number: usize, name: &str, (from, to): (&[DraftPlan], &[DraftPlan])) {
        let mut changes = Vec::new();
        for (before, after) in from.iter().zip(to) {
            let shown = escaped(&after.layer, 200);
            let found = self.workbench.rows.iter().position(|row| row.layer.name == after.layer && !row.layer.fixed);
            let Some((layer, row)) = found.and_then(|layer| Some((layer, self.workbench.rows.get(layer)?))) else {
                self.differs(number, format!("the model has no layer {shown} whose plan can change"));
                continue;
            };
            let (now, wanted) = (row.plan, after.plan());
            let allowed = if wanted.is_dense() { Ok(wanted) } else { admissible(&wanted, &row.layer) };
            if now != before.plan() {
                let told =
                    format!("{shown} was {} before it, where the session says {}", plan(now), plan(before.plan()));
                self.differs(number, told);
            }
            match allowed {
                Ok(allowed) if allowed == wanted => changes.push((layer, now, wanted)),
                Ok(_) => self.differs(number, format!("{shown} cannot be {}", plan(wanted))),
                Err(reason) => self.differs(number, format!("{shown}: {reason}")),
            }
        }
        if from.len() != to.len() {
            self.differs(number, "it does not tell as many plans before as after".to_owned());
        }
        self.workbench.edit(Edit { name: name.to_owned(), changes });
    }

    /// Writes both texts as far as the session has them.
    fn write(&mut self, number: usize, text: &SessionText) -> Result<SessionText, ReplayError> {
        let failed = |error: &dyn std::fmt::Display| ReplayError::Step { step: number, reason: error.to_string() };
        let runnable = self.workbench.project.as_ref().and_then(|project| project.runnable.clone());
        let Some(Runnable { model, tokenizer, .. }) = runnable else {
            return Err(failed(&format!("the model cannot write: {}", self.complaint())));
        };
        let ids = tokenizer.encode(&text.prompt).map_err(|error| failed(&error))?;
        // A chat template may hold the date.
        if !text.chat && !begins(text, &ids) {
            self.differs(number, "the prompt is cut into other tokens".to_owned());
        }
        let ended = |error: ModelError| match error {
            ModelError::Cancelled(cancelled) => ReplayError::Cancelled(cancelled),
            error => failed(&error),
        };
        let (prompt, sampling) = (&text.prompt_ids, text.sampling());
        let count = text.original.len();
        let original =
            written(&[(0, model.clone())], prompt, (count, sampling, text.earlier), self.control).map_err(ended)?;
        let (mut models, mut used) = (Vec::new(), BTreeMap::new());
        for SessionSegment { from, fast, plans } in &text.compressed_as {
            models.push((*from, self.compressed((number, &model), (*fast, plans), &mut used)?));
        }
        let mut compressed = Vec::new();
        if models.first().is_some_and(|model| model.0 == 0) || text.compressed.is_empty() {
            let count = text.compressed.len();
            compressed = written(&models, prompt, (count, sampling, text.earlier), self.control).map_err(ended)?;
        } else {
            self.differs(number, "it does not say what the compressed model was at its first token".to_owned());
        }
        let mut pinned = Vec::new();
        for pin in &text.pinned {
            let by = [(0, self.compressed((number, &model), (pin.fast, &pin.plans), &mut used)?)];
            let ids = written(&by, prompt, (pin.ids.len(), sampling, text.earlier), self.control).map_err(ended)?;
            pinned.push(SessionPinned { ids, ..pin.clone() });
        }
        // The next text is mostly written by the same.
        self.weights = used;
        let mut sides = vec![
            ("the original's text".to_owned(), &original, &text.original),
            ("the compressed model's text".to_owned(), &compressed, &text.compressed),
        ];
        let pairs = pinned.iter().zip(&text.pinned);
        sides.extend(pairs.map(|(now, then)| (format!("policy {}'s text", then.name), &now.ids, &then.ids)));
        for (whose, now, then) in sides {
            if let Some(at) = (0..then.len()).find(|at| now.get(*at) != then.get(*at)) {
                let [now, then] = [now, then].map(|ids| {
                    ids.get(at).map_or_else(|| "none".to_owned(), |id| format!("{id} ({:?})", tokenizer.piece(*id)))
                });
                self.differs(number, format!("token {} of {whose} is {now}, not {then}", at + 1));
            }
        }
        Ok(SessionText { original, compressed, pinned, ..text.clone() })
    }

    /// The model under some plans; the weights of its layers are noted in `used`.
    fn compressed(
        &mut self,
        (number, model): (usize, &Model),
        (fast, plans): (bool, &[DraftPlan]),
        used: &mut BTreeMap<(usize, String), Arc<CompressedLinear>>,
    ) -> Result<Model, ReplayError> {
        let mut compressed = model.clone();
        for wanted in plans.iter().filter(|wanted| !wanted.plan().is_dense()) {
            let Some(layer) = model.layers().iter().position(|layer| layer.name == wanted.layer && !layer.fixed) else {
                self.differs(number, format!("the model has no layer {}", escaped(&wanted.layer, 200)));
                continue;
            };
            let key = (layer, format!("{:?}", wanted.plan()));
            let weight = match used.get(&key) {
                Some(weight) => Arc::clone(weight),
                None => self.weight(number, layer, wanted.plan())?,
            };
            compressed = compressed.with_weight(layer, Arc::clone(&weight));
            used.insert(key, weight);
        }
        let arithmetic = if fast { Arithmetic::Fast } else { Arithmetic::Exact };
        Ok(compressed.with_arithmetic(arithmetic))
    }

    /// A layer under a plan: as the opened model stores it, as it was made last, or made now.
    fn weight(&self, number: usize, layer: usize, plan: Plan) -> Result<Arc<CompressedLinear>, ReplayError> {
        let given = self.given.get(layer).and_then(Option::as_ref).filter(|given| given.0 == plan);
        if let Some((_, weight)) = given {
            return Ok(Arc::clone(weight));
        }
        if let Some(weight) = self.weights.get(&(layer, format!("{plan:?}"))) {
            return Ok(Arc::clone(weight));
        }
        let failed = |reason: String| ReplayError::Step { step: number, reason };
        let missing = || failed("the model has no such layer".to_owned());
        let project = self.workbench.project.as_ref().ok_or_else(missing)?;
        let (of, calibration) = (project.layers.get(layer).ok_or_else(missing)?, project.calibration.as_ref());
        let (checkpoint, cache) = (&project.checkpoint, &self.workbench.cache);
        let made = compressed_weight(checkpoint, of, &plan, Layout::Native, cache, calibration, self.control);
        self.control.check()?;
        made.map(Arc::new).map_err(|error| failed(format!("{}: {error}", escaped(&of.name, 200))))
    }

    fn end(mut self, session: &SessionRecord) -> Replayed {
        self.workbench.drain();
        let policy = self.workbench.policy();
        let mut record = SessionRecord { steps: self.done, ..session.clone() };
        if !same(&session.policy, &policy) {
            record.policy = value(&policy);
            let what = "the policy at the end is another one".to_owned();
            self.differences.push(Difference { step: None, what });
        }
        Replayed { record, policy: policy.to_text(), differences: self.differences }
    }
}

/// Whether a policy in a session is this one, however it is written.
fn same(written: &serde_json::Value, policy: &Policy) -> bool {
    Policy::parse(&written.to_string()).is_ok_and(|written| written.to_text() == policy.to_text())
}

/// Whether the ids that a text goes on from are those of its prompt, and as many more as it says.
fn begins(text: &SessionText, ids: &[u32]) -> bool {
    text.prompt_ids.strip_prefix(ids).is_some_and(|more| more.len() == text.earlier)
}

fn plan(plan: Plan) -> String {
    if plan.is_dense() { "dense".to_owned() } else { plan.to_string() }
}

/// `count` new ids after a prompt; each model writes from its token on, and goes on from what those before remember.
fn written(
    models: &[(usize, Model)],
    prompt: &[u32],
    (count, sampling, earlier): (usize, Sampling, usize),
    control: &Control,
) -> Result<Vec<u32>, ModelError> {
    let (mut sampler, mut feed, mut ids) = (Sampler::after(sampling, earlier), prompt.to_vec(), Vec::new());
    let Some((_, first)) = models.first().filter(|_| count > 0) else { return Ok(ids) };
    let mut cache = first.cache();
    while ids.len() < count {
        let now = models.iter().rev().find(|(from, _)| *from <= ids.len()).map_or(first, |model| &model.1);
        let id = sampler.next(&now.forward(&feed, &mut cache, control)?);
        ids.push(id);
        feed = vec![id];
    }
    Ok(ids)
}
