//! The workbench itself. STUB (room `workbench`): the screen's thread owns it; every method returns at once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Draft, History, JobId, JobView, LayerRow, LiveView, Locations, Message, Source, Totals};
use crate::compress::{ExportKind, ExportPlan, Plan, Policy};
use crate::model::Sampling;

/// What is known about the opened model.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Name for the header.
    pub label: String,
    /// Family (`gpt_neo`), or `None` where it cannot run.
    pub family: Option<String>,
    /// Why it cannot write text, if so (no config, unknown family, no tokenizer).
    pub cannot_generate: Option<String>,
    /// Parameters of all tensors.
    pub parameters: u64,
    /// Blocks.
    pub blocks: usize,
    /// Context length, if it runs.
    pub context: Option<usize>,
    /// A compressed folder opened without `--original`: layers are fixed.
    pub fixed: bool,
}

/// How to write.
#[derive(Debug, Clone)]
pub struct GenerateOptions {
    /// The prompt.
    pub prompt: String,
    /// At most this many new tokens.
    pub max_tokens: usize,
    /// Sampling (same seed in both panes).
    pub sampling: Sampling,
}

/// Model, plans with undo, results, jobs.
#[derive(Debug)]
pub struct Workbench { _todo: () }

impl Workbench {
    /// An empty workbench. `wake` is called (from any thread) when events wait to be drained.
    pub fn new(_locations: Locations, _wake: Arc<dyn Fn() + Send + Sync>) -> Self { todo!() }

    /// Starts opening a model (a job). Replaces what is open once it succeeded; a failure is a message and changes nothing.
    /// `policy`: a policy file to begin with. `original`: for a compressed folder, the model it came from.
    pub fn open(&mut self, _source: Source, _policy: Option<PathBuf>, _original: Option<Source>) { todo!() }

    /// Folds waiting events into the state; whether anything changed. Bounded work per call.
    pub fn drain(&mut self) -> bool { todo!() }

    /// The opened model, if any.
    pub fn opened(&self) -> Option<&Opened> { todo!() }
    /// One row per layer, in the model's order.
    pub fn rows(&self) -> &[LayerRow] { todo!() }
    /// Sums.
    pub fn totals(&self) -> Totals { todo!() }
    /// Jobs, running ones first, the last few ended ones after.
    pub fn jobs(&self) -> Vec<JobView> { todo!() }
    /// Asks a job to stop.
    pub fn cancel(&mut self, _job: JobId) { todo!() }
    /// The run on the screen (the last one).
    pub fn live(&self) -> &LiveView { todo!() }
    /// Messages so far, oldest first (the last 100).
    pub fn messages(&self) -> &[Message] { todo!() }
    /// Adds a message of the face's own.
    pub fn say(&mut self, _severity: super::Severity, _text: String) { todo!() }

    /// Changes plans as one undoable, named edit; plans that a layer cannot have are clamped or refused with a message.
    /// Encoding starts in the background (latest wins per layer); a running text takes the change from its next token on.
    pub fn set_plans(&mut self, _name: &str, _plans: &[(usize, Plan)]) { todo!() }
    /// Undoes the last edit; its name.
    pub fn undo(&mut self) -> Option<String> { todo!() }
    /// Redoes; its name.
    pub fn redo(&mut self) -> Option<String> { todo!() }
    /// Edits so far.
    pub fn history(&self) -> &History { todo!() }
    /// Whether the plans differ from the policy last saved or loaded.
    pub fn unsaved(&self) -> bool { todo!() }

    /// Starts a run of both models (stops one that runs).
    pub fn generate(&mut self, _options: GenerateOptions) { todo!() }
    /// Stops the run.
    pub fn stop(&mut self) { todo!() }

    /// The policy as it would be saved.
    pub fn policy(&self) -> Policy { todo!() }
    /// Saves the policy (synchronously: a small file). Refuses an existing file unless `force`; a file that changed since it
    /// was loaded or saved here counts as existing even for the policy's own path.
    ///
    /// # Errors
    /// The message for the dialog.
    pub fn save_policy(&mut self, _path: &Path, _force: bool) -> Result<(), String> { todo!() }
    /// What an export would write.
    ///
    /// # Errors
    /// The message for the dialog.
    pub fn plan_export(&self, _kind: ExportKind, _out: &Path) -> Result<ExportPlan, String> { todo!() }
    /// Starts an export job.
    pub fn export(&mut self, _kind: ExportKind, _out: &Path, _force: bool) { todo!() }

    /// The draft as it is now, with the face's prompt and layout.
    pub fn draft(&self, _prompt: &str, _layout: std::collections::BTreeMap<String, String>) -> Draft { todo!() }
    /// Reads the draft of the last session, if any.
    pub fn last_draft(_locations: &Locations) -> Option<Draft> { todo!() }
    /// Writes a draft to the state folder (temporary, rename); used on quit, on signals and panics, and now and then.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep_draft(_locations: &Locations, _draft: &Draft) -> Result<(), super::DraftError> { todo!() }
    /// Jobs and edits that quitting would lose, each as one phrase (`unsaved policy (3 edits)`, `export to out/ (40%)`).
    pub fn would_lose(&self) -> Vec<String> { todo!() }
    /// Cancels all jobs and waits at most briefly for exports to clean up their temporaries.
    pub fn shut_down(&mut self) { todo!() }
}
