//! Why something could not be measured.

use crate::checkpoint::WriteError;
use crate::compress::{BudgetError, CalibrationError, CompressError};
use crate::control::{Cancelled, OutOfMemory};
use crate::model::ModelError;

/// Why something could not be measured. Each message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The model could not be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Statistics could not be kept, or read back.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// What is known so far could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Nothing can be scored on so short a text.
    #[error("the text has {tokens} tokens, too few to measure on; give at least {least}")]
    TooShort {
        /// Tokens of the text.
        tokens: usize,
        /// Least number that scores one position.
        least: usize,
    },
    /// Logits of the two models do not mean the same tokens.
    #[error(
        "the models have different vocabularies ({original} and {compressed} tokens); compare two forms of the same model"
    )]
    Vocabulary {
        /// Of the original.
        original: usize,
        /// Of the compressed model.
        compressed: usize,
    },
    /// Nothing to continue.
    #[error("there are no prompts; give a file with one a line")]
    NoPrompts,
    /// A layer could not be compressed.
    #[error("layer {layer}: {source}")]
    Layer {
        /// Its name.
        layer: String,
        /// Why.
        source: CompressError,
    },
    /// No policy fits.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// Beyond the machine.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// Cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
