//! Edits of single layers, written back as rules.

use std::collections::BTreeMap;

use super::glob::Matcher;
use super::resolve::ratio_rank;
use super::{Plan, Policy, RankSpec, Rule};
use crate::model::Layer;

impl Policy {
    /// This policy with rules appended that name the layers whose wanted plan differs from what its rules give now (`now`
    /// and `wanted`: one plan a layer). Layers of one plan that differ in their block alone share a rule, as
    /// `h.{0,3}.attn.k_proj.weight`, or `h.*.attn.k_proj.weight` where these are all. Rules of that form that win no layer
    /// any more are dropped, and none is added where the rules beneath it give the same.
    #[must_use]
    pub fn with_plans(&self, layers: &[Layer], now: &[Plan], wanted: &[Plan]) -> Self {
        let mut edited = self.clone();
        let changed = layers.iter().zip(now).zip(wanted).enumerate();
        let changed = changed.filter(|(_, ((_, now), wanted))| now.normalized() != wanted.normalized());
        let mut groups: Vec<Group> = Vec::new();
        for (index, ((layer, _), wanted)) in changed {
            Group::add(&mut groups, index, layer, wanted.normalized());
        }
        if groups.is_empty() {
            return edited;
        }
        edited.rules.extend(groups.iter().map(|group| group.rule(layers)));
        let Some(mut table) = Table::new(&edited, layers) else { return self.clone() };
        table.drop_beaten(&mut edited, self.rules.len());
        table.drop_needless(&mut edited, wanted, groups.len());
        edited
    }
}

/// Which layers each rule of a policy matches.
struct Table<'a> {
    layers: &'a [Layer],
    /// Layer indices, by rule.
    matched: Vec<Vec<usize>>,
}

impl<'a> Table<'a> {
    /// `None` where a glob is none.
    fn new(policy: &Policy, layers: &'a [Layer]) -> Option<Self> {
        let matcher = Matcher::new(policy).ok()?;
        let mut matched = vec![Vec::new(); policy.rules.len()];
        for (index, layer) in layers.iter().enumerate() {
            for rule in matcher.matching(layer) {
                matched.get_mut(rule)?.push(index);
            }
        }
        Some(Self { layers, matched })
    }

    /// For each layer the last of the first `count` rules that matches it.
    fn winners(&self, count: usize) -> Vec<Option<usize>> {
        let mut winners = vec![None; self.layers.len()];
        for (rule, layers) in self.matched.iter().take(count).enumerate() {
            for layer in layers {
                if let Some(winner) = winners.get_mut(*layer) {
                    *winner = Some(rule);
                }
            }
        }
        winners
    }

    /// Drops the rules, of the form that [`Group`] makes, that won a layer among the first `count` and win none among all.
    fn drop_beaten(&mut self, policy: &mut Policy, count: usize) {
        let (before, now) = (self.winners(count), self.winners(usize::MAX));
        for rule in (0..count).rev() {
            let beaten = before.contains(&Some(rule)) && !now.contains(&Some(rule));
            if beaten && policy.rules.get(rule).is_some_and(|rule| Group::may_have_made(rule, self.layers)) {
                self.drop(policy, rule);
            }
        }
    }

    /// Drops those of the last `count` rules, no two of which match the same layer, without which their layers would get
    /// the `wanted` plan.
    fn drop_needless(&mut self, policy: &mut Policy, wanted: &[Plan], count: usize) {
        let added = policy.rules.len().saturating_sub(count);
        let beneath = self.winners(added);
        for rule in (added..policy.rules.len()).rev() {
            let given = |layer: &usize| {
                let rule = beneath.get(*layer).copied().flatten().and_then(|rule| policy.rules.get(rule));
                rule.map_or(Some(Plan::dense()), |rule| known_plan(rule, self.layers.get(*layer)?))
            };
            let same = |layer: &usize| given(layer) == wanted.get(*layer).map(|plan| plan.normalized());
            if self.matched.get(rule).is_some_and(|layers| layers.iter().all(same)) {
                self.drop(policy, rule);
            }
        }
    }

