//! Folders are written whole or not at all, and read back as they were meant.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rankscope::checkpoint::{Checkpoint, Dtype, FolderWriter, TensorSpec, WriteError};
use rankscope::control::Control;

fn specs() -> Vec<TensorSpec> {
    [("b.weight", Dtype::F32, vec![2, 3]), ("a.scale", Dtype::F16, vec![3]), ("c", Dtype::I8, vec![5])]
        .map(|(name, dtype, shape)| TensorSpec { name: name.to_owned(), dtype, shape })
        .to_vec()
}

fn data(spec: &TensorSpec) -> Vec<u8> {
    let count: usize = spec.shape.iter().product::<usize>() * spec.dtype.bitsize() / 8;
    (0..count).map(|i| (i as u8).wrapping_mul(7) ^ spec.name.as_bytes()[0]).collect()
}

fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("format".to_owned(), "pt".to_owned())])
}

fn create(target: &Path, shard_bytes: u64, force: bool, inputs: &[PathBuf]) -> Result<FolderWriter, WriteError> {
    FolderWriter::create(target, specs(), &metadata(), shard_bytes, force, inputs)
}

fn write(target: &Path, shard_bytes: u64, force: bool) -> Result<Vec<(String, u64)>, WriteError> {
    let mut writer = create(target, shard_bytes, force, &[])?;
    for spec in writer.order().to_vec() {
        writer.tensor(&data(&spec))?;
    }
    writer.sidecar("config.json", b"{}")?;
    writer.finish(&Control::new())
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn one_file_or_shards_read_back_alike() {
    let room = tempfile::tempdir().unwrap();
    let (one, many) = (room.path().join("one"), room.path().join("deep/many"));
    let files = write(&one, 1 << 30, false).unwrap();
    assert_eq!(files.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["config.json", "model.safetensors"]);
    for (name, bytes) in &files {
        assert_eq!(fs::metadata(one.join(name)).unwrap().len(), *bytes);
    }
    let names: Vec<String> = write(&many, 10, false).unwrap().into_iter().map(|f| f.0).collect();
    assert_eq!(
        names,
        [
            "config.json",
            "model-00001-of-00003.safetensors",
            "model-00002-of-00003.safetensors",
            "model-00003-of-00003.safetensors",
            "model.safetensors.index.json"
        ]
    );
    assert_eq!(names, entries(&many));
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(many.join("model.safetensors.index.json")).unwrap()).unwrap();
    assert_eq!(index["metadata"]["total_size"], 6 + 24 + 5);
    assert_eq!(index["weight_map"]["c"], "model-00003-of-00003.safetensors");
    let (one, many) = (Checkpoint::open(&one).unwrap(), Checkpoint::open(&many).unwrap());
    assert_eq!(one.fingerprint(), many.fingerprint());
    assert_eq!((one.metadata(), many.metadata()), (&metadata(), &metadata()));
    for spec in specs() {
        let tensor = many.tensor(&spec.name).unwrap();
        assert_eq!((tensor.dtype, &tensor.shape, &tensor.data[..]), (spec.dtype, &spec.shape, &data(&spec)[..]));
    }
}

#[test]
fn the_same_tensors_make_the_same_bytes() {
    let room = tempfile::tempdir().unwrap();
    let bytes = ["a", "b"].map(|name| {
        write(&room.path().join(name), 1 << 30, false).unwrap();
        fs::read(room.path().join(name).join("model.safetensors")).unwrap()
    });
    assert_eq!(bytes[0], bytes[1]);
}

