//! The unsaved work on disk: policy draft, prompt, last model.

use std::fs;
use std::path::{Path, PathBuf};

use super::{DraftSnapshot, Locations};
use crate::checkpoint::replace_file;
use crate::compress::{Base, Factors, Plan, Weighting};

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
    /// The policy below the edits, as text.
    pub policy: String,
    /// The layers whose plans are not what that policy gives.
    pub plans: Vec<DraftPlan>,
    /// Named plans.
    pub snapshots: Vec<DraftSnapshot>,
    /// Pinned plans.
    pub pins: Vec<DraftSnapshot>,
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

/// The plan of one layer in a draft: cheap to write at any time, where rules for all of them would have to be found.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct DraftPlan {
    /// The layer's name.
    pub layer: String,
    /// As in [`Plan`].
    pub base: Base,
    /// As in [`Plan`].
    pub rank: usize,
    /// As in [`Plan`].
    pub factors: Factors,
    /// As in [`Plan`].
    pub group: Option<usize>,
    /// As in [`Plan`].
    pub weighting: Weighting,
    /// As in [`Plan`].
    pub norm_correction: bool,
    /// As in [`Plan`].
    pub refit: bool,
}

impl DraftPlan {
    /// The plan of the layer of this name.
    pub fn new(layer: String, plan: Plan) -> Self {
        let Plan { base, rank, factors, group, weighting, norm_correction, refit } = plan;
        Self { layer, base, rank, factors, group, weighting, norm_correction, refit }
    }

    /// The plan.
    pub fn plan(&self) -> Plan {
        let Self { layer: _, base, rank, factors, group, weighting, norm_correction, refit } = *self;
        Plan { base, rank, factors, group, weighting, norm_correction, refit }
    }
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
        let plan = Plan { base: Base::Int8, group: Some(64), norm_correction: true, ..Plan::low_rank(3) };
        let plans = vec![DraftPlan::new("h.0".into(), plan)];
        assert_eq!(plans[0].plan(), plan);
        let prompt = "Once\n\"upon\"".into();
        let draft = Draft { model: "demo".into(), prompt, plans, unsaved: true, ..Draft::default() };
        write(&locations, &draft).unwrap();
        assert_eq!(read(&locations), Some(draft.clone()));
        write(&locations, &Draft { prompt: "another".into(), ..draft }).unwrap();
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
