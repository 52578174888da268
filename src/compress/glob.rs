//! Globs over layer names.

use std::fmt::Display;

use globset::{Candidate, Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::words::quoted;
use super::{Issue, Policy};
use crate::model::Layer;

/// Longest glob, in bytes.
const LONGEST: usize = 16 * 1024;
/// Globs that are matched at once.
const TOGETHER: usize = 256;
/// Most braces within braces.
const DEEPEST: usize = 16;

/// Checks a glob: `*`, `?`, `[ab]`, `{a,b}` over all of a name, dots and slashes being letters like any other.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    let glob = parsed(pattern)?;
    // What is fine as a glob may be too large as a regular expression.
    GlobSetBuilder::new().add(glob).build().map(|_| ()).map_err(|error| wrong(pattern, error.kind()))
}

fn wrong(pattern: &str, reason: &dyn Display) -> String {
    format!("{} is no glob: {reason}", quoted(pattern))
}

fn parsed(pattern: &str) -> Result<Glob, String> {
    if pattern.len() > LONGEST {
        return Err(wrong(pattern, &format_args!("it is longer than {LONGEST} bytes; split the rule")));
    }
    if nesting(pattern) > DEEPEST {
        return Err(wrong(pattern, &format_args!("it has more than {DEEPEST} braces within braces")));
    }
    let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
    glob.map_err(|error| wrong(pattern, error.kind()))
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

/// The globs of a policy, many at once.
#[derive(Debug)]
pub(super) struct Matcher<'a> {
    policy: &'a Policy,
    /// Sets of globs that follow each other, each with the index of its first rule.
    sets: Vec<(usize, GlobSet)>,
}

impl<'a> Matcher<'a> {
    /// # Errors
    /// Every rule whose glob is none.
    pub(super) fn new(policy: &'a Policy) -> Result<Self, Vec<Issue>> {
        let (mut globs, mut issues) = (Vec::new(), Vec::new());
        for rule in &policy.rules {
            match parsed(&rule.matches) {
                Ok(glob) => globs.push(glob),
                Err(message) => issues.push(Issue { line: rule.line, message }),
            }
        }
        if !issues.is_empty() {
            return Err(issues);
        }
        let mut sets = Vec::new();
        for (index, globs) in globs.chunks(TOGETHER).enumerate() {
            build(index * TOGETHER, globs, &mut sets).map_err(|(index, reason)| {
                let (line, glob) = policy.rules.get(index).map_or((0, ""), |rule| (rule.line, rule.matches.as_str()));
                vec![Issue { line, message: wrong(glob, &reason) }]
            })?;
        }
        Ok(Self { policy, sets })
    }

    /// Indices of the rules whose glob fits one of the layer's names, in order.
    pub(super) fn named(&self, layer: &Layer) -> Vec<usize> {
        let of_name = |name: &str| {
            let name = Candidate::from_bytes(name);
            let of_set = |(first, set): &(usize, GlobSet)| {
                let first = *first;
                set.matches_candidate(&name).into_iter().map(move |index| first + index)
            };
            self.sets.iter().flat_map(of_set).collect::<Vec<_>>()
        };
        let mut found: Vec<usize> = layer.names().flat_map(of_name).collect();
        found.sort_unstable();
        found.dedup();
        found
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
}

/// Adds sets of these globs, the first of which is rule `first`: one, or more where one would be too large.
fn build(first: usize, globs: &[Glob], sets: &mut Vec<(usize, GlobSet)>) -> Result<(), (usize, String)> {
    match GlobSet::new(globs) {
        Ok(set) => sets.push((first, set)),
        Err(error) if globs.len() < 2 => return Err((first, error.kind().to_string())),
        Err(_) => {
            let (left, right) = globs.split_at(globs.len() / 2);
            build(first, left, sets)?;
            build(first + left.len(), right, sets)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        parsed(pattern).unwrap().compile_matcher().is_match_candidate(&Candidate::from_bytes(name))
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
            if let Err(message) = check(pattern) {
                assert!(message.starts_with('"') && !message.contains('\n') && message.len() < 600, "{message}");
            } else {
                assert!(pattern.starts_with("[!a]"));
            }
        }
    }
}
