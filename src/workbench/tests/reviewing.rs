//! Policies within a budget: sought, reviewed, applied as one step.

use super::*;
use crate::compress::{Budget, Sizes};
use crate::measure::{Priced, Proposal, ProposedLayer, WithinBudget};

/// INT8 for every layer of the demo but the last, as if it had been found for 9 bits a weight; each costs 0.01, and half as
/// much as it is now.
fn int8(bench: &Bench) -> WithinBudget {
    let int8 = Plan { base: Base::Int8, ..Plan::dense() };
    let rows = bench.workbench.rows();
    let price = |row: &LayerRow, plan: Plan, damage| Priced {
        plan,
        bytes: plan.bytes(row.layer.rows, row.layer.cols, row.layer.bytes),
        damage,
    };
    let each = rows.iter().enumerate().map(|(layer, row)| ProposedLayer {
        layer,
        chosen: if layer == 35 { price(row, Plan::dense(), 0.0) } else { price(row, int8, 0.01) },
        now: Some(price(row, row.plan, 0.005)),
        smaller: None,
        larger: None,
    });
    let layers: Vec<_> = each.collect();
    let bytes = layers.iter().map(|layer| layer.chosen.bytes).sum();
    let layers_of_model: Vec<_> = rows.iter().map(|row| row.layer.clone()).collect();
    WithinBudget {
        budget: Budget::BitsPerWeight(9.0),
        sizes: Sizes::new(bench.workbench.totals().bytes_original, &layers_of_model),
        proposal: Proposal { layers, bytes, predicted: 0.35, measured: 0.4 },
        layer_bytes: bytes,
        left: Vec::new(),
    }
}

fn plans(bench: &Bench) -> Vec<Plan> {
    bench.workbench.rows().iter().map(|row| row.plan).collect()
}

#[test]
fn a_budget_that_is_none_or_cannot_be_kept_is_refused_at_once() {
    let mut bench = Bench::new(Locations::default());
    assert_eq!(bench.workbench.plan_within("5bpw"), Err("no model is open".into()));
    bench.open(Source::Demo, None, None);
    for (budget, reason) in
        [("", "is no budget"), ("40", "(40%)"), ("1kB", "what is no layer"), ("0.3bpw", "plans tried take")]
    {
        let error = bench.workbench.plan_within(budget).unwrap_err();
        assert!(error.contains(reason), "{budget}: {error}");
    }
    assert!(bench.workbench.jobs().iter().all(|job| job.kind != JobKind::Plan));
}

#[test]
fn a_part_of_the_proposal_is_applied_and_undone_as_one_step() {
    let mut bench = Bench::demo();
    let (k, before) = (bench.layer(Kind::K), bench.workbench.totals());
    bench.workbench.set_plans("k", &[(k, Plan::low_rank(16))]);
    let (was, totals) = (plans(&bench), bench.workbench.totals());
    bench.workbench.take_proposal("9bpw".into(), &int8(&bench));
    let review = bench.workbench.review_mut().unwrap();
    assert_eq!((review.changes.len(), review.totals().accepted), (35, 35));
    assert_eq!(
        (review.totals().predicted.map(|sum| (sum * 1e3).round()), review.totals().measured),
        (Some(350.0), Some(0.4))
    );
    review.set_all(false);
    let none = review.totals();
    assert_eq!((none.bytes, none.accepted, none.measured), (totals.bytes_compressed, 0, None));
    assert!((none.bits_per_weight - totals.bits_compressed).abs() < 1e-12);
    review.toggle_kind(k);
    assert_eq!(review.totals().accepted, 6);
    review.toggle_kind(k);
    assert_eq!(review.totals().accepted, 0);
    review.toggle(0);
    review.toggle(k);
    let some = review.totals();
    assert_eq!(some.predicted.map(|sum| (sum * 1e3).round()), Some(2.0 * 10.0 + 33.0 * 5.0));
    assert_eq!(bench.workbench.apply_review(), 2);
    assert_eq!(bench.workbench.totals().bytes_compressed, some.bytes);
    assert!((bench.workbench.totals().bits_compressed - some.bits_per_weight).abs() < 1e-12);
    assert_ne!(bench.workbench.totals(), before);
    assert_eq!(plans(&bench).iter().filter(|plan| plan.base == Base::Int8).count(), 2);
    assert!(bench.workbench.review().is_none());
    assert_eq!(bench.workbench.undo().as_deref(), Some("plan within 9bpw: 2 of 35 layers"));
    assert_eq!(plans(&bench), was);
}

