//! Globs over layer names.

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::words::quoted;
use super::{Issue, Policy};
use crate::model::Layer;

/// Longest glob, in bytes.
const LONGEST: usize = 16 * 1024;
/// Most braces within braces.
const DEEPEST: usize = 16;

/// Checks a glob: `*`, `?`, `[ab]`, `{a,b}` over all of a name, dots and slashes being letters like any other.
///
/// # Errors
/// What is wrong with it.
pub(super) fn glob(pattern: &str) -> Result<Glob, String> {
    let wrong = |reason: &dyn std::fmt::Display| format!("{} is no glob: {reason}", quoted(pattern));
    if pattern.len() > LONGEST {
        return Err(wrong(&format_args!("it is longer than {LONGEST} bytes; split the rule")));
    }
    if nesting(pattern) > DEEPEST {
        return Err(wrong(&format_args!("it has more than {DEEPEST} braces within braces")));
    }
    let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
    let glob = glob.map_err(|error| wrong(error.kind()))?;
    // What is fine as a glob may be too large as a regular expression.
    GlobSetBuilder::new().add(glob.clone()).build().map_err(|error| wrong(error.kind()))?;
    Ok(glob)
}

fn nesting(pattern: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in pattern.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The globs of a policy, all at once.
#[derive(Debug)]
pub(super) struct Matcher<'a> {
    policy: &'a Policy,
    set: GlobSet,
}

impl<'a> Matcher<'a> {
    /// # Errors
    /// Every rule whose glob is none.
    pub(super) fn new(policy: &'a Policy) -> Result<Self, Vec<Issue>> {
        let (mut builder, mut issues) = (GlobSetBuilder::new(), Vec::new());
        for rule in &policy.rules {
            match glob(&rule.matches) {
                Ok(glob) => drop(builder.add(glob)),
                Err(message) => issues.push(Issue { line: rule.line, message }),
            }
        }
        if !issues.is_empty() {
            return Err(issues);
        }
        let together =
            |error: globset::Error| vec![Issue { line: 0, message: format!("the globs together: {}", error.kind()) }];
        Ok(Self { policy, set: builder.build().map_err(together)? })
    }

    /// Indices of the rules whose glob fits the layer's name, in order.
    pub(super) fn named(&self, layer: &Layer) -> Vec<usize> {
        self.set.matches_candidate(&Candidate::from_bytes(&layer.name))
    }

    /// Indices of the rules that match a layer, in order.
    pub(super) fn matching(&self, layer: &Layer) -> Vec<usize> {
        let mut found = self.named(layer);
        found.retain(|index| {
            let least = self.policy.rules.get(*index).and_then(|rule| rule.min_dim);
            least.is_none_or(|least| layer.max_rank() >= least)
        });
        found
    }

    /// For each layer the index of the rule that wins.
    pub(super) fn winners(&self, layers: &[Layer]) -> Vec<Option<usize>> {
        layers.iter().map(|layer| self.matching(layer).last().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        glob(pattern).unwrap().compile_matcher().is_match_candidate(&Candidate::from_bytes(name))
    }

    #[test]
    fn globs_run_over_dots_and_slashes() {
        assert!(fits("*", "a.b/c.weight"));
        assert!(fits("*.k_proj.weight", "h.0.attn.k_proj.weight"));
        assert!(fits("h.{0,1,22,23}.k", "h.22.k"));
        assert!(!fits("h.{0,1,22,23}.k", "h.2.k"));
        assert!(fits("h.[0-9].k", "h.7.k"));
        assert!(fits("h.?.k", "h.7.k"));
        assert!(!fits("k_proj", "h.k_proj"));
    }

    #[test]
    fn what_is_no_glob_is_refused_in_one_line() {
        for pattern in ["h.{0,1", "[", &"{".repeat(1000), &"a".repeat(LONGEST + 1), &"[!a]".repeat(4000)] {
            if let Err(message) = glob(pattern) {
                assert!(message.starts_with('"') && !message.contains('\n') && message.len() < 600, "{message}");
            } else {
                assert!(pattern.starts_with("[!a]"));
            }
        }
    }
}
