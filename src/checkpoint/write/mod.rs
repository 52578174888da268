//! Atomic, streamed writing: what is complete appears at the target, what is not never does.
//!
//! Everything is written to a temporary beside the target, every file is synced (but for kept results, which are checked when
//! they are read), then the temporary is renamed. What that
//! does not promise: the rename itself is durable only once the parent folder reaches the disk (synced where the system
//! lets us, and some disks lie); where a file system cannot let two folders change places, replacing a *folder* takes two
//! renames, between which a crash leaves the old one under a hidden name beside the target; and a program that is killed leaves
//! its temporary (`.NAME.part-*`) behind, which the next one that writes to the same place removes.

mod folder;
mod place;
mod report;
mod safetensors;
mod scratch;
mod single;
mod streamed;
mod swap;

use std::path::PathBuf;

use super::error::shown;
use crate::control::Cancelled;

pub use folder::FolderWriter;
pub use report::{ReportFolder, sha256};
pub use safetensors::{TensorSpec, write_safetensors};
pub(super) use scratch::tidy;
pub use single::replace_file;
pub(super) use single::replace_kept;

/// Why writing failed; nothing half-written remains at the target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The target is there already.
    #[error("{} exists; nothing is written over without --force", shown(.0))]
    Exists(PathBuf),
    /// The target is (inside) an input.
    #[error("{} is an input of this command and is never written over; choose another place", shown(.0))]
    IsInput(PathBuf),
    /// The target is there and is no folder that holds a model and nothing else.
    #[error(
        "{} is not replaced: only a folder is that holds a model (*.safetensors, config.json, policy.json, files of a tokenizer) \
         and nothing else; take the rest out of it, or choose another place",
        shown(.0)
    )]
    NotAModel(PathBuf),
    /// The target is there and is no folder that a report was written to.
    #[error(
        "{} is not replaced: only a folder is whose every file its SHA256SUMS names, as a report's does; choose another place",
        shown(.0)
    )]
    NotAReport(PathBuf),
    /// The target is there and is no ordinary file.
    #[error("{} is not replaced: it is no ordinary file; choose another place", shown(.0))]
    NotAFile(PathBuf),
    /// What was to be written makes no valid file.
    #[error("{0}")]
    Invalid(String),
    /// The system said no.
    #[error("cannot write {}: {source}", shown(path))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Cancelled between two tensors; the temporary is removed.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl WriteError {
    /// For `map_err`: the system's reason why `path` cannot be written.
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
