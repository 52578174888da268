//! What each layer's compression does to its own output, on a text.

use std::sync::Arc;

use serde::Serialize;

use super::compare::text_windows;
use super::trial::output_squares;
use super::{CompareOptions, MeasureError};
use crate::control::Control;
use crate::model::{CompressedLinear, Model, Observer};

/// A changed layer's error.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerError {
    /// Its name.
    pub name: String,
    /// ||(W - W')X||_F / ||WX||_F, X being the layer's inputs in the original, over every position of the text.
    pub output_error: f64,
}

/// The output errors of all layers that the two models do not share, in the order of layers; a layer that the other model does
/// not have in the same shape is left out.
///
/// # Errors
/// Model errors, a text too short to score, cancelled.
pub fn layer_errors(
    (original, compressed): (&Model, &Model),
    text: &CompareOptions,
    control: &Control,
) -> Result<Vec<LayerError>, MeasureError> {
    let windows = text_windows(original.architecture().context, text)?;
    control.set_total(windows.len() as u64);
    let mut errors = Errors::new(original, compressed);
    for window in &windows {
        let read = window.get(..window.len() - 1).unwrap_or_default();
        original.forward_all(read, &mut original.cache(), Some(&mut errors), control)?;
        control.advance(1);
    }
    let layers = original.layers().iter().zip(&errors.0);
    let found = layers.filter_map(|(layer, sums)| {
        let Sums { error, whole, .. } = sums.as_ref()?;
        let output_error = if *whole > 0.0 { (error / whole).sqrt() } else { 0.0 };
        Some(LayerError { name: layer.name.clone(), output_error })
    });
    Ok(found.collect())
}

/// Sums of one layer that differs.
struct Sums<'a> {
    own: &'a CompressedLinear,
    other: &'a CompressedLinear,
    error: f64,
    whole: f64,
}

/// By layer; nothing for those that are the same.
struct Errors<'a>(Vec<Option<Sums<'a>>>);

impl<'a> Errors<'a> {
    fn new(original: &'a Model, compressed: &'a Model) -> Self {
        let of = |index: usize| {
            let name = &original.layers().get(index)?.name;
            let there = compressed.layers().iter().position(|layer| layer.name == *name)?;
            let (own, other) = (original.weight(index)?, compressed.weight(there)?);
            let differs = !Arc::ptr_eq(own, other) && own.shape() == other.shape();
            differs.then_some(Sums { own, other, error: 0.0, whole: 0.0 })
        };
        Self((0..original.layers().len()).map(of).collect())
    }
}

impl Observer for Errors<'_> {
    fn input(&mut self, layers: &[usize], x: &[f32]) {
        for layer in layers {
            let Some(Some(sums)) = self.0.get_mut(*layer) else { continue };
            let (error, [whole, _]) = output_squares([sums.own, sums.other], x);
            sums.error += error;
            sums.whole += whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::linalg::Matrix;
    use crate::measure::{Effect, Trial, run_trials};

    #[test]
    fn only_changed_layers_are_told_with_the_error_that_a_trial_finds() {
        for name in ["gpt_neo", "llama"] {
            let folder = format!("tests/data/golden/{name}");
            let model = Model::load(&Checkpoint::open(folder.as_ref()).unwrap()).unwrap();
            let (control, layer) = (Control::new(), 2);
            let text = CompareOptions { ids: (0..60).map(|i| i * 7 % 31).collect(), bos: None, limit: None };
            let weight = model.weight(layer).unwrap();
            let (rows, cols) = weight.shape();
            let mut w = weight.to_f32();
            w.iter_mut().step_by(3).for_each(|w| *w *= 1.2);
            let weight = Arc::new(CompressedLinear::dense(Matrix::from_f32(rows, cols, &w).unwrap()));
            let changed = model.with_weight(layer, Arc::clone(&weight));
            let found = layer_errors((&model, &changed), &text, &control).unwrap();
            let trial = [Trial { layer, weight, effect: Effect::Change }];
            let expected = run_trials((&model, &model), &trial, &text, &|_, _| {}, &control).unwrap()[0].output_error;
            assert_eq!((found.len(), &found[0].name), (1, &model.layers()[layer].name));
            assert!((found[0].output_error - expected).abs() < 1e-12 && expected > 0.01, "{found:?} {expected}");
        }
    }
}
