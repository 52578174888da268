//! Both models writing side by side: what the screen shows of it.

use std::collections::HashMap;
use std::sync::Arc;

use super::JobId;
use super::run::Running;
use crate::compress::Plan;
use crate::measure::{LikelyToken, Loop, PositionStats};

/// One token of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveToken {
    /// Its id.
    pub id: u32,
    /// The text that became final by it (may be empty inside a multi-token character).
    pub text: String,
}

/// What one model writes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pane {
    /// New tokens, after the prompt.
    pub tokens: Vec<LiveToken>,
    /// Decode speed so far; `None` before the second token.
    pub tokens_per_s: Option<f64>,
    /// A loop at its end.
    pub looping: Option<Loop>,
    /// Ended by itself, with the reason: `eos`, `length` (as many as asked for), `context` (as many as fit), `loop` (where
    /// loops are to be stopped).
    pub ended: Option<&'static str>,
}

/// Means over the positions compared so far.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LiveMeans {
    /// Positions.
    pub count: usize,
    /// Mean cosine of logits.
    pub cosine: f64,
    /// Mean squared logit difference.
    pub mse: f64,
    /// Mean KLD, nats.
    pub kld: f64,
    /// Share of positions with the same argmax.
    pub top1: f64,
}

/// All that the screen shows of a run. `stats[i]` compares both models on the original's context before its new token `i`:
/// after a change of plan by the new plans on the whole context, while the free text goes on from what it remembers.
#[derive(Debug, Clone, Default)]
pub struct LiveView {
    /// The prompt of this run.
    pub prompt: String,
    /// Whether it was put into a chat.
    pub chat: bool,
    /// Of a branch: the tokens between the prompt and where it was written anew.
    pub earlier: Vec<LiveToken>,
    /// The ids that both texts go on from, once they are known.
    pub context: Arc<[u32]>,
    /// The plans that it was written by, as they were when it began or ended.
    pub plans: Vec<Plan>,
    /// The job that writes it.
    pub job: Option<JobId>,
    /// The name of the pinned policy that `compressed` is written by; none for the plans as they are.
    pub policy: Option<char>,
    /// The same by each pinned policy, against the same original.
    pub rivals: Vec<LiveView>,
    /// Whether it is still running.
    pub running: bool,
    /// The original's text.
    pub original: Pane,
    /// What the compressed model writes when it runs free.
    pub compressed: Pane,
    /// Per original token: both models on the same context.
    pub stats: Vec<PositionStats>,
    /// Per original token: what both models thought likeliest there, in the order of the original's probabilities.
    pub likeliest: Vec<Vec<LikelyToken>>,
    /// The texts of the tokens in `likeliest`, and of those written.
    pub pieces: HashMap<u32, Box<str>>,
    /// Means of `stats`.
    pub means: LiveMeans,
    /// Index of the first new token that differs between the two texts.
    pub first_difference: Option<usize>,
    /// Why the run failed.
    pub error: Option<String>,
    /// Token indices (of the compressed text) at which a plan change took effect.
    pub plan_changes: Vec<usize>,
}

/// Which of the two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Original,
    Compressed,
}

/// What happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LiveEvent {
    /// The compressed model is this from its token of this index on.
    Running { at: usize, running: Arc<Running> },
    /// The ids that both texts go on from.
    Context(Arc<[u32]>),
    /// A new token, the speed up to it and the loop that the text ends in.
    Token { side: Side, token: LiveToken, tokens_per_s: Option<f64>, looping: Option<Loop> },
    /// Text that was held back and now belongs to the last token.
    Rest { side: Side, text: String },
    /// A text ended by itself.
    Ended { side: Side, reason: &'static str },
    /// Both models on the same context, for the next original token; texts of tokens that were not named before.
    Stats { stats: PositionStats, likeliest: Vec<LikelyToken>, pieces: Vec<(u32, Box<str>)> },
    /// The compressed model writes by newer plans from its token of this index on.
    PlanChange(usize),
}

impl LiveMeans {
    /// Counts one more position.
    fn add(&mut self, stats: &PositionStats) {
        self.count += 1;
        let share = 1.0 / self.count as f64;
        let fold = |mean: &mut f64, value: f64| *mean += (value - *mean) * share;
        fold(&mut self.cosine, stats.cosine);
        fold(&mut self.mse, stats.mse);
        fold(&mut self.kld, stats.kld);
        fold(&mut self.top1, f64::from(u8::from(stats.top1)));
    }
}

impl LiveView {
    /// A run that just began.
    pub(super) fn begun(prompt: String, chat: bool) -> Self {
        Self { prompt, chat, running: true, ..Self::default() }
    }

    /// Whether it is a text anew from the same words.
    pub(super) fn continues_the_same(&self, other: &Self) -> bool {
        (&self.prompt, self.chat, &self.earlier) == (&other.prompt, other.chat, &other.earlier)
    }