#[test]
fn what_is_there_is_replaced_only_by_force_and_only_if_it_is_a_model() {
    let room = tempfile::tempdir().unwrap();
    let target = room.path().join("out");
    write(&target, 1 << 30, false).unwrap();
    fs::write(target.join("stale.safetensors"), "old").unwrap();
    assert!(matches!(write(&target, 1 << 30, false), Err(WriteError::Exists(_))));
    write(&target, 1 << 30, true).unwrap();
    assert_eq!(entries(&target), ["config.json", "model.safetensors"]);
    assert_eq!(entries(room.path()), ["out"]);
    let home = room.path().join("home");
    fs::create_dir_all(home.join("photos")).unwrap();
    assert!(matches!(write(&home, 1 << 30, true), Err(WriteError::NotAModel(_))));
    assert!(matches!(write(&target.join("config.json"), 1 << 30, true), Err(WriteError::NotAModel(_))));
    assert_eq!(entries(&home), ["photos"]);
}

#[test]
fn an_input_is_never_written_over() {
    let room = tempfile::tempdir().unwrap();
    let model = room.path().join("model");
    write(&model, 1 << 30, false).unwrap();
    let inputs = [model.clone(), room.path().join("x/y/policy.json")];
    let refused = |target: &Path, inputs: &[PathBuf]| {
        assert!(matches!(create(target, 1, true, inputs), Err(WriteError::IsInput(_))), "{}", target.display());
    };
    refused(&model, &inputs);
    refused(&model.join("inside"), &inputs);
    refused(&model.join("../model"), &inputs);
    refused(&model, &[model.join("model.safetensors")]);
    refused(room.path(), &inputs);
    create(&room.path().join("model2"), 1, true, &inputs).unwrap();
}

#[cfg(unix)]
#[test]
fn a_linked_input_is_an_input_at_both_ends() {
    let room = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (room.path().join("blobs"), room.path().join("snapshot"));
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(blobs.join("abc"), "weights").unwrap();
    std::os::unix::fs::symlink("../blobs/abc", snapshot.join("model.safetensors")).unwrap();
    let inputs = [snapshot.join("model.safetensors")];
    assert!(matches!(create(&snapshot, 1, true, &inputs), Err(WriteError::IsInput(_))));
    assert!(matches!(create(&blobs, 1, true, &inputs), Err(WriteError::IsInput(_))));
}

#[test]
fn nothing_remains_of_what_was_given_up() {
    let room = tempfile::tempdir().unwrap();
    let target = room.path().join("out");
    let mut writer = create(&target, 10, false, &[]).unwrap();
    assert_eq!(entries(room.path()).len(), 1);
    writer.tensor(&[0; 6]).unwrap();
    drop(writer);
    assert!(entries(room.path()).is_empty());

    let mut writer = create(&target, 1 << 30, false, &[]).unwrap();
    for spec in writer.order().to_vec() {
        writer.tensor(&data(&spec)).unwrap();
    }
    let control = Control::new();
    control.cancel();
    assert!(matches!(writer.finish(&control), Err(WriteError::Cancelled(_))));
    assert!(entries(room.path()).is_empty());
}

#[test]
fn a_caller_who_errs_is_told() {
    let room = tempfile::tempdir().unwrap();
    let target = room.path().join("out");
    let mut writer = create(&target, 1 << 30, false, &[]).unwrap();
    assert!(writer.tensor(&[1, 2]).unwrap_err().to_string().contains("2 bytes were given"));
    for name in ["../x", "a/b", "", "model.safetensors", "model.safetensors.index.json"] {
        assert!(matches!(writer.sidecar(name, b""), Err(WriteError::Invalid(_))), "{name}");
    }
    assert!(writer.finish(&Control::new()).unwrap_err().to_string().contains("a.scale was not written"));
    let named = |name: &str| vec![TensorSpec { name: name.to_owned(), dtype: Dtype::U8, shape: vec![1] }];
    let refused = FolderWriter::create(&target, named("__metadata__"), &metadata(), 1, false, &[]);
    assert!(matches!(refused, Err(WriteError::Invalid(_))));
    assert!(entries(room.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn others_may_read_what_is_written_as_the_umask_says() {
    use std::os::unix::fs::PermissionsExt;
    let room = tempfile::tempdir().unwrap();
    let target = room.path().join("out");
    let plain = room.path().join("plain");
    write(&target, 1 << 30, false).unwrap();
    fs::create_dir(&plain).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&target), mode(&plain));
}
