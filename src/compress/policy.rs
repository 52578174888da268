//! The policy: rules over layer names, the last that matches wins whole.

use super::{Base, Factors, Plan, Weighting};

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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// Glob over layer names.
    pub matches: String,
    /// Matches only where min(m, n) is at least this.
    pub min_dim: Option<usize>,
    /// The base (in a file: none where a rank is given and it is left out).
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

impl Rule {
    /// The rule that gives `plan` to what `matches`, made by the program.
    pub fn of_plan(matches: String, plan: &Plan) -> Self {
        Self {
            matches,
            min_dim: None,
            base: plan.base,
            rank: (plan.rank > 0).then_some(RankSpec::Count(plan.rank)),
            factors: plan.factors,
            group: plan.group,
            weighting: plan.weighting,
            refit: plan.refit,
            norm_correction: plan.norm_correction,
            note: None,
            line: 0,
        }
    }

    /// The plan of this rule at rank `rank`.
    pub(super) fn plan(&self, rank: usize) -> Plan {
        Plan {
            base: self.base,
            rank,
            factors: self.factors,
            group: self.group,
            weighting: self.weighting,
            norm_correction: self.norm_correction,
            refit: self.refit,
        }
        .normalized()
    }
}
