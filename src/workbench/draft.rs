//! The unsaved work on disk: policy draft, prompt, last model. STUB (room `workbench`).

use std::path::PathBuf;

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
