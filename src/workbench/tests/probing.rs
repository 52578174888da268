//! Probes: asked in the background, of the plans as they are, until cancelled.

use super::*;

/// A file of the first three bundled probes.
fn three(folder: &Path) -> String {
    let path = folder.join("probes.jsonl");
    std::fs::write(&path, PROBES.split_inclusive('\n').take(3).collect::<String>()).unwrap();
    path.display().to_string()
}

fn answered(bench: &mut Bench) -> ProbeAnswers {
    bench.until("answered", |bench| bench.probes().job.is_none());
    bench.workbench.probes().answers.clone().unwrap()
}

#[test]
fn probes_that_cannot_be_asked_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = three(folder.path());
    let mut bench = Bench::new(Locations::default());
    assert_eq!(bench.workbench.ask_probes(&file), Err("no model is open".into()));
    bench.open(Source::Path(golden("llama")), None, None);
    assert!(bench.workbench.ask_probes(&file).unwrap_err().contains("nothing can be measured"));
    bench.open(Source::Demo, None, None);
    let place = folder.path().display().to_string();
    for (file, reason) in [("", "type the path"), (&place, "is no file"), ("no/such", "no/such: ")] {
        let error = bench.workbench.ask_probes(file).unwrap_err();
        assert!(error.contains(reason), "{file}: {error}");
    }
    assert!(bench.workbench.jobs().iter().all(|job| job.kind != JobKind::Probe));
}

#[test]
fn what_is_wrong_in_a_file_of_probes_ends_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.jsonl").display().to_string();
    std::fs::write(&wrong, "{\"prompt\": \"a\", \"expected\": \"b\"}\n{\"prompt\": 1}\n").unwrap();
    let mut bench = Bench::demo();
    bench.workbench.ask_probes(&wrong).unwrap();
    bench.until("failed", |bench| bench.probes().job.is_none());
    assert!(bench.said("ask the probes of") && bench.said("wrong.jsonl: line 2: "));
    assert_eq!(bench.workbench.probes().answers, None);
}

#[test]
fn answers_are_those_of_the_plans_as_they_were_asked() {
    let folder = tempfile::tempdir().unwrap();
    let file = three(folder.path());
    let mut bench = Bench::demo();
    let keys = bench.workbench.rows().iter().enumerate().filter(|(_, row)| row.layer.kind == Kind::K);
    let plans: Vec<_> = keys.map(|(layer, _)| (layer, Plan::low_rank(12))).collect();
    bench.workbench.set_plans("k", &plans);
    // Nothing is encoded yet.
    bench.workbench.ask_probes(&file).unwrap();
    let answers = answered(&mut bench);
    assert_eq!((answers.label.as_str(), answers.report.count, answers.report.changed.len()), (file.as_str(), 3, 2));
    assert_eq!((answers.report.original, answers.report.compressed), (1.0, 1.0 / 3.0));
    assert!(!answers.is_stale(bench.workbench.rows()) && bench.said("2 cases changed"));
    bench.encoded();
    bench.workbench.ask_probes(&file).unwrap();
    assert_eq!(answered(&mut bench), answers, "what is encoded already answers the same");
    bench.workbench.undo();
    assert!(answers.is_stale(bench.workbench.rows()));
    bench.workbench.ask_probes(&file).unwrap();
    let dense = answered(&mut bench);
    assert!(dense.report.changed.is_empty() && !dense.is_stale(bench.workbench.rows()));
}

#[test]
fn cancelled_probes_leave_the_answers_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::demo();
    assert!(bench.workbench.has_own_probes());
    bench.workbench.ask_probes(&three(folder.path())).unwrap();
    let answers = answered(&mut bench);
    bench.workbench.ask_probes("demo").unwrap();
    let job = bench.workbench.probes().job.unwrap();
    bench.workbench.cancel(job);
    bench.until("cancelled", |bench| bench.jobs().iter().any(|one| one.id == job && one.state == JobState::Cancelled));
    assert_eq!((bench.workbench.probes().answers.as_ref(), bench.workbench.probes().job), (Some(&answers), None));
}
