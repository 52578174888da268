//! The export job, and what rounding to its layout costs.

use std::sync::Arc;

use super::EVALUATION_TEXT;
use super::Severity;
use super::events::Event;
use super::jobs::{End, Task};
use super::open::Runnable;
use crate::checkpoint::{Checkpoint, WriteError};
use crate::compress::{
    Calibration, CompressError, ExportError, ExportKind, ExportOptions, FactorCache, Layout, Plan, Policy,
    compressed_weight, export, export_need,
};
use crate::linalg::NumericError;
use crate::measure::readable::bytes;
use crate::measure::{CompareOptions, compare};
use crate::model::{CompressedLinear, Layer, Model};

/// Tokens of the evaluation text that the check runs over.
const TOKENS: usize = 512;

/// What the job works on.
#[derive(Debug)]
pub(super) struct Export {
    pub(super) checkpoint: Arc<Checkpoint>,
    pub(super) layers: Arc<[Layer]>,
    pub(super) plans: Vec<Plan>,
    /// Layers that are in their stored form already.
    pub(super) ready: Vec<Option<Arc<CompressedLinear>>>,
    pub(super) policy: Policy,
    pub(super) runnable: Option<Runnable>,
    pub(super) cache: FactorCache,
    pub(super) calibration: Option<Calibration>,
    pub(super) options: ExportOptions,
}

impl Export {
    pub(super) fn run(&self, task: &Task) -> Result<(), End> {
        let work = self.layers.iter().zip(&self.plans);
        task.tell_need("exporting", export_need(&self.checkpoint, work, rayon::current_num_threads()));
        let written = export(
            &self.checkpoint,
            &self.layers,
            &self.plans,
            &self.policy,
            (&self.cache, self.calibration.as_ref()),
            &self.options,
            &task.control,
        )
        .map_err(ended)?;
        let name = written.out.display().to_string();
        let say = |severity, text| task.outbox.send(Event::Say(severity, text));
        let (before, after) = (bytes(written.original_bytes), bytes(written.bytes));
        let files = match written.files.len() {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        say(Severity::Info, format!("exported {after} of tensors (from {before}) in {files} to {name}"));
        if self.options.kind == ExportKind::Compressed(Layout::Native) {
            return Ok(());
        }
        // The files are whole already: what fails or is cancelled from here on costs the figure alone.
        match self.rounding(task) {
            Ok(Some(kld)) => say(
                Severity::Info,
                format!(
                    "{name}: its rounding adds a KLD of {kld:.1e} nats a token to that of the live compressed model"
                ),
            ),
            Ok(None) | Err(End::Cancelled) => {}
            Err(End::Failed(reason)) => {
                say(Severity::Warning, format!("{name}: what its rounding adds could not be measured: {reason}"));
            }
        }
        Ok(())
    }

    /// Mean KLD of the exported folder against the live compressed model, where the model runs.
    fn rounding(&self, task: &Task) -> Result<Option<f64>, End> {
        let Some(Runnable { model, tokenizer, .. }) = &self.runnable else { return Ok(None) };
        let mut live = model.clone();
        for (index, (layer, plan)) in
            self.layers.iter().zip(&self.plans).enumerate().filter(|(_, (_, plan))| !plan.is_dense())
        {
            let weight = match self.ready.get(index).cloned().flatten() {
                Some(weight) => weight,
                None => Arc::new(
                    compressed_weight(
                        &self.checkpoint,
                        layer,
                        plan,
                        Layout::Native,
                        &self.cache,
                        self.calibration.as_ref(),
                        &task.control,
                    )
                    .map_err(failed)?,
                ),
            };
            live = live.with_weight(index, weight);
        }
        let exported = Checkpoint::open(&self.options.out).map_err(failed)?;
        let exported = Model::load(&exported).map_err(failed)?;
        let ids = tokenizer.encode_plain(EVALUATION_TEXT).map_err(failed)?;
        let text = CompareOptions { ids, bos: tokenizer.opening(), limit: Some(TOKENS) };
        let figures = compare(&live, &exported, &text, &task.control);
        task.control.check()?;
        figures.map(|figures| Some(figures.kld.mean)).map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> End {
    End::Failed(error.to_string())
}

fn ended(error: ExportError) -> End {
    match error {
        ExportError::Write(WriteError::Cancelled(_))
        | ExportError::Layer {
            source: CompressError::Cancelled(_) | CompressError::Numeric(NumericError::Cancelled(_)),
            ..
        } => End::Cancelled,
        error => End::Failed(error.to_string()),
    }
}
