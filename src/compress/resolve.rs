//! A policy resolved against a model's layers.

use std::collections::{BTreeMap, BTreeSet};

use super::glob::Matcher;
use super::words::{did_you_mean, quoted};
use super::{Issue, Plan, Policy, PolicyError, RankSpec, Rule};
use crate::checkpoint::escaped;
use crate::model::Layer;

/// A layer's plan and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The plan.
    pub plan: Plan,
    /// Index of the rule that won; `None`: no rule matched, dense.
    pub rule: Option<usize>,
}

/// Answers `{"energy": q}` for layer `index`: the least rank that keeps the share q.
pub type RankSource<'a> = &'a mut dyn FnMut(usize, f64) -> Result<usize, String>;

/// Resolves every layer; warnings are rules that match nothing. Layers that the file stores compressed keep
/// [`Plan::dense`] (as they are), and only rules that leave them dense may win them.
///
/// # Errors
/// Of rules that win a layer: ranks above min(m, n), plans of nothing (base none, rank 0), ranks that `energy_rank` cannot tell; and globs that are none. One issue a rule, naming the first such layer.
pub fn resolve(
    policy: &Policy,
    layers: &[Layer],
    energy_rank: RankSource<'_>,
) -> Result<(Vec<Resolved>, Vec<Issue>), PolicyError> {
    let matcher = Matcher::new(policy).map_err(|issues| PolicyError { issues })?;
    let mut resolved = Vec::with_capacity(layers.len());
    let mut matched = BTreeSet::new();
    let mut failed: BTreeMap<usize, Failure> = BTreeMap::new();
    for (index, layer) in layers.iter().enumerate() {
        let matching = matcher.matching(layer);
        matched.extend(matching.iter().copied());
        let winner = matching.last().copied();
        let plan = match winner.and_then(|winner| policy.rules.get(winner)) {
            None => Ok(Plan::dense()),
            Some(rule) => plan_for(rule, layer, &mut |share| energy_rank(index, share)),
        };
        if let (Err(reason), Some(winner)) = (&plan, winner) {
            let first = || Failure { layer: escaped(&layer.name, 200), reason: reason.clone(), more: 0 };
            failed.entry(winner).and_modify(|failure| failure.more += 1).or_insert_with(first);
        }
        resolved.push(Resolved { plan: plan.unwrap_or_default(), rule: winner });
    }
    if !failed.is_empty() {
        return Err(PolicyError {
            issues: failed.iter().map(|(rule, failure)| failure.issue(policy, *rule)).collect(),
        });
    }
    Ok((resolved, idle_rules(policy, layers, &matcher, &matched)))
}

/// What is wrong with a rule on the first layer that shows it.
struct Failure {
    layer: String,
    reason: String,
    more: usize,
}

impl Failure {
    fn issue(&self, policy: &Policy, rule: usize) -> Issue {
        let rule = policy.rules.get(rule);
        let glob = quoted(rule.map_or("", |rule| &rule.matches));
        let more = match self.more {
            0 => String::new(),
            1 => " (and 1 more layer)".into(),
            more => format!(" (and {more} more layers)"),
        };
        let message = format!("rule {glob} on {}{more}: {}", self.layer, self.reason);
        Issue { line: rule.map_or(0, |rule| rule.line), message }
    }
}

/// The plan that a rule gives to a layer.
fn plan_for(
    rule: &Rule,
    layer: &Layer,
    energy_rank: &mut dyn FnMut(f64) -> Result<usize, String>,
) -> Result<Plan, String> {
    let most = layer.max_rank();
    let shape = rule.plan(usize::from(rule.rank.is_some()));
    if let Some(reason) = shape.meaningless() {
        return Err(reason.into());
    }
    if layer.fixed {
        let reason = "the file stores it compressed; leave it dense, or pass --original with the model it came from";
        return if shape.is_dense() { Ok(shape) } else { Err(reason.into()) };
    }
    let rank = match rule.rank {
        None => return Ok(shape),
        Some(RankSpec::Count(rank)) => rank,
        Some(RankSpec::Ratio(share)) => ratio_rank(share, most),
        Some(RankSpec::Energy(share)) => energy_rank(share)?.clamp(1, most.max(1)),
    };
    if rank > most {
        return Err(format!(
            "key \"rank\": {rank} is above the largest possible, min({}, {}) = {most}; lower it",
            layer.rows, layer.cols
        ));
    }
    Ok(rule.plan(rank))
}

