//! What can be wrong with files from outside.

use std::path::{Path, PathBuf};

use super::escaped;

/// Longest part of a path or name that a message quotes.
const SHOWN: usize = 400;

/// Why a checkpoint could not be opened or used. Each message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Reading failed.
    #[error("cannot read {}: {source}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Another program changed the file while it was in use.
    #[error("{file} changed while open: {how}; open the model again")]
    Changed {
        /// The file's name, escaped.
        file: String,
        /// What changed.
        how: String,
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

impl CheckpointError {
    /// `reason` about the file or folder that is called `file`.
    pub(crate) fn invalid(file: &str, reason: impl Into<String>) -> Self {
        Self::Invalid { file: escaped(file, SHOWN), reason: reason.into() }
    }

    /// The system's reason why `path` cannot be read.
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }
}

/// A path for a message.
pub(super) fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy(), SHOWN)
}
