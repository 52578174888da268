//! A policy's text to rules: every error at once, each with its line.

use serde_json::value::RawValue;

use super::glob::check;
use super::json_lines::{Entries, Items, Lines, kind};
use super::policy_file::{PolicyFile, RuleFile};
use super::words::{BASES, FACTORS, QUOTED, WEIGHTINGS, Words, hint, quoted, value_of};
use super::{Base, Issue, Policy, PolicyError, RankSpec, Rule};
use crate::checkpoint::escaped;

/// Most errors that are told.
const MOST_ISSUES: usize = 1000;

impl Policy {
    /// Parses the file's text; all errors at once, each with line, key and the nearest valid word.
    ///
    /// # Errors
    /// [`PolicyError`] holding every issue.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = Reader { lines: Lines::new(text), issues: Vec::new() };
        let policy = match serde_json::from_str::<&RawValue>(text) {
            Ok(root) => reader.policy(root),
            Err(error) => {
                let message = format!("not JSON: {} at column {}", reason(&error), error.column());
                reader.issues.push(Issue { line: error.line(), message });
                None
            }
        };
        let mut issues = reader.issues;
        issues.sort_by_key(|issue| issue.line);
        match policy {
            Some(policy) if issues.is_empty() => Ok(policy),
            _ => Err(PolicyError { issues }),
        }
    }
}

/// What `serde_json` says, without the place.
fn reason(error: &serde_json::Error) -> String {
    error.to_string().split(" at line ").next().unwrap_or_default().to_owned()
}

struct Reader<'a> {
    lines: Lines<'a>,
    issues: Vec<Issue>,
}

impl<'a> Reader<'a> {
    fn report(&mut self, at: &RawValue, message: String) {
        if self.issues.len() < MOST_ISSUES {
            self.issues.push(Issue { line: self.lines.line(at), message });
        }
    }

    fn wrong(&mut self, key: &str, at: &RawValue, wanted: &str) {
        self.report(at, format!("key \"{key}\": {} is {}; {wanted}", escaped(at.get(), QUOTED), kind(at)));
    }

    /// The entries of an object whose keys are all known and there once; others are reported.
    fn object(&mut self, value: &'a RawValue, what: &str, known: &[&str]) -> Option<Vec<(String, &'a RawValue)>> {
        let entries = match serde_json::from_str(value.get()) {
            Ok(Entries(entries)) => entries,
            Err(_) if kind(value) != "an object" => {
                self.report(value, format!("{what} must be an object in braces, not {}", kind(value)));
                return None;
            }
            Err(error) => {
                self.report(value, format!("{what}: {}", reason(&error)));
                return None;
            }
        };
        let mut kept: Vec<(String, &RawValue)> = Vec::new();
        for (key, value) in entries {
            if !known.contains(&key.as_str()) {
                self.report(value, format!("unknown key {}; {}", quoted(&key), hint(&key, known)));
            } else if kept.iter().any(|(other, _)| *other == key) {
                self.report(value, format!("key \"{key}\" is given twice; leave out one"));
            } else {
                kept.push((key, value));
            }
        }
        Some(kept)
    }

    fn policy(&mut self, root: &'a RawValue) -> Option<Policy> {
        if let Ok(Entries(entries)) = serde_json::from_str(root.get())
            && !entries.iter().any(|(key, _)| PolicyFile::KEYS.contains(&key.as_str()))
        {
            self.report(root, "this is no policy: it has neither \"rankscope_policy\": 1 nor \"rules\"".into());
            return None;
        }
        let entries = self.object(root, "a policy", &PolicyFile::KEYS)?;
        let value = |key: &str| entries.iter().find(|(known, _)| known == key).map(|(_, value)| *value);
        match value("rankscope_policy") {
            Some(version) => self.version(version),
            None => self.report(root, "key \"rankscope_policy\" is missing; add \"rankscope_policy\": 1".into()),
        }
        let calibration = value("calibration").and_then(|value| self.text("calibration", value));
        let Some(rules) = value("rules") else {
            self.report(root, "key \"rules\" is missing; add \"rules\": [ ... ]".into());
            return None;
        };
        let rules = self.rules(rules)?;
        Some(Policy { rules, calibration })
    }

    fn version(&mut self, value: &RawValue) {
        if value.get() != PolicyFile::VERSION.to_string() {
            let found = quoted(value.get());
            self.report(
                value,
                format!("key \"rankscope_policy\": version {found} is not known; this program reads version 1"),
            );
        }
    }

