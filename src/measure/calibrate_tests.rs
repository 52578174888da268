use std::collections::BTreeMap;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::compress::InputKind;
use crate::linalg::{Matrix, Moments};
use crate::model::{CompressedLinear, Observer};

const NAMES: [&str; 3] = ["gpt_neo", "gpt2", "llama"];

fn model(name: &str) -> Model {
    let path = format!("tests/data/golden/{name}");
    Model::load(&Checkpoint::open(path.as_ref()).unwrap()).unwrap()
}

fn options(tokens: usize) -> CalibrateOptions {
    let ids = (0..tokens).map(|i| (i * i * 7 % 31) as u32).collect();
    CalibrateOptions { ids, bos: Some(1), limit: None, widest: WIDEST_INPUT }
}

fn calibrated(model: &Model, options: &CalibrateOptions, folder: &Path) -> Calibrated {
    calibrate(model, "source", options, (folder, None), &Control::new()).unwrap()
}

/// Bytes of the one file that lies in a folder.
fn bytes(folder: &Path) -> Vec<u8> {
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::read(&files[0]).unwrap()
}

/// Sums of x x^T of every layer's input in f64, the plain way; with the layers' widths.
struct Direct(Vec<usize>, BTreeMap<usize, (Vec<f64>, u64)>);

impl Observer for Direct {
    fn input(&mut self, layers: &[usize], x: &[f32]) {
        for layer in layers {
            let (width, (sum, count)) = (self.0[*layer], self.1.entry(*layer).or_default());
            sum.resize(width * width, 0.0);
            for x in x.chunks_exact(width) {
                *count += 1;
                for (sum, x_i) in sum.chunks_exact_mut(width).zip(x) {
                    sum.iter_mut().zip(x).for_each(|(sum, x_j)| *sum += f64::from(*x_i) * f64::from(*x_j));
                }
            }
        }
    }
}

#[test]
fn statistics_are_those_of_the_inputs_that_the_layers_read() {
    for name in NAMES {
        let (model, folder) = (model(name), tempfile::tempdir().unwrap());
        let options = options(70);
        let found = calibrated(&model, &options, folder.path());
        let mut direct = Direct(model.layers().iter().map(|layer| layer.cols).collect(), BTreeMap::new());
        let windows = options.windows(model.architecture().context).unwrap();
        for window in &windows {
            model.forward_all(window, &mut model.cache(), Some(&mut direct), &Control::new()).unwrap();
        }
        for (index, layer) in model.layers().iter().enumerate() {
            let statistics = found.file.calibration.statistics(&layer.name).unwrap();
            let (sum, count) = &direct.1[&index];
            assert_eq!(statistics.tokens, *count, "{name} {}", layer.name);
            let Moments::Gram(packed) = &statistics.moments else { panic!("no Gram matrix") };
            let scale = statistics.mean_squares().into_iter().fold(0.0, f32::max);
            let mut at = packed.iter();
            for i in 0..layer.cols {
                for j in 0..=i {
                    let exact = sum[i * layer.cols + j] / *count as f64;
                    let error = (f64::from(*at.next().unwrap()) - exact).abs();
                    assert!(error <= 2e-6 * f64::from(scale), "{name} {} {i} {j}: {error}", layer.name);
                }
            }
        }
        assert_eq!(found.file.about.tokens, windows.iter().map(|window| window.len() as u64).sum::<u64>());
        assert!(found.file.about.left_out.is_empty());
    }
}

#[test]
fn layers_that_read_the_same_input_are_one_entry() {
    let folder = tempfile::tempdir().unwrap();
    let found = calibrated(&model("llama"), &options(40), folder.path());
    let first = &found.file.about.inputs[0];
    assert_eq!(first.layers.len(), 3);
    assert_eq!((first.name.as_str(), first.kind), ("model.layers.0.self_attn.q_proj.weight", InputKind::Gram));
}

#[test]
fn a_second_time_nothing_is_computed() {
    let (model, folder) = (model("gpt2"), tempfile::tempdir().unwrap());
    let first = calibrated(&model, &options(40), folder.path());
    let control = Control::new();
    control.cancel();
    let again = calibrate(&model, "source", &options(40), (folder.path(), None), &control).unwrap();
    assert!(is_calibrated(&model, "source", &options(40), folder.path()));
    assert!(!is_calibrated(&model, "other source", &options(40), folder.path()));
    assert_eq!(again.file.calibration.fingerprint(), first.file.calibration.fingerprint());
    let other = calibrate(&model, "other source", &options(40), (folder.path(), None), &control);
    assert!(matches!(other, Err(MeasureError::Cancelled(_) | MeasureError::Model(_))), "{other:?}");
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let on = |threads: usize| {
        let folder = tempfile::tempdir().unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| calibrated(&model("gpt_neo"), &options(70), folder.path()));
        bytes(folder.path())
    };
    assert_eq!(on(1), on(2));
}

