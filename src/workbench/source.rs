//! What to open, and where things are kept.

use std::path::{Path, PathBuf};

use tracing::info;

use super::DEMO;
use crate::checkpoint::{Checkpoint, CheckpointError, escaped, locate};
use crate::model::read_as;

/// Characters of a model's name in the log.
const LOGGED: usize = 200;

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

/// Folders that the faces found out, and how models are read; the library reads no environment. `None`: not kept.
#[derive(Debug, Clone, Default)]
pub struct Locations {
    /// Factor cache.
    pub cache: Option<PathBuf>,
    /// Drafts, last model, layout.
    pub state: Option<PathBuf>,
    /// Hugging Face hub cache (`.../huggingface/hub`).
    pub hub: Option<PathBuf>,
    /// The family that models are read as whose config.json names none that runs.
    pub family: Option<String>,
}

impl Locations {
    /// Where input statistics are kept.
    pub fn calibrations(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|cache| cache.join("calibration"))
    }

    /// Where passes of originals over texts are kept.
    pub fn passes(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|cache| cache.join("passes"))
    }

    /// Where digests of tensors are remembered.
    pub fn digests(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|cache| cache.join("digests"))
    }
}

impl Source {
    /// `demo`, an existing path, `owner/name`, in this order of preference: an existing path wins over a repository; the word
    /// `demo` always means the embedded model (`./demo` a folder of that name).
    pub fn parse(model: &str) -> Self {
        if model == DEMO.name {
            Self::Demo
        } else if !Path::new(model).exists() && names_repository(model) {
            Self::Repository(model.to_owned())
        } else {
            Self::Path(model.into())
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and `locate`.
    pub fn open(&self, locations: &Locations) -> Result<Checkpoint, CheckpointError> {
        let found = match self {
            Self::Demo => Checkpoint::embedded(DEMO),
            Self::Path(path) => match path.to_str() {
                // Says what is near where nothing lies there.
                Some(model) if !path.exists() => Checkpoint::open(&locate(model, locations.hub.as_deref())?),
                _ => Checkpoint::open(path),
            },
            Self::Repository(name) => Checkpoint::open(&locate(name, locations.hub.as_deref())?),
        }?;
        let found = match &locations.family {
            Some(family) => read_as(found, family),
            None => found,
        };
        let weights = found.weights().count();
        info!(model = %escaped(&self.name(), LOGGED), tensors = weights, bytes = found.total_bytes(), "files are open");
        Ok(match locations.digests() {
            Some(folder) => found.remembering(&folder),
            None => found,
        })
    }

    /// As it was given.
    pub fn name(&self) -> String {
        match self {
            Self::Demo => DEMO.name.to_owned(),
            Self::Path(path) => path.display().to_string(),
            Self::Repository(name) => name.clone(),
        }
    }
}

/// `owner/name` in the letters that the Hub allows.
fn names_repository(model: &str) -> bool {
    let part = |text: &str| {
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        first && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    model.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_paths_and_repositories_are_told_apart() {
        assert_eq!(Source::parse("demo"), Source::Demo);
        assert_eq!(Source::parse("./demo"), Source::Path("./demo".into()));
        assert_eq!(Source::parse("EleutherAI/gpt-neo-1.3B"), Source::Repository("EleutherAI/gpt-neo-1.3B".into()));
        assert_eq!(Source::parse("a/b/c"), Source::Path("a/b/c".into()));
        assert_eq!(Source::parse("../models/x"), Source::Path("../models/x".into()));
        assert_eq!(Source::parse("/models"), Source::Path("/models".into()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert_eq!(Source::parse(path), Source::Path(path.into()));
        assert_eq!(Source::parse(path).name(), path);
    }
}
