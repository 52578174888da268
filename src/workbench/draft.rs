//! The unsaved work on disk: policy draft, prompt, last model.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::Locations;
use crate::checkpoint::replace_file;

/// Its name in the state folder.
const FILE: &str = "draft.json";

/// A larger file is no draft of ours.
const LARGEST: u64 = 64 << 20;

/// What is restored on the next start.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Draft {
    /// The model's name as given.
    pub model: String,
    /// What tells the same model again (label, parameters, bytes, layer names hashed).
    pub identity: String,
    /// The policy as text.
    pub policy: String,
    /// The prompt.
    pub prompt: String,
    /// Names of the face's layout choices, opaque to the workbench.
    pub layout: std::collections::BTreeMap<String, String>,
    /// The policy file that the plans began from, if any.
    pub policy_file: Option<PathBuf>,
    /// BLAKE3 of that file's text as it was then, hex; empty without a file.
    pub policy_stamp: String,
    /// Whether the plans differ from those last saved or loaded: only then is there work to restore.
    pub unsaved: bool,
}

/// A draft that could not be kept or read; never fatal.
#[derive(Debug, thiserror::Error)]
#[error("draft {path}: {reason}")]
pub struct DraftError {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    pub reason: String,
}

/// The newest draft, shared with whatever must still write it when the screen's thread cannot: a panic hook, a signal's
/// thread. Clones share it.
#[derive(Debug, Clone)]
pub struct DraftKeeper {
    locations: Locations,
    draft: Arc<Mutex<Option<Draft>>>,
}

impl DraftKeeper {
    /// A keeper that holds no draft yet.
    pub fn new(locations: Locations) -> Self {
        Self { locations, draft: Arc::default() }
    }

    /// Replaces the draft that would be written.
    pub fn set(&self, draft: Draft) {
        *self.draft.lock().unwrap_or_else(PoisonError::into_inner) = Some(draft);
    }

    /// Writes the draft, if there is one. Never waits for a thread that died while it held the draft.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep(&self) -> Result<(), DraftError> {
        let draft = match self.draft.try_lock() {
            Ok(draft) => draft.clone(),
            Err(TryLockError::Poisoned(draft)) => draft.into_inner().clone(),
            Err(TryLockError::WouldBlock) => None,
        };
        draft.map_or(Ok(()), |draft| write(&self.locations, &draft))
    }
}

/// Writes a draft to the state folder by a temporary and a rename; nothing where no state is kept.
pub(super) fn write(locations: &Locations, draft: &Draft) -> Result<(), DraftError> {
    let Some(folder) = &locations.state else { return Ok(()) };
    let path = folder.join(FILE);
    let failed = |reason: String| DraftError { path: path.clone(), reason };
    let text = serde_json::to_vec_pretty(draft).map_err(|error| failed(error.to_string()))?;
    fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    replace_file(&path, true, &[], |out| out.write_all(&text)).map_err(|error| failed(error.to_string()))
}

/// The draft of the last session; `None` where there is none that can be read.
pub(super) fn read(locations: &Locations) -> Option<Draft> {
    let path = locations.state.as_ref()?.join(FILE);
    let small = fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= LARGEST);
    serde_json::from_slice(&small.then(|| fs::read(path).ok())??).ok()
}

/// BLAKE3 of a text, hex: tells whether a file is still the one that was read.
pub(super) fn stamp(text: &[u8]) -> String {
    blake3::hash(text).to_hex().to_string()
}

/// The stamp of a file, if it can be read.
pub(super) fn stamp_of(path: &Path) -> Option<String> {
    fs::read(path).ok().map(|text| stamp(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locations(folder: &Path) -> Locations {
        Locations { state: Some(folder.join("deep/state")), ..Locations::default() }
    }

    #[test]
    fn a_kept_draft_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let locations = locations(folder.path());
        assert_eq!(read(&locations), None);
        let draft = Draft { model: "demo".into(), prompt: "Once\n\"upon\"".into(), unsaved: true, ..Draft::default() };
        let keeper = DraftKeeper::new(locations.clone());
        keeper.keep().unwrap();
        assert_eq!(read(&locations), None);
        keeper.set(draft.clone());
        keeper.keep().unwrap();
        assert_eq!(read(&locations), Some(draft.clone()));
        keeper.set(Draft { prompt: "another".into(), ..draft });
        keeper.keep().unwrap();
        assert_eq!(read(&locations).unwrap().prompt, "another");
    }

    #[test]
    fn a_spoilt_draft_is_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let locations = locations(folder.path());
        write(&locations, &Draft::default()).unwrap();
        fs::write(locations.state.as_ref().unwrap().join(FILE), "{ \"model\": 3").unwrap();
        assert_eq!(read(&locations), None);
    }

    #[test]
    fn without_a_state_folder_nothing_is_kept() {
        write(&Locations::default(), &Draft::default()).unwrap();
        assert_eq!(read(&Locations::default()), None);
    }
}
