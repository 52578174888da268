//! The side that the compressed model writes: its own text, and the comparison on the original's context.
//!
//! As long as both texts agree and no plan changes, the model's own pass is the pass on the original's context too, and its
//! logits serve both. From the first difference on, the original's text is forced on a copy of the cache. After a change of
//! plan that cache is computed anew, so that the figures are always those of the plans as they are; the text itself goes on
//! from the cache it has.

use std::collections::{HashSet, VecDeque};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use super::jobs::{End, Task};
use super::live::LiveEvent;
use super::run::{COALESCE, ModelCell, Position, Run, Start, Version, Writer, end};
use crate::measure::inspect_position;
use crate::model::{Cache, Model};

/// Tokens of the original's context that are computed between two tokens of the free text.
const CHUNK: usize = 16;

/// So many of the likeliest tokens are kept of each position.
const LIKELIEST: usize = 10;

/// The compressed thread of a run.
pub(super) struct Follower<'a> {
    run: &'a Run,
    start: &'a Start,
    task: &'a Task,
    cell: &'a ModelCell,
    version: u64,
    model: Model,
    /// The free text, its cache, and the ids that the cache lacks.
    writer: Writer<'a>,
    cache: Cache,
    feed: Vec<u32>,
    /// Logits of the free text that wait for the original's, while they serve both.
    shared: Option<VecDeque<Vec<f32>>>,
    /// The cache on the original's context, once it is another one.
    forced: Option<Cache>,
    /// Prompt and original text, as far as it was compared.
    context: Vec<u32>,
    positions: VecDeque<Position>,
    /// Tokens whose text was told.
    named: HashSet<u32>,
    arriving: Receiver<Position>,
    /// Whether the original has no more to come.
    closed: bool,
}

impl<'a> Follower<'a> {
    pub(super) fn new(
        run: &'a Run,
        (policy, cell): (usize, &'a ModelCell),
        start: &'a Start,
        task: &'a Task,
        arriving: Receiver<Position>,
    ) -> Self {
        let Version { number: version, model, running } = cell.now();
        let mut writer = Writer::new(Some(policy), run, start, task);
        writer.say(LiveEvent::Running { at: 0, running });
        Self {
            run,
            start,
            task,
            cell,
            version,
            cache: model.cache(),
            model,
            writer,
            feed: start.prompt.clone(),
            shared: Some(VecDeque::new()),
            forced: None,
            context: start.prompt.clone(),
            positions: VecDeque::new(),
            named: HashSet::new(),
            arriving,
            closed: false,
        }
    }

    /// Writes and compares until both texts have ended.
    pub(super) fn run(mut self) -> Result<(), End> {
        loop {
            let turn = Instant::now();
            self.task.control.check()?;
            self.pick_up();
            self.receive();
            if !self.writer.ended() {
                self.step()?;
            }
            self.compare()?;
            if self.writer.ended() && self.closed && self.positions.is_empty() {
                self.writer.flush();
                return Ok(());
            }
            if turn.elapsed() >= COALESCE {
                self.writer.flush();
            }
        }
    }

    /// Goes on with the newest weights.
    fn pick_up(&mut self) {
        let Some(Version { number, model, running }) = self.cell.newer(self.version) else { return };
        (self.version, self.model) = (number, model);
        let at = self.writer.ids.len();
        if !self.writer.ended() {
            self.writer.say(LiveEvent::Running { at, running });
        }
        if self.cache.is_empty() {
            return;
        }
        if !self.writer.ended() {
            self.writer.say(LiveEvent::PlanChange(at));
        }
        (self.shared, self.forced) = (None, None);
    }

    /// Takes what the original wrote meanwhile; waits for it where there is nothing else to do.
    fn receive(&mut self) {
        while !self.closed && self.positions.len() < self.start.waiting {
            let idle = self.writer.ended() && self.positions.is_empty();
            if idle {
                self.writer.flush();
            }
            let next = if idle {
                self.arriving.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.arriving.try_recv()
            };
            match next {
                Ok(position) => self.positions.push_back(position),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.closed = true,
            }
        }
    }

    /// One token of the free text.
    fn step(&mut self) -> Result<(), End> {
        let clock = Instant::now();
        let logits = self.model.forward(&self.feed, &mut self.cache, &self.task.control).map_err(end)?;
        self.feed = vec![self.writer.write(&logits, clock)];
        if self.writer.ended() {
            self.writer.finish();
        }
        if let Some(shared) = &mut self.shared {
            shared.push_back(logits);
            if shared.len() > self.start.waiting {
                self.part();
            }
        }
        Ok(())
    }

    /// Compares what both sides have, and moves the forced pass on by a bounded piece.
    fn compare(&mut self) -> Result<(), End> {
        while let Some(shared) = &mut self.shared {
            if self.positions.is_empty() {
                return Ok(());
            }
            let Some(logits) = shared.pop_front() else {
                if self.writer.ended() {
                    self.part();
                    break;
                }
                return Ok(());
            };
            if let Some(id) = self.score(&logits)
                && self.writer.ids.get(self.compared() - 1) != Some(&id)
            {
                self.part();
            }
        }
        self.force()
    }

    /// Moves the pass on the original's context on: one chunk of what its cache lacks, then the positions that wait.
    fn force(&mut self) -> Result<(), End> {
        if self.positions.is_empty() {
            return Ok(());
        }
        let mut cache = self.forced.take().unwrap_or_else(|| self.model.cache());
        let lacks = self.context.get(cache.len()..).unwrap_or_default().to_vec();
        let (now, last) = (lacks.len().min(CHUNK), lacks.len() <= CHUNK);
        let logits =
            self.model.forward(lacks.get(..now).unwrap_or_default(), &mut cache, &self.task.control).map_err(end)?;
        if last {
            self.score(&logits);
            // The other positions that wait are known already: one batch.
            let ids: Vec<u32> = self.positions.iter().take(CHUNK).map(|position| position.id).collect();
            let feed: Vec<u32> = self.context.last().copied().into_iter().chain(ids).collect();
            if let Some(feed) = feed.get(..feed.len().saturating_sub(1)).filter(|feed| !feed.is_empty()) {
                let all = self.model.forward_all(feed, &mut cache, None, &self.task.control).map_err(end)?;
                let vocabulary = (all.len() / feed.len()).max(1);
                all.chunks_exact(vocabulary).for_each(|logits| {
                    self.score(logits);
                });
            }
        }
        self.forced = Some(cache);
        Ok(())
    }

    /// Compares the original's next position with the compressed model's logits there; the token that follows.
    fn score(&mut self, logits: &[f32]) -> Option<u32> {
        let position = self.positions.pop_front()?;
        self.context.push(position.id);
        let id = position.id;
        let (stats, likeliest) = inspect_position(&position.logits, logits, Some(id), LIKELIEST);
        let unnamed = likeliest.iter().map(|token| token.id).chain([id]).filter(|id| self.named.insert(*id));
        let pieces = unnamed.map(|id| (id, self.run.original.tokenizer.piece(id).into())).collect();
        self.writer.say(LiveEvent::Stats { stats, likeliest, pieces });
        Some(id)
    }

    /// Positions compared so far.
    fn compared(&self) -> usize {
        self.context.len() - self.start.prompt.len()
    }

    /// From here on the original's context has a cache of its own: what both contexts share of the free one.
    fn part(&mut self) {
        self.shared = None;
        let mut cache = self.cache.clone();
        // The last token of the context is fed once more, for its logits.
        cache.truncate(cache.len().min(self.context.len().saturating_sub(1)));
        self.forced = Some(cache);
    }
}
