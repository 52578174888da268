//! Exports, and folders that were exported.

use super::*;
use crate::compress::{ExportKind, Layout};

#[test]
fn a_folder_is_exported_opened_fixed_and_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut bench = Bench::demo();
    let (key, up) = (bench.layer(Kind::K), bench.layer(Kind::Up));
    let plans = [(key, Plan::low_rank(16)), (up, Plan { base: Base::Int8, ..Plan::dense() })];
    bench.workbench.set_plans("some", &plans);
    bench.encoded();
    let kind = ExportKind::Compressed(Layout::Native);
    let planned = bench.workbench.plan_export(kind, &out).unwrap();
    assert_eq!(planned.bytes, bench.workbench.totals().bytes_compressed);
    bench.workbench.export(kind, &out, false);
    let ended = |bench: &Workbench| {
        bench.jobs().iter().all(|job| job.kind != JobKind::Export || job.state != JobState::Running)
    };
    bench.until("exported", ended);
    assert!(bench.said("exported"), "{:?}", bench.workbench.messages());
    bench.write(prompt(8));
    let written = ids(&bench.workbench.live().compressed);

    let mut fixed = Bench::new(Locations::default());
    fixed.open(Source::Path(out.clone()), None, None);
    assert!(fixed.workbench.opened().unwrap().fixed);
    let row = &fixed.workbench.rows()[key];
    assert_eq!((row.plan, row.layer.fixed, &row.measured), (Plan::low_rank(16), true, &Measured::Unknown));
    fixed.workbench.set_plans("rank 3", &[(key, Plan::low_rank(3))]);
    assert!(fixed.said("--original"));
    assert_eq!(fixed.workbench.rows()[key].plan, Plan::low_rank(16));
    fixed.write(prompt(8));
    assert_eq!(ids(&fixed.workbench.live().original), written);

    let mut on = Bench::new(Locations::default());
    on.open(Source::Path(out.clone()), None, Some(Source::Demo));
    on.encoded();
    for (layer, plan) in plans {
        let (row, before) = (&on.workbench.rows()[layer], &bench.workbench.rows()[layer]);
        assert_eq!((row.plan, &row.measured), (plan, &before.measured));
    }
    assert!(!on.workbench.unsaved());
    assert!(!on.said("was not made from"));
    on.workbench.set_plans("rank 3", &[(key, Plan::low_rank(3))]);
    on.encoded();
    assert_eq!(on.workbench.rows()[key].plan, Plan::low_rank(3));

    bench.workbench.export(kind, &out, false);
    bench.until("refused", |bench| bench.messages().iter().any(|message| message.severity == Severity::Error));
    assert!(bench.said("exists"));
}

/// The demo with one bit of its weights turned, as a folder.
fn another_demo(folder: &std::path::Path) {
    let mut weights = DEMO.weights.to_vec();
    *weights.last_mut().unwrap() ^= 1;
    std::fs::create_dir(folder).unwrap();
    std::fs::write(folder.join("model.safetensors"), weights).unwrap();
    std::fs::write(folder.join("config.json"), DEMO.config).unwrap();
    std::fs::write(folder.join("tokenizer.json"), DEMO.tokenizer).unwrap();
}

#[test]
fn an_original_that_a_folder_was_not_made_from_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (out, other) = (folder.path().join("out"), folder.path().join("other"));
    let mut bench = Bench::demo();
    let key = bench.layer(Kind::K);
    bench.workbench.set_plans("rank 4", &[(key, Plan::low_rank(4))]);
    bench.encoded();
    bench.workbench.export(ExportKind::Compressed(Layout::Native), &out, false);
    bench.until("exported", |bench| bench.messages().iter().any(|message| message.text.contains("exported")));
    another_demo(&other);
    let mut wrong = Bench::new(Locations::default());
    wrong.open(Source::Path(out), None, Some(Source::Path(other)));
    assert!(wrong.said("was not made from"), "{:?}", wrong.workbench.messages());
}

#[test]
fn a_dense_export_reports_what_its_rounding_adds() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::demo();
    let key = bench.layer(Kind::K);
    bench.workbench.set_plans("rank 16", &[(key, Plan::low_rank(16))]);
    bench.workbench.export(ExportKind::Dense, &folder.path().join("dense"), false);
    bench.until("exported", |bench| bench.messages().iter().any(|message| message.text.contains("rounding")));
    assert!(bench.said("adds a KLD of"), "{:?}", bench.workbench.messages());
    bench.workbench.shut_down();
}
