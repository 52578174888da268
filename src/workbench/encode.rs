//! The encode job: changed layers to their stored form, and the error that this makes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::decompose::threads;
use super::events::{EncodedLayer, Event};
use super::jobs::{End, Task, side_by_side};
use super::plans::Residual;
use crate::checkpoint::{Checkpoint, escaped};
use crate::compress::{
    Calibration, CompressError, FactorCache, LayerInputs, Layout, Plan, Subject, compressed_weight, measured_error,
    measured_output_error,
};
use crate::control::{Control, Told};
use crate::linalg::{InputStatistics, NumericError};
use crate::model::{CompressedLinear, Layer};

/// Error curves have so many points.
const CURVE_POINTS: usize = 128;

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
    /// Input statistics, once known.
    pub(super) calibration: Option<Calibration>,
    pub(super) parts: Vec<Part>,
    /// What was said of memory by those before.
    pub(super) told: Arc<Told>,
}

/// The ranks at which an error curve is known: all of a small layer, an even choice of a large one.
fn curve_ranks(max_rank: usize) -> Vec<usize> {
    let count = max_rank.min(CURVE_POINTS);
    (1..=count).map(|at| at * max_rank / count.max(1)).collect()
}

impl Encode {
    pub(super) fn run(&self, task: &Task) -> Result<(), End> {
        task.control.set_total(self.parts.len() as u64);
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let workers = threads(&self.layers).min(self.parts.len());
        self.tell_need(task, workers);
        side_by_side(workers, "rankscope encode", &task.control, &|| {
            while let Some(part) = self.parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                if task.control.is_cancelled() {
                    return;
                }
                let outcome = match self.layer(part) {
                    Err(CompressError::Cancelled(_) | CompressError::Numeric(NumericError::Cancelled(_))) => continue,
                    outcome => outcome.map_err(|error| error.to_string()),
                };
                if let Err(reason) = &outcome {
                    failed.lock().unwrap_or_else(PoisonError::into_inner).push((part.layer, reason.clone()));
                }
                task.outbox.send(Event::Encoded { job: task.id, layer: part.layer, outcome });
                task.control.advance(1);
            }
        });
        task.control.check()?;
        let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.sort_unstable();
        let Some((layer, reason)) = failed.first() else { return Ok(()) };
        let name = self.layers.get(*layer).map_or(String::new(), |layer| escaped(&layer.name, 200));
        let more = if failed.len() > 1 { format!(" (and {} more layers)", failed.len() - 1) } else { String::new() };
        Err(End::Failed(format!("{name}{more}: {reason}")))
    }

    /// A slider begins many of these: it is said once.
    fn tell_need(&self, task: &Task, workers: usize) {
        let open = self.parts.iter().filter(|part| part.given.is_none());
        let work: Vec<_> = open.filter_map(|part| Some((self.layers.get(part.layer)?, &part.plan))).collect();
        let source = (&*self.checkpoint, self.calibration.as_ref());
        let need = self.cache.fresh_need(source, &work, workers, (task.free)());
        task.tell_need_once("encoding", need, &self.told);
    }

    fn layer(&self, part: &Part) -> Result<EncodedLayer, CompressError> {
        let Part { layer, plan, given, control } = part;
        let missing = || CompressError::Plan("its tensor cannot be read as a matrix".into());
        let layer = self.layers.get(*layer).ok_or_else(missing)?;
        let matrix = layer.matrix(&self.checkpoint).ok_or_else(missing)?;
        let calibration = self.calibration.as_ref();
        let encoded =
            || compressed_weight(&self.checkpoint, layer, plan, Layout::Native, &self.cache, calibration, control);
        let weight = given.clone().map_or_else(|| encoded().map(Arc::new), Ok)?;
        let tensor = self.checkpoint.tensor(&layer.tensor).filter(|_| given.is_none());
        let residual = match tensor {
            Some(tensor) if plan.base_is_quantized() && plan.rank > 0 && !plan.needs_statistics() => {
                // In the factor cache by now.
                let rest = self.cache.factors(&Subject { tensor, matrix: &matrix, inputs: None }, plan, control)?;
                let whole = matrix.to_f32().iter().map(|w| f64::from(*w).powi(2)).sum();
                let (values, energy) = (rest.s.clone(), rest.energy);
                Some(Arc::new(Residual { base: plan.base, group: plan.base_group(), values, energy, whole }))
            }
            _ => None,
        };
        let inputs = LayerInputs::of(calibration, &layer.name);
        let predict =
            |tensor| self.cache.predicted(&Subject { tensor, matrix: &matrix, inputs: inputs.as_ref() }, plan, control);
        // What came encoded with the file is not decomposed for this alone, until statistics are asked for.
        let stored = self.checkpoint.tensor(&layer.tensor).filter(|_| given.is_none() || calibration.is_some());
        let predicted = stored.map(predict).transpose()?.flatten();
        let ranks = curve_ranks(layer.max_rank());
        let curve = stored.filter(|_| plan.rank > 0).map(|tensor| {
            let subject = Subject { tensor, matrix: &matrix, inputs: inputs.as_ref() };
            self.cache.error_curve(&subject, plan, &ranks, control)
        });
        let curve = curve.transpose()?.map(Arc::new);
        let error = measured_error(&matrix, &weight, control)?;
        let statistics = calibration.and_then(|known| known.statistics(&layer.name));
        let of_output = |known: &InputStatistics| measured_output_error(&matrix, &weight, known, control);
        let output_error = statistics.as_deref().map(of_output).transpose()?;
        Ok(EncodedLayer { weight, error, output_error, predicted, curve, residual })
    }
}
