//! Files that change while they are open.

use std::fs;

use super::*;

#[test]
fn a_file_that_shrinks_fails_its_jobs_and_others_run_on() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo").join(file), folder.path().join(file))
            .unwrap();
    }
    let mut bench = Bench::new(Locations::default());
    bench.open(Source::Path(folder.path().to_owned()), None, None);
    bench.decomposed();
    bench.write(prompt(3));
    assert_eq!(bench.workbench.live().error, None);
    let weights = fs::File::options().write(true).open(folder.path().join("model.safetensors")).unwrap();
    weights.set_len(8192).unwrap();
    bench.write(prompt(3));
    let error = bench.workbench.live().error.clone().unwrap();
    assert!(error.contains("model.safetensors changed while open: it had"), "{error}");
    let key = bench.layer(Kind::K);
    bench.workbench.set_plans("int8", &[(key, Plan { base: Base::Int8, ..Plan::dense() })]);
    bench.until("told", |bench| bench.messages().iter().any(|message| message.text.contains("changed while open")));
    bench.open(Source::Demo, None, None);
    bench.write(prompt(3));
    assert_eq!(bench.workbench.live().error, None);
    assert!(!text(&bench.workbench.live().original).is_empty());
}