    fn rules(&mut self, value: &'a RawValue) -> Option<Vec<Rule>> {
        match serde_json::from_str(value.get()) {
            Ok(Items(items)) => Some(items.into_iter().filter_map(|item| self.rule(item)).collect()),
            Err(_) if kind(value) != "a list" => {
                self.wrong("rules", value, "give a list of rules in brackets");
                None
            }
            Err(error) => {
                self.report(value, format!("key \"rules\": {}", reason(&error)));
                None
            }
        }
    }

    fn rule(&mut self, value: &'a RawValue) -> Option<Rule> {
        let before = self.issues.len();
        let entries = self.object(value, "a rule", &RuleFile::KEYS)?;
        let mut rule = Rule { line: self.lines.line(value), ..Rule::default() };
        let (mut base, mut found) = (None, false);
        for (key, value) in entries {
            let key = key.as_str();
            match key {
                "match" => {
                    found = true;
                    rule.matches = self.glob(key, value).unwrap_or_default();
                }
                "min_dim" => rule.min_dim = self.whole(key, value, 0),
                "base" => base = self.word(key, value, BASES),
                "rank" => rule.rank = self.rank(value),
                "factors" => rule.factors = self.word(key, value, FACTORS).unwrap_or_default(),
                "group" => rule.group = self.whole(key, value, 1),
                "weighting" => rule.weighting = self.word(key, value, WEIGHTINGS).unwrap_or_default(),
                "refit" => rule.refit = self.switch(key, value).unwrap_or_default(),
                "norm_correction" => rule.norm_correction = self.switch(key, value).unwrap_or_default(),
                _ => rule.note = self.text(key, value),
            }
        }
        if !found {
            self.report(
                value,
                "key \"match\" is missing; add \"match\": \"*\" or another glob over layer names".into(),
            );
        }
        // A base or a rank that could not be read says nothing about the two together.
        if self.issues.len() == before {
            self.settle(&mut rule, base, value);
        }
        (self.issues.len() == before).then_some(rule)
    }

    /// Base and rank together.
    fn settle(&mut self, rule: &mut Rule, base: Option<Base>, at: &RawValue) {
        let rank = rule.rank;
        rule.rank = rank.filter(|rank| *rank != RankSpec::Count(0));
        rule.base = match (base, rank) {
            (Some(base), _) => base,
            (None, Some(_)) => Base::None,
            (None, None) => {
                let message = "the rule has neither \"base\" nor \"rank\"; give \"base\": \"dense\" to leave layers as they are, \
                               \"base\": \"int8\", or a \"rank\"";
                return self.report(at, message.into());
            }
        };
        if let Some(reason) = rule.plan(usize::from(rule.rank.is_some())).meaningless() {
            self.report(at, reason.into());
        }
    }

    fn glob(&mut self, key: &str, value: &RawValue) -> Option<String> {
        let pattern = self.text(key, value)?;
        match check(&pattern) {
            Ok(()) => Some(pattern),
            Err(reason) => {
                self.report(value, format!("key \"{key}\": {reason}"));
                None
            }
        }
    }

    fn text(&mut self, key: &str, value: &RawValue) -> Option<String> {
        match serde_json::from_str(value.get()) {
            Ok(text) => Some(text),
            Err(_) if kind(value) != "text" => {
                self.wrong(key, value, "write text in quotes");
                None
            }
            Err(error) => {
                self.report(value, format!("key \"{key}\": {}", reason(&error)));
                None
            }
        }
    }

    fn word<T: Copy>(&mut self, key: &str, value: &RawValue, words: Words<T>) -> Option<T> {
        let word = self.text(key, value)?;
        match value_of(words, &word) {
            Ok(found) => Some(found),
            Err(reason) => {
                self.report(value, format!("key \"{key}\": {reason}"));
                None
            }
        }
    }

    fn switch(&mut self, key: &str, value: &RawValue) -> Option<bool> {
        let found = serde_json::from_str(value.get()).ok();
        if found.is_none() {
            self.wrong(key, value, "give true or false");
        }
        found
    }

    fn whole(&mut self, key: &str, value: &RawValue, least: usize) -> Option<usize> {
        let found = value.get().parse().ok().filter(|number| *number >= least);
        if found.is_none() {
            self.wrong(key, value, &format!("give a whole number of at least {least}, without quotes"));
        }
        found
    }

    fn rank(&mut self, value: &'a RawValue) -> Option<RankSpec> {
        match kind(value) {
            "a number" => self.whole("rank", value, 0).map(RankSpec::Count),
            "an object" => {
                let before = self.issues.len();
                let entries = self.object(value, "key \"rank\"", &["energy", "ratio"])?;
                match entries.as_slice() {
                    [(key, share)] if key == "energy" => self.share(key, share).map(RankSpec::Energy),
                    [(key, share)] => self.share(key, share).map(RankSpec::Ratio),
                    _ if self.issues.len() > before => None,
                    _ => {
                        self.wrong("rank", value, "give one of { \"energy\": 0.99 } and { \"ratio\": 0.25 }");
                        None
                    }
                }
            }
            _ => {
                self.wrong("rank", value, "give a number without quotes, { \"energy\": 0.99 } or { \"ratio\": 0.25 }");
                None
            }
        }
    }

