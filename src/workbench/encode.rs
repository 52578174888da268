//! The encode job: changed layers to their stored form, and the error that this makes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::decompose::threads;
use super::events::{EncodedLayer, Event};
use super::jobs::{End, Task, side_by_side};
use super::plans::Residual;
use crate::checkpoint::Checkpoint;
use crate::compress::{Base, CompressError, FactorCache, Layout, Plan, encode, measured_error};
use crate::control::Control;
use crate::linalg::{Decomposition, Matrix, NumericError, decompose};
use crate::model::{CompressedLinear, Layer};

/// Decompositions of W - base that are kept, in bytes.
const RESIDUAL_BYTES: usize = 512 << 20;

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
    pub(super) coder: Coder,
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
        let layer = self.layers.get(part.layer).ok_or_else(missing)?;
        let matrix = layer.matrix(&self.checkpoint).ok_or_else(missing)?;
        let (weight, residual) = match &part.given {
            Some(weight) => (Arc::clone(weight), None),
            None => self.coder.encode(&self.checkpoint, part.layer, layer, &part.plan, &part.control)?,
        };
        let error = measured_error(&matrix, &weight, &part.control)?;
        Ok(EncodedLayer { weight, error, residual })
    }
}

/// Encodes layers, and keeps what serves every rank: decompositions of W in the factor cache, those of W - base here.
#[derive(Debug, Clone)]
pub(super) struct Coder {
    cache: FactorCache,
    residuals: Arc<Mutex<Vec<Kept>>>,
}

/// E = W - base of a layer, decomposed.
#[derive(Debug)]
struct Kept {
    layer: usize,
    residual: Arc<Residual>,
    decomposition: Arc<Decomposition>,
}

impl Coder {
    /// For one model: layers are told apart by their index.
    pub(super) fn new(cache: FactorCache) -> Self {
        Self { cache, residuals: Arc::default() }
    }

    /// A layer in the form in which `plan` stores and runs it.
    pub(super) fn encode(
        &self,
        checkpoint: &Checkpoint,
        index: usize,
        layer: &Layer,
        plan: &Plan,
        control: &Control,
    ) -> Result<(Arc<CompressedLinear>, Option<Arc<Residual>>), CompressError> {
        let (tensor, matrix) = checkpoint.tensor(&layer.name).zip(layer.matrix(checkpoint)).ok_or_else(missing)?;
        let mut residual = None;
        let mut decomposition = || {
            if plan.base == Base::None {
                return self.cache.get(tensor, &matrix, control);
            }
            let (rest, decomposition) = self.residual(index, &matrix, plan, control)?;
            residual = Some(rest);
            Ok(decomposition)
        };
        let encoded = encode(&matrix, plan, Layout::Native, &mut decomposition, control)?;
        Ok((Arc::new(encoded.weight), residual))
    }

    /// E = W - base, decomposed once for all ranks.
    fn residual(
        &self,
        layer: usize,
        matrix: &Matrix,
        plan: &Plan,
        control: &Control,
    ) -> Result<(Arc<Residual>, Arc<Decomposition>), CompressError> {
        let lock = || self.residuals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = lock().iter().find(|kept| kept.layer == layer && kept.residual.fits(plan)) {
            return Ok((Arc::clone(&kept.residual), Arc::clone(&kept.decomposition)));
        }
        let no_rank = || Err(CompressError::Plan("a base alone needs no decomposition".to_owned()));
        let base = encode(matrix, &Plan { rank: 0, ..*plan }, Layout::Native, &mut { no_rank }, control)?.weight;
        let mut rest = matrix.to_f32();
        let whole = rest.iter().map(|w| f64::from(*w).powi(2)).sum();
        rest.iter_mut().zip(base.to_f32()).for_each(|(w, b)| *w -= b);
        let decomposition = Arc::new(decompose(&rest, matrix.rows(), matrix.cols(), control)?);
        let (values, energy) = (decomposition.s.clone(), decomposition.energy);
        let residual = Arc::new(Residual { base: plan.base, group: plan.group, values, energy, whole });
        let mut kept = lock();
        kept.push(Kept { layer, residual: Arc::clone(&residual), decomposition: Arc::clone(&decomposition) });
        let bytes = |kept: &Kept| 4 * (kept.decomposition.ut.len() + kept.decomposition.vt.len());
        while kept.len() > 1 && kept.iter().map(bytes).sum::<usize>() > RESIDUAL_BYTES {
            kept.remove(0);
        }
        Ok((residual, decomposition))
    }
}

fn missing() -> CompressError {
    CompressError::Plan("its tensor cannot be read as a matrix".into())
}