    /// Takes in what a policy wrote (0: the plans as they are, then the pinned ones), or with `None` the original, which is
    /// everybody's.
    pub(super) fn take(&mut self, policy: Option<usize>, batch: Vec<LiveEvent>) {
        for event in batch {
            match policy {
                None => {
                    self.rivals.iter_mut().for_each(|rival| rival.fold(event.clone()));
                    self.fold(event);
                }
                Some(0) => self.fold(event),
                Some(policy) => self.rivals.get_mut(policy - 1).into_iter().for_each(|rival| rival.fold(event.clone())),
            }
        }
    }

    /// Takes in what happened.
    pub(super) fn fold(&mut self, event: LiveEvent) {
        match event {
            // The record of the session keeps it.
            LiveEvent::Running { .. } => {}
            LiveEvent::Context(ids) => self.context = ids,
            LiveEvent::Token { side, token, tokens_per_s, looping } => {
                let pane = self.pane(side);
                pane.tokens.push(token);
                pane.tokens_per_s = tokens_per_s;
                pane.looping = looping;
                self.find_difference();
            }
            LiveEvent::Rest { side, text } => {
                if let Some(last) = self.pane(side).tokens.last_mut() {
                    last.text.push_str(&text);
                }
            }
            LiveEvent::Ended { side, reason } => self.pane(side).ended = Some(reason),
            LiveEvent::Stats { stats, likeliest, pieces } => {
                self.means.add(&stats);
                self.stats.push(stats);
                self.likeliest.push(likeliest);
                self.pieces.extend(pieces);
            }
            LiveEvent::PlanChange(at) => {
                if self.plan_changes.last() != Some(&at) {
                    self.plan_changes.push(at);
                }
            }
        }
    }

    fn pane(&mut self, side: Side) -> &mut Pane {
        match side {
            Side::Original => &mut self.original,
            Side::Compressed => &mut self.compressed,
        }
    }

    /// Only the newest position that both have can be new: all before it were looked at when they came.
    fn find_difference(&mut self) {
        let both = self.original.tokens.len().min(self.compressed.tokens.len());
        let Some(last) = both.checked_sub(1).filter(|_| self.first_difference.is_none()) else { return };
        let id = |pane: &Pane| pane.tokens.get(last).map(|token| token.id);
        if id(&self.original) != id(&self.compressed) {
            self.first_difference = Some(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(view: &mut LiveView, side: Side, id: u32) {
        let token = LiveToken { id, text: id.to_string() };
        view.fold(LiveEvent::Token { side, token, tokens_per_s: None, looping: None });
    }

    #[test]
    fn the_first_difference_is_found_whoever_leads() {
        let mut view = LiveView::begun("p".into(), false);
        for (side, id) in [(Side::Original, 1), (Side::Original, 2), (Side::Compressed, 1), (Side::Compressed, 9)] {
            token(&mut view, side, id);
        }
        assert_eq!(view.first_difference, Some(1));
        token(&mut view, Side::Compressed, 4);
        assert_eq!(view.first_difference, Some(1));
    }

    #[test]
    fn the_original_is_everybodys_and_each_policy_has_its_own_text() {
        let rival = || LiveView { policy: Some('A'), ..LiveView::begun("p".into(), false) };
        let mut view = LiveView { rivals: vec![rival(), rival()], ..rival() };
        let token = |side, id| {
            let token = LiveToken { id, text: String::new() };
            vec![LiveEvent::Token { side, token, tokens_per_s: None, looping: None }]
        };
        view.take(None, token(Side::Original, 1));
        view.take(Some(0), token(Side::Compressed, 1));
        view.take(Some(2), token(Side::Compressed, 9));
        view.take(Some(7), token(Side::Compressed, 9));
        let told = |view: &LiveView| (view.original.tokens.len(), view.compressed.tokens.len(), view.first_difference);
        assert_eq!((told(&view), told(&view.rivals[0])), ((1, 1, None), (1, 0, None)));
        assert_eq!(told(&view.rivals[1]), (1, 1, Some(0)));
    }

    #[test]
    fn means_and_held_back_text_are_folded() {
        let mut view = LiveView::begun("p".into(), false);
        let stats =
            |kld, top1| PositionStats { cosine: 1.0, mse: kld, kld, top1, delta_p: None, nll: None, rank_of_best: 0 };
        let mut fold = |stats, id| {
            let likeliest = vec![LikelyToken { id, original: 0.5, compressed: 0.25 }];
            view.fold(LiveEvent::Stats { stats, likeliest, pieces: vec![(id, id.to_string().into())] });
        };
        fold(stats(0.5, true), 3);
        fold(stats(1.5, false), 4);
        assert_eq!(view.likeliest.iter().map(|tokens| tokens[0].id).collect::<Vec<_>>(), [3, 4]);
        assert_eq!((view.pieces.len(), &*view.pieces[&4]), (2, "4"));
        assert_eq!(view.means, LiveMeans { count: 2, cosine: 1.0, mse: 1.0, kld: 1.0, top1: 0.5 });
        token(&mut view, Side::Original, 7);
        view.fold(LiveEvent::Rest { side: Side::Original, text: "…".into() });
        assert_eq!(view.original.tokens[0].text, "7…");
        view.fold(LiveEvent::PlanChange(3));
        view.fold(LiveEvent::PlanChange(3));
        assert_eq!(view.plan_changes, [3]);
    }
}
