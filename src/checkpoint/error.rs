//! What can be wrong with files from outside.

use std::path::PathBuf;

/// Why a checkpoint could not be opened or used. Each message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Reading failed.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{file}: {reason}")]
    Invalid {
        /// The file's name, escaped.
        file: String,
        /// What is wrong and what to do.
        reason: String,
    },
}