    fn drop(&mut self, policy: &mut Policy, rule: usize) {
        policy.rules.remove(rule);
        self.matched.remove(rule);
    }
}

/// The plan that a rule gives to a layer, where that does not take the layer's spectrum.
fn known_plan(rule: &Rule, layer: &Layer) -> Option<Plan> {
    match rule.rank {
        None => Some(rule.plan(0)),
        Some(RankSpec::Count(rank)) => Some(rule.plan(rank)),
        Some(RankSpec::Ratio(share)) => Some(rule.plan(ratio_rank(share, layer.max_rank()))),
        Some(RankSpec::Energy(_)) => None,
    }
}

/// Layers of one plan whose names differ in the block alone.
struct Group {
    plan: Plan,
    /// What stands before and after the block's number; the whole name where there is none.
    around: (String, Option<String>),
    /// Layer index by block.
    blocks: BTreeMap<usize, usize>,
}

impl Group {
    fn add(groups: &mut Vec<Self>, index: usize, layer: &Layer, plan: Plan) {
        let around = around_block(layer);
        let block = layer.block.unwrap_or_default();
        let place = groups.iter_mut().find(|group| group.plan == plan && group.around == around);
        match place {
            Some(group) => drop(group.blocks.insert(block, index)),
            None => groups.push(Self { plan, around, blocks: BTreeMap::from([(block, index)]) }),
        }
    }

    fn rule(&self, layers: &[Layer]) -> Rule {
        let (before, after) = &self.around;
        let before = globset::escape(before);
        let glob = match after {
            None => before,
            Some(after) => {
                let numbers: Vec<_> = self.blocks.keys().map(usize::to_string).collect();
                let after = globset::escape(after);
                match numbers.as_slice() {
                    [number] => format!("{before}{number}{after}"),
                    _ if self.are_all(layers, &format!("{before}*{after}")) => format!("{before}*{after}"),
                    _ => format!("{before}{{{}}}{after}", numbers.join(",")),
                }
            }
        };
        Rule::of_plan(glob, &self.plan)
    }

    /// Whether a rule without a person's remark names layers as [`Group::rule`] does.
    fn may_have_made(rule: &Rule, layers: &[Layer]) -> bool {
        let numbers = |text: &str| text.split(',').all(|number| number.parse::<usize>().is_ok());
        let named = |layer: &Layer| match around_block(layer) {
            (name, None) => rule.matches == globset::escape(&name),
            (before, Some(after)) => {
                let rest = rule.matches.strip_prefix(&globset::escape(&before));
                let block = rest.and_then(|rest| rest.strip_suffix(&globset::escape(&after))).unwrap_or_default();
                let listed = block.strip_prefix('{').and_then(|block| block.strip_suffix('}')).unwrap_or(block);
                block == "*" || numbers(listed)
            }
        };
        rule.note.is_none() && rule.min_dim.is_none() && layers.iter().any(named)
    }

    /// Whether `glob` matches these layers and no other.
    fn are_all(&self, layers: &[Layer], glob: &str) -> bool {
        let alone = Policy { rules: vec![Rule::of_plan(glob.to_owned(), &self.plan)], calibration: None };
        let mut own: Vec<_> = self.blocks.values().copied().collect();
        own.sort_unstable();
        Table::new(&alone, layers).is_some_and(|table| table.matched == [own])
    }
}

