//! The workbench as a face drives it, without a screen.

mod calibrating;
#[cfg(unix)]
mod changing;
mod comparing;
mod exports;
mod memory;
mod probing;
mod reporting;
mod reviewing;
mod saving;
mod scanning;
mod sessions;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use super::*;
use crate::compress::{Base, Plan};
use crate::model::{Kind, Sampling};

/// A workbench and its wake calls.
struct Bench {
    workbench: Workbench,
    woken: Receiver<()>,
}

impl Bench {
    fn new(locations: Locations) -> Self {
        let (sender, woken) = mpsc::channel();
        let wake = move || {
            // A test that is over listens no longer.
            let _ = sender.send(());
        };
        Self { workbench: Workbench::new(locations, Arc::new(wake)), woken }
    }

    /// A bench with the demo open.
    fn demo() -> Self {
        let mut bench = Self::new(Locations::default());
        bench.open(Source::Demo, None, None);
        bench
    }

    fn open(&mut self, source: Source, policy: Option<PathBuf>, original: Option<Source>) {
        self.workbench.open(source, policy, original);
        self.until("opened", |bench| !bench.opening());
    }

    /// Drains until `done`. The limit only ends a test that would hang.
    fn until(&mut self, what: &str, done: impl Fn(&Workbench) -> bool) {
        loop {
            self.workbench.drain();
            if done(&self.workbench) {
                return;
            }
            let woken = self.woken.recv_timeout(Duration::from_secs(300)).is_ok();
            assert!(woken, "never {what}: {:?} {:?}", self.workbench.jobs(), self.workbench.messages());
        }
    }

    fn encoded(&mut self) {
        self.until("encoded", |bench| bench.rows().iter().all(|row| row.measured != Measured::Pending));
    }

    fn decomposed(&mut self) {
        self.until("decomposed", |bench| bench.totals().decomposed == bench.rows().len());
    }

    fn said(&self, part: &str) -> bool {
        self.workbench.messages().iter().any(|message| message.text.contains(part))
    }

    fn write(&mut self, options: GenerateOptions) {
        self.workbench.generate(options);
        self.until("written", |bench| !bench.live().running);
    }

    fn layer(&self, kind: Kind) -> usize {
        self.workbench.rows().iter().position(|row| row.layer.kind == kind).unwrap()
    }
}

fn prompt(max_tokens: usize) -> GenerateOptions {
    let prompt = PROMPTS.lines().next().unwrap().to_owned();
    GenerateOptions { prompt, chat: false, max_tokens, sampling: Sampling::default() }
}

fn ids(pane: &Pane) -> Vec<u32> {
    pane.tokens.iter().map(|token| token.id).collect()
}

fn text(pane: &Pane) -> String {
    pane.tokens.iter().map(|token| token.text.as_str()).collect()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(name)
}

#[test]
fn rows_come_before_spectra_and_spectra_follow() {
    let mut bench = Bench::demo();
    let opened = bench.workbench.opened().unwrap().clone();
    assert_eq!((opened.label.as_str(), opened.family.as_deref(), opened.fixed), ("demo", Some("gpt_neo"), false));
    assert_eq!((opened.cannot_generate, opened.blocks), (None, 6));
    assert_eq!(bench.workbench.rows().len(), 36);
    assert!(bench.workbench.rows().iter().all(|row| row.predicted == Some(0.0) && row.measured == Measured::Exact));
    bench.workbench.focus(35);
    bench.decomposed();
    let spectrum = bench.workbench.rows()[0].spectrum.clone().unwrap();
    assert_eq!(spectrum.values.len(), bench.workbench.rows()[0].layer.max_rank());
}

#[test]
fn models_that_cannot_write_still_open() {
    for name in ["llama", "gpt2", "gpt_neo"] {
        let mut bench = Bench::new(Locations::default());
        bench.open(Source::Path(golden(name)), None, None);
        let opened = bench.workbench.opened().unwrap();
        assert_eq!(opened.family.as_deref(), Some(name));
        // These folders have no tokenizer.
        assert!(opened.cannot_generate.is_some());
        bench.decomposed();
        bench.workbench.generate(prompt(3));
        assert!(bench.workbench.live().error.is_some() && !bench.workbench.live().running);
    }
}

#[test]
fn a_model_of_an_unknown_family_opens_as_the_one_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(golden("llama").join("config.json")).unwrap();
    let strange = config.replace("\"llama\"", "\"alpaca\"");
    assert_ne!(strange, config);
    std::fs::write(folder.path().join("config.json"), strange).unwrap();
    std::fs::copy(golden("llama").join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    for (told, family, says) in [(None, None, "--as llama"), (Some("llama"), Some("llama"), "no tokenizer")] {
        let mut bench = Bench::new(Locations { family: told.map(str::to_owned), ..Locations::default() });
        bench.open(Source::Path(folder.path().to_owned()), None, None);
        let opened = bench.workbench.opened().unwrap();
        let reason = opened.cannot_generate.clone().unwrap();
        assert_eq!(opened.family.as_deref(), family);
        assert!(reason.contains(says), "{reason}");
    }
}

#[test]
fn a_failed_opening_changes_nothing() {
    let mut bench = Bench::demo();
    bench.open(Source::Path("no/such/model".into()), None, None);
    bench.until("told", |bench| bench.messages().iter().any(|message| message.severity == Severity::Error));
    assert_eq!(bench.workbench.opened().unwrap().label, "demo");
    assert_eq!(bench.workbench.rows().len(), 36);
}

