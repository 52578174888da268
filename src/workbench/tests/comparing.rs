//! The comparison over a text: part by part, of the plans as they are.

use super::*;

fn compared(bench: &mut Bench) -> Compared {
    bench.until("compared", |bench| bench.comparison().job.is_none());
    *bench.workbench.comparison().found.clone().unwrap()
}

#[test]
fn every_part_tells_of_the_plans_as_they_were_when_it_began() {
    let mut bench = Bench::demo();
    bench.workbench.measure_on(64);
    let keys = bench.workbench.rows().iter().enumerate().filter(|(_, row)| row.layer.kind == Kind::K);
    let plans: Vec<_> = keys.map(|(layer, _)| (layer, Plan::low_rank(8))).collect();
    bench.workbench.set_plans("k", &plans);
    // Nothing is encoded yet.
    bench.workbench.compare(None).unwrap();
    let found = compared(&mut bench);
    assert!(found.comparison.kld.mean > 1e-4 && !found.is_stale(bench.workbench.rows()));
    let layers = found.layers.clone().unwrap();
    assert_eq!(layers.len(), plans.len());
    assert!(layers.windows(2).all(|pair| pair[0].output_error >= pair[1].output_error && pair[1].output_error > 0.0));
    let attention = found.attention.as_ref().unwrap();
    assert!(attention.iter().all(|shift| shift.original != shift.compressed));
    assert_eq!(found.health.as_ref().unwrap().prompts, PROMPTS.lines().count());
    bench.encoded();
    bench.workbench.compare(None).unwrap();
    assert_eq!(compared(&mut bench), found, "what is encoded already says the same");
    bench.workbench.undo();
    assert!(found.is_stale(bench.workbench.rows()));
    bench.workbench.compare(None).unwrap();
    let dense = compared(&mut bench);
    assert!(dense.comparison.kld.max == 0.0 && dense.layers.unwrap().is_empty());
}

#[test]
fn what_cannot_be_compared_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("short.txt");
    std::fs::write(&short, "a").unwrap();
    let mut bench = Bench::new(Locations::default());
    assert_eq!(bench.workbench.compare(None), Err("no model is open".into()));
    bench.open(Source::Demo, None, None);
    assert!(bench.workbench.compare(Some(folder.path().to_owned())).unwrap_err().contains("is no file"));
    bench.workbench.compare(Some(short)).unwrap();
    bench.until("failed", |bench| bench.comparison().job.is_none());
    assert!(bench.said("too few") && bench.workbench.comparison().found.is_none());
}
