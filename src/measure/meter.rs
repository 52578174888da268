//! The damage of plans, measured on a model and a text.

use std::sync::Arc;

use rayon::prelude::*;

use super::compare::text_windows;
use super::propose::{Compressible, DamageMeter};
use super::trial::{Starts, parts, try_on};
use super::{CompareOptions, Effect, KeptPasses, MeasureError, Reference, Scope, Trial, compare};
use crate::checkpoint::{Checkpoint, escaped};
use crate::compress::{
    Calibration, CompressError, FactorCache, LayerInputs, Layout, Plan, Subject, compressed_weight, measured_error,
    measured_output_error,
};
use crate::control::Control;
use crate::model::{CompressedLinear, Layer, Model};

/// A model with all that measuring plans on it takes.
#[derive(Debug, Clone, Copy)]
pub struct ModelMeter<'a> {
    /// Where the layers lie.
    pub checkpoint: &'a Checkpoint,
    /// The original, whose layers are meant.
    pub model: &'a Model,
    /// Decompositions.
    pub cache: &'a FactorCache,
    /// Statistics of the inputs, for factors that are weighted and for errors of the output.
    pub calibration: Option<&'a Calibration>,
    /// The text.
    pub text: &'a CompareOptions,
    /// Where the original's passes over it are kept; `None`: nowhere.
    pub passes: Option<&'a KeptPasses>,
}

impl<'a> ModelMeter<'a> {
    /// The original, as what others are measured against.
    pub fn reference(&self) -> Reference<'a> {
        Reference { model: self.model, passes: self.passes }
    }

    /// The layers that a budget can work on: those that the file does not store compressed and whose numbers are finite, with
    /// their plans of now (dense beyond the end of `now`), as far as `scope` goes. A layer with NaN or infinities stays as it is;
    /// its name is given back.
    pub fn compressible(&self, now: &[Plan], scope: &Scope) -> (Vec<Compressible>, Vec<String>) {
        let (mut found, mut left) = (Vec::new(), Vec::new());
        for (index, layer) in self.model.layers().iter().enumerate().filter(|(index, _)| scope.covers(*index)) {
            let Some(matrix) = layer.matrix(self.checkpoint) else { continue };
            if matrix.non_finite() == (0, 0) {
                let &Layer { rows, cols, bytes, .. } = layer;
                let now = now.get(index).copied().unwrap_or_default();
                let known = self.calibration.is_some_and(|known| known.has(&layer.name));
                let (calibrated, base) = (known && !scope.plain, scope.base);
                found.push(Compressible { layer: index, rows, cols, bytes, now, calibrated, base });
            } else {
                left.push(layer.name.clone());
            }
        }
        (found, left)
    }

    /// The weight of a layer under a plan.
    ///
    /// # Errors
    /// [`MeasureError::Layer`].
    pub fn weight(&self, index: usize, plan: &Plan, control: &Control) -> Result<Arc<CompressedLinear>, MeasureError> {
        let layer = self.layer(index)?;
        let made =
            compressed_weight(self.checkpoint, layer, plan, Layout::Native, self.cache, self.calibration, control);
        made.map(Arc::new).map_err(|source| failed(layer, source))
    }

    /// The model with other plans for some layers; dense ones stay shared.
    ///
    /// # Errors
    /// [`MeasureError::Layer`].
    pub fn compressed(&self, plans: &[(usize, Plan)], control: &Control) -> Result<Model, MeasureError> {
        let changed = plans.par_iter().filter(|(_, plan)| !plan.is_dense());
        let weights = changed.map(|(index, plan)| Ok((*index, self.weight(*index, plan, control)?)));
        let weights: Vec<_> = weights.collect::<Result<_, MeasureError>>()?;
        Ok(weights.into_iter().fold(self.model.clone(), |model, (index, weight)| model.with_weight(index, weight)))
    }

    pub(super) fn layer(&self, index: usize) -> Result<&Layer, MeasureError> {
        let layer = self.model.layers().get(index);
        layer.ok_or_else(|| MeasureError::Layer {
            layer: format!("number {index}"),
            source: CompressError::Plan("the model has no such layer".into()),
        })
    }
}

pub(super) fn failed(layer: &Layer, source: CompressError) -> MeasureError {
    match source {
        CompressError::Cancelled(cancelled) => cancelled.into(),
        source => MeasureError::Layer { layer: escaped(&layer.name, 200), source },
    }
}

