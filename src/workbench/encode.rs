//! The encode job: changed layers to their stored form, and the error that this makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::decompose::threads;
use super::events::{EncodedLayer, Event};
use super::jobs::{End, Task, side_by_side};
use crate::checkpoint::Checkpoint;
use crate::compress::{CompressError, FactorCache, Layout, Plan, encode, measured_error};
use crate::control::Control;
use crate::linalg::NumericError;
use crate::model::{CompressedLinear, Layer};

/// One layer to encode.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) layer: usize,
    pub(super) plan: Plan,
    /// Its stored form, where it is known and only its error is not.
    pub(super) given: Option<Arc<CompressedLinear>>,
    /// Cancelled when a newer plan replaces this one.
    pub(super) control: Control,
}

/// What the job works on.
#[derive(Debug)]
pub(super) struct Encode {
    pub(super) checkpoint: Arc<Checkpoint>,
    pub(super) layers: Arc<[Layer]>,
    pub(super) cache: FactorCache,
    pub(super) parts: Vec<Part>,
}

impl Encode {
    pub(super) fn run(&self, task: &Task) -> Result<(), End> {
        task.control.set_total(self.parts.len() as u64);
        let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let workers = threads(&self.layers).min(self.parts.len());
        side_by_side(workers, "rankscope encode", &task.control, &|| {
            while let Some(part) = self.parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                if task.control.is_cancelled() {
                    return;
                }
                let outcome = match self.layer(part) {
                    Err(CompressError::Cancelled(_) | CompressError::Numeric(NumericError::Cancelled(_))) => continue,
                    outcome => outcome.map_err(|error| error.to_string()),
                };
                failed.fetch_add(usize::from(outcome.is_err()), Ordering::Relaxed);
                task.outbox.send(Event::Encoded { job: task.id, layer: part.layer, outcome });
                task.control.advance(1);
            }
        });
        task.control.check()?;
        match failed.into_inner() {
            0 => Ok(()),
            failed => Err(End::Failed(format!("{failed} of {} layers could not be encoded", self.parts.len()))),
        }
    }

    fn layer(&self, part: &Part) -> Result<EncodedLayer, CompressError> {
        let missing = || CompressError::Plan("its tensor cannot be read as a matrix".into());
        let layer = self.layers.get(part.layer).ok_or_else(missing)?;
        let matrix = layer.matrix(&self.checkpoint).ok_or_else(missing)?;
        let weight = match &part.given {
            Some(weight) => Arc::clone(weight),
            None => Arc::new(encoded(&self.checkpoint, layer, &part.plan, &self.cache, &part.control)?),
        };
        let error = measured_error(&matrix, &weight, &part.control)?;
        Ok(EncodedLayer { weight, error })
    }
}

/// A layer in the form in which `plan` stores and runs it.
pub(super) fn encoded(
    checkpoint: &Checkpoint,
    layer: &Layer,
    plan: &Plan,
    cache: &FactorCache,
    control: &Control,
) -> Result<CompressedLinear, CompressError> {
    let missing = || CompressError::Plan("its tensor cannot be read as a matrix".into());
    let (tensor, matrix) = checkpoint.tensor(&layer.name).zip(layer.matrix(checkpoint)).ok_or_else(missing)?;
    Ok(encode(&matrix, plan, Layout::Native, &mut || cache.get(tensor, &matrix, control), control)?.weight)
}