/// A layer's name, cut around the number of its block.
fn around_block(layer: &Layer) -> (String, Option<String>) {
    let number = layer.block.map(|block| format!(".{block}."));
    match number.as_deref().and_then(|number| layer.name.split_once(number)) {
        Some((before, after)) => (format!("{before}."), Some(format!(".{after}"))),
        None => (layer.name.clone(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::testing::layer;
    use crate::compress::{Base, resolve};

    fn layers() -> Vec<Layer> {
        (0..4).flat_map(|block| ["k", "v"].map(|kind| layer(&format!("h.{block}.{kind}.weight"), 16, 16))).collect()
    }

    fn plans(policy: &Policy) -> Vec<Plan> {
        let (resolved, _) = resolve(policy, &layers(), &mut |_, _| Ok(3)).unwrap();
        resolved.iter().map(|resolved| resolved.plan).collect()
    }

    /// `policy` edited so that layers get other plans; checked to give what was wanted.
    fn edited(policy: &Policy, edits: &[(usize, Plan)]) -> Policy {
        let now = plans(policy);
        let mut wanted = now.clone();
        edits.iter().for_each(|(layer, plan)| wanted[*layer] = *plan);
        let edited = policy.with_plans(&layers(), &now, &wanted);
        assert_eq!(plans(&edited), wanted, "{}", edited.to_text());
        edited
    }

    fn globs(policy: &Policy) -> Vec<String> {
        policy.rules.iter().map(|rule| format!("{} {}", rule.matches, rule.plan(rule.rank.map_or(0, |_| 1)))).collect()
    }

    fn start() -> Policy {
        Policy::parse(r#"{"rankscope_policy": 1, "rules": [{"match": "*", "base": "dense", "note": "all"}, {"match": "*.k.*", "rank": {"energy": 0.5}}]}"#)
            .unwrap()
    }

    #[test]
    fn layers_of_one_plan_share_a_rule() {
        let some = edited(&start(), &[(0, Plan::low_rank(4)), (4, Plan::low_rank(4)), (1, Plan::low_rank(5))]);
        assert_eq!(globs(&some), ["* dense", "*.k.* r1 int8", "h.{0,2}.k.weight r1 int8", "h.0.v.weight r1 int8"]);
        let all = edited(&start(), &[1, 3, 5, 7].map(|layer| (layer, Plan { base: Base::Int8, ..Plan::dense() })));
        assert_eq!(globs(&all)[2..], ["h.*.v.weight int8"]);
    }

    #[test]
    fn rules_that_win_nothing_any_more_go() {
        let once = edited(&start(), &[(1, Plan::low_rank(4))]);
        let twice = edited(&once, &[(1, Plan::low_rank(5))]);
        assert_eq!(globs(&twice), globs(&once));
        assert_eq!(edited(&twice, &[(1, Plan::dense())]), start());
        assert_eq!(edited(&start(), &[]), start());
    }

    #[test]
    fn names_with_glob_letters_are_taken_as_they_are() {
        let odd = [layer("a[0]{x}.*", 4, 4), layer("a0x.b", 4, 4)];
        let now = [Plan::dense(); 2];
        let wanted = [Plan::low_rank(1), Plan::dense()];
        let policy = Policy::default().with_plans(&odd, &now, &wanted);
        let (resolved, issues) = resolve(&policy, &odd, &mut |_, _| Ok(1)).unwrap();
        assert_eq!((resolved[0].plan, resolved[1].plan, issues.len()), (wanted[0], wanted[1], 0));
    }

    #[test]
    fn a_plan_of_its_own_for_every_layer_of_a_large_model_is_quick() {
        let layers: Vec<_> = (0..800).map(|i| layer(&format!("h.{}.{}.weight", i / 8, i % 8), 900, 900)).collect();
        let wanted: Vec<_> = (0..800).map(|rank| Plan::low_rank(rank + 1)).collect();
        let policy = start().with_plans(&layers, &vec![Plan::dense(); 800], &wanted);
        assert_eq!(policy.rules.len(), 802);
        let (resolved, _) = resolve(&policy, &layers, &mut |_, _| Ok(3)).unwrap();
        assert!(resolved.iter().map(|resolved| resolved.plan).eq(wanted));
    }

    proptest::proptest! {
        #[test]
        fn any_edits_give_what_was_wanted(edits in proptest::collection::vec((0_usize..8, 0_usize..4), 0..20)) {
            let plan = |rank| if rank == 0 { Plan::dense() } else { Plan::low_rank(rank) };
            let mut policy = start();
            for chunk in edits.chunks(3) {
                let chunk: Vec<_> = chunk.iter().map(|(layer, rank)| (*layer, plan(*rank))).collect();
                policy = edited(&policy, &chunk);
            }
            assert!(policy.rules.len() <= 2 + 8);
        }
    }
}