#[test]
fn edits_are_encoded_undone_and_redone() {
    let mut bench = Bench::demo();
    bench.decomposed();
    let key = bench.layer(Kind::K);
    let dense = bench.workbench.totals();
    bench.workbench.set_plans("rank 999", &[(key, Plan::low_rank(999))]);
    let row = &bench.workbench.rows()[key];
    assert_eq!(row.plan, Plan::low_rank(row.layer.max_rank()));
    bench.workbench.set_plans("rank 16", &[(key, Plan::low_rank(16))]);
    assert!(bench.workbench.unsaved());
    bench.encoded();
    let row = &bench.workbench.rows()[key];
    let (predicted, Measured::Error(measured)) = (row.predicted.unwrap(), row.measured.clone()) else {
        panic!("{row:?}")
    };
    assert!(predicted > 0.0 && measured >= predicted * 0.999 && measured < predicted + 0.05, "{predicted} {measured}");
    assert_eq!(row.bytes_after, Plan::low_rank(16).bytes(row.layer.rows, row.layer.cols, row.layer.bytes));
    assert!(bench.workbench.totals().bytes_compressed < dense.bytes_compressed);

    assert_eq!(bench.workbench.undo().as_deref(), Some("rank 16"));
    assert_eq!(bench.workbench.undo().as_deref(), Some("rank 999"));
    assert_eq!(bench.workbench.undo(), None);
    assert_eq!(bench.workbench.totals(), dense);
    assert!(!bench.workbench.unsaved());
    assert_eq!(bench.workbench.redo().as_deref(), Some("rank 999"));
    assert_eq!(bench.workbench.redo().as_deref(), Some("rank 16"));
    bench.encoded();
    assert_eq!(bench.workbench.rows()[key].measured, Measured::Error(measured));
}

#[test]
fn every_rank_on_a_quantized_base_is_predicted_after_the_first() {
    let mut bench = Bench::demo();
    let key = bench.layer(Kind::K);
    let plan = |rank| Plan { base: Base::Int8, rank, ..Plan::dense() };
    bench.workbench.set_plans("int8", &[(key, plan(0))]);
    bench.encoded();
    assert_eq!(bench.workbench.rows()[key].predicted, None);
    bench.workbench.set_plans("corrected", &[(key, plan(8))]);
    bench.encoded();
    bench.workbench.set_plans("corrected", &[(key, plan(32))]);
    let predicted = bench.workbench.rows()[key].predicted.unwrap();
    bench.encoded();
    let Measured::Error(measured) = bench.workbench.rows()[key].measured else { panic!("not measured") };
    assert!((measured - predicted).abs() < 0.1 * predicted, "{predicted} {measured}");
}

#[test]
fn impossible_plans_are_refused_with_a_message() {
    let mut bench = Bench::demo();
    bench.workbench.set_plans("both", &[(0, Plan { rank: 2, ..Plan::dense() })]);
    assert!(bench.said("leave out one of the two"));
    assert!(bench.workbench.history().done.is_empty() && bench.workbench.rows()[0].plan.is_dense());
}

#[test]
fn a_panic_in_a_job_is_that_jobs_alone() {
    let mut bench = Bench::demo();
    let job = bench.workbench.jobs.spawn(JobKind::Compare, "thorn".into(), Vec::new(), |_| panic!("ouch\u{1b}[2J"));
    bench.until("failed", |bench| bench.jobs().iter().any(|one| one.id == job && one.state != JobState::Running));
    assert!(bench.said("thorn: internal error: ouch"));
    assert!(!bench.said("\u{1b}"));
    bench.write(prompt(3));
    assert_eq!(bench.workbench.live().error, None);
}

#[test]
fn what_failed_or_was_cancelled_is_done_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir_all(out.join("mine")).unwrap();
    let mut bench = Bench::demo();
    let key = bench.layer(Kind::K);
    bench.workbench.set_plans("rank 16", &[(key, Plan::low_rank(16))]);
    let encoding = bench.workbench.jobs().into_iter().find(|job| job.kind == JobKind::Encode).unwrap();
    assert!(!encoding.retryable && !bench.workbench.retry(encoding.id));
    bench.workbench.cancel(encoding.id);
    bench
        .until("ended", |bench| bench.jobs().iter().any(|job| job.id == encoding.id && job.state != JobState::Running));
    // It may have been done before it saw the cancel.
    if bench.workbench.retry(encoding.id) {
        bench.encoded();
    }
    assert!(matches!(bench.workbench.rows()[key].measured, Measured::Error(_)));

    bench.workbench.export(crate::compress::ExportKind::Dense, &out, false);
    bench.until("refused", |bench| bench.messages().iter().any(|message| message.severity == Severity::Error));
    std::fs::remove_dir_all(&out).unwrap();
    let failed = bench.workbench.jobs().into_iter().find(|job| job.kind == JobKind::Export).unwrap();
    assert!(failed.retryable && bench.workbench.retry(failed.id) && !bench.workbench.retry(failed.id));
    let done = |job: &JobView| job.kind == JobKind::Export && job.state == JobState::Done;
    bench.until("exported", |bench| bench.jobs().iter().any(done));
    assert!(out.join("model.safetensors").is_file());
}

#[test]
fn a_cancelled_encoding_says_so_in_its_row() {
    let mut bench = Bench::demo();
    let plans: Vec<_> = (0..36).map(|layer| (layer, Plan::low_rank(4))).collect();
    bench.workbench.set_plans("rank 4", &plans);
    let job = bench.workbench.jobs().into_iter().find(|job| job.kind == JobKind::Encode).unwrap().id;
    bench.workbench.cancel(job);
    bench.encoded();
    let cancelled = |row: &LayerRow| matches!(&row.measured, Measured::Failed(why) if why.contains("cancelled"));
    assert!(bench.workbench.rows().iter().any(cancelled));
}