    fn share(&mut self, key: &str, value: &RawValue) -> Option<f64> {
        let found = value.get().parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
        if found.is_none() {
            self.wrong(key, value, "give a number above 0 and at most 1");
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compress::{Factors, Weighting};

    fn errors(text: &str) -> Vec<String> {
        Policy::parse(text).unwrap_err().issues.iter().map(ToString::to_string).collect()
    }

    fn errors_of(rule: &str) -> Vec<String> {
        errors(&format!("{{\"rankscope_policy\": 1,\n\"rules\": [\n{rule}]}}"))
    }

    #[test]
    fn the_example_of_the_interface_is_read_and_written_as_it_is() {
        let text = r#"{
  "rankscope_policy": 1,
  "rules": [
    { "match": "*", "base": "dense" },
    { "match": "*.attn.attention.k_proj.weight", "min_dim": 1024, "base": "none", "rank": 128, "factors": "int8" },
    { "match": "transformer.h.{0,1,22,23}.attn.attention.k_proj.weight", "base": "none", "rank": 384, "factors": "int8" },
    { "match": "transformer.h.4.attn.attention.k_proj.weight", "base": "dense" }
  ]
}
"#;
        let policy = Policy::parse(text).unwrap();
        assert_eq!(policy.to_text(), text);
        assert_eq!(policy.rules.iter().map(|rule| rule.line).collect::<Vec<_>>(), [4, 5, 6, 7]);
        assert_eq!(Policy::default().to_text(), "{\n  \"rankscope_policy\": 1,\n  \"rules\": []\n}\n");
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"{"rankscope_policy": 1, "calibration": "abc", "rules": [{"match": "a", "min_dim": 2, "base": "int4",
            "rank": {"energy": 0.99}, "factors": "f16", "group": 64, "weighting": "activations", "refit": true,
            "norm_correction": true, "note": "why"}, {"match": "b", "rank": {"ratio": 0.25}}]}"#;
        let policy = Policy::parse(text).unwrap();
        let first = Rule {
            matches: "a".into(),
            min_dim: Some(2),
            base: Base::Int4,
            rank: Some(RankSpec::Energy(0.99)),
            factors: Factors::F16,
            group: Some(64),
            weighting: Weighting::Activations,
            refit: true,
            norm_correction: true,
            note: Some("why".into()),
            line: 1,
        };
        assert_eq!(policy.rules[0], first);
        assert_eq!((policy.rules[1].base, policy.rules[1].rank), (Base::None, Some(RankSpec::Ratio(0.25))));
        assert_eq!(policy.calibration.as_deref(), Some("abc"));
    }

    #[test]
    fn all_errors_come_at_once_with_line_and_nearest_word() {
        let found = errors(
            r#"{
  "rankscope_policy": 1,
  "rulez": [],
  "rules": [
    { "match": "*", "rnak": 3, "base": "dense" },
    { "match": "*", "rank": "128" },
    { "rank": 1.5,
      "factors": "int9" },
    7
  ]
}"#,
        );
        let expected = [
            r#"line 3: unknown key "rulez"; did you mean "rules"?"#,
            r#"line 5: unknown key "rnak"; did you mean "rank"?"#,
            r#"line 6: key "rank": "128" is text; give a number without quotes, { "energy": 0.99 } or { "ratio": 0.25 }"#,
            r#"line 7: key "rank": 1.5 is a number; give a whole number of at least 0, without quotes"#,
            r#"line 7: key "match" is missing; add "match": "*" or another glob over layer names"#,
            r#"line 8: key "factors": "int9" is not known; did you mean "int8"?"#,
            "line 9: a rule must be an object in braces, not a number",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn values_outside_their_range_are_refused() {
        let cases = [
            (r#""rank": {"energy": 0}"#, "above 0 and at most 1"),
            (r#""rank": {"ratio": 1.01}"#, "above 0 and at most 1"),
            (r#""rank": {"energy": 1e400}"#, "above 0 and at most 1"),
            (r#""rank": {"enrgy": 0.5}"#, r#"did you mean "energy"?"#),
            (r#""rank": {}"#, r#"{ "energy": 0.99 }"#),
            (r#""rank": {"energy": 0.5, "ratio": 0.5}"#, "give one of"),
            (r#""rank": -1"#, "at least 0"),
            (r#""rank": 99999999999999999999999"#, "whole number"),
            (r#""rank": null"#, "is null"),
            (r#""base": "int8", "group": 0"#, "at least 1"),
            (r#""base": "dense", "min_dim": -3"#, "at least 0"),
            (r#""base": "dense", "refit": 1"#, "true or false"),
            (r#""base": "dense", "note": ["x"]"#, "text in quotes"),
            (r#""base": "dense", "note": "\ud800""#, "hex escape"),
            (r#""base": "dense", "rank": 4"#, "nothing left"),
            (r#""base": "none""#, "stores nothing"),
            (r#""base": "none", "rank": 0"#, "stores nothing"),
            (r#""factors": "f16""#, "neither"),
            (r#""base": "dense", "base": "int8""#, "given twice"),
        ];
        for (rule, sense) in cases {
            let found = errors_of(&format!(r#"{{"match": "*", {rule}}}"#));
            assert!(
                found.len() == 1 && found[0].starts_with("line 3: ") && found[0].contains(sense),
                "{rule}: {found:?}"
            );
        }
        assert!(errors_of(r#"{"match": "h.{0,1", "base": "dense"}"#)[0].contains("is no glob"));
    }

    #[test]
    fn files_that_are_no_policy_say_so() {
        assert!(errors("")[0].contains("not JSON"));
        assert_eq!(errors("{\n\"rules\": [,]}"), ["line 2: not JSON: expected value at column 11"]);
        assert_eq!(errors("[]"), ["line 1: a policy must be an object in braces, not a list"]);
        assert!(errors(r#"{"model_type": "gpt2", "n_embd": 4}"#)[0].contains("no policy"));
        assert!(errors(r#"{"rankscope_policy": 1}"#)[0].contains("\"rules\" is missing"));
        assert!(errors(r#"{"rules": []}"#)[0].contains("\"rankscope_policy\" is missing"));
        assert!(errors(r#"{"rankscope_policy": 2, "rules": []}"#)[0].contains("version \"2\" is not known"));
        assert!(errors(r#"{"rankscope_policy": 1, "rules": {}}"#)[0].contains("list of rules"));
        assert!(errors(&"[".repeat(100_000)).len() == 1);
        assert!(!errors("{\"rankscope_policy\": 1, \"\\u001b[2J\": 1, \"rules\": []}")[0].contains('\u{1b}'));
    }

    #[test]
    fn a_mark_at_the_start_and_rank_zero_are_fine() {
        let text =
            "\u{feff}{\"rankscope_policy\": 1, \"rules\": [{\"match\": \"*\", \"base\": \"int8\", \"rank\": 0}]}";
        assert_eq!(Policy::parse(text).unwrap().rules[0].rank, None);
    }

    fn share() -> impl Strategy<Value = f64> {
        (1_u64..=1 << 52).prop_map(|share| share as f64 / (1_u64 << 52) as f64)
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let rank = prop_oneof![
            (1_usize..5000).prop_map(RankSpec::Count),
            share().prop_map(RankSpec::Energy),
            share().prop_map(RankSpec::Ratio),
        ];
        let base = prop::sample::select(vec![Base::None, Base::Dense, Base::Int8, Base::Int4]);
        let factors = prop::sample::select(vec![Factors::F32, Factors::F16, Factors::Int8]);
        let names = ("[a-z.*?0-9\"\\u{1b}é]{0,20}", prop::option::of(".*"));
        let sizes = (prop::option::of(0..usize::MAX), prop::option::of(1..usize::MAX));
        (names, sizes, base, rank, factors, any::<[bool; 3]>()).prop_map(
            |(names, sizes, base, rank, factors, flags)| Rule {
                matches: names.0,
                min_dim: sizes.0,
                rank: (base == Base::None || (flags[0] && base != Base::Dense)).then_some(rank),
                base,
                factors,
                group: sizes.1,
                weighting: if flags[2] { Weighting::Activations } else { Weighting::Plain },
                refit: flags[1],
                norm_correction: flags[0],
                note: names.1,
                line: 0,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(rules in prop::collection::vec(rule(), 0..5), calibration in prop::option::of(".*")) {
            let policy = Policy { rules, calibration };
            let mut read = Policy::parse(&policy.to_text()).unwrap();
            read.rules.iter_mut().for_each(|rule| rule.line = 0);
            prop_assert_eq!(read, policy);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*", rule in r#"[{}\[\]",:a-z0-9 ]*"#) {
            let _ = Policy::parse(&text);
            let _ = Policy::parse(&format!("{{\"rankscope_policy\": 1, \"rules\": [{{\"match\": {rule}}}]}}"));
        }
    }
}
