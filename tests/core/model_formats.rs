//! Models stored as F64 and as eight-bit floats with scales: they run as the numbers that they stand for.

use std::fs;
use std::path::Path;

use rankscope::checkpoint::{Checkpoint, Tensor};
use rankscope::compress::ExportKind;
use rankscope::compress::Plan;
use rankscope::model::{Model, layers_of, non_finite};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::compress_export::{COMPRESSED, exported, golden, live, logits, mixed, opened, options};

/// Name, type, shape, bytes.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// A golden model of F32, each tensor stored as `store` does it, with `quantization` in its config.
fn variant(name: &str, quantization: Option<Value>, store: impl Fn(&str, &[usize], &[f32]) -> Vec<Stored>) -> TempDir {
    let (folder, from) = (tempfile::tempdir().unwrap(), golden(name));
    let mut config: Value = serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
    quantization.into_iter().for_each(|it| config["quantization_config"] = it);
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let bytes = fs::read(from.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let all: Vec<Stored> = file.iter().flat_map(|(name, view)| store(name, view.shape(), &floats(&view))).collect();
    let views = all
        .iter()
        .map(|(name, dtype, shape, data)| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    folder
}

fn floats(view: &TensorView) -> Vec<f32> {
    assert_eq!(view.dtype(), Dtype::F32);
    view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn as_f32(name: &str, shape: &[usize], w: &[f32]) -> Stored {
    (name.to_owned(), Dtype::F32, shape.to_vec(), w.iter().flat_map(|x| x.to_le_bytes()).collect())
}

/// How eight-bit floats and their scales are stored.
#[derive(Clone, Copy)]
struct Eight {
    dtype: Dtype,
    /// [height, width] of a block of scales.
    block: fn(&[usize]) -> [usize; 2],
    ending: &'static str,
    scale_shape: fn(usize, usize) -> Vec<usize>,
}

const BLOCKS: Eight = Eight {
    dtype: Dtype::F8_E4M3,
    block: |_| [12, 10],
    ending: "_scale_inv",
    scale_shape: |down, across| vec![down, across],
};
const ROWS: Eight = Eight { dtype: Dtype::F8_E5M2, block: |shape| [1, shape[1]], ending: "_scale", ..BLOCKS };
const WHOLE: Eight =
    Eight { block: |shape| [shape[0], shape[1]], ending: "_scale", scale_shape: |_, _| vec![], ..BLOCKS };

impl Eight {
    /// The number that a code stands for, as the OCP specification defines it.
    fn defined(self, code: u8) -> f64 {
        let (bits, bias) = if self.dtype == Dtype::F8_E4M3 { (3, 7) } else { (2, 15) };
        let (exponent, mantissa) = (i32::from((code & 0x7f) >> bits), f64::from(code & ((1 << bits) - 1)));
        let one = if exponent == 0 { 0.0 } else { 1.0 };
        let sign = if code < 0x80 { 1.0 } else { -1.0 };
        sign * 2.0_f64.powi(exponent.max(1) - bias) * (one + mantissa / f64::from(1 << bits))
    }

    /// The nearest code and what it stands for, of weights of linear maps; other tensors stay as they are.
    fn store(self, name: &str, shape: &[usize], w: &[f32], as_eight: bool) -> Vec<Stored> {
        let is_layer = name.ends_with("proj.weight");
        if !is_layer {
            return vec![as_f32(name, shape, w)];
        }
        let most = if self.dtype == Dtype::F8_E4M3 { 0x7e } else { 0x7b };
        let table: Vec<f64> = (0..=most).map(|code| self.defined(code)).collect();
        let ([height, width], cols) = ((self.block)(shape), shape[1]);
        let (down, across) = (shape[0].div_ceil(height), cols.div_ceil(width));
        let mut scales = vec![0.0_f32; down * across];
        let block_of = |at: usize| at / cols / height * across + at % cols / width;
        for (at, x) in w.iter().enumerate() {
            scales[block_of(at)] = scales[block_of(at)].max(x.abs() / 440.0);
        }
        let code = |at: usize, x: f32| {
            let size = f64::from(x.abs() / scales[block_of(at)]);
            let nearest = (0..table.len()).min_by(|a, b| (table[*a] - size).abs().total_cmp(&(table[*b] - size).abs()));
            u8::try_from(nearest.unwrap()).unwrap() | if x < 0.0 { 0x80 } else { 0 }
        };
        let codes: Vec<u8> = w.iter().enumerate().map(|(at, x)| code(at, *x)).collect();
        if !as_eight {
            let value = |(at, code): (usize, &u8)| self.defined(*code) as f32 * scales[block_of(at)];
            return vec![as_f32(name, shape, &codes.iter().enumerate().map(value).collect::<Vec<_>>())];
        }
        let scales = as_f32(&format!("{name}{}", self.ending), &(self.scale_shape)(down, across), &scales);
        vec![(name.to_owned(), self.dtype, shape.to_vec(), codes), scales]
    }

    /// The model in eight bits, and in F32 with the very numbers that those stand for.
    fn pair(self, name: &str) -> [TempDir; 2] {
        let config = Some(json!({"quant_method": "fp8", "weight_block_size": [12, 10]}));
        [true, false].map(|eight| variant(name, config.clone(), |name, shape, w| self.store(name, shape, w, eight)))
    }
}

fn load(folder: &Path) -> Model {
    Model::load(&Checkpoint::open(folder).unwrap()).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn eight_bit_floats_run_to_the_bits_of_what_they_stand_for() {
    for (name, eight) in [("llama", BLOCKS), ("llama", ROWS), ("llama", WHOLE), ("phi3", BLOCKS), ("mixtral", BLOCKS)] {
        let [stored, wanted] = eight.pair(name);
        let (stored, wanted) = (load(stored.path()), load(wanted.path()));
        assert_eq!(bits(&logits(&stored)), bits(&logits(&wanted)), "{name}");
    }
}

#[test]
fn bytes_are_the_stored_ones_and_the_type_is_told() {
    let [folder, _] = BLOCKS.pair("llama");
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let layers = layers_of(&checkpoint);
    // 32 x 36: codes, and scales of 3 x 4 blocks.
    let down = layers.iter().find(|layer| layer.name == "model.layers.0.mlp.down_proj.weight").unwrap();
    assert_eq!((down.dtype, down.bytes), (Dtype::F8_E4M3, 32 * 36 + 4 * 3 * 4));
    assert_eq!(down.matrix(&checkpoint).unwrap().bytes(), down.bytes);
    let weights: usize = checkpoint.weights().map(Tensor::elements).sum();
    let plain = Checkpoint::open(&golden("llama")).unwrap();
    assert_eq!(weights, plain.weights().map(Tensor::elements).sum::<usize>());
    let model = load(folder.path());
    let live: u64 = (0..model.layers().len()).map(|layer| model.weight(layer).unwrap().bytes()).sum();
    assert_eq!(live, layers.iter().map(|layer| layer.bytes).sum::<u64>());
}

#[test]
fn doubles_run_to_the_bits_of_the_nearest_singles() {
    for name in ["llama", "gpt2"] {
        let double = |x: &f32| f64::from(*x) * (1.0 + 1e-7);
        let stored = variant(name, None, |name, shape, w| {
            vec![(
                name.to_owned(),
                Dtype::F64,
                shape.to_vec(),
                w.iter().flat_map(|x| double(x).to_le_bytes()).collect(),
            )]
        });
        let wanted = variant(name, None, |name, shape, w| {
            vec![as_f32(name, shape, &w.iter().map(|x| double(x) as f32).collect::<Vec<_>>())]
        });
        assert_eq!(bits(&logits(&load(stored.path()))), bits(&logits(&load(wanted.path()))), "{name}");
    }
}

#[test]
fn a_double_beyond_f32_is_told_as_infinite() {
    let folder = variant("llama", None, |name, shape, w| {
        let double = |x: &f32| if name.contains("1.mlp.up") { f64::from(*x) * 1e44 } else { f64::from(*x) };
        vec![(name.to_owned(), Dtype::F64, shape.to_vec(), w.iter().flat_map(|x| double(x).to_le_bytes()).collect())]
    });
    let found = non_finite(&Checkpoint::open(folder.path()).unwrap());
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.tensor.as_str(), one.nan), ("model.layers.1.mlp.up_proj.weight", 0));
    assert!(one.infinite > 1000);
}

#[test]
fn scales_that_are_missing_or_do_not_fit_are_told() {
    let refused = |eight: Eight, ending: &'static str| {
        let folder = variant("llama", None, |name, shape, w| {
            Eight { ending, ..eight }.store(name, shape, w, name.contains("1.mlp.up"))
        });
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let layers = layers_of(&checkpoint);
        let layer = layers.iter().find(|layer| layer.name.contains("1.mlp.up")).unwrap();
        assert!(layer.matrix(&checkpoint).is_none());
        let said = Model::load(&checkpoint).unwrap_err().to_string();
        assert!(said.contains(&layer.why_no_matrix(&checkpoint)), "{said}");
        said
    };
    let said = refused(BLOCKS, "_factor");
    assert!(said.contains("model.layers.1.mlp.up_proj.weight is stored as F8_E4M3, which cannot be read without"));
    let said = refused(Eight { scale_shape: |down, across| vec![1, across * down], ..BLOCKS }, "_scale");
    assert!(said.contains("[36, 32], and its scales") && said.contains("do not fit"), "{said}");
}

#[test]
fn exports_keep_bytes_of_what_is_left_alone_and_drop_the_scales_of_what_is_not() {
    for (name, eight) in [("llama", BLOCKS), ("llama", ROWS), ("phi3", BLOCKS)] {
        let [folder, _] = eight.pair(name);
        let target = tempfile::tempdir().unwrap();
        let same = opened(folder.path(), |_, _| Plan::dense());
        for (kind, out) in [(COMPRESSED, "same"), (ExportKind::Dense, "dense")] {
            let out = target.path().join(out);
            exported(&same, &options(kind, &out)).unwrap();
            let again = Checkpoint::open(&out).unwrap();
            assert_eq!(again.fingerprint(), same.checkpoint.fingerprint());
        }
        let model = opened(folder.path(), mixed);
        let out = target.path().join("mixed");
        exported(&model, &options(COMPRESSED, &out)).unwrap();
        let again = Checkpoint::open(&out).unwrap();
        let model_again = Model::load(&again).unwrap();
        assert_eq!(bits(&logits(&model_again)), bits(&logits(&live(&model, super::compress_export::LAYOUT))), "{name}");
        for tensor in again.tensors().iter().filter(|tensor| tensor.name.contains("weight_scale")) {
            let of = tensor.name.split("_scale").next().unwrap();
            assert!(again.tensor(of).is_some(), "{} scales nothing", tensor.name);
        }
        let rebuilt = target.path().join("rebuilt");
        let written = exported(&model, &options(ExportKind::Dense, &rebuilt)).unwrap();
        let again = Checkpoint::open(&rebuilt).unwrap();
        let types = |checkpoint: &Checkpoint| -> Vec<(String, Dtype, Vec<usize>)> {
            checkpoint.tensors().iter().map(|t| (t.name.clone(), t.dtype, t.shape.clone())).collect()
        };
        assert_eq!(types(&again), types(&model.checkpoint), "{name}");
        Model::load(&again).unwrap();
        let int8 = written.layers.iter().find(|layer| layer.index == 1).unwrap();
        // INT8's rounding, and half a step of three bits (or two) on top.
        assert!(int8.error > 0.0 && int8.error < 0.08, "{name}: {}", int8.error);
    }
}
