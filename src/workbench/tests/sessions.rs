//! Sessions that are kept and done again.

use super::calibrating::calibration_file;
use super::*;
use crate::checkpoint::Checkpoint;
use crate::compress::Policy;
use crate::control::Control;
use crate::workbench::replay::{ReplayError, Replayed};

/// The session of a bench as it would be saved.
pub(super) fn kept(bench: &mut Bench) -> SessionRecord {
    let mut record = bench.workbench.session_record().unwrap();
    record.model.fingerprint = bench.workbench.project.as_ref().unwrap().checkpoint.fingerprint();
    SessionRecord::parse(&record.to_text()).unwrap()
}

pub(super) fn again(record: &SessionRecord) -> Result<Replayed, ReplayError> {
    again_with(record, None)
}

fn again_with(record: &SessionRecord, calibration: Option<PathBuf>) -> Result<Replayed, ReplayError> {
    let source = Source::parse(&record.model.name);
    let original = record.model.original.as_deref().map(Source::parse);
    replay(record, (source, original), (Locations::default(), calibration), &Control::new())
}

/// A session with edits, an undo, and texts in between.
fn session() -> (Bench, SessionRecord) {
    let mut bench = Bench::demo();
    let (key, value) = (bench.layer(Kind::K), bench.layer(Kind::V));
    // Without its last keys the model writes another text.
    let last = bench.workbench.rows().iter().rposition(|row| row.layer.kind == Kind::K).unwrap();
    bench.workbench.set_plans("rank 16", &[(key, Plan::low_rank(16)), (value, Plan::low_rank(8))]);
    bench.encoded();
    bench.write(prompt(6));
    bench.workbench.set_plans("int8", &[(key, Plan { base: Base::Int8, ..Plan::dense() })]);
    bench.workbench.undo();
    bench.workbench.set_plans("rank 1", &[(key, Plan::low_rank(4)), (last, Plan::low_rank(1))]);
    bench.encoded();
    bench.workbench.set_arithmetic(crate::linalg::Arithmetic::Fast);
    let sampling = Sampling { temperature: Some(1.2), seed: 7, ..Sampling::default() };
    bench.write(GenerateOptions { sampling, ..prompt(20) });
    bench.workbench.branch(5, &GenerateOptions { sampling, ..prompt(7) }).unwrap();
    bench.until("written", |bench| !bench.live().running);
    let record = kept(&mut bench);
    (bench, record)
}

#[test]
fn a_session_comes_out_the_same_again() {
    let (bench, record) = session();
    let words: Vec<&str> = record.steps.iter().map(SessionStep::word).collect();
    assert_eq!(words, ["plans", "write", "plans", "undo", "plans", "write", "write"]);
    let SessionStep::Write(last) = &record.steps[5] else { panic!("{:?}", record.steps) };
    assert_eq!((last.original.len(), last.compressed_as.len(), last.compressed_as[0].fast), (20, 1, true));
    let SessionStep::Write(branch) = &record.steps[6] else { panic!("{:?}", record.steps) };
    assert_eq!((branch.earlier, &branch.prompt), (5, &last.prompt));
    assert_eq!(branch.compressed, ids(&bench.workbench.live().compressed));
    assert_eq!(branch.prompt_ids, [&last.prompt_ids[..], &last.original[..5]].concat());
    assert_ne!(last.compressed, last.original);
    let replayed = again(&record).unwrap();
    assert_eq!(replayed.differences, []);
    assert_eq!(replayed.record.to_text(), record.to_text());
    assert_eq!(replayed.policy, bench.workbench.policy().to_text());
}

