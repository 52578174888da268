//! Policies that are pinned: they write beside the plans as they are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::decompose::threads;
use super::draft::DraftPlan;
use super::events::Event;
use super::jobs::{End, Task, side_by_side};
use super::metering::Wanted;
use super::plans::admissible;
use super::run::ModelCell;
use super::{DraftSnapshot, JobKind, Measured, Severity, Workbench};
use crate::checkpoint::{Checkpoint, escaped};
use crate::compress::{Calibration, FactorCache, Layout, Plan, compressed_weight};
use crate::model::{CompressedLinear, Layer, Model};

/// With the plans as they are, three policies write at once.
const MOST: usize = 2;

/// The plans of all layers as they were, with the model that they gave.
#[derive(Debug)]
pub struct Pin {
    /// `A` or `B`.
    pub name: char,
    /// The plan of each layer.
    pub plans: Vec<Plan>,
    /// None where it is still being put together, after a draft.
    model: Option<Model>,
}

impl Pin {
    /// Whether its model is there to write.
    pub fn is_ready(&self) -> bool {
        self.model.is_some()
    }
}

impl Workbench {
    /// Pins the plans as they are now; the name that they get.
    ///
    /// # Errors
    /// The message for the person.
    pub fn pin(&mut self) -> Result<char, String> {
        let plans: Vec<Plan> = self.rows.iter().map(|row| row.plan).collect();
        if let Some(pin) = self.pins.iter().find(|pin| pin.plans == plans) {
            return Err(format!("these plans are pinned as {} already", pin.name));
        }
        if self.pins.len() == MOST {
            return Err("A and B are pinned, and the plans as they are write beside them: no more have room".to_owned());
        }
        let compressed = self.project.as_ref().and_then(|project| project.compressed.as_ref());
        let compressed = compressed.ok_or("this model writes no text, so there is nothing to compare")?;
        for row in &self.rows {
            match &row.measured {
                Measured::Pending => return Err("layers are still being encoded; pin again in a moment".to_owned()),
                Measured::Failed(reason) => return Err(format!("{} is not encoded: {reason}", row.layer.name)),
                Measured::Exact | Measured::Error(_) | Measured::Unknown => {}
            }
        }
        let name = if self.pins.is_empty() { 'A' } else { 'B' };
        self.pins.push(Pin { name, plans, model: Some(compressed.now().model) });
        Ok(name)
    }

    /// Lets all pinned policies go; whether there were any.
    pub fn unpin(&mut self) -> bool {
        let any = !self.pins.is_empty();
        self.pins.clear();
        any
    }

    /// The pinned policies.
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// The models of those that are ready, computing as the compressed one does.
    pub(super) fn pinned_models(&self) -> impl Iterator<Item = ModelCell> {
        let arithmetic = self.arithmetic();
        self.models_of_pins().map(move |(_, model)| ModelCell::new(model.with_arithmetic(arithmetic)))
    }

    /// Those that are ready, with their models.
    pub(super) fn models_of_pins(&self) -> impl Iterator<Item = (&Pin, &Model)> {
        self.pins.iter().filter_map(|pin| Some((pin, pin.model.as_ref()?)))
    }

    pub(super) fn kept_pins(&self) -> Vec<DraftSnapshot> {
        let kept = |pin: &Pin| {
            let changed = pin.plans.iter().zip(&self.rows).filter(|(plan, _)| !plan.is_dense());
            let plans = changed.map(|(plan, row)| DraftPlan::new(row.layer.name.clone(), *plan)).collect();
            DraftSnapshot { name: pin.name.to_string(), plans }
        };
        self.pins.iter().map(kept).collect()
    }

    /// Pins kept plans again; their models are put together in the background. Layers that are not there, or plans that they cannot
    /// have, are dense.
    pub(super) fn take_back_pins(&mut self, kept: &[DraftSnapshot]) {
        for (one, name) in kept.iter().zip(['A', 'B']) {
            let named: BTreeMap<&str, Plan> = one.plans.iter().map(|plan| (plan.layer.as_str(), plan.plan())).collect();
            let plan = |row: &super::LayerRow| {
                let plan = named.get(row.layer.name.as_str()).filter(|_| !row.layer.fixed)?;
                admissible(plan, &row.layer).ok()
            };
            let plans = self.rows.iter().map(|row| plan(row).unwrap_or_default()).collect();
            self.pins.push(Pin { name, plans, model: None });
        }
        if self.pins.is_empty() {
            return;
        }
        let weighted = self.pins.iter().flat_map(|pin| &pin.plans).any(Plan::needs_statistics);
        let begun = if weighted { self.begin_calibrated(Wanted::Pins) } else { self.begin_measured(Wanted::Pins) };
        if let Err(reason) = begun {
            self.pins.clear();
            self.messages.say(Severity::Warning, &format!("pinned plans of the last session are let go: {reason}"));
        }
    }

