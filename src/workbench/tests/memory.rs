//! What jobs say where memory is short.

use super::*;
use crate::measure::Mode;

/// A bench with the demo open, on a machine with so much free memory, measuring on a few tokens.
fn bench(locations: Locations, free: fn() -> Option<u64>) -> Bench {
    let mut bench = Bench::new(locations);
    bench.workbench.watch_memory(free);
    bench.workbench.measure_on(16);
    bench.open(Source::Demo, None, None);
    bench
}

fn times(workbench: &Workbench, part: &str) -> usize {
    workbench.messages().iter().filter(|message| message.text.contains(part)).count()
}

/// Waits for what a job says, and stops it.
fn said_by(bench: &mut Bench, kind: JobKind, part: &str) {
    bench.until(part, |bench| times(bench, part) > 0);
    bench.workbench.jobs.cancel_kinds(&[kind]);
    bench.until("ended", |bench| bench.jobs.running(kind).next().is_none());
    assert_eq!(times(&bench.workbench, part), 1, "{:?}", bench.workbench.messages());
}

#[test]
fn every_job_says_once_before_it_begins_what_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Some(folder.path().join("cache"));
    let mut bench = bench(Locations { cache, ..Locations::default() }, || Some(0));
    bench.decomposed();
    assert_eq!(times(&bench.workbench, "decomposing takes about"), 1);
    assert!(bench.said("and 0 MB are free; fewer --threads take less"));
    bench.write(prompt(3));
    assert_eq!(times(&bench.workbench, "writing takes about"), 1);
    bench.workbench.calibrate();
    said_by(&mut bench, JobKind::Calibrate, "calibrating takes about");
    bench.workbench.compare(None).unwrap();
    said_by(&mut bench, JobKind::Compare, "comparing takes about");
    bench.workbench.ask_probes("demo").unwrap();
    said_by(&mut bench, JobKind::Probe, "asking probes takes about");
    bench.workbench.export(crate::compress::ExportKind::Dense, &folder.path().join("out"), false);
    bench.until("exported", |bench| bench.jobs.running(JobKind::Export).next().is_none());
    assert_eq!(times(&bench.workbench, "exporting takes about"), 0, "nothing is coded where all is dense");
}

#[test]
fn jobs_that_need_statistics_say_it_once_these_are_known_or_not_to_be_had() {
    let mut bench = bench(Locations::default(), || Some(0));
    bench.workbench.scan(Mode::Only).unwrap();
    said_by(&mut bench, JobKind::Scan, "trying layers takes about");
    bench.workbench.plan_within("50%").unwrap();
    said_by(&mut bench, JobKind::Plan, "planning takes about");
    bench.workbench.measure_frontier().unwrap();
    bench.until("told", |bench| times(bench, "planning takes about") == 2);
}

#[test]
fn a_slider_says_it_once_and_only_where_something_is_to_be_decomposed() {
    let mut bench = bench(Locations::default(), || Some(0));
    bench.decomposed();
    let key = bench.layer(Kind::K);
    let int8 = |rank| Plan { base: Base::Int8, rank, ..Plan::dense() };
    for rank in [8, 12] {
        bench.workbench.set_plans("rank", &[(key, Plan::low_rank(rank))]);
        bench.encoded();
    }
    assert_eq!(times(&bench.workbench, "encoding takes about"), 1, "spectra leave no decomposition");
    for rank in [8, 12] {
        bench.workbench.set_plans("rank", &[(key, int8(rank))]);
        bench.encoded();
    }
    assert_eq!(times(&bench.workbench, "encoding takes about"), 2);
}

#[test]
fn where_there_is_enough_or_nobody_knows_nothing_is_said() {
    for free in [|| None, || Some(u64::MAX)] {
        let mut bench = bench(Locations::default(), free);
        bench.decomposed();
        bench.write(prompt(3));
        bench.workbench.compare(None).unwrap();
        bench.until("compared", |bench| bench.comparison().found.is_some());
        assert!(!bench.said(" are free"));
    }
}
