//! Texts that are written side by side by models which differ from each other in one layer: the weights that they share are
//! read once for all.

use std::sync::Arc;

use super::block::Pass;
use super::forward::BATCH;
use super::{Cache, CompressedLinear, Model, ModelError, argmax};
use crate::control::{Control, afford};
use crate::linalg::awake;

/// A layer's weight that one of several texts has for itself.
#[derive(Debug, Clone)]
pub(super) struct OwnWeight {
    /// Place among the texts of a pass.
    pub text: usize,
    /// The layer's index in the model.
    pub layer: usize,
    pub weight: Arc<CompressedLinear>,
}

/// A text that is being written.
struct Text<'a> {
    /// Place among all.
    place: usize,
    layer: usize,
    weight: &'a Arc<CompressedLinear>,
    cache: Cache,
    /// What is not through the model yet.
    next: Vec<u32>,
}

impl Model {
    /// The greedy continuations of `prompt`, at most `most` tokens each and fewer where the context ends, by this model with each
    /// of `changes` alone (a layer's index, and the weight that it has instead). Equal to the bit to
    /// [`Generation`](super::Generation) with [`Model::with_weight`].
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn written_with_each(
        &self,
        changes: &[(usize, Arc<CompressedLinear>)],
        prompt: &[u32],
        most: usize,
        control: &Control,
    ) -> Result<Vec<Vec<u32>>, ModelError> {
        self.check(prompt, 0)?;
        let shape = self.architecture();
        // The last token written needs no place in the cache: it is never fed back.
        let most = most.min(shape.context - prompt.len() + 1);
        afford(self.cache_bytes(prompt.len() + most).saturating_mul(changes.len() as u64))?;
        let mut written = vec![Vec::new(); changes.len()];
        let texts = changes.iter().enumerate();
        let mut open: Vec<Text<'_>> = texts
            .map(|(place, (layer, weight))| {
                let (cache, next) = (self.cache(), prompt.to_vec());
                Text { place, layer: *layer, weight, cache, next }
            })
            .collect();
        for _ in 0..most {
            if open.is_empty() {
                break;
            }
            let logits = awake(|| self.continue_all(&mut open, control))?;
            let mut each = logits.chunks_exact(shape.vocabulary.max(1)).map(argmax);
            open.retain_mut(|text| {
                let Some(id) = each.next().filter(|id| !shape.eos.contains(id)) else { return false };
                written.get_mut(text.place).into_iter().for_each(|written| written.push(id));
                text.next = vec![id];
                true
            });
        }
        Ok(written)
    }

