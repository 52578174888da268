//! Scans of single layers: found row by row, kept, told apart from other plans.

use super::*;
use crate::measure::Mode;

fn scanned(bench: &mut Bench, mode: Mode) {
    bench.workbench.measure_on(256);
    bench.workbench.scan(mode).unwrap();
    let scans = |bench: &Workbench| bench.jobs().into_iter().rfind(|job| job.kind == JobKind::Scan);
    bench.until("scanned", |bench| scans(bench).is_some_and(|job| job.state != JobState::Running));
    assert_eq!(scans(&bench.workbench).unwrap().state, JobState::Done);
}

#[test]
fn every_layer_is_tried_alone_as_planned_or_at_a_quarter() {
    let mut bench = Bench::demo();
    let k = bench.layer(Kind::K);
    let int4 = Plan { base: Base::Int4, ..Plan::dense() };
    bench.workbench.set_plans("k", &[(k, int4)]);
    scanned(&mut bench, Mode::Only);
    let rows = bench.workbench.rows();
    assert!(rows.iter().all(|row| row.damage.is_some_and(|damage| damage.kld >= 0.0 && damage.kld_iso > Some(0.0))));
    let damage = rows[k].damage.unwrap();
    assert_eq!((damage.plan, damage.stale, damage.mode), (int4, false, Mode::Only));
    let other = rows.iter().enumerate().find(|(layer, _)| *layer != k).unwrap().1;
    assert_eq!(other.damage.unwrap().plan, Plan::low_rank(other.layer.max_rank() / 4));
    assert!(!other.damage.unwrap().stale, "a dense layer may be asked what a plan would do");
    bench.workbench.set_plans("k", &[(k, Plan::low_rank(3))]);
    assert!(bench.workbench.rows()[k].damage.unwrap().stale);
    bench.workbench.undo();
    assert!(!bench.workbench.rows()[k].damage.unwrap().stale);
}

#[test]
fn what_is_left_without_a_layer_tells_of_all_plans() {
    let mut bench = Bench::demo();
    assert!(bench.workbench.scan(Mode::Without).unwrap_err().contains("no layer is compressed"));
    let (k, v) = (bench.layer(Kind::K), bench.layer(Kind::V));
    bench.workbench.set_plans("two", &[(k, Plan::low_rank(8)), (v, Plan::low_rank(8))]);
    scanned(&mut bench, Mode::Without);
    let found: Vec<usize> =
        bench.workbench.rows().iter().enumerate().filter(|(_, row)| row.damage.is_some()).map(|(at, _)| at).collect();
    assert_eq!(found, [k.min(v), k.max(v)]);
    bench.workbench.set_plans("v", &[(v, Plan::low_rank(9))]);
    assert!(bench.workbench.rows()[k].damage.unwrap().stale, "the rest of the policy has changed");
}

#[test]
fn without_a_model_nothing_is_scanned() {
    let mut bench = Bench::new(Locations::default());
    assert_eq!(bench.workbench.scan(Mode::Only), Err("no model is open".into()));
}
