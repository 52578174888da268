//! Files that shrink, vanish or are replaced while a model is open: an error that says so, and work goes on.

use std::fs;
use std::path::{Path, PathBuf};

use rankscope::checkpoint::Checkpoint;
use rankscope::compress::{FactorCache, Layout, Plan, compressed_weight};
use rankscope::control::Control;
use rankscope::model::{Model, Observer, layers_of};
use tempfile::TempDir;

use super::compress_export::{COMPRESSED, exported, golden, halved, logits, opened, options};

/// A copy of a golden model, and its file of weights.
fn copied(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(golden(name).join(file), folder.path().join(file)).unwrap();
    }
    let weights = folder.path().join("model.safetensors");
    (folder, weights)
}

/// Leaves the file its header and a part of its tensors.
fn shorten(path: &Path) {
    fs::File::options().write(true).open(path).unwrap().set_len(8192).unwrap();
}

fn said(model: &Model) -> String {
    let ids = [1, 2, 3];
    model.forward(&ids, &mut model.cache(), &Control::new()).unwrap_err().to_string()
}

const CHANGED: &str = "model.safetensors changed while open: ";

#[test]
fn a_model_whose_file_changed_is_not_run() {
    let (_folder, weights) = copied("llama");
    let checkpoint = Checkpoint::open(&weights).unwrap();
    let model = Model::load(&checkpoint).unwrap();
    let bytes = fs::metadata(&weights).unwrap().len();
    assert!(model.forward(&[1], &mut model.cache(), &Control::new()).is_ok());
    shorten(&weights);
    assert_eq!(said(&model), format!("{CHANGED}it had {bytes} bytes and has 8192; open the model again"));
    fs::remove_file(&weights).unwrap();
    assert_eq!(said(&model), format!("{CHANGED}it is gone; open the model again"));
}

/// Shortens the file between two blocks.
struct Shortens(PathBuf);

impl Observer for Shortens {
    fn hidden(&mut self, index: usize, _state: &[f32]) {
        if index == 1 {
            shorten(&self.0);
        }
    }
}

#[test]
fn what_is_lost_while_a_model_runs_becomes_an_error_and_others_run_on() {
    let (_folder, weights) = copied("llama");
    let model = Model::load(&Checkpoint::open(&weights).unwrap()).unwrap();
    let other = Model::load(&Checkpoint::open(&golden("llama")).unwrap()).unwrap();
    let wanted = logits(&other);
    let mut cache = model.cache();
    let error = model.forward_all(&[1, 2, 3], &mut cache, Some(&mut Shortens(weights)), &Control::new()).unwrap_err();
    assert_eq!(error.to_string(), format!("{CHANGED}a part of it could not be read; open the model again"));
    assert!(cache.is_empty());
    assert_eq!(logits(&other), wanted);
}

#[test]
fn a_decomposition_of_what_is_gone_is_neither_used_nor_kept() {
    let ((_folder, weights), kept) = (copied("llama"), tempfile::tempdir().unwrap());
    let checkpoint = Checkpoint::open(&weights).unwrap();
    let layers = layers_of(&checkpoint);
    shorten(&weights);
    let (cache, control) = (FactorCache::new(Some(kept.path().to_owned())), Control::new());
    for layer in &layers {
        let plan = Plan::low_rank(4);
        let weight = compressed_weight(&checkpoint, layer, &plan, Layout::Native, &cache, None, &control);
        assert!(weight.unwrap_err().to_string().starts_with(CHANGED), "{}", layer.name);
    }
    assert_eq!(fs::read_dir(kept.path()).unwrap().count(), 0);
}

#[test]
fn an_export_of_what_is_gone_leaves_nothing() {
    let (folder, weights) = copied("llama");
    let model = opened(&weights, halved);
    shorten(&weights);
    let out = folder.path().join("out");
    let error = exported(&model, &options(COMPRESSED, &out)).unwrap_err();
    assert!(error.to_string().contains("changed while open"), "{error}");
    let dense = opened(&golden("llama"), |_, _| Plan::dense());
    exported(&dense, &options(COMPRESSED, &out)).unwrap();
}

#[test]
fn an_export_whose_input_changes_meanwhile_leaves_nothing() {
    let (folder, weights) = copied("llama");
    let model = opened(&weights, |_, _| Plan::dense());
    shorten(&weights);
    let out = folder.path().join("out");
    let error = exported(&model, &options(COMPRESSED, &out)).unwrap_err();
    assert!(error.to_string().starts_with(CHANGED), "{error}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name != "out"), "{left:?}");
}
