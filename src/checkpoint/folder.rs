//! What lies in a model's folder: weights in one file or several, and the small files beside them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::file::{self, is_there, plain_name};
use super::header::Header;
use super::index::Index;
use super::{Bytes, CheckpointError, Sidecar, Tensor, escaped};

/// Weights in one file.
pub(super) const SINGLE: &str = "model.safetensors";
/// Where the weights lie that are in several.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// Most entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// Tensors sorted by name, merged metadata, and the files that they lie in.
#[derive(Debug, Default)]
pub(super) struct Weights {
    pub(super) tensors: Vec<Tensor>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) files: Vec<PathBuf>,
}

impl Weights {
    /// Those of a folder.
    pub(super) fn of_folder(folder: &Path) -> Result<Self, CheckpointError> {
        let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
        if is_there(&single) {
            Self::of_file(&single)
        } else if is_there(&index) {
            Self::of_index(folder, &index)
        } else {
            // A folder that cannot be listed is no empty one.
            fs::read_dir(folder).map_err(|e| CheckpointError::read(folder, e))?;
            Err(CheckpointError::invalid(&folder.to_string_lossy(), no_weights(folder)))
        }
    }

    /// Those of one file.
    pub(super) fn of_file(path: &Path) -> Result<Self, CheckpointError> {
        let (tensors, metadata) = read(&plain_name(path), &file::map(path)?)?;
        Ok(Self { tensors, metadata, files: vec![path.to_owned()] })
    }

    fn of_index(folder: &Path, path: &Path) -> Result<Self, CheckpointError> {
        let refuse = |reason: String| CheckpointError::invalid(INDEX, reason);
        let index = Index::parse(&file::read_small(path)?).map_err(refuse)?;
        let mut tensors = BTreeMap::new();
        let mut weights = Self::default();
        for shard in index.shards() {
            let path = folder.join(shard);
            if !is_there(&path) {
                return Err(refuse(format!(
                    "the index names {}, which is not in this folder; download or copy it",
                    escaped(shard, 200)
                )));
            }
            let (found, metadata) = read(shard, &file::map(&path)?)?;
            weights.metadata.extend(metadata);
            weights.files.push(path);
            for tensor in found {
                // Where the index names another shard for it, that one's is meant.
                if index.places.get(&tensor.name).is_none_or(|place| place == shard) {
                    insert(&mut tensors, shard, tensor).map_err(refuse)?;
                }
            }
        }
        if let Some((name, shard)) = index.places.iter().find(|(name, _)| !tensors.contains_key(*name)) {
            return Err(refuse(format!(
                "the index says tensor {} is in {}, which does not hold it; download both again",
                escaped(name, 200),
                escaped(shard, 200)
            )));
        }
        weights.tensors = tensors.into_values().map(|(tensor, _)| tensor).collect();
        Ok(weights)
    }
}

/// Keeps a tensor of a shard; the same name in two shards without a word from the index is an error.
fn insert(tensors: &mut BTreeMap<String, (Tensor, String)>, shard: &str, tensor: Tensor) -> Result<(), String> {
    let name = tensor.name.clone();
    match tensors.insert(name, (tensor, shard.to_owned())) {
        None => Ok(()),
        Some((tensor, other)) => Err(format!(
            "tensor {} lies in {} and in {}, and the index does not say which is meant",
            escaped(&tensor.name, 200),
            escaped(&other, 200),
            escaped(shard, 200)
        )),
    }
}

/// The tensors (sorted by name) and metadata of the file `name` with that content.
pub(super) fn read(name: &str, content: &Bytes) -> Result<(Vec<Tensor>, BTreeMap<String, String>), CheckpointError> {
    let refuse = |reason: String| CheckpointError::invalid(name, reason);
    let header = Header::read(content).map_err(refuse)?;
    let tensor = |entry: super::header::Entry| {
        let data = content
            .slice(entry.range.clone())
            .ok_or_else(|| refuse(format!("tensor {} lies outside the file", escaped(&entry.name, 200))))?;
        Ok(Tensor::new(entry.name, entry.dtype, entry.shape, data))
    };
    let tensors = header.tensors.into_iter().map(tensor).collect::<Result<_, _>>()?;
    Ok((tensors, header.metadata))
}

/// Why a folder without weights is no model, after what else lies there.
fn no_weights(folder: &Path) -> String {
    let names = names(folder);
    let ending = |ends: &[&str]| {
        names.iter().find(|n| ends.iter().any(|end| n.to_ascii_lowercase().ends_with(end))).map(|n| escaped(n, 200))
    };
    let none = format!("no {SINGLE} and no {INDEX} in this folder");
    if let Some(other) = ending(&[".safetensors"]) {
        format!("{none}; {other} is there: give that file's own path to open it")
    } else if let Some(pickle) = ending(&[".bin", ".bin.index.json", ".pt", ".pth", ".ckpt"]) {
        format!("no {SINGLE} here, only {pickle} (a pickle), which is not loaded; convert it to safetensors")
    } else if let Some(other) = ending(&[".gguf", ".onnx", ".h5", ".msgpack"]) {
        format!("no {SINGLE} here, only {other}, which is not read; get the model in safetensors format")
    } else {
        format!("{none}; download or copy the model's weights")
    }
}

/// The plain names in a folder, sorted; those that are no text are left out, and a folder that cannot be read is empty.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().take(MAX_ENTRIES).filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The small files of a folder that travel with the weights.
pub(super) fn sidecars(folder: &Path) -> Vec<Sidecar> {
    let fits = |name: &String| travels(name).then(|| folder.join(name));
    let read = |name: String| {
        let data = file::read_small(&fits(&name)?).ok()?;
        Some(Sidecar { name, data: Bytes::copied(&data) })
    };
    names(folder).into_iter().filter_map(read).collect()
}

/// Whether a file of that name belongs to a model beside its weights.
pub(super) fn travels(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "config.json",
        "generation_config.json",
        "vocab.json",
        "merges.txt",
        "special_tokens_map.json",
        "added_tokens.json",
        "spiece.model",
    ];
    NAMES.contains(&name) || name.starts_with("tokenizer") || name.starts_with("chat_template")
}
