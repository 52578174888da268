//! What a report is about: the inputs, each with what tells it again.

use serde::Serialize;

use crate::checkpoint::{Checkpoint, sha256};

/// What was compared, on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportAbout {
    /// Version of the program.
    pub version: String,
    /// Name of the model.
    pub model: String,
    /// Fingerprint of its files.
    pub fingerprint: String,
    /// Family, such as `gpt_neo`.
    pub family: String,
    /// Parameters of all tensors.
    pub parameters: u64,
    /// The policy, as `policy.json` has it.
    pub policy: String,
    /// The text that was read.
    pub text: ReportText,
    /// Most tokens of it that were used.
    pub tokens: usize,
    /// Fingerprint of the input statistics in use, where there are any.
    pub calibration: Option<String>,
    /// A sentence for each layer that stays as it is though the policy would change it.
    pub left: Vec<String>,
}

/// A text by its name and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportText {
    /// Its file's name; nothing for the text in the program.
    pub name: Option<String>,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

impl ReportText {
    /// A text of this name.
    pub fn new(name: Option<String>, text: &str) -> Self {
        Self { name, sha256: sha256(text.as_bytes()) }
    }
}

/// `inputs.json`.
#[derive(Debug, Serialize)]
pub(super) struct Inputs<'a> {
    rankscope_report: u8,
    rankscope_version: &'a str,
    model: Model<'a>,
    policy: Policy,
    text: Text<'a>,
    /// Fingerprint of the input statistics; null where none were needed.
    calibration: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Model<'a> {
    name: &'a str,
    family: &'a str,
    parameters: u64,
    fingerprint: &'a str,
}

#[derive(Debug, Serialize)]
struct Policy {
    file: &'static str,
    sha256: String,
}

#[derive(Debug, Serialize)]
struct Text<'a> {
    /// `built-in`, or a file's name.
    name: &'a str,
    sha256: &'a str,
    tokens_at_most: usize,
}

impl ReportAbout {
    /// What is known of the model's files; the rest is the caller's to fill in.
    pub fn of(checkpoint: &Checkpoint, version: &str, family: &str, policy: String, text: ReportText) -> Self {
        Self {
            version: version.to_owned(),
            model: checkpoint.label().to_owned(),
            fingerprint: checkpoint.fingerprint(),
            family: family.to_owned(),
            parameters: checkpoint.weights().map(|tensor| tensor.elements() as u64).sum(),
            policy,
            text,
            tokens: usize::MAX,
            calibration: None,
            left: Vec::new(),
        }
    }

    /// `inputs.json`.
    pub(super) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            rankscope_report: 1,
            rankscope_version: &self.version,
            model: Model {
                name: &self.model,
                family: &self.family,
                parameters: self.parameters,
                fingerprint: &self.fingerprint,
            },
            policy: Policy { file: "policy.json", sha256: self.policy_sha256() },
            text: Text {
                name: self.text.name.as_deref().unwrap_or("built-in"),
                sha256: &self.text.sha256,
                tokens_at_most: self.tokens,
            },
            calibration: self.calibration.as_deref(),
        }
    }

    /// SHA-256 of `policy.json`.
    pub(super) fn policy_sha256(&self) -> String {
        sha256(self.policy.as_bytes())
    }
}
