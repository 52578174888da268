//! The report that the workbench writes.

use std::fs;

use super::*;

fn ended(bench: &Workbench) -> bool {
    bench.jobs().iter().any(|job| job.kind == JobKind::Export && job.state != JobState::Running)
}

#[test]
fn a_report_is_written_and_refused_where_something_lies() {
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("report");
    let mut bench = Bench::demo();
    let key = bench.layer(Kind::K);
    bench.workbench.set_plans("rank 16", &[(key, Plan::low_rank(16))]);
    bench.workbench.measure_on(200);
    assert!(bench.workbench.plan_report().unwrap().iter().any(|line| line.lacks == Some(JobKind::Frontier)));
    bench.workbench.report(&out, false).unwrap();
    bench.until("reported", ended);
    assert!(bench.said("wrote the report"), "{:?}", bench.workbench.messages());
    let page = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(page.contains("1 of its 36 layers") && page.contains("rank 16 in int8"), "{page}");
    assert_eq!(fs::read_to_string(out.join("policy.json")).unwrap(), bench.workbench.policy().to_text());
    bench.workbench.report(&out, false).unwrap();
    bench.until("refused", |bench| bench.messages().iter().any(|message| message.severity == Severity::Error));
    assert!(bench.said("exists"));
}

#[test]
fn a_cancelled_report_leaves_nothing() {
    let room = tempfile::tempdir().unwrap();
    let mut bench = Bench::demo();
    bench.workbench.report(&room.path().join("report"), false).unwrap();
    let job = bench.workbench.jobs().into_iter().find(|job| job.kind == JobKind::Export).unwrap().id;
    bench.workbench.cancel(job);
    bench.until("cancelled", ended);
    assert!(bench.workbench.jobs().iter().any(|job| job.id == job.id && job.state == JobState::Cancelled));
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
}

#[test]
fn what_was_measured_before_is_part_of_a_report() {
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("report");
    let mut bench = Bench::demo();
    bench.workbench.measure_on(200);
    let point =
        |kind, kld| crate::measure::FrontierPoint { kind, label: String::new(), bytes: 9, bits_per_weight: 8.0, kld };
    let (own, int8) = (crate::measure::FrontierKind::Current, crate::measure::FrontierKind::Int8);
    bench.workbench.take_frontier(vec![point(own, 99.0), point(int8, 0.25)]);
    let all: Vec<_> = (0..36).map(|layer| (layer, Plan::low_rank(8))).collect();
    bench.workbench.set_plans("rank 8", &all);
    bench.encoded();
    assert_eq!(bench.workbench.pin(), Ok('A'));
    bench.workbench.undo();
    assert!(bench.workbench.plan_report().unwrap().iter().any(|line| line.text == "pinned policy A beside it"));
    bench.workbench.report(&out, false).unwrap();
    bench.until("reported", ended);
    let text = fs::read_to_string(out.join("frontier.json")).unwrap();
    let frontier: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&frontier["points"][0]["kld"], &frontier["points"][1]["kld"]), (&0.0.into(), &0.25.into()));
    let page = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(
        page.contains("## Other policies beside it") && page.contains("| `A` ([policy](beside-1-policy.json)"),
        "{page}"
    );
    let pinned = fs::read_to_string(out.join("beside-1-policy.json")).unwrap();
    assert!(pinned.contains("\"rank\": 8") && crate::compress::Policy::parse(&pinned).is_ok(), "{pinned}");
    let metrics = fs::read_to_string(out.join("beside-1-metrics.json")).unwrap();
    let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
    assert!(metrics["kld"]["mean"].as_f64().unwrap() > 0.01, "{metrics}");
}
