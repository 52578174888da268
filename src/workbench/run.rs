//! A run of both models on one prompt, and the side that the original writes.

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::GenerateOptions;
use super::events::Event;
use super::follow::Follower;
use super::jobs::{End, StopOthers, Task};
use super::live::{LiveEvent, LiveToken, Side};
use super::open::Runnable;
use crate::checkpoint::{Message, TextStream};
use crate::compress::Plan;
use crate::control::{Need, Share};
use crate::linalg::Arithmetic;
use crate::measure::{Loop, find_loop, writing_need};
use crate::model::{CompressedLinear, Model, ModelError, Sampler};

/// Events wait at most this long for others to travel with.
pub(super) const COALESCE: Duration = Duration::from_millis(5);

/// Loops are looked for in this many last tokens.
const LOOP_WINDOW: usize = 4096;

/// Logits that may wait to be compared, in bytes.
const WAITING_BYTES: usize = 64 << 20;

/// What the compressed model is: the plans that its layers have by now, and how it computes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Running {
    pub(super) plans: Vec<Plan>,
    pub(super) arithmetic: Arithmetic,
}

/// A version of the compressed model.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) number: u64,
    pub(super) model: Model,
    pub(super) running: Arc<Running>,
}

/// The compressed model as it is now. Runs pick up the newest between two tokens.
#[derive(Debug, Clone)]
pub(super) struct ModelCell(Arc<Mutex<Version>>);

impl ModelCell {
    pub(super) fn new(model: Model) -> Self {
        let plans = vec![Plan::dense(); model.layers().len()];
        let running = Arc::new(Running { plans, arithmetic: Arithmetic::Exact });
        Self(Arc::new(Mutex::new(Version { number: 0, model, running })))
    }

    /// The newest version.
    pub(super) fn now(&self) -> Version {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As [`ModelCell::now`], if it is not the version that the caller has.
    pub(super) fn newer(&self, number: u64) -> Option<Version> {
        let cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (cell.number != number).then(|| cell.clone())
    }

    /// Computes products in another arithmetic from now on.
    pub(super) fn set_arithmetic(&self, arithmetic: Arithmetic) {
        self.change(|model, running| {
            running.arithmetic = arithmetic;
            model.with_arithmetic(arithmetic)
        });
    }

    /// Gives a layer the weight that it has under a plan.
    pub(super) fn swap(&self, layer: usize, plan: Plan, weight: Arc<CompressedLinear>) {
        self.change(|model, running| {
            running.plans.get_mut(layer).into_iter().for_each(|slot| *slot = plan);
            model.with_weight(layer, weight)
        });
    }

    fn change(&self, change: impl FnOnce(&Model, &mut Running) -> Model) {
        let mut cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Version { number, model, running } = &mut *cell;
        *number += 1;
        *model = change(model, Arc::make_mut(running));
    }
}

/// What a run works on.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) original: Runnable,
    /// The compressed model as the plans are now, then those of the pinned policies.
    pub(super) policies: Vec<ModelCell>,
    pub(super) options: GenerateOptions,
    /// Where it is a branch: what it goes on from.
    pub(super) from: Option<Branch>,
    /// Whether a text ends where it loops.
    pub(super) stop_at_loops: Arc<AtomicBool>,
}

/// Where a text is written anew.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    /// All ids before it, those of the prompt first.
    pub(super) context: Arc<[u32]>,
    /// The last of these: what was written after the prompt.
    pub(super) earlier: Vec<LiveToken>,
}

/// Where the original stood before a new token, and what it chose.
#[derive(Debug, Clone)]
pub(super) struct Position {
    pub(super) logits: Arc<Vec<f32>>,
    pub(super) id: u32,
}

/// A prompt that fits, and how far the texts may go.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) prompt: Vec<u32>,
    pub(super) limit: usize,
    /// What reaching the limit means.
    pub(super) limit_reason: &'static str,
    /// Positions whose logits may wait.
    pub(super) waiting: usize,
}