/// `share` of `most`, rounded down, at least 1.
pub(super) fn ratio_rank(share: f64, most: usize) -> usize {
    ((most as f64 * share).floor() as usize).max(1)
}

/// A warning for each rule that matches nothing.
fn idle_rules(policy: &Policy, layers: &[Layer], matcher: &Matcher<'_>, matched: &BTreeSet<usize>) -> Vec<Issue> {
    if matched.len() == policy.rules.len() {
        return Vec::new();
    }
    let named: BTreeSet<usize> = layers.iter().flat_map(|layer| matcher.named(layer)).collect();
    let endings = endings(layers);
    let idle = policy.rules.iter().enumerate().filter(|(index, _)| !matched.contains(index));
    idle.map(|(index, rule)| {
        let glob = quoted(&rule.matches);
        let message = if let Some(least) = rule.min_dim.filter(|_| named.contains(&index)) {
            format!("rule {glob} matches no layer with min(out, in) of {least} or more; lower \"min_dim\"")
        } else {
            let hint = did_you_mean(&rule.matches, endings.iter().map(String::as_str));
            let hint = hint.unwrap_or_else(|| "see the layers' names with `rankscope inspect`".into());
            format!("rule {glob} matches no layer; {hint}")
        };
        Issue { line: rule.line, message }
    })
    .collect()
}

/// What a glob may have been meant to be: names, and `*` before what follows each dot, numbers being `*` too.
fn endings(layers: &[Layer]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for layer in layers {
        let any = |part| if str::parse::<u32>(part).is_ok() { "*" } else { part };
        let name = layer.name.split('.').map(any).collect::<Vec<_>>().join(".");
        found.extend(name.match_indices('.').map(|(at, _)| format!("*{}", name.get(at..).unwrap_or_default())));
        found.insert(name);
        found.insert(layer.name.clone());
    }
    found
}