#[test]
fn a_step_that_was_tampered_with_is_named() {
    let (_, record) = session();
    let told = |change: &dyn Fn(&mut SessionRecord)| {
        let mut other = record.clone();
        change(&mut other);
        again(&other).unwrap().differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let text = |change: fn(&mut SessionText)| {
        told(&move |record: &mut SessionRecord| {
            let Some(SessionStep::Write(text)) = record.steps.get_mut(1) else { panic!("no text") };
            change(text);
        })
    };
    let found = text(|text| text.original[3] ^= 1);
    assert!(found.starts_with("step 2: token 4 of the original's text is ") && !found.contains('\n'), "{found}");
    let found = text(|text| text.compressed[5] ^= 1);
    assert!(found.starts_with("step 2: token 6 of the compressed model's text is "), "{found}");
    assert!(text(|text| text.prompt.push('!')).starts_with("step 2: the prompt is cut"));
    assert!(text(|text| text.earlier = 1).starts_with("step 2: the prompt is cut"));
    assert!(text(|text| text.compressed_as.clear()).starts_with("step 2: it does not say"));
    let dense = told(&|record: &mut SessionRecord| {
        let Some(SessionStep::Write(text)) = record.steps.get_mut(5) else { panic!("no text") };
        text.compressed_as[0].plans.clear();
    });
    assert!(dense.starts_with("step 6: token "), "{dense}");
    let plans = |step: usize, change: fn(&mut DraftPlan)| {
        told(&move |record: &mut SessionRecord| {
            let Some(SessionStep::Plans { to, .. }) = record.steps.get_mut(step) else { panic!("no plans") };
            change(&mut to[0]);
        })
    };
    assert!(plans(0, |plan| plan.rank = 17).starts_with("step 3: transformer."));
    assert!(plans(0, |plan| plan.rank = 999).starts_with("step 1: transformer."));
    assert!(plans(0, |plan| plan.layer.push('x')).starts_with("step 1: the model has no layer"));
    assert_eq!(plans(4, |plan| plan.rank = 5), "the policy at the end is another one");
    assert!(told(&|record| record.steps.insert(0, SessionStep::Undo)).starts_with("step 1: there is nothing to undo"));
}

#[test]
fn another_model_is_refused() {
    let (_, mut record) = session();
    record.model.fingerprint = "0".repeat(64);
    let reason = again(&record).unwrap_err().to_string();
    assert!(reason.contains("fingerprint") && reason.contains("--model"), "{reason}");
    record.model.name = "no/such/model".into();
    assert!(matches!(again(&record), Err(ReplayError::Open(_))));
    for (text, part) in [("{", "no JSON"), ("{}", "rankscope_session"), (r#"{"rankscope_session": 2}"#, "version 2")] {
        assert!(SessionRecord::parse(text).unwrap_err().contains(part), "{text}");
    }
}

#[test]
fn a_session_begins_from_a_policy_and_keeps_what_waits_for_spectra() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.json");
    let text = r#"{"rankscope_policy": 1, "rules": [{"match": "*.1.*k_proj*", "rank": {"energy": 0.5}, "weighting": "activations"}]}"#;
    std::fs::write(&path, text).unwrap();
    let (statistics, _) = calibration_file(&Checkpoint::embedded(DEMO).unwrap(), folder.path());
    let mut bench = Bench::new(Locations::default());
    bench.workbench.use_calibration(statistics.clone());
    bench.open(Source::Demo, Some(path), None);
    bench.decomposed();
    bench.until("calibrated", Workbench::calibrated);
    bench.encoded();
    bench.write(prompt(4));
    bench.workbench.set_plans("dense", &[(bench.layer(Kind::K), Plan { base: Base::Int8, ..Plan::dense() })]);
    let record = kept(&mut bench);
    assert!(record.calibration.is_some());
    let rules = |text: &str| Policy::parse(text).unwrap().to_text();
    assert_eq!(rules(&record.start.to_string()), rules(text));
    assert_eq!(again_with(&record, Some(statistics.clone())).unwrap().differences, []);
    let other = SessionRecord { calibration: Some("0".into()), ..record };
    assert!(matches!(again_with(&other, Some(statistics)), Err(ReplayError::Calibration)));
}

#[test]
fn a_session_is_saved_as_a_file_that_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.json");
    let mut bench = Bench::demo();
    bench.workbench.set_plans("rank 16", &[(0, Plan::low_rank(16))]);
    let saved = |bench: &Workbench| {
        bench.jobs().iter().any(|job| job.kind == JobKind::Export && job.state != JobState::Running)
    };
    bench.workbench.save_session(&path, false).unwrap();
    bench.until("saved", saved);
    assert!(bench.said("saved the session"));
    let record = SessionRecord::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!((record, bench.workbench.session_steps()), (kept(&mut bench), (1, 0)));
    bench.workbench.save_session(&path, false).unwrap();
    bench.until("refused", |bench| bench.messages().iter().any(|message| message.severity == Severity::Error));
    assert!(bench.said("exists"));
}
