//! The open job: from a name to layers, model, tokenizer and plans, before anything is decomposed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::jobs::{End, Task};
use super::plans::stored_plan;
use super::rules::{Notice, PolicyFile, Rules, errors};
use super::{Locations, Opened, Severity, Source};
use crate::checkpoint::{ChatTemplate, Checkpoint, Tokenizer, escaped};
use crate::compress::{Plan, Policy};
use crate::model::{CompressedLinear, Layer, Model, StoredLayer, layers_of, stored_layers};

/// What to open.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) source: Source,
    pub(super) policy: Option<PathBuf>,
    /// The text of a policy to begin with.
    pub(super) start: Option<String>,
    pub(super) original: Option<Source>,
    pub(super) locations: Locations,
}

/// What can write text.
#[derive(Debug, Clone)]
pub(super) struct Runnable {
    pub(super) model: Model,
    pub(super) tokenizer: Arc<Tokenizer>,
    /// How chats are written, or why they cannot be.
    pub(super) chat: Arc<Result<ChatTemplate, String>>,
}

/// An opened model, on its way to the screen's thread.
#[derive(Debug)]
pub(super) struct Loaded {
    /// As it was asked for.
    pub(super) name: String,
    /// The original that was asked for, for a compressed folder.
    pub(super) original: Option<String>,
    pub(super) opened: Opened,
    /// Where the layers are read: of a compressed folder with its original, the original.
    pub(super) checkpoint: Arc<Checkpoint>,
    pub(super) layers: Arc<[Layer]>,
    pub(super) runnable: Option<Runnable>,
    pub(super) rules: Rules,
    /// The plan of every layer to begin with.
    pub(super) plans: Vec<Plan>,
    /// Weights that a compressed folder holds already, by layer.
    pub(super) given: Vec<Option<Arc<CompressedLinear>>>,
    pub(super) file: Option<PolicyFile>,
    pub(super) identity: String,
    pub(super) notices: Vec<Notice>,
}

/// Reads what `request` names; no tensor's data but what a compressed folder's parts need.
///
/// # Errors
/// One line, or cancelled.
pub(super) fn open(request: &Request, task: &Task) -> Result<Loaded, End> {
    let step = || {
        task.control.advance(1);
        task.control.check()
    };
    task.control.set_total(4);
    let opened = request.source.open(&request.locations).map_err(|error| End::Failed(error.to_string()))?;
    let stored = stored_layers(&opened).map_err(|error| End::Failed(error.to_string()))?;
    step()?;
    let mut notices = Vec::new();
    let (checkpoint, folder) = match original(request, &opened, &stored, &mut notices)? {
        Some(original) => (original, Some(opened)),
        None => (opened, None),
    };
    step()?;
    let mut loaded = Loaded::read(request, Arc::new(checkpoint), notices);
    step()?;
    match folder {
        Some(folder) => loaded.take_over(&folder, stored)?,
        None => loaded.show_stored(&stored),
    }
    if let Some(path) = &request.policy {
        loaded.apply_file(path);
    }
    let own = loaded.rules.policy.to_text();
    let is_own = |text: &str| Policy::parse(text).is_ok_and(|given| given.to_text() == own);
    if let Some(text) = request.start.as_ref().filter(|text| !is_own(text)) {
        loaded.begin_with(text);
    }
    step()?;
    Ok(loaded)
}

/// The original of a compressed folder, where one was named.
fn original(
    request: &Request,
    folder: &Checkpoint,
    stored: &[StoredLayer],
    notices: &mut Vec<Notice>,
) -> Result<Option<Checkpoint>, End> {
    let Some(source) = &request.original else { return Ok(None) };
    if stored.is_empty() {
        notices.push((
            Severity::Warning,
            format!("{} has no compressed layers, so --original is not used", request.source.name()),
        ));
        return Ok(None);
    }
    let original = source.open(&request.locations).map_err(|error| End::Failed(format!("original: {error}")))?;
    let made_from = folder.metadata().get("source_fingerprint");
    if made_from.is_some_and(|fingerprint| *fingerprint != original.fingerprint()) {
        let (folder, original) = (request.source.name(), source.name());
        notices.push((
            Severity::Warning,
            format!("{folder} was not made from {original}: the fingerprints differ, so errors compare unlike weights"),
        ));
    }
    Ok(Some(original))
}

impl Loaded {
    fn read(request: &Request, checkpoint: Arc<Checkpoint>, mut notices: Vec<Notice>) -> Self {
        let layers: Arc<[Layer]> = layers_of(&checkpoint).into();
        let (family, runnable, cannot_generate) = runnable(&checkpoint);
        if let Some(reason) = &cannot_generate {
            notices.push((Severity::Warning, format!("no text can be written: {reason}")));
        }
        let label = match &request.source {
            Source::Repository(name) => name.clone(),
            _ => checkpoint.label().to_owned(),
        };
        let opened = Opened {
            label: escaped(&label, 200),
            family,
            cannot_generate,
            cannot_chat: runnable.as_ref().and_then(|runnable| runnable.chat.as_ref().as_ref().err().cloned()),
            parameters: checkpoint.weights().map(|tensor| tensor.elements() as u64).sum(),
            blocks: layers.iter().filter_map(|layer| layer.block).max().map_or(0, |block| block + 1),
            context: runnable.as_ref().map(|runnable| runnable.model.architecture().context),
            fixed: layers.iter().any(|layer| layer.fixed),
        };
        Self {
            name: request.source.name(),
            original: request.original.as_ref().map(Source::name),
            identity: identity(&opened, &checkpoint, &layers),
            rules: Rules::none(layers.len()),
            plans: vec![Plan::dense(); layers.len()],
            given: vec![None; layers.len()],
            file: None,
            opened,
            checkpoint,
            layers,
            runnable,
            notices,
        }
    }

