//! Both models writing side by side. STUB (room `workbench`).

use crate::measure::{Loop, PositionStats};

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
    /// Ended by itself (EOS, length), with the reason.
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

/// All that the screen shows of a run. `stats[i]` compares both models on the original's context before its new token `i`.
#[derive(Debug, Clone, Default)]
pub struct LiveView {
    /// The prompt of this run.
    pub prompt: String,
    /// Whether it is still running.
    pub running: bool,
    /// The original's text.
    pub original: Pane,
    /// What the compressed model writes when it runs free.
    pub compressed: Pane,
    /// Per original token: both models on the same context.
    pub stats: Vec<PositionStats>,
    /// Means of `stats`.
    pub means: LiveMeans,
    /// Index of the first new token that differs between the two texts.
    pub first_difference: Option<usize>,
    /// Why the run failed.
    pub error: Option<String>,
    /// Token indices (of the compressed text) at which a plan change took effect.
    pub plan_changes: Vec<usize>,
}