#[test]
fn a_proposal_that_changes_nothing_is_told_and_not_reviewed() {
    let mut bench = Bench::demo();
    bench.workbench.take_proposal("9bpw".into(), &int8(&bench));
    assert_eq!(bench.workbench.apply_review(), 35);
    bench.workbench.take_proposal("9bpw".into(), &int8(&bench));
    assert!(bench.workbench.review().is_none() && bench.said("nothing better was found"));
    assert_eq!(bench.workbench.apply_review(), 0);
}

#[test]
fn a_job_seeks_the_policy_without_statistics_where_there_can_be_none() {
    let mut bench = Bench::demo();
    bench.workbench.measure_on(24);
    bench.workbench.plan_within(" 5bpw ").unwrap();
    assert!(bench.workbench.jobs().iter().all(|job| job.kind != JobKind::Plan), "it waits for statistics");
    bench.until("sought", |bench| bench.review().is_some());
    assert!(bench.said("no cache folder"));
    let review = bench.workbench.review().unwrap();
    assert!(review.totals().bytes <= review.budget_bytes && review.totals().bits_per_weight <= 5.0);
    assert!(
        review.changes.iter().all(|change| !change.proposed.plan.needs_statistics() && change.damage_now.is_some())
    );
    assert_eq!((review.label.as_str(), review.changes.len()), ("5bpw", 36));
}

#[test]
fn a_cancelled_search_brings_nothing() {
    let mut bench = Bench::demo();
    bench.workbench.plan_within("5bpw").unwrap();
    bench.until("begun", |bench| bench.jobs().iter().any(|job| job.kind == JobKind::Plan));
    let job = bench.workbench.jobs().into_iter().find(|job| job.kind == JobKind::Plan).unwrap().id;
    bench.workbench.cancel(job);
    bench.until("cancelled", |bench| bench.jobs().iter().any(|one| one.id == job && one.state == JobState::Cancelled));
    assert!(bench.workbench.review().is_none());
}

#[test]
fn points_of_the_frontier_come_one_by_one_and_are_written_as_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut bench = Bench::demo();
    assert!(bench.workbench.save_frontier(&path("a.svg"), false).unwrap_err().contains("no point"));
    bench.workbench.measure_on(24);
    bench.workbench.measure_frontier().unwrap();
    bench.until("begun", |bench| bench.frontier().job.is_some());
    bench.until("measured", |bench| bench.frontier().points.len() > 2);
    let job = bench.workbench.frontier().job.unwrap();
    bench.workbench.cancel(job);
    bench.until("ended", |bench| bench.frontier().job.is_none());
    let count = bench.workbench.frontier().points.len();
    assert!(bench.workbench.frontier().points.iter().all(|point| point.kld.is_finite()));
    assert!(bench.workbench.save_frontier(&path("a.txt"), false).unwrap_err().contains(".svg or .json"));
    bench.workbench.save_frontier(&path("a.svg"), false).unwrap();
    let svg = std::fs::read_to_string(path("a.svg")).unwrap();
    assert_eq!(svg.matches("<circle").count(), count);
    assert!(bench.workbench.save_frontier(&path("a.svg"), false).is_err(), "it is there already");
    bench.workbench.save_frontier(&path("a.svg"), true).unwrap();
    bench.workbench.save_frontier(&path("a.json"), false).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path("a.json")).unwrap()).unwrap();
    assert_eq!(json["points"].as_array().map(Vec::len), Some(count));
    bench.open(Source::Demo, None, None);
    assert!(bench.workbench.frontier().points.is_empty());
}