    /// Shows how the layers of a compressed folder are stored.
    fn show_stored(&mut self, stored: &[StoredLayer]) {
        for (layer, plan) in self.layers.iter().zip(&mut self.plans) {
            if let Some(found) = stored.iter().find(|found| layer.fixed && found.name == layer.name) {
                *plan = stored_plan(&found.weight);
            }
        }
    }

    /// Goes on from a compressed folder: its policy, its plans and its very weights on the original's layers.
    fn take_over(&mut self, folder: &Checkpoint, stored: Vec<StoredLayer>) -> Result<(), End> {
        if let Some(text) = folder.policy_text() {
            self.apply_text(&text);
        }
        self.opened.label = escaped(folder.label(), 200);
        self.identity = identity(&self.opened, &self.checkpoint, &self.layers);
        self.plans = vec![Plan::dense(); self.layers.len()];
        for part in stored {
            let fits = |layer: &Layer| layer.name == part.name && (layer.rows, layer.cols) == part.shape;
            let Some(index) = self.layers.iter().position(fits) else {
                let (m, n) = part.shape;
                let name = escaped(&part.name, 200);
                return Err(End::Failed(format!(
                    "original: {} has no layer {name} of {m} x {n}; name the model that this folder was made from",
                    self.checkpoint.label()
                )));
            };
            let plan = self.rules.agree(index, stored_plan(&part.weight));
            if let (Some(slot), Some(given)) = (self.plans.get_mut(index), self.given.get_mut(index)) {
                *slot = plan;
                *given = Some(Arc::new(part.weight));
            }
        }
        Ok(())
    }

    /// Begins with the policy of a file; what is wrong with it becomes notices, and all stays as it was.
    fn apply_file(&mut self, path: &Path) {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.notices.push((Severity::Error, format!("cannot read the policy {}: {error}", path.display())));
                return;
            }
        };
        if self.begin_with(&text) {
            self.file = Some(PolicyFile::new(path, &text));
        }
    }

    /// Begins with the policy of a text; whether that went well: what is wrong with it becomes notices, and all stays as it was.
    fn begin_with(&mut self, text: &str) -> bool {
        let before = std::mem::take(&mut self.plans);
        if !self.apply_text(text) {
            self.plans = before;
            return false;
        }
        self.plans = self.rules.initial();
        for (index, layer) in self.layers.iter().enumerate() {
            let (Some(plan), Some(before)) = (self.plans.get_mut(index), before.get(index)) else { continue };
            if layer.fixed {
                *plan = *before;
            } else if plan != before {
                self.given.get_mut(index).and_then(Option::take);
            }
        }
        true
    }

    /// Resolves a policy's text; whether that went well.
    fn apply_text(&mut self, text: &str) -> bool {
        match Policy::parse(text).and_then(|policy| Rules::resolve(policy, &self.layers, &|_| None)) {
            Ok((rules, notices)) => {
                self.rules = rules;
                self.notices.extend(notices);
                true
            }
            Err(error) => {
                self.notices.extend(errors(&error));
                false
            }
        }
    }
}

/// The family, what can write text, and why nothing can.
fn runnable(checkpoint: &Checkpoint) -> (Option<String>, Option<Runnable>, Option<String>) {
    let model = match Model::load(checkpoint) {
        Ok(model) => model,
        Err(error) => return (None, None, Some(error.to_string())),
    };
    let family = Some(model.architecture().family.to_owned());
    let tokenizer = checkpoint.tokenizer().map_err(|error| error.to_string());
    match tokenizer.and_then(|found| model.check_tokenizer(&found).map(|()| found).map_err(|error| error.to_string())) {
        Ok(tokenizer) => {
            let chat = Arc::new(checkpoint.chat_template().map_err(|error| error.to_string()));
            (family, Some(Runnable { model, tokenizer: Arc::new(tokenizer), chat }), None)
        }
        Err(reason) => (family, None, Some(reason)),
    }
}

/// What tells the same model again without reading it.
fn identity(opened: &Opened, checkpoint: &Checkpoint, layers: &[Layer]) -> String {
    let mut names = blake3::Hasher::new();
    for layer in layers {
        names.update(format!("{} {} {}\n", layer.name, layer.rows, layer.cols).as_bytes());
    }
    format!("{} {} {} {}", opened.label, opened.parameters, checkpoint.total_bytes(), names.finalize().to_hex())
}