impl DamageMeter for ModelMeter<'_> {
    /// Predicted from the decomposition where the plan has a rank, else measured as stored.
    fn error(&self, index: usize, plan: &Plan, control: &Control) -> Result<f64, MeasureError> {
        let layer = self.layer(index)?;
        let failed = |source: CompressError| failed(layer, source);
        let missing = || failed(CompressError::Plan("is no plain matrix; leave it dense".into()));
        let found = self.checkpoint.tensor(&layer.name).zip(layer.matrix(self.checkpoint));
        let (tensor, matrix) = found.ok_or_else(missing)?;
        let inputs = LayerInputs::of(self.calibration, &layer.name);
        let subject = Subject { tensor, matrix: &matrix, inputs: inputs.as_ref() };
        if let Some(predicted) = self.cache.predicted(&subject, plan, control).map_err(failed)? {
            return Ok(predicted.output.unwrap_or(predicted.weight));
        }
        let weight = self.weight(index, plan, control)?;
        match &inputs {
            Some(inputs) => measured_output_error(&matrix, &weight, &inputs.statistics, control)
                .map_err(|error| failed(error.into())),
            None => Ok(measured_error(&matrix, &weight, control)?),
        }
    }

    fn alone(&self, asked: &[(usize, Plan)], control: &Control) -> Result<Vec<f64>, MeasureError> {
        let windows = text_windows(self.model.architecture().context, self.text)?;
        control.set_total((asked.len() * windows.len()) as u64);
        let bytes = |(layer, plan): &(usize, Plan)| {
            self.model.layers().get(*layer).map_or(0, |of| plan.bytes(of.rows, of.cols, of.bytes))
        };
        let mut damages = Vec::with_capacity(asked.len());
        let mut starts = Starts::new((self.reference(), self.model), &windows);
        // No more weights at a time than are tried together.
        for part in parts(asked.iter().map(bytes)) {
            let trials = asked.get(part).unwrap_or_default().par_iter().map(|(layer, plan)| {
                Ok(Trial { layer: *layer, weight: self.weight(*layer, plan, control)?, effect: Effect::Change })
            });
            let trials: Vec<Trial> = trials.collect::<Result<_, MeasureError>>()?;
            let results = try_on(&mut starts, &trials, &|_, _| {}, control)?;
            damages.extend(results.into_iter().map(|result| result.kld.0));
        }
        Ok(damages)
    }

    fn together(&self, plans: &[(usize, Plan)], control: &Control) -> Result<f64, MeasureError> {
        let compressed = self.compressed(plans, control)?;
        Ok(compare(self.reference(), &compressed, self.text, control)?.kld.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Base, candidates};
    use crate::measure::propose;

    #[test]
    fn a_proposal_on_a_model_fits_its_budget() {
        let checkpoint = Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap();
        let model = Model::load(&checkpoint).unwrap();
        let cache = FactorCache::new(None);
        let text = CompareOptions { ids: (0..300).map(|i| i * 11 % 29).collect(), bos: None, limit: None };
        let control = Control::new();
        let meter = ModelMeter {
            checkpoint: &checkpoint,
            model: &model,
            cache: &cache,
            calibration: None,
            text: &text,
            passes: None,
        };
        let (layers, left) = meter.compressible(&[], &Scope::default());
        assert!(left.is_empty() && layers.len() == model.layers().len());
        let parameters: u64 = model.layers().iter().map(Layer::parameters).sum();
        let budget = 7 * parameters / 8;
        let found = propose(&layers, budget, &meter, &control).unwrap();
        let plans: Vec<_> = found.layers.iter().map(|layer| (layer.layer, layer.chosen.plan)).collect();
        let compressed = meter.compressed(&plans, &control).unwrap();
        let bytes: u64 = (0..layers.len()).map(|layer| compressed.weight(layer).unwrap().bytes()).sum();
        assert!(bytes == found.bytes && bytes <= budget);
        assert!((meter.together(&plans, &control).unwrap() - found.measured).abs() < 1e-12);
        let least: u64 = layers
            .iter()
            .map(|of| {
                candidates(of.rows, of.cols, of.bytes, false, None)
                    .iter()
                    .map(|p| p.bytes(of.rows, of.cols, of.bytes))
                    .min()
                    .unwrap()
            })
            .sum();
        assert!(propose(&layers, least - 1, &meter, &control).is_err());
    }

    #[test]
    fn errors_are_those_of_the_stored_weights() {
        let checkpoint = Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap();
        let model = Model::load(&checkpoint).unwrap();
        let cache = FactorCache::new(None);
        let text = CompareOptions { ids: vec![1; 40], bos: None, limit: None };
        let meter = ModelMeter {
            checkpoint: &checkpoint,
            model: &model,
            cache: &cache,
            calibration: None,
            text: &text,
            passes: None,
        };
        let control = Control::new();
        let int8 = meter.error(0, &Plan { base: Base::Int8, ..Plan::dense() }, &control).unwrap();
        let int4 = meter.error(0, &Plan { base: Base::Int4, ..Plan::dense() }, &control).unwrap();
        assert!(0.0 < int8 && int8 < int4 && int4 < 0.2, "{int8} {int4}");
        assert!(meter.error(999, &Plan::dense(), &control).unwrap_err().to_string().contains("no such layer"));
    }
}