/// The layers whose plans differ: (index, from, to).
pub fn diff(from: &[Plan], to: &[Plan]) -> Vec<(usize, Plan, Plan)> {
    let plans = from.iter().zip(to).enumerate().map(|(index, (from, to))| (index, *from, *to));
    plans.filter(|(_, from, to)| from != to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::testing::layer;
    use crate::compress::{Base, Factors};

    fn layers() -> Vec<Layer> {
        (0..3)
            .flat_map(|block| ["attn.k_proj", "mlp.up_proj"].map(|name| format!("h.{block}.{name}.weight")))
            .map(|name| if name.contains("up") { layer(&name, 64, 16) } else { layer(&name, 16, 16) })
            .collect()
    }

    fn policy(rules: &str) -> Policy {
        Policy::parse(&format!("{{\"rankscope_policy\": 1, \"rules\": [\n{rules}\n]}}")).unwrap()
    }

    fn plans(rules: &str) -> (Vec<String>, Vec<String>) {
        let (resolved, issues) = resolve(&policy(rules), &layers(), &mut |_, _| Ok(7)).unwrap();
        let plans = resolved.iter().map(|resolved| resolved.plan.to_string()).collect();
        (plans, issues.iter().map(ToString::to_string).collect())
    }

    fn errors(rules: &str, layers: &[Layer]) -> Vec<String> {
        let error = resolve(&policy(rules), layers, &mut |_, _| Err("no spectrum".into())).unwrap_err();
        error.issues.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_last_rule_that_matches_wins_whole() {
        let rules = r#"{"match": "*", "base": "int8", "group": 8},
            {"match": "*.k_proj.*", "rank": 4, "factors": "f16"},
            {"match": "h.{0,2}.*.k_proj.weight", "rank": {"ratio": 0.3}},
            {"match": "h.1.mlp.*", "base": "dense"}"#;
        let expected = ["r4 int8", "int8/8", "r4 f16", "dense", "r4 int8", "int8/8"];
        assert_eq!(plans(rules), (expected.map(String::from).to_vec(), vec![]));
    }

    #[test]
    fn shares_become_ranks() {
        let (found, _) =
            plans(r#"{"match": "h.0.*", "rank": {"energy": 0.9}}, {"match": "h.1.*", "rank": {"ratio": 0.01}}"#);
        assert_eq!(found, ["r7 int8", "r7 int8", "r1 int8", "r1 int8", "dense", "dense"]);
        assert_eq!((ratio_rank(0.25, 10), ratio_rank(1.0, 10), ratio_rank(1e-9, 10)), (2, 10, 1));
    }

    #[test]
    fn min_dim_keeps_a_rule_from_small_layers() {
        let (found, issues) =
            plans(r#"{"match": "*", "min_dim": 16, "rank": 2}, {"match": "*", "min_dim": 17, "rank": 3}"#);
        assert!(found.iter().all(|plan| plan == "r2 int8"));
        assert_eq!(issues, [r#"line 2: rule "*" matches no layer with min(out, in) of 17 or more; lower "min_dim""#]);
    }

    #[test]
    fn rules_that_match_nothing_are_warnings_with_a_hint() {
        let (_, issues) = plans("{\"match\": \"*.k_prj.weight\", \"rank\": 2},\n{\"match\": \"lstm\", \"rank\": 2}");
        assert_eq!(issues[0], r#"line 2: rule "*.k_prj.weight" matches no layer; did you mean "*.k_proj.weight"?"#);
        assert!(issues[1].starts_with("line 3: ") && issues[1].contains("inspect"));
    }

    #[test]
    fn impossible_ranks_are_told_once_a_rule() {
        let found = errors(
            "{\"match\": \"*\", \"rank\": 17},\n{\"match\": \"h.2.attn*\", \"rank\": {\"energy\": 0.5}}",
            &layers(),
        );
        let first = r#"line 2: rule "*" on h.0.attn.k_proj.weight (and 4 more layers): key "rank": 17 is above the largest possible, min(16, 16) = 16; lower it"#;
        assert_eq!(found, [first, r#"line 3: rule "h.2.attn*" on h.2.attn.k_proj.weight: no spectrum"#]);
    }

    #[test]
    fn fixed_layers_stay_as_they_are() {
        let mut fixed = layers();
        fixed[0].fixed = true;
        let dense = resolve(&policy(r#"{"match": "*", "base": "dense"}"#), &fixed, &mut |_, _| Ok(1)).unwrap();
        assert!(dense.0.iter().all(|resolved| resolved.plan.is_dense()));
        let found = errors(r#"{"match": "*", "base": "int8"}"#, &fixed);
        assert!(found.len() == 1 && found[0].contains("--original"), "{found:?}");
    }

    #[test]
    fn only_plans_that_differ_are_a_difference() {
        let resolved = |rules| resolve(&policy(rules), &layers(), &mut |_, _| Ok(1)).unwrap().0;
        let from = resolved(r#"{"match": "*", "base": "dense", "factors": "f16"}"#);
        let to = resolved(r#"{"match": "h.1.attn*", "rank": 3, "factors": "f32"}"#);
        let plans = |of: &[Resolved]| of.iter().map(|one| one.plan).collect::<Vec<_>>();
        let changed = diff(&plans(&from), &plans(&to));
        assert_eq!(changed, [(2, Plan::dense(), Plan { factors: Factors::F32, ..Plan::low_rank(3) })]);
        assert_eq!(diff(&plans(&from), &plans(&from)), []);
        assert_eq!(to[2].rule, Some(0));
        assert_eq!((to[0].rule, to[0].plan.base), (None, Base::Dense));
    }
}
