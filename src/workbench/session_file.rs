//! A session as a file: what was done, and what came out, so that it can be done again without a screen.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::DraftPlan;
use crate::compress::Policy;
use crate::model::Sampling;

/// The version of the format.
const VERSION: u32 = 1;

/// Everything that [`super::replay`] needs, and what it must come to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "rankscope session")]
pub struct SessionRecord {
    /// 1, the version of this format.
    #[schemars(range(min = 1, max = 1))]
    pub rankscope_session: u32,
    /// The program that wrote it.
    pub rankscope_version: String,
    /// What was open.
    pub model: SessionModel,
    /// Fingerprint of the input statistics that were in use; null where there were none.
    pub calibration: Option<String>,
    /// The policy that the plans began from.
    #[schemars(with = "Policy")]
    pub start: Value,
    /// What was done, in order.
    pub steps: Vec<SessionStep>,
    /// The policy at the end.
    #[schemars(with = "Policy")]
    pub policy: Value,
}

/// A model, and what tells it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionModel {
    /// As it was given.
    pub name: String,
    /// For a compressed folder: what it came from.
    pub original: Option<String>,
    /// The family that it was read as, where one was told.
    #[serde(rename = "as")]
    pub family: Option<String>,
    /// Fingerprint of the tensors of the original.
    pub fingerprint: String,
}

/// One thing that a person did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum SessionStep {
    /// Changed plans.
    Plans {
        /// What it was called.
        name: String,
        /// The plans before.
        from: Vec<DraftPlan>,
        /// The plans of the same layers after.
        to: Vec<DraftPlan>,
    },
    /// Put another policy below the changes of plans, as a draft that is restored does.
    Rules {
        /// The policy.
        #[schemars(with = "Policy")]
        policy: Value,
    },
    /// Took the last change of plans back.
    Undo,
    /// Did it again.
    Redo,
    /// Let both models write.
    Write(SessionText),
}

impl SessionStep {
    /// The word in the file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Plans { .. } => "plans",
            Self::Rules { .. } => "rules",
            Self::Undo => "undo",
            Self::Redo => "redo",
            Self::Write(_) => "write",
        }
    }
}

/// Texts of both models after a prompt.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct SessionText {
    /// The prompt.
    pub prompt: String,
    /// Whether the model's chat template wrote it.
    pub chat: bool,
    /// The ids that both texts go on from: its own, and of a branch those between it and where that begins.
    pub prompt_ids: Vec<u32>,
    /// How many of the last of them a text before drew: random numbers go on after those.
    pub earlier: usize,
    /// At most so many tokens were asked for.
    pub max_tokens: usize,
    /// As `generate --temperature`; null takes the likeliest.
    pub temperature: Option<f32>,
    /// As `generate --top-k`.
    pub top_k: Option<usize>,
    /// As `generate --top-p`.
    pub top_p: Option<f32>,
    /// As `generate --seed`.
    pub seed: u64,
    /// What the compressed model was, and from which of its tokens on.
    pub compressed_as: Vec<SessionSegment>,
    /// New ids of the original, as far as it came.
    pub original: Vec<u32>,
    /// New ids of the compressed model.
    pub compressed: Vec<u32>,
    /// What pinned policies wrote beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pinned: Vec<SessionPinned>,
}

/// The text of a pinned policy, after the same prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionPinned {
    /// `A` or `B`.
    pub name: char,
    /// Whether it computed in fast arithmetic.
    pub fast: bool,
    /// The layers that were compressed.
    pub plans: Vec<DraftPlan>,
    /// New ids, as far as it came.
    pub ids: Vec<u32>,
}

impl SessionText {
    /// How tokens were chosen.
    pub fn sampling(&self) -> Sampling {
        let &Self { temperature, top_k, top_p, seed, .. } = self;
        Sampling { temperature, top_k, top_p, seed }
    }
}

/// What the compressed model was while it wrote: plans take effect once they are encoded, between two tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionSegment {
    /// Index of the first token that it wrote so.
    pub from: usize,
    /// Whether it computed in fast arithmetic.
    pub fast: bool,
    /// The layers that were compressed.
    pub plans: Vec<DraftPlan>,
}

impl SessionRecord {
    /// A record with nothing done yet.
    pub(super) fn new(model: SessionModel, start: Value) -> Self {
        Self {
            rankscope_session: VERSION,
            rankscope_version: env!("CARGO_PKG_VERSION").to_owned(),
            model,
            calibration: None,
            policy: start.clone(),
            start,
            steps: Vec::new(),
        }
    }

    /// The JSON Schema of the file (`schema session`).
    pub fn schema() -> Value {
        schema_for!(Self).to_value()
    }

    /// Reads a session's text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let version = serde_json::from_str::<Value>(text).map_err(|error| format!("no JSON: {error}"))?;
        match version.get("rankscope_session").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(other) => {
                return Err(format!("a session of version {other}; this program replays version {VERSION}"));
            }
            None => return Err("no session: the key \"rankscope_session\" is missing".to_owned()),
        }
        serde_json::from_str(text).map_err(|error| format!("no session that can be replayed: {error}"))
    }

    /// The file's text; the same record gives the same bytes.
    pub fn to_text(&self) -> String {
        // Numbers, strings and lists alone cannot fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
