//! Compressed layers as other programs write them: the classic layout and its variants.

use std::collections::HashMap;
use std::path::Path;

use rankscope::checkpoint::Checkpoint;
use rankscope::model::{layers_of, stored_layers};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

const NAME: &str = "transformer.h.0.attn.attention.k_proj";

/// U [3, 2], S [2], Vh [2, 4] as numbers, each stored as (q - zero) * scale where it is quantized.
const U: [i8; 6] = [10, -20, 30, 40, -50, 60];
const S: [i8; 2] = [100, 50];
const VH: [i8; 8] = [1, 2, 3, 4, -5, -6, -7, -8];

fn bytes(q: &[i8]) -> Vec<u8> {
    q.iter().map(|q| q.to_le_bytes()[0]).collect()
}

/// U S Vh in f64 for zero points (u, s, v) and scales 0.01, 0.1, 0.02.
fn product(zero: [i64; 3], s: Option<[f64; 2]>) -> Vec<f64> {
    let value = |q: i8, zero: i64, scale: f64| (i64::from(q) - zero) as f64 * scale;
    let s = s.unwrap_or(S.map(|q| value(q, zero[1], 0.1)));
    let element = |i: usize, j: usize| -> f64 {
        (0..2).map(|k| value(U[i * 2 + k], zero[0], 0.01) * s[k] * value(VH[k * 4 + j], zero[2], 0.02)).sum()
    };
    (0..12).map(|at| element(at / 4, at % 4)).collect()
}

fn write(folder: &Path, tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)], meta: &str) {
    let views: Vec<(String, TensorView)> = tensors
        .iter()
        .map(|(part, dtype, shape, data)| {
            (format!("{NAME}.{part}"), TensorView::new(*dtype, shape.clone(), data).unwrap())
        })
        .collect();
    let metadata = HashMap::from([("compression_meta".to_owned(), meta.to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), &folder.join("model.safetensors")).unwrap();
}

fn entry(part: &str, scale: f64, zero: i64, shape: &str) -> String {
    format!(
        r#""{NAME}.{part}": {{"scale": {scale}, "zero_point": {zero}, "original_shape": {shape}, "original_dtype": "float32"}}"#
    )
}

fn classic(folder: &Path, zero: [i64; 3]) {
    let meta =
        [entry("U", 0.01, zero[0], "[3, 2]"), entry("S", 0.1, zero[1], "[2]"), entry("Vh", 0.02, zero[2], "[2, 4]")];
    let tensors = [
        ("U.quant", Dtype::I8, vec![3, 2], bytes(&U)),
        ("S.quant", Dtype::I8, vec![2], bytes(&S)),
        ("Vh.quant", Dtype::I8, vec![2, 4], bytes(&VH)),
    ];
    write(folder, &tensors, &format!("{{{}}}", meta.join(", ")));
}

fn check(folder: &Path, wanted: &[f64]) {
    let checkpoint = Checkpoint::open(folder).unwrap();
    let stored = stored_layers(&checkpoint).unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].name.as_str(), stored[0].shape), (format!("{NAME}.weight").as_str(), (3, 4)));
    for (found, wanted) in stored[0].weight.to_f32().iter().zip(wanted) {
        assert!((f64::from(*found) - wanted).abs() < 1e-6 * (1.0 + wanted.abs()), "{found} is not {wanted}");
    }
    let layers = layers_of(&checkpoint);
    assert_eq!(layers.len(), 1);
    assert!(layers[0].fixed && layers[0].block == Some(0));
}

#[test]
fn the_classic_layout_is_read() {
    let folder = tempfile::tempdir().unwrap();
    classic(folder.path(), [0, 0, 0]);
    check(folder.path(), &product([0, 0, 0], None));
}

#[test]
fn zero_points_other_than_zero_are_read() {
    let folder = tempfile::tempdir().unwrap();
    classic(folder.path(), [3, -7, 11]);
    check(folder.path(), &product([3, -7, 11], None));
}

