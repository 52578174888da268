//! An opened model.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::file::{self, is_there, plain_name};
use super::folder::{self, Weights};
use super::gpt_files;
use super::json::{kind_of, words};
use super::remembered::Remembered;
use super::{Bytes, ChatTemplate, CheckpointError, Tensor, Tokenizer, scales, tensor};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
/// Name of the policy in a folder that an export wrote.
pub(super) const POLICY: &str = "policy.json";
/// Key of the JSON text in `__metadata__` of a compressed checkpoint.
pub const COMPRESSION_META: &str = "compression_meta";

/// A model that is part of the program.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// The word that names it (`demo`).
    pub name: &'static str,
    /// `config.json`.
    pub config: &'static str,
    /// `tokenizer.json`.
    pub tokenizer: &'static str,
    /// `model.safetensors`, aligned to 8 bytes or more.
    pub weights: &'static [u8],
}

/// A small file that travels with the weights (`config.json`, tokenizer files, `generation_config.json`).
#[derive(Debug, Clone)]
pub struct Sidecar {
    /// Plain file name.
    pub name: String,
    /// Content.
    pub data: Bytes,
}

#[derive(Debug)]
enum Place {
    Embedded(Embedded),
    Folder(PathBuf),
    File(PathBuf),
}

/// An opened model: tensors by name, config, tokenizer. Tensors are validated and memory-mapped, never read as a whole.
#[derive(Debug)]
pub struct Checkpoint {
    place: Place,
    label: String,
    weights: Weights,
    config: OnceLock<Map<String, Value>>,
    fingerprint: OnceLock<String>,
    remembered: Option<Remembered>,
}