    /// Takes what is not through the model yet, as many tokens of each text; the logits [texts, vocabulary] after the last ones.
    fn continue_all(&self, texts: &mut [Text<'_>], control: &Control) -> Result<Vec<f32>, ModelError> {
        let Some(first) = texts.first() else { return Ok(Vec::new()) };
        let (held, made_for) = (first.cache.len(), first.cache.made_for);
        let tokens = held + first.next.len();
        if held > 0 && self.frame.ropes.iter().any(|rope| rope.renews(made_for, tokens)) {
            for text in texts.iter_mut() {
                let before = std::mem::replace(&mut text.cache, self.cache());
                text.next = [before.ids, std::mem::take(&mut text.next)].concat();
            }
        }
        let own: Vec<OwnWeight> = texts.iter().enumerate().filter_map(|(place, text)| self.own(place, text)).collect();
        let each = (BATCH / texts.len()).max(1);
        let (count, steps) = (texts.len(), texts.first().map_or(0, |text| text.next.len()).div_ceil(each));
        let mut last = Vec::new();
        for step in 0..steps {
            let ids: Vec<u32> =
                texts.iter().flat_map(|text| text.next.chunks(each).nth(step).unwrap_or_default()).copied().collect();
            let held = texts.first().map_or(0, |text| text.cache.len());
            let mut pass = Pass::of_texts(self, held, tokens, count, &own);
            let mut caches: Vec<&mut Cache> = texts.iter_mut().map(|text| &mut text.cache).collect();
            last = self.batch(&ids, 0, &mut caches, &mut pass, control)?;
        }
        texts.iter_mut().for_each(|text| text.cache.made_for = tokens);
        let (rows, width) = (last.len() / count.max(1), self.architecture().embedding);
        let ends = last.chunks_exact(rows.max(1)).flat_map(|text| text.get(rows - width..).unwrap_or_default());
        let ends: Vec<f32> = ends.copied().collect();
        self.logits(&ends, &mut Pass::of_texts(self, tokens, tokens, count, &own), control)
    }

    /// What a text has for itself; nothing where the weight has not the layer's shape, as [`Model::with_weight`] has it.
    fn own(&self, place: usize, text: &Text<'_>) -> Option<OwnWeight> {
        self.weight(text.layer).filter(|shared| shared.shape() == text.weight.shape())?;
        Some(OwnWeight { text: place, layer: text.layer, weight: Arc::clone(text.weight) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::linalg::Matrix;
    use crate::model::{Generation, Sampling};

    const NAMES: [&str; 7] = ["gpt_neo", "gpt2", "llama", "bloom", "opt_350m_style", "mixtral", "phi3_longrope"];

    fn model(name: &str) -> Model {
        Model::load(&Checkpoint::open(format!("tests/data/golden/{name}").as_ref()).unwrap()).unwrap()
    }

    /// Each layer's matrix with every other element doubled, and a weight of a shape that no layer has.
    fn changes(model: &Model) -> Vec<(usize, Arc<CompressedLinear>)> {
        let bent = |(layer, weight): (usize, &Arc<CompressedLinear>)| {
            let (rows, cols) = weight.shape();
            let mut w = weight.to_f32();
            w.iter_mut().step_by(2).for_each(|w| *w *= 2.0);
            (layer, Arc::new(CompressedLinear::dense(Matrix::from_f32(rows, cols, &w).unwrap())))
        };
        let strange = Arc::new(CompressedLinear::dense(Matrix::from_f32(1, 1, &[1.0]).unwrap()));
        model.weights.iter().enumerate().map(bent).chain([(0, strange)]).collect()
    }

    fn alone(model: &Model, prompt: &[u32], most: usize) -> Vec<u32> {
        let control = Control::new();
        let mut text = Generation::start(model, prompt, Sampling::default(), most, &control).unwrap();
        std::iter::from_fn(|| text.next(model, &control).unwrap()).collect()
    }

    #[test]
    fn texts_side_by_side_are_those_written_alone() {
        for name in NAMES {
            let model = model(name);
            let (all, prompt) = (changes(&model), [3, 1, 4, 1, 5]);
            for most in [0, 1, 24] {
                let together = model.written_with_each(&all, &prompt, most, &Control::new()).unwrap();
                for ((layer, weight), text) in all.iter().zip(&together) {
                    let wanted = alone(&model.with_weight(*layer, Arc::clone(weight)), &prompt, most);
                    assert_eq!(*text, wanted, "{name} {layer}");
                }
            }
            let unlike = model.written_with_each(&all, &prompt, 24, &Control::new()).unwrap();
            assert!(unlike.iter().any(|text| Some(text) != unlike.last()), "{name}: the changes change nothing");
        }
    }

    #[test]
    fn the_context_ends_them_and_a_prompt_beyond_it_is_an_error() {
        let model = model("llama");
        let (context, all) = (model.architecture().context, changes(&model));
        let prompt: Vec<u32> = (0..context as u32 - 2).map(|i| i % 29).collect();
        let together = model.written_with_each(&all[..3], &prompt, 50, &Control::new()).unwrap();
        for ((layer, weight), text) in all.iter().zip(&together) {
            assert_eq!(*text, alone(&model.with_weight(*layer, Arc::clone(weight)), &prompt, 50));
        }
        let long = [&prompt[..], &[1, 2, 3]].concat();
        assert!(matches!(model.written_with_each(&all, &long, 1, &Control::new()), Err(ModelError::Context { .. })));
        assert!(matches!(model.written_with_each(&all, &[], 1, &Control::new()), Err(ModelError::Empty)));
        let control = Control::new();
        control.cancel();
        assert!(model.written_with_each(&all, &[1], 1, &control).is_err());
    }
}