impl Run {
    /// Writes both texts until both have ended.
    pub(super) fn run(&self, task: &Task) -> Result<(), End> {
        let start = self.start()?;
        task.tell_need("writing", self.need(&start));
        task.control.set_total((1 + self.policies.len()) as u64 * start.limit as u64);
        let context = LiveEvent::Context(start.prompt.as_slice().into());
        task.outbox.send(Event::Live { run: task.id, policy: None, batch: vec![context] });
        let (senders, receivers): (Vec<_>, Vec<_>) = self.policies.iter().map(|_| sync_channel(start.waiting)).unzip();
        let outcomes = thread::scope(|scope| {
            let start = &start;
            let original = named("rankscope original".into())
                .spawn_scoped(scope, move || side(task, || self.write_original(start, task, &senders)));
            let follow = move |policy: (usize, &ModelCell), arriving| {
                side(task, || Follower::new(self, policy, start, task, arriving).run())
            };
            let mut followers = self.policies.iter().enumerate().zip(receivers);
            let first = followers.next();
            let pinned: Vec<_> = followers
                .map(|(policy, arriving)| {
                    named(format!("rankscope policy {}", policy.0))
                        .spawn_scoped(scope, move || follow(policy, arriving))
                })
                .collect();
            let here = first.map(|(policy, arriving)| follow(policy, arriving));
            here.into_iter().chain([original].into_iter().chain(pinned).map(joined)).collect::<Vec<_>>()
        });
        // The one that failed cancelled the others.
        let failed = outcomes.iter().find(|outcome| matches!(outcome, Err(End::Failed(_))));
        failed.or(outcomes.iter().find(|outcome| outcome.is_err())).cloned().unwrap_or(Ok(()))
    }

    fn start(&self) -> Result<Start, End> {
        let prompt = match &self.from {
            Some(from) => from.context.to_vec(),
            None => self.prompt().map_err(End::Failed)?,
        };
        let architecture = self.original.model.architecture();
        let (tokens, context) = (prompt.len(), architecture.context);
        if prompt.is_empty() {
            return Err(End::Failed(ModelError::Empty.to_string()));
        }
        if tokens > context {
            return Err(End::Failed(ModelError::Context { tokens, context }.to_string()));
        }
        // The last token needs no place in the context: it is never fed back.
        let fit = context - tokens + 1;
        let limit_reason = if self.options.max_tokens <= fit { "length" } else { "context" };
        let waiting = (WAITING_BYTES / (4 * architecture.vocabulary.max(1))).clamp(8, 4096);
        Ok(Start { prompt, limit: self.options.max_tokens.min(fit), limit_reason, waiting })
    }

    /// The original's text, and for each policy its own and the original's once more where they part.
    fn need(&self, start: &Start) -> Need {
        let tokens = start.prompt.len().saturating_add(start.limit);
        let each = writing_need(&self.original.model, tokens);
        let policies = self.policies.len();
        let texts = (0..2 * policies).fold(each, |sum, _| sum.and(each));
        let waiting = 4 * self.original.model.architecture().vocabulary as u64 * start.waiting.min(start.limit) as u64;
        texts.and(Need::of(Share::Passes, (1 + policies as u64) * waiting))
    }

    /// The ids of the prompt, as text to go on with or as what is said in a chat.
    fn prompt(&self) -> Result<Vec<u32>, String> {
        let Runnable { tokenizer, chat, .. } = &self.original;
        let GenerateOptions { prompt, chat: asked, .. } = &self.options;
        let encoded = if *asked {
            let template = chat.as_ref().as_ref().map_err(Clone::clone)?;
            let text = template.render(&Message::asked(None, prompt), SystemTime::now());
            text.and_then(|text| tokenizer.encode_plain(&text))
        } else {
            tokenizer.encode(prompt)
        };
        encoded.map_err(|error| error.to_string())
    }

    fn write_original(&self, start: &Start, task: &Task, positions: &[SyncSender<Position>]) -> Result<(), End> {
        let model = &self.original.model;
        let mut writer = Writer::new(None, self, start, task);
        let (mut cache, mut feed) = (model.cache(), start.prompt.clone());
        while !writer.ended() {
            let clock = Instant::now();
            let logits = model.forward(&feed, &mut cache, &task.control).map_err(end)?;
            let id = writer.write(&logits, clock);
            feed = vec![id];
            let position = Position { logits: Arc::new(logits), id };
            for follower in positions {
                if let Err(TrySendError::Full(position)) = follower.try_send(position.clone()) {
                    writer.flush();
                    // An error means that the other thread is gone; it says why itself.
                    let _ = follower.send(position);
                }
            }
        }
        writer.finish();
        Ok(())
    }
}

fn named(name: String) -> thread::Builder {
    thread::Builder::new().name(name)
}

/// How the thread of a side ended; its panic goes on here.
fn joined(thread: io::Result<thread::ScopedJoinHandle<'_, Result<(), End>>>) -> Result<(), End> {
    match thread.map(thread::ScopedJoinHandle::join) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(error) => Err(End::Failed(format!("no thread could be started: {error}"))),
    }
}

