//! The decompose job: spectra of all layers, side by side, the one that is looked at next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Severity;
use super::events::Event;
use super::jobs::{End, Task, side_by_side};
use crate::checkpoint::Checkpoint;
use crate::compress::{CompressError, FactorCache};
use crate::linalg::{NumericError, decomposing_bytes};
use crate::measure::Spectrum;
use crate::model::{Layer, non_finite};

/// Memory that decompositions under way may take together, in bytes.
const MEMORY: u64 = 4 << 30;

/// What the job works on.
#[derive(Debug)]
pub(super) struct Decompose {
    /// Which opening this is.
    pub(super) model: u64,
    pub(super) checkpoint: Arc<Checkpoint>,
    pub(super) layers: Arc<[Layer]>,
    pub(super) cache: FactorCache,
    /// The layer that is looked at.
    pub(super) focus: Arc<AtomicUsize>,
    /// Layers that others wait for.
    pub(super) first: Vec<usize>,
}

/// How many threads work on these layers side by side.
pub(super) fn threads(layers: &[Layer]) -> usize {
    let bytes = |layer: &Layer| decomposing_bytes(layer.rows, layer.cols, false);
    let largest = layers.iter().map(bytes).max().unwrap_or(0);
    let fit = usize::try_from(MEMORY / largest.max(1)).unwrap_or(usize::MAX);
    rayon::current_num_threads().min(fit.max(1)).min(layers.len().max(1))
}

/// Layers still to do.
struct Queue<'a> {
    order: Mutex<Vec<usize>>,
    focus: &'a AtomicUsize,
}

impl<'a> Queue<'a> {
    /// `first` before the others; both in the model's order.
    fn new(layers: &[Layer], first: &[usize], focus: &'a AtomicUsize) -> Self {
        let open = |index: &usize| layers.get(*index).is_some_and(|layer| !layer.fixed);
        let mut order: Vec<usize> = first.iter().copied().filter(open).collect();
        order.extend((0..layers.len()).filter(|index| open(index) && !first.contains(index)));
        order.reverse();
        Self { order: Mutex::new(order), focus }
    }

    fn next(&self) -> Option<usize> {
        let mut order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        let focus = self.focus.load(Ordering::Relaxed);
        match order.iter().position(|index| *index == focus) {
            Some(at) => Some(order.remove(at)),
            None => order.pop(),
        }
    }
}

impl Decompose {
    pub(super) fn run(&self, task: &Task) -> Result<(), End> {
        let queue = Queue::new(&self.layers, &self.first, &self.focus);
        let open: Vec<&Layer> = self.layers.iter().filter(|layer| !layer.fixed).collect();
        let known: Mutex<Vec<(usize, Arc<Spectrum>)>> = Mutex::default();
        let need = self.cache.spectra_need(&self.checkpoint, &open, threads(&self.layers), (task.free)());
        task.tell_need("decomposing", need);
        task.control.set_total(open.len() as u64);
        side_by_side(threads(&self.layers), "rankscope decompose", &task.control, &|| {
            while let Some(index) = queue.next().filter(|_| !task.control.is_cancelled()) {
                let outcome = match self.spectrum(index, task) {
                    Err(CompressError::Cancelled(_) | CompressError::Numeric(NumericError::Cancelled(_))) => return,
                    outcome => outcome.map_err(|error| error.to_string()),
                };
                if let Ok(spectrum) = &outcome {
                    known.lock().unwrap_or_else(PoisonError::into_inner).push((index, Arc::clone(spectrum)));
                }
                task.outbox.send(Event::Spectrum { model: self.model, layer: index, outcome });
                task.control.advance(1);
            }
        });
        task.control.check()?;
        self.fit_power_laws(known.into_inner().unwrap_or_else(PoisonError::into_inner), task);
        task.control.check()?;
        // What is no layer is never decomposed: its NaN would go unseen.
        let layer = |name: &str| self.layers.iter().any(|layer| layer.tensor == name);
        let mut others = non_finite(&self.checkpoint).into_iter().filter(|found| !layer(&found.tensor));
        if let Some(first) = others.next() {
            let more = match others.count() {
                0 => String::new(),
                count => format!(" (and {count} more tensors)"),
            };
            task.outbox.send(Event::Say(Severity::Warning, format!("{first}{more}")));
        }
        Ok(())
    }

    /// Last, since a fit takes as long as a spectrum that is kept, and nothing waits for it.
    fn fit_power_laws(&self, known: Vec<(usize, Arc<Spectrum>)>, task: &Task) {
        let queue = Mutex::new(known);
        side_by_side(threads(&self.layers), "rankscope power laws", &task.control, &|| {
            let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            while let Some((layer, spectrum)) = next().filter(|_| !task.control.is_cancelled()) {
                if let Some(law) = spectrum.power_law() {
                    task.outbox.send(Event::PowerLaw { model: self.model, layer, alpha: law.alpha });
                }
            }
        });
    }

    fn spectrum(&self, index: usize, task: &Task) -> Result<Arc<Spectrum>, CompressError> {
        let unreadable = || CompressError::Plan("its tensor cannot be read as a matrix".into());
        let layer = self.layers.get(index).ok_or_else(unreadable)?;
        let tensor = self.checkpoint.tensor(&layer.tensor).ok_or_else(unreadable)?;
        let no_matrix = || CompressError::Plan(layer.why_no_matrix(&self.checkpoint));
        let matrix = layer.matrix(&self.checkpoint).ok_or_else(no_matrix)?;
        let values = self.cache.values(tensor, &matrix, &task.control)?;
        Ok(Arc::new(Spectrum::new(values.to_vec(), layer.rows, layer.cols)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;
    use crate::model::Kind;

    fn layer(name: &str, side: usize, fixed: bool) -> Layer {
        let (rows, cols) = (side, side);
        Layer {
            name: name.into(),
            tensor: name.into(),
            block: None,
            kind: Kind::Other,
            rows,
            cols,
            dtype: Dtype::F32,
            bytes: 4,
            transposed: false,
            part: None,
            fixed,
        }
    }

    #[test]
    fn the_focus_comes_next_then_what_others_wait_for() {
        let layers: Vec<_> = (0..5).map(|i| layer(&i.to_string(), 1, i == 1)).collect();
        let focus = AtomicUsize::new(usize::MAX);
        let queue = Queue::new(&layers, &[3], &focus);
        assert_eq!(queue.next(), Some(3));
        focus.store(4, Ordering::Relaxed);
        assert_eq!((queue.next(), queue.next(), queue.next(), queue.next()), (Some(4), Some(0), Some(2), None));
    }

    #[test]
    fn huge_layers_are_done_one_by_one() {
        assert_eq!(threads(&[layer("a", 30_000, false), layer("b", 2, false)]), 1);
        assert_eq!(threads(&[layer("a", 2, false)]), 1);
    }
}
