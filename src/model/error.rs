//! Why a checkpoint cannot be run.

use crate::checkpoint::CheckpointError;
use crate::control::{Cancelled, OutOfMemory};
use crate::linalg::NumericError;

/// Why a model could not be built or run. Each message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The files.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// config.json says something that cannot be.
    #[error("config.json: {0}")]
    Config(String),
    /// No such family.
    #[error(
        "architecture \"{found}\" is not supported (supported: {supported}){alike}; inspect, spectrum, roundtrip and compress still work"
    )]
    Family {
        /// What config.json says, escaped.
        found: String,
        /// Those that run.
        supported: String,
        /// What it resembles, as the message goes on; empty: nothing.
        alike: String,
    },
    /// A tensor is missing, or has another shape or type than the config says.
    #[error("{0}")]
    Tensor(String),
    /// The prompt does not fit.
    #[error("the text has {tokens} tokens, but the model's context is {context}; shorten it")]
    Context {
        /// Tokens asked for.
        tokens: usize,
        /// Tokens that fit.
        context: usize,
    },
    /// A token id outside the vocabulary.
    #[error("token id {id} is outside the model's vocabulary of {vocabulary}")]
    Token {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// Nothing to continue.
    #[error("the prompt has no tokens; give at least one")]
    Empty,
    /// Numbers.
    #[error(transparent)]
    Numeric(#[from] NumericError),
    /// Beyond the machine.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// Cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl ModelError {
    /// Says of a config that names no family that runs which one it resembles.
    pub(super) fn resembling(self, alike: impl FnOnce() -> Option<&'static str>) -> Self {
        let Some(known) = alike() else { return self };
        let says = format!("; its tensors are those of {known}, and with --as {known} it runs as such");
        match self {
            Self::Family { found, supported, .. } => Self::Family { found, supported, alike: says },
            Self::Config(reason) => Self::Config(reason + &says),
            other => other,
        }
    }
}
