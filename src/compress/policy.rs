//! The policy: rules over layer names, the last that matches wins whole. STUB (room `compress`).

use super::{Base, Factors, Plan, PolicyError, Weighting};
use crate::model::Layer;

/// A rank as a rule states it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RankSpec {
    /// A number.
    Count(usize),
    /// Least rank that keeps this share of the sum of squared singular values.
    Energy(f64),
    /// This share of min(m, n), rounded down, at least 1.
    Ratio(f64),
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Glob over layer names.
    pub matches: String,
    /// Matches only where min(m, n) is at least this.
    pub min_dim: Option<usize>,
    /// The base (default: none where a rank is given, else dense).
    pub base: Base,
    /// The rank, if any.
    pub rank: Option<RankSpec>,
    /// Format of the factors.
    pub factors: Factors,
    /// Group length.
    pub group: Option<usize>,
    /// Weighting.
    pub weighting: Weighting,
    /// Refit.
    pub refit: bool,
    /// Norm correction.
    pub norm_correction: bool,
    /// A person's remark.
    pub note: Option<String>,
    /// Line in the file it was read from (1-based); 0 if made by the program.
    pub line: usize,
}

/// The rules of a policy file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// In order.
    pub rules: Vec<Rule>,
    /// Fingerprint of the statistics it was made with.
    pub calibration: Option<String>,
}

impl Policy {
    /// Parses the file's text; all errors at once, each with line, key and the nearest valid word.
    ///
    /// # Errors
    /// [`PolicyError`] holding every issue.
    pub fn parse(_text: &str) -> Result<Self, PolicyError> { todo!() }
    /// The file's text: the JSON of INTERFACE, one rule a line, stable key order, trailing newline.
    pub fn to_text(&self) -> String { todo!() }
    /// This policy with exact-name rules appended for the layers whose wanted plan differs from what its rules give
    /// (earlier exact rules that these replace are dropped); layers of one plan share a rule `{a,b,c}` where that reads well.
    #[must_use]
    pub fn with_plans(&self, _layers: &[Layer], _now: &[Plan], _wanted: &[Plan]) -> Self { todo!() }
    /// The JSON Schema of the file (`schema policy`).
    pub fn schema() -> serde_json::Value { todo!() }
}
