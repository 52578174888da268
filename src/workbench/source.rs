//! What to open, and where things are kept. STUB (room `workbench`).

use std::path::PathBuf;

use crate::checkpoint::{Checkpoint, CheckpointError};

/// What `MODEL` names: `demo`, a path, or a repository in the Hugging Face cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The embedded model.
    Demo,
    /// A folder or file.
    Path(PathBuf),
    /// `owner/name`.
    Repository(String),
}

/// Folders that the faces found out; the library reads no environment. `None`: not kept.
#[derive(Debug, Clone, Default)]
pub struct Locations {
    /// Factor cache.
    pub cache: Option<PathBuf>,
    /// Drafts, last model, layout.
    pub state: Option<PathBuf>,
    /// Hugging Face hub cache (`.../huggingface/hub`).
    pub hub: Option<PathBuf>,
}

impl Source {
    /// `demo`, an existing path, `owner/name`, in this order of preference: an existing path wins over a repository; the word
    /// `demo` always means the embedded model (`./demo` a folder of that name).
    pub fn parse(_model: &str) -> Self { todo!() }
    /// Opens it.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and `locate`.
    pub fn open(&self, _locations: &Locations) -> Result<Checkpoint, CheckpointError> { todo!() }
    /// As it was given.
    pub fn name(&self) -> String { todo!() }
}
