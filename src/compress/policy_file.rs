//! The policy file's form: what is written, and its JSON Schema.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, schema_for};
use serde::Serialize;

use super::{Base, Factors, Policy, RankSpec, Rule, Weighting};

/// A policy of rankscope: how each layer of a model is stored. Rules run in order and the last that matches wins whole.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "rankscope policy")]
pub(super) struct PolicyFile {
    /// Version of the format.
    #[schemars(range(min = 1, max = 1))]
    rankscope_policy: u64,
    /// Fingerprint of the input statistics that the policy was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    calibration: Option<String>,
    /// In order; a layer that no rule matches stays dense.
    rules: Vec<RuleFile>,
}

/// One rule.
#[derive(Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Rule")]
pub(super) struct RuleFile {
    /// A glob over layer names: `*`, `?`, `[ab]`, `{a,b}`.
    #[serde(rename = "match")]
    matches: String,
    /// The rule matches only where min(out, in) is at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "usize")]
    min_dim: Option<usize>,
    /// What the low-rank part is added to; none where a rank is given and this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Base")]
    base: Option<Base>,
    /// Rank of the low-rank part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RankFile")]
    rank: Option<RankFile>,
    /// Number format of the factors; int8 unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Factors")]
    factors: Option<Factors>,
    /// Length of a quantized base's groups along the input; int8 has one scale a row unless told, int4 groups of 32.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "usize", range(min = 1))]
    group: Option<usize>,
    /// What the low-rank part minimises the error of; plain unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Weighting")]
    weighting: Option<Weighting>,
    /// Fit U anew after Vh is quantized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    refit: Option<bool>,
    /// Scale the low-rank part to the norm of what it approximates, before quantization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "bool")]
    norm_correction: Option<bool>,
    /// A person's remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    note: Option<String>,
}

/// A rank: a number, a share of the energy, or a share of min(out, in).
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Rank", deny_unknown_fields)]
enum RankFile {
    /// A number.
    Count(usize),
    /// The least rank that keeps this share of the sum of squared singular values.
    Energy {
        /// Above 0, at most 1.
        #[schemars(range(min = 0.0, max = 1.0))]
        energy: f64,
    },
    /// This share of min(out, in), rounded down, at least 1.
    Ratio {
        /// Above 0, at most 1.
        #[schemars(range(min = 0.0, max = 1.0))]
        ratio: f64,
    },
}

impl PolicyFile {
    /// The one version of the format.
    pub(super) const VERSION: u64 = 1;
    /// Its keys.
    pub(super) const KEYS: [&str; 3] = ["rankscope_policy", "calibration", "rules"];
}

impl RuleFile {
    /// Its keys.
    pub(super) const KEYS: [&str; 10] =
        ["match", "min_dim", "base", "rank", "factors", "group", "weighting", "refit", "norm_correction", "note"];
}

impl From<&Policy> for PolicyFile {
    fn from(policy: &Policy) -> Self {
        Self {
            rankscope_policy: Self::VERSION,
            calibration: policy.calibration.clone(),
            rules: policy.rules.iter().map(RuleFile::from).collect(),
        }
    }
}

impl From<&Rule> for RuleFile {
    fn from(rule: &Rule) -> Self {
        let factors = rule.rank.is_some() || rule.factors != Factors::default();
        Self {
            matches: rule.matches.clone(),
            min_dim: rule.min_dim,
            base: Some(rule.base),
            rank: rule.rank.map(|rank| match rank {
                RankSpec::Count(count) => RankFile::Count(count),
                RankSpec::Energy(energy) => RankFile::Energy { energy },
                RankSpec::Ratio(ratio) => RankFile::Ratio { ratio },
            }),
            factors: factors.then_some(rule.factors),
            group: rule.group,
            weighting: (rule.weighting != Weighting::default()).then_some(rule.weighting),
            refit: rule.refit.then_some(true),
            norm_correction: rule.norm_correction.then_some(true),
            note: rule.note.clone(),
        }
    }
}

impl Policy {
    /// The JSON Schema of the file (`schema policy`).
    pub fn schema() -> serde_json::Value {
        schema_for!(PolicyFile).to_value()
    }
}

/// As a part of other files.
impl JsonSchema for Policy {
    fn schema_name() -> Cow<'static, str> {
        "Policy".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PolicyFile::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(schema: &serde_json::Value) -> Vec<&str> {
        schema["properties"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn the_schema_knows_the_keys_that_the_parser_knows() {
        let schema = Policy::schema();
        let sorted = |mut keys: Vec<&'static str>| {
            keys.sort_unstable();
            keys
        };
        let found = |schema: &serde_json::Value| {
            let mut found: Vec<String> = keys(schema).into_iter().map(String::from).collect();
            found.sort_unstable();
            found
        };
        assert_eq!(found(&schema), sorted(PolicyFile::KEYS.to_vec()));
        assert_eq!(found(&schema["$defs"]["Rule"]), sorted(RuleFile::KEYS.to_vec()));
        assert_eq!(schema["$defs"]["Rule"]["required"], serde_json::json!(["match"]));
        assert_eq!(schema["required"], serde_json::json!(["rankscope_policy", "rules"]));
        assert!(!schema.to_string().contains("null"), "{schema:#}");
    }
}