    /// Puts the models of pinned plans together that have none yet, one after another.
    pub(super) fn begin_pins(&mut self) {
        let Some(project) = &self.project else { return };
        let Some(runnable) = &project.runnable else { return };
        let stored = |(layer, plan): (usize, &Plan)| self.stored(layer, *plan);
        let waiting = self.pins.iter().filter(|pin| !pin.is_ready()).map(|pin| Waiting {
            name: pin.name,
            stored: pin.plans.iter().enumerate().map(stored).collect(),
            plans: pin.plans.clone(),
        });
        let work = Pinning {
            serial: project.serial,
            model: runnable.model.clone(),
            checkpoint: Arc::clone(&project.checkpoint),
            layers: Arc::clone(&project.layers),
            cache: self.cache.clone(),
            calibration: project.calibration.clone(),
            waiting: waiting.collect(),
        };
        self.jobs.spawn(JobKind::Encode, "encode pinned plans".to_owned(), Vec::new(), move |task| work.run(task));
    }

    pub(super) fn pinned_arrived(&mut self, model: u64, name: char, plans: &[Plan], pinned: Model) {
        let same = self.project.as_ref().is_some_and(|project| project.serial == model);
        let pin = self.pins.iter_mut().find(|pin| same && pin.name == name && pin.plans == plans);
        if let Some(pin) = pin.filter(|pin| !pin.is_ready()) {
            pin.model = Some(pinned);
        }
    }
}

/// Pinned plans without a model.
struct Waiting {
    name: char,
    plans: Vec<Plan>,
    /// Layers that are there in this form already.
    stored: Vec<Option<Arc<CompressedLinear>>>,
}

/// What the job works on.
struct Pinning {
    serial: u64,
    model: Model,
    checkpoint: Arc<Checkpoint>,
    layers: Arc<[Layer]>,
    cache: FactorCache,
    calibration: Option<Calibration>,
    waiting: Vec<Waiting>,
}

impl Pinning {
    fn run(&self, task: &Task) -> Result<(), End> {
        let layers = self.waiting.iter().map(|pin| pin.plans.iter().filter(|plan| !plan.is_dense()).count());
        task.control.set_total(layers.sum::<usize>() as u64);
        for pin in &self.waiting {
            let pinned = Box::new(self.model_of(pin, task)?);
            let (model, name, plans) = (self.serial, pin.name, pin.plans.clone());
            task.outbox.send(Event::Pinned { model, name, plans, pinned });
        }
        Ok(())
    }

    fn model_of(&self, pin: &Waiting, task: &Task) -> Result<Model, End> {
        let changed: Vec<(usize, &Plan)> = pin.plans.iter().enumerate().filter(|(_, plan)| !plan.is_dense()).collect();
        let workers = threads(&self.layers).min(changed.len());
        let work: Vec<_> = changed.iter().filter_map(|(layer, plan)| Some((self.layers.get(*layer)?, *plan))).collect();
        let source = (&*self.checkpoint, self.calibration.as_ref());
        task.tell_need("encoding", self.cache.fresh_need(source, &work, workers, (task.free)()));
        let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        side_by_side(workers, "rankscope encode", &task.control, &|| {
            while let Some((layer, plan)) = changed.get(next.fetch_add(1, Ordering::Relaxed)) {
                let weight = self.weight(*layer, plan, pin, task);
                made.lock().unwrap_or_else(PoisonError::into_inner).push((*layer, weight));
                task.control.advance(1);
            }
        });
        task.control.check()?;
        let mut made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.sort_by_key(|(layer, _)| *layer);
        made.into_iter().try_fold(self.model.clone(), |model, (layer, weight)| Ok(model.with_weight(layer, weight?)))
    }

    fn weight(&self, layer: usize, plan: &Plan, pin: &Waiting, task: &Task) -> Result<Arc<CompressedLinear>, End> {
        if let Some(Some(stored)) = pin.stored.get(layer) {
            return Ok(Arc::clone(stored));
        }
        let of = self.layers.get(layer).ok_or_else(|| End::Failed("the model has no such layer".into()))?;
        let calibration = self.calibration.as_ref();
        compressed_weight(&self.checkpoint, of, plan, Layout::Native, &self.cache, calibration, &task.control)
            .map(Arc::new)
            .map_err(|error| End::Failed(format!("{}: {error}", escaped(&of.name, 200))))
    }
}