/// One side of a run; where it stops before its end, the other must not go on alone.
fn side(task: &Task, work: impl FnOnce() -> Result<(), End>) -> Result<(), End> {
    let _stop = StopOthers(&task.control);
    let outcome = work();
    if outcome.is_err() {
        task.control.cancel();
    }
    outcome
}

/// How a model's error ends a job.
pub(super) fn end(error: ModelError) -> End {
    match error {
        ModelError::Cancelled(_) => End::Cancelled,
        error => End::Failed(error.to_string()),
    }
}

/// One of the two texts as it grows: chooses tokens, tells the screen, knows when to stop.
pub(super) struct Writer<'a> {
    /// Its place among the policies; none for the original.
    policy: Option<usize>,
    start: &'a Start,
    task: &'a Task,
    eos: &'a [u32],
    stop_at_loops: &'a AtomicBool,
    pub(super) ids: Vec<u32>,
    sampler: Sampler,
    stream: TextStream,
    decoding: Duration,
    reason: Option<&'static str>,
    batch: Vec<LiveEvent>,
    sent: Instant,
}

impl<'a> Writer<'a> {
    pub(super) fn new(policy: Option<usize>, run: &'a Run, start: &'a Start, task: &'a Task) -> Self {
        Self {
            policy,
            start,
            task,
            eos: &run.original.model.architecture().eos,
            stop_at_loops: &run.stop_at_loops,
            ids: Vec::new(),
            // A branch draws on as the text before it did, so that by the same weights it is the same text.
            sampler: Sampler::after(run.options.sampling, run.from.as_ref().map_or(0, |from| from.earlier.len())),
            stream: run.original.tokenizer.stream_after(&start.prompt),
            decoding: Duration::ZERO,
            reason: (start.limit == 0).then_some(start.limit_reason),
            batch: Vec::new(),
            sent: Instant::now(),
        }
    }

    pub(super) fn ended(&self) -> bool {
        self.reason.is_some()
    }

    fn side(&self) -> Side {
        self.policy.map_or(Side::Original, |_| Side::Compressed)
    }

    /// Chooses the next token; `clock` was started before its logits were computed.
    pub(super) fn write(&mut self, logits: &[f32], clock: Instant) -> u32 {
        let id = self.sampler.next(logits);
        // The prefill is no decoding.
        if !self.ids.is_empty() {
            self.decoding += clock.elapsed();
        }
        self.ids.push(id);
        self.task.control.advance(1);
        let token = LiveToken { id, text: self.stream.push(id) };
        let steps = (self.ids.len() - 1) as f64;
        let tokens_per_s = (self.ids.len() > 1).then(|| steps / self.decoding.as_secs_f64().max(1e-9));
        let looping = last_loop(&self.ids);
        self.say(LiveEvent::Token { side: self.side(), token, tokens_per_s, looping });
        if self.eos.contains(&id) {
            self.reason = Some("eos");
        } else if self.ids.len() >= self.start.limit {
            self.reason = Some(self.start.limit_reason);
        } else if looping.is_some() && self.stop_at_loops.load(Ordering::Relaxed) {
            self.reason = Some("loop");
        }
        id
    }

    /// Tells the screen, together with what else happens within a few milliseconds.
    pub(super) fn say(&mut self, event: LiveEvent) {
        self.batch.push(event);
        if self.sent.elapsed() >= COALESCE {
            self.flush();
        }
    }

    /// Tells the screen what waits to be told.
    pub(super) fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.task.outbox.send(Event::Live {
                run: self.task.id,
                policy: self.policy,
                batch: std::mem::take(&mut self.batch),
            });
        }
        self.sent = Instant::now();
    }

    /// Tells that the text ended, and the rest of it.
    pub(super) fn finish(&mut self) {
        let text = self.stream.finish();
        if !text.is_empty() {
            self.batch.push(LiveEvent::Rest { side: self.side(), text });
        }
        if let Some(reason) = self.reason {
            self.batch.push(LiveEvent::Ended { side: self.side(), reason });
        }
        self.flush();
    }
}

/// The loop that a text ends in, in the indices of the whole text.
fn last_loop(ids: &[u32]) -> Option<Loop> {
    let from = ids.len().saturating_sub(LOOP_WINDOW);
    let found = find_loop(ids.get(from..)?)?;
    Some(Loop { start: found.start + from, ..found })
}
