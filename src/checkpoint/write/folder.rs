//! A whole checkpoint folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

use super::place::{Holds, is_there, prepare, refuse_folder_of_inputs, resolved};
use super::safetensors::{check_length, header, shards, sort};
use super::scratch::{self, Scratch};
use super::streamed::Streamed;
use super::swap::{close, may_replace, put_in_place};
use super::{TensorSpec, WriteError};
use crate::checkpoint::escaped;
use crate::checkpoint::index::is_plain;
use crate::control::Control;

const INDEX: &str = "model.safetensors.index.json";

/// Writes a checkpoint folder into a temporary beside the target, then renames. Dropped before
/// [`FolderWriter::finish`], it removes the temporary and leaves the target as it was.
#[derive(Debug)]
pub struct FolderWriter {
    target: PathBuf,
    force: bool,
    specs: Vec<TensorSpec>,
    shards: Vec<Shard>,
    /// The tensor that comes next.
    next: usize,
    /// The shard under way. Before `temporary`: it is closed before the folder goes.
    open: Option<Streamed>,
    files: BTreeMap<String, u64>,
    temporary: Scratch<TempDir>,
}

#[derive(Debug)]
struct Shard {
    name: String,
    header: Vec<u8>,
    tensors: Range<usize>,
}

#[derive(Serialize)]
struct Index<'a> {
    metadata: Total,
    weight_map: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
struct Total {
    total_size: u64,
}

impl FolderWriter {
    /// Plans the shards (each at most `shard_bytes` of data, at least one tensor; order sorted by name, so that the parts
    /// of a layer follow each other; `model.safetensors`, or `model-0000i-of-0000n.safetensors` with
    /// `model.safetensors.index.json`). Every shard carries the metadata.
    /// Refuses an existing target unless `force`, and any target that is, holds or lies in one of `inputs`. With `force`
    /// only a folder is replaced that holds a model and no folder of its own.
    ///
    /// # Errors
    /// As above; names that come twice or that no reader would take for a tensor's; the system's.
    pub fn create(
        target: &Path,
        mut specs: Vec<TensorSpec>,
        metadata: &BTreeMap<String, String>,
        shard_bytes: u64,
        force: bool,
        inputs: &[PathBuf],
    ) -> Result<Self, WriteError> {
        let given = target;
        let target = resolved(given).map_err(WriteError::io(given))?;
        refuse_folder_of_inputs(&target, inputs)?;
        // The path as given too: a link that leads nowhere is there, though what it leads to is not.
        if is_there(given) || is_there(&target) {
            may_replace(&target, force, Holds::Model)?;
        }
        sort(&mut specs)?;
        let shards = plan(&specs, metadata, shard_bytes)?;
        let (parent, name) = prepare(&target)?;
        let temporary = scratch::folder(&parent, &name).map_err(WriteError::io(&target))?;
        Ok(Self { target, force, specs, shards, next: 0, open: None, files: BTreeMap::new(), temporary })
    }

    /// The folder that will be there.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The order in which [`FolderWriter::tensor`] wants the data.
    pub fn order(&self) -> &[TensorSpec] {
        &self.specs
    }

    /// Writes the next tensor's data.
    ///
    /// # Errors
    /// Wrong length, more tensors than planned, or the system's.
    pub fn tensor(&mut self, data: &[u8]) -> Result<(), WriteError> {
        let at = self.next;
        let planned = self.specs.get(at).zip(self.shards.iter().find(|s| s.tensors.contains(&at)));
        let (spec, shard) =
            planned.ok_or_else(|| WriteError::Invalid("more tensors were given than were planned".to_owned()))?;
        check_length(spec, data)?;
        let path = self.temporary.made.path().join(&shard.name);
        let fail = || WriteError::io(self.target.join(&shard.name));
        let mut file = if let Some(file) = self.open.take() {
            file
        } else {
            let mut file = Streamed::create(&path).map_err(fail())?;
            file.write(&shard.header).map_err(fail())?;
            file
        };
        file.write(data).map_err(fail())?;
        self.next += 1;
        if self.next == shard.tensors.end {
            let bytes = file.finish().map_err(fail())?;
            self.files.insert(shard.name.clone(), bytes);
        } else {
            self.open = Some(file);
        }
        Ok(())
    }

    /// Writes a small file beside the weights.
    ///
    /// # Errors
    /// A name that is a path or taken, or the system's.
    pub fn sidecar(&mut self, name: &str, data: &[u8]) -> Result<(), WriteError> {
        let taken = name == INDEX || self.files.contains_key(name) || self.shards.iter().any(|s| s.name == name);
        if taken || !is_plain(name) {
            let why = if taken { "is taken" } else { "is not a plain file name" };
            return Err(WriteError::Invalid(format!(
                "a file beside the weights cannot be called {}: it {why}",
                escaped(name, 200)
            )));
        }
        self.small(name, data)
    }

    fn small(&mut self, name: &str, data: &[u8]) -> Result<(), WriteError> {
        let write = |path: PathBuf| {
            let mut file = File::create_new(path)?;
            file.write_all(data)?;
            close(&file)
        };
        let bytes = write(self.temporary.made.path().join(name)).map_err(WriteError::io(self.target.join(name)))?;
        self.files.insert(name.to_owned(), bytes);
        Ok(())
    }

    /// Syncs, renames to the target; returns (file name, bytes) sorted by name.
    ///
    /// # Errors
    /// Tensors that were not written, the system's; the temporary is removed.
    pub fn finish(mut self, control: &Control) -> Result<Vec<(String, u64)>, WriteError> {
        if let Some(missing) = self.specs.get(self.next) {
            return Err(WriteError::Invalid(format!("tensor {} was not written", escaped(&missing.name, 200))));
        }
        if self.shards.len() > 1 {
            let index = self.index()?;
            self.small(INDEX, index.as_bytes())?;
        }
        control.check()?;
        let Self { target, force, files, temporary, .. } = self;
        put_in_place(temporary, &target, force, Holds::Model)?;
        Ok(files.into_iter().collect())
    }

    fn index(&self) -> Result<String, WriteError> {
        let mut total_size = 0;
        let mut weight_map = BTreeMap::new();
        for shard in &self.shards {
            for spec in self.specs.get(shard.tensors.clone()).unwrap_or_default() {
                total_size += spec.bytes()? as u64;
                weight_map.insert(spec.name.as_str(), shard.name.as_str());
            }
        }
        let index = Index { metadata: Total { total_size }, weight_map };
        let text = serde_json::to_string_pretty(&index).map_err(|e| WriteError::Invalid(e.to_string()))?;
        Ok(text + "\n")
    }
}

fn plan(specs: &[TensorSpec], metadata: &BTreeMap<String, String>, shard_bytes: u64) -> Result<Vec<Shard>, WriteError> {
    let ranges = shards(specs, shard_bytes)?;
    let count = ranges.len();
    let shard = |(at, tensors): (usize, Range<usize>)| {
        let name = match count {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", at + 1),
        };
        let header = header(specs.get(tensors.clone()).unwrap_or_default(), metadata)?;
        Ok(Shard { name, header, tensors })
    };
    ranges.into_iter().enumerate().map(shard).collect()
}