impl Checkpoint {
    /// Opens a folder in Hugging Face layout or one `.safetensors` file. Tensor data is validated by header only;
    /// config and tokenizer are read when asked for.
    ///
    /// # Errors
    /// [`CheckpointError`] naming file, tensor and reason.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let about = fs::metadata(path).map_err(|e| CheckpointError::read(path, e))?;
        let (place, weights) = if about.is_dir() {
            (Place::Folder(path.to_owned()), Weights::of_folder(path)?)
        } else {
            (Place::File(path.to_owned()), Weights::of_file(path)?)
        };
        Ok(Self::new(place, label(path), weights))
    }

    /// Opens a model that is part of the program.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn embedded(model: Embedded) -> Result<Self, CheckpointError> {
        let (tensors, metadata) = folder::read(model.name, &Bytes::from_static(model.weights))?;
        let weights = Weights { tensors, metadata, files: Vec::new() };
        Ok(Self::new(Place::Embedded(model), model.name.to_owned(), weights))
    }

    fn new(place: Place, label: String, weights: Weights) -> Self {
        let (config, fingerprint) = (OnceLock::new(), OnceLock::new());
        let mut opened = Self { place, label, weights, config, fingerprint, remembered: None };
        if opened.weights.tensors.iter().any(|tensor| scales::is_scaled(tensor.dtype)) {
            let config = opened.config().ok().cloned();
            scales::attach(&mut opened.weights.tensors, config.as_ref());
        }
        opened
    }

    /// The same files under another config; that of the file stays what it is, and is what an export copies.
    #[must_use]
    pub fn with_config(self, config: Map<String, Value>) -> Self {
        Self { config: OnceLock::from(config), ..self }
    }

    /// Knows the tensors' digests that `folder` remembers of these very files (by path, size, time of change and inode), and
    /// has those found from now on kept there by [`Checkpoint::keep_digests`]. What is broken there is ignored.
    #[must_use]
    pub fn remembering(mut self, folder: &Path) -> Self {
        self.remembered = Remembered::new(folder, &self.weights.files);
        if let Some(remembered) = &self.remembered {
            remembered.recall(&self.weights.tensors);
        }
        self
    }

    /// Keeps the digests that are known by now, where [`Checkpoint::remembering`] told a folder: the files are then not read
    /// again to find them in the caches. A disk that cannot be written only costs that.
    pub fn keep_digests(&self) {
        if let Some(remembered) = self.remembered.as_ref().filter(|_| self.check().is_ok()) {
            remembered.keep(&self.weights.tensors);
        }
    }

    /// A short name for the screen and for JSON's `model`: the folder's name, the file's name, `demo`; `owner/name` for a
    /// snapshot of the Hugging Face cache. May hold any characters: escape before display.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Where it lies (the folder or file opened); `None` when embedded.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Embedded(_) => None,
            Place::Folder(path) | Place::File(path) => Some(path),
        }
    }

    /// The folder that the small files lie in.
    fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Embedded(_) => None,
            Place::Folder(path) => Some(path),
            Place::File(path) => {
                path.parent().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder })
            }
        }
    }

    /// All tensors, sorted by name.
    pub fn tensors(&self) -> &[Tensor] {
        &self.weights.tensors
    }

    /// All tensors but those that are scales of others or [buffers](Tensor::is_buffer).
    pub fn weights(&self) -> impl Iterator<Item = &Tensor> {
        let scales = self.weights.tensors.iter().filter_map(|tensor| Some(tensor.scale()?.tensor.name.as_str()));
        let scales: BTreeSet<&str> = scales.collect();
        self.weights.tensors.iter().filter(move |tensor| !tensor.is_buffer() && !scales.contains(tensor.name.as_str()))
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        let at = self.weights.tensors.binary_search_by(|t| t.name.as_str().cmp(name)).ok()?;
        self.weights.tensors.get(at)
    }

    /// `__metadata__` of all files, merged; of two with one key the later file's (by name) counts.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.weights.metadata
    }

    /// `config.json` as an object. Missing, not JSON, or not an object: an error that says so.
    ///
    /// # Errors
    /// As above.
    pub fn config(&self) -> Result<&Map<String, Value>, CheckpointError> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let config =
            parse_config(&self.small(CONFIG, "without it the weights can be inspected but not run; copy it here")?)?;
        Ok(self.config.get_or_init(|| config))
    }

    /// Reads and checks `tokenizer.json`, or `vocab.json` and `merges.txt` where these are all there is (each call parses it anew; keep the result).
    ///
    /// # Errors
    /// Missing, malformed, of an unknown kind.
    pub fn tokenizer(&self) -> Result<Tokenizer, CheckpointError> {
        if let Some(folder) = self.folder().filter(|f| !is_there(&f.join(TOKENIZER)) && gpt_files::in_folder(f)) {
            return gpt_files::tokenizer(folder);
        }
        let without =
            "text cannot be turned into tokens (inspecting the weights still works); copy it here, or give ids instead";
        Tokenizer::parse(&self.small(TOKENIZER, without)?)
    }

    /// How chats with this model are written.
    ///
    /// # Errors
    /// No template there; files that are not what they should be.
    pub fn chat_template(&self) -> Result<ChatTemplate, CheckpointError> {
        match self.folder() {
            Some(folder) => ChatTemplate::read(folder),
            None => Err(CheckpointError::invalid(
                &self.label,
                "this model has no chat template; give the prompt as plain text",
            )),
        }
    }

    /// The content of a small file beside the weights; `without` says what its absence means.
    fn small(&self, name: &str, without: &str) -> Result<Vec<u8>, CheckpointError> {
        let folder = match &self.place {
            Place::Embedded(model) => {
                return Ok(if name == CONFIG { model.config } else { model.tokenizer }.as_bytes().to_vec());
            }
            Place::Folder(folder) => folder,
            Place::File(file) => file.parent().unwrap_or(Path::new("")),
        };
        let path = folder.join(name);
        if is_there(&path) {
            return file::read_small(&path);
        }
        let wherever = match &self.place {
            Place::File(file) => format!("beside {}", super::escaped(&plain_name(file), 200)),
            _ => "in this folder".to_owned(),
        };
        let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Err(CheckpointError::invalid(&shown.to_string_lossy(), format!("no {name} {wherever}; {without}")))
    }

    /// The files beside the weights that an export copies (`config.json`, `generation_config.json`, `tokenizer*` and the
    /// files of older tokenizers, `chat_template*`); small ones only (at most 64 MiB each).
    pub fn sidecars(&self) -> Vec<Sidecar> {
        let text = |name: &str, text: &'static str| Sidecar {
            name: name.to_owned(),
            data: Bytes::from_static(text.as_bytes()),
        };
        match &self.place {
            Place::Embedded(model) => vec![text(CONFIG, model.config), text(TOKENIZER, model.tokenizer)],
            _ => self.folder().map(folder::sidecars).unwrap_or_default(),
        }
    }

    /// `policy.json` of a folder, if there (a compressed folder). A single file has none: what lies beside it may be
    /// about anything.
    pub fn policy_text(&self) -> Option<String> {
        let Place::Folder(folder) = &self.place else { return None };
        String::from_utf8(file::read_small(&folder.join(POLICY)).ok()?).ok()
    }

    /// Every file that is read of this model, and where it lies: never to be written over.
    pub fn inputs(&self) -> Vec<PathBuf> {
        let compressed = matches!(self.place, Place::Folder(_)) && self.metadata().contains_key(COMPRESSION_META);
        let read = |name: &String| folder::travels(name) || name == folder::INDEX || (compressed && name == POLICY);
        let small =
            |folder: &Path| folder::names(folder).into_iter().filter(read).map(|name| folder.join(name)).collect();
        let small: Vec<PathBuf> = self.folder().map(small).unwrap_or_default();
        self.weights.files.iter().cloned().chain(self.path().map(PathBuf::from)).chain(small).collect()
    }

    /// The mapped files, each once, as bytes that can be asked whether they still are what was opened.
    pub fn maps(&self) -> Vec<Bytes> {
        let mut maps: Vec<Bytes> = Vec::new();
        for tensor in &self.weights.tensors {
            if !maps.iter().rev().any(|known| known.shares(&tensor.data)) {
                maps.push(tensor.data.clone());
            }
        }
        maps
    }

    /// Whether its files are as they were when they were opened, and all that was read of them was there.
    ///
    /// # Errors
    /// [`CheckpointError::Changed`].
    pub fn check(&self) -> Result<(), CheckpointError> {
        self.maps().iter().try_for_each(Bytes::check)
    }

    /// Bytes of all tensors as stored.
    pub fn total_bytes(&self) -> u64 {
        self.weights.tensors.iter().map(|t| t.data.len() as u64).sum()
    }

    /// BLAKE3 over the sorted (name, dtype, shape, data) of all tensors, hex. The first call reads all that is not
    /// remembered: make it from a job.
    pub fn fingerprint(&self) -> String {
        let compute = || {
            let found = tensor::fingerprint(&self.weights.tensors);
            self.keep_digests();
            found
        };
        self.fingerprint.get_or_init(compute).clone()
    }
}

fn parse_config(json: &[u8]) -> Result<Map<String, Value>, CheckpointError> {
    let refuse = |reason: String| CheckpointError::invalid(CONFIG, reason);
    let text =
        str::from_utf8(json).map_err(|_| refuse("the file is not valid UTF-8 text; download it again".to_owned()))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(config)) => Ok(config),
        Ok(_) => Err(refuse(format!("the file is {} in JSON, not an object; download it again", kind_of(text)))),
        Err(error) => Err(refuse(format!("the file is not valid JSON (line {}): {}", error.line(), words(&error)))),
    }
}

/// The name of what lies at `path`; `owner/name` for a snapshot in a Hugging Face cache.
fn label(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let parent = |path: &Path| path.parent().map(plain_name).unwrap_or_default();
    if path.is_dir() && parent(&whole) == "snapshots" {
        let repository = whole.ancestors().nth(2).map(plain_name).unwrap_or_default();
        if let Some(name) = repository.strip_prefix("models--") {
            return name.replace("--", "/");
        }
    }
    // A single file keeps the name it was opened by: in the cache it is a link to a blob named by its hash.
    if path.is_dir() { plain_name(&whole) } else { plain_name(path) }
}