#[test]
fn singular_values_that_are_not_quantized_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let s: Vec<u8> = [2.5_f32, 1.25].iter().flat_map(|s| s.to_le_bytes()).collect();
    let meta = format!("{{{}, {}}}", entry("U", 0.01, 0, "[3, 2]"), entry("Vh", 0.02, 0, "[2, 4]"));
    let tensors = [
        ("U.quant", Dtype::I8, vec![3, 2], bytes(&U)),
        ("S", Dtype::F32, vec![2], s),
        ("Vh.quant", Dtype::I8, vec![2, 4], bytes(&VH)),
    ];
    write(folder.path(), &tensors, &meta);
    check(folder.path(), &product([0, 0, 0], Some([2.5, 1.25])));
}

#[test]
fn parts_that_disagree_are_refused_by_name() {
    let told = |meta: &str, rank: usize| {
        let folder = tempfile::tempdir().unwrap();
        let tensors =
            [("U.quant", Dtype::I8, vec![6 / rank, rank], bytes(&U)), ("Vh.quant", Dtype::I8, vec![2, 4], bytes(&VH))];
        write(folder.path(), &tensors, meta);
        stored_layers(&Checkpoint::open(folder.path()).unwrap()).unwrap_err().to_string()
    };
    let both = format!("{{{}, {}}}", entry("U", 0.01, 0, "[2, 3]"), entry("Vh", 0.02, 0, "[2, 4]"));
    assert!(told(&both, 3).contains("U and Vh have different ranks"), "{}", told(&both, 3));
    assert!(told(&both, 2).contains("compression_meta says shape [2, 3], but it is [3, 2]"));
    assert!(told("{}", 2).contains("gives its scale"));
    assert!(told("not JSON", 2).contains("cannot be read"));
    let negative = format!("{{{}}}", entry("U", -1.0, 0, "[3, 2]"));
    assert!(told(&negative, 2).contains("not a number above 0"));
}

/// An INT4 base [2, 5] in groups of 4, low half first, as another program may write it.
fn int4(folder: &Path, meta: &str, extra: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Result<Vec<f32>, String> {
    let scales: Vec<u8> = [1.0, -0.5, 2.0, 0.25].iter().flat_map(|x| half::f16::from_f32(*x).to_le_bytes()).collect();
    let mut tensors = vec![
        ("base.quant", Dtype::U8, vec![2, 3], vec![0x21, 0x8f, 0x07, 0x10, 0x32, 0x0c]),
        ("base.scale", Dtype::F16, vec![2, 2], scales),
    ];
    tensors.extend_from_slice(extra);
    write(folder, &tensors, meta);
    let checkpoint = Checkpoint::open(folder).unwrap();
    let found = stored_layers(&checkpoint).map_err(|error| error.to_string())?;
    Ok(found[0].weight.base.as_ref().unwrap().to_f32())
}

#[test]
fn an_int4_base_is_read_with_the_width_that_the_metadata_or_the_factors_tell() {
    let home = tempfile::tempdir().unwrap();
    let wanted = [1.0, 2.0, -1.0, -8.0, -3.5, 0.0, 2.0, 4.0, 6.0, -1.0];
    let meta = |more: &str| {
        format!(r#"{{"{NAME}.base": {{"scale": null, "original_shape": [2, 5], "original_dtype": "float32"{more}}}}}"#)
    };
    assert_eq!(int4(home.path(), &meta(r#", "group": 4"#), &[]).unwrap(), wanted);
    let factors = [("U", Dtype::F16, vec![2, 1], vec![0; 4]), ("Vh", Dtype::F16, vec![1, 5], vec![0; 10])];
    assert_eq!(int4(home.path(), "{}", &factors).unwrap(), wanted);
    for (meta, reason) in [
        (meta("").replace("[2, 5]", "[2, 7]"), "do not hold INT4"),
        (meta(r#", "zero_point": 8"#), "zero point"),
        (meta("").replace("[2, 5]", "[5, 2]"), "do not hold INT4"),
    ] {
        assert!(int4(home.path(), &meta, &[]).unwrap_err().contains(reason), "{reason}");
    }
}