#[test]
fn what_is_broken_in_the_cache_is_computed_anew() {
    let (model, folder) = (model("gpt2"), tempfile::tempdir().unwrap());
    calibrated(&model, &options(40), folder.path());
    let sound = bytes(folder.path());
    let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mut damaged = sound.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for broken in [damaged, sound[..50].to_vec()] {
        fs::write(&path, broken).unwrap();
        let again = calibrated(&model, &options(40), folder.path());
        assert!(again.notes[0].contains("unsound"), "{:?}", again.notes);
        assert_eq!(bytes(folder.path()), sound);
    }
}

#[test]
fn a_run_goes_on_after_the_last_block_that_was_finished() {
    for name in NAMES {
        let (model, control, options) = (model(name), Control::new(), options(70));
        let windows = options.windows(model.architecture().context).unwrap();
        let steps = model.architecture().blocks;
        let (whole, halves) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let run = |work: &Path, key: &'static str| {
            Run::new(&model, "source", key, &windows, WIDEST_INPUT, &work.join("run"), &control)
                .map(|run| (run.finished(steps), run.all().unwrap()))
                .unwrap()
        };
        let (finished, expected) = run(whole.path(), "key");
        assert_eq!(finished, 0);
        Run::new(&model, "source", "key", &windows, WIDEST_INPUT, &halves.path().join("run"), &control)
            .unwrap()
            .first_block()
            .unwrap();
        let (finished, resumed) = run(halves.path(), "key");
        assert_eq!(finished, 1);
        let content = |inputs: &(Vec<_>, Vec<crate::checkpoint::Tensor>)| {
            inputs.1.iter().map(|tensor| (tensor.name.clone(), tensor.data.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(content(&resumed), content(&expected), "{name}");
        assert_eq!(resumed.0, expected.0);
        assert_eq!(run(halves.path(), "another key").0, 0);
    }
}

#[test]
fn layers_whose_inputs_are_not_finite_are_named_and_left_out() {
    let (model, folder) = (model("llama"), tempfile::tempdir().unwrap());
    let at = model.layers().iter().position(|layer| layer.name == "model.layers.0.mlp.up_proj.weight").unwrap();
    let (m, n) = (model.layers()[at].rows, model.layers()[at].cols);
    let broken = Matrix::from_f32(m, n, &vec![f32::NAN; m * n]).unwrap();
    let found = calibrated(
        &model.with_weight(at, std::sync::Arc::new(CompressedLinear::dense(broken))),
        &options(40),
        folder.path(),
    );
    assert_eq!(found.file.about.left_out[0], "model.layers.0.mlp.down_proj.weight");
    assert!(found.file.calibration.statistics("model.layers.0.mlp.up_proj.weight").is_some());
    assert!(found.file.calibration.statistics("model.layers.1.self_attn.q_proj.weight").is_none());
    let note = found.notes.iter().find(|note| note.contains("model.layers.0.mlp.down_proj.weight")).unwrap();
    assert!(note.contains("not finite"), "{note}");
}

#[test]
fn wide_inputs_have_their_mean_squares_alone() {
    let (model, folder) = (model("gpt2"), tempfile::tempdir().unwrap());
    let narrow = CalibrateOptions { widest: 1, ..options(40) };
    let found = calibrated(&model, &narrow, folder.path());
    let whole = calibrated(&model, &options(40), folder.path());
    assert!(found.file.about.inputs.iter().all(|input| input.kind == InputKind::Diagonal));
    assert!(found.notes.iter().any(|note| note.contains("mean squares alone")), "{:?}", found.notes);
    let name = &model.layers()[0].name;
    let of = |one: &Calibrated| one.file.calibration.statistics(name).unwrap().mean_squares();
    for (a, b) in of(&found).iter().zip(of(&whole)) {
        assert!((a - b).abs() <= 1e-5 * b.abs(), "{a} {b}");
    }
}

#[test]
fn a_text_too_short_says_so() {
    let (model, folder) = (model("gpt2"), tempfile::tempdir().unwrap());
    let none = calibrate(&model, "source", &options(0), (folder.path(), None), &Control::new());
    assert!(matches!(none, Err(MeasureError::TooShort { tokens: 0, least: 1 })));
    let little = calibrated(&model, &options(3), folder.path());
    assert!(little.notes.iter().any(|note| note.contains("only 4 tokens")), "{:?}", little.notes);
}

#[test]
fn where_nothing_can_be_kept_the_statistics_are_the_same() {
    let (model, home) = (model("llama"), tempfile::tempdir().unwrap());
    fs::write(home.path().join("file"), "").unwrap();
    let found = calibrated(&model, &options(70), &home.path().join("file/folder"));
    let kept = calibrated(&model, &options(70), &home.path().join("folder"));
    assert_eq!(found.file.calibration.fingerprint(), kept.file.calibration.fingerprint());
    let more: Vec<_> = found.notes.iter().filter(|note| !kept.notes.contains(note)).collect();
    assert!(matches!(more.as_slice(), [note] if note.contains("are not kept")), "{more:?}");
}
