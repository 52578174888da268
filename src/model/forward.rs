//! Tokens through a model.

use std::ops::Range;

use super::architecture::Place;
use super::block::Pass;
use super::decoder::{Cache, Head, Model};
use super::{ModelError, Observer};
use crate::control::{Control, afford};
use crate::linalg::{awake, row_by_row};

/// Tokens that go through the blocks at once: enough to reuse each weight many times, few enough to stay in cache.
pub(super) const BATCH: usize = 256;

impl Model {
    /// Continues `cache` by `ids`; returns the logits [vocabulary] of the last one.
    ///
    /// # Errors
    /// Context exceeded, id out of the vocabulary, no ids, a file that changed while open, cancelled; the cache is then as
    /// before.
    pub fn forward(&self, ids: &[u32], cache: &mut Cache, control: &Control) -> Result<Vec<f32>, ModelError> {
        awake(|| self.continued(ids, cache, control))
    }

    fn continued(&self, ids: &[u32], cache: &mut Cache, control: &Control) -> Result<Vec<f32>, ModelError> {
        self.check(ids, cache.len())?;
        if let Some((all, before)) = self.anew(ids, cache) {
            return self.continued(&all, cache, control).inspect_err(|_| *cache = before);
        }
        let (before, tokens) = (cache.len(), cache.len() + ids.len());
        self.see_room(cache.len(), ids.len(), (ids.len().min(BATCH), 1))?;
        let mut last = Vec::new();
        for batch in ids.chunks(BATCH) {
            let mut pass = Pass::new(self, cache.len(), tokens, None);
            let asked = batch.len() - usize::from(cache.len() + batch.len() == tokens);
            last =
                self.batch(batch, asked, &mut [cache], &mut pass, control).inspect_err(|_| cache.truncate(before))?;
        }
        cache.made_for = tokens;
        self.logits(&last, &mut Pass::new(self, before, tokens, None), control)
    }

    /// As [`Model::forward`], with the logits [t, vocabulary] of every id, watched by `observer`. All ids go through at
    /// once, so memory grows with their number.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn forward_all(
        &self,
        ids: &[u32],
        cache: &mut Cache,
        observer: Option<&mut dyn Observer>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        self.check(ids, cache.len())?;
        if let Some((all, before)) = self.anew(ids, cache) {
            let logits = self.forward_all(&all, cache, observer, control).inspect_err(|_| *cache = before)?;
            let earlier = (all.len() - ids.len()) * self.architecture().vocabulary;
            return Ok(logits.get(earlier..).unwrap_or_default().to_vec());
        }
        let (before, tokens) = (cache.len(), cache.len() + ids.len());
        self.see_room(before, ids.len(), (ids.len(), ids.len()))?;
        let mut pass = Pass::new(self, before, tokens, observer);
        let hidden = self.batch(ids, 0, &mut [cache], &mut pass, control).inspect_err(|_| cache.truncate(before))?;
        cache.made_for = tokens;
        self.logits(&hidden, &mut pass, control)
    }

    /// Where the keys that `cache` holds do not serve a text that is longer by `ids`: all tokens, to be read into the cache,
    /// which is then empty, and what it was.
    fn anew(&self, ids: &[u32], cache: &mut Cache) -> Option<(Vec<u32>, Cache)> {
        let tokens = cache.len() + ids.len();
        if cache.is_empty() || !self.frame.ropes.iter().any(|rope| rope.renews(cache.made_for, tokens)) {
            return None;
        }
        let before = std::mem::replace(cache, self.cache());
        Some(([&before.ids, ids].concat(), before))
    }

    /// What enters the first block for a window of `ids` from position 0 on: [t, hidden]. With [`Model::run_blocks`] and
    /// [`Model::finish`] this is [`Model::forward_all`] in pieces, equal to the bit.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn embeddings(&self, ids: &[u32]) -> Result<Vec<f32>, ModelError> {
        self.check(ids, 0)?;
        Ok(self.embed(ids, &Pass::new(self, 0, ids.len(), None)))
    }

    /// Takes `x` [t, hidden], what enters block `blocks.start` for a whole window from position 0 on, to what leaves the last
    /// of `blocks`. Blocks that do not exist do nothing. The observer sees no hidden states, these being `x`.
    ///
    /// # Errors
    /// Cancelled, a file that changed while open; `x` is then between two blocks.
    pub fn run_blocks(
        &self,
        blocks: Range<usize>,
        x: &mut [f32],
        observer: Option<&mut dyn Observer>,
        control: &Control,
    ) -> Result<(), ModelError> {
        self.run_asked(blocks, 0, x, observer, control)
    }

    /// As [`Model::run_blocks`] from a block to the last, for the tokens from `asked` on: [t - asked, hidden]. The layers of the
    /// last block that come after its attention see no others.
    ///
    /// # Errors
    /// As [`Model::run_blocks`].
    pub fn run_to_end(
        &self,
        block: usize,
        asked: usize,
        mut x: Vec<f32>,
        observer: Option<&mut dyn Observer>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        self.run_asked(block..self.frame.blocks.len(), asked, &mut x, observer, control)?;
        x.drain(..(asked * self.architecture().hidden).min(x.len()));
        Ok(x)
    }

    fn run_asked(
        &self,
        blocks: Range<usize>,
        asked: usize,
        x: &mut [f32],
        observer: Option<&mut dyn Observer>,
        control: &Control,
    ) -> Result<(), ModelError> {
        let tokens = x.len() / self.architecture().hidden.max(1);
        let mut pass = Pass::new(self, 0, tokens, observer);
        let last = blocks.end;
        for index in blocks {
            control.check()?;
            pass.asked = if index + 1 == last { asked } else { 0 };
            self.block(index, x, &mut [&mut self.block_cache()], &mut pass);
            self.check_read()?;
        }
        self.check_files()
    }

    /// The final norm and the head: the logits [t, vocabulary] of what left the last block [t, hidden].
    ///
    /// # Errors
    /// Cancelled.
    pub fn finish(
        &self,
        x: &[f32],
        observer: Option<&mut dyn Observer>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        let tokens = x.len() / self.architecture().hidden.max(1);
        let mut pass = Pass::new(self, 0, tokens, observer);
        let last = self.leave(x);
        pass.watch.hidden(self.frame.blocks.len(), &last);
        self.logits(&last, &mut pass, control)
    }

    pub(super) fn check(&self, ids: &[u32], held: usize) -> Result<(), ModelError> {
        let shape = self.architecture();
        let tokens = held + ids.len();
        if ids.is_empty() {
            return Err(ModelError::Empty);
        }
        if tokens > shape.context {
            return Err(ModelError::Context { tokens, context: shape.context });
        }
        match ids.iter().find(|id| **id as usize >= shape.vocabulary) {
            Some(id) => Err(ModelError::Token { id: *id, vocabulary: shape.vocabulary }),
            None => self.check_files(),
        }
    }

    /// Sees that the keys and values of `more` tokens after those `held`, and a pass of so many at once, of which so many are
    /// scored, find memory: what is refused in the middle of a pass would end the program.
    fn see_room(&self, held: usize, more: usize, (at_once, scored): (usize, usize)) -> Result<(), ModelError> {
        let all = self.cache_bytes(held.saturating_add(more));
        if all > self.cache_bytes(held) {
            afford(all)?;
        }
        if at_once > 1 {
            afford(self.pass_bytes(at_once, scored))?;
        }
        Ok(())
    }

    /// The blocks over one batch, as many ids of each text; what the head reads [t - asked, embedding], of the tokens from `asked`
    /// on: of those before it the last block works out keys and values alone.
    pub(super) fn batch(
        &self,
        ids: &[u32],
        asked: usize,
        texts: &mut [&mut Cache],
        pass: &mut Pass<'_, '_>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        let blocks = self.frame.blocks.len();
        let mut x = self.embed(ids, pass);
        pass.watch.hidden(0, &x);
        for index in 0..blocks {
            control.check()?;
            pass.asked = if index + 1 == blocks { asked } else { 0 };
            let mut held: Vec<_> = texts.iter_mut().filter_map(|cache| cache.blocks.get_mut(index)).collect();
            self.block(index, &mut x, &mut held, pass);
            self.check_read()?;
            if index + 1 < blocks {
                pass.watch.hidden(index + 1, &x);
            }
        }
        let each = (ids.len() / texts.len().max(1)).max(1);
        texts.iter_mut().zip(ids.chunks_exact(each)).for_each(|(cache, ids)| cache.ids.extend_from_slice(ids));
        let last = self.leave(x.get(asked * self.architecture().hidden..).unwrap_or_default());
        pass.watch.hidden(blocks, &last);
        Ok(last)
    }

    /// What enters the first block [t, hidden].
    fn embed(&self, ids: &[u32], pass: &Pass<'_, '_>) -> Vec<f32> {
        let (shape, stem) = (self.architecture(), &self.frame.stem);
        let mut x = vec![0.0; ids.len() * shape.embedding];
        for (id, row) in ids.iter().zip(x.chunks_exact_mut(shape.embedding.max(1))) {
            stem.embedding.row(*id as usize, row);
        }
        scale(&mut x, shape.scales.embedding);
        if let Some([into, _]) = &stem.projections {
            let mut wide = vec![0.0; ids.len() * shape.hidden];
            into.apply(&x, &mut wide);
            x = wide;
        }
        if let Some(table) = &stem.positions {
            let mut position = vec![0.0; shape.hidden];
            for (at, row) in pass.positions(ids.len()).zip(x.chunks_exact_mut(shape.hidden.max(1))) {
                table.row(at + shape.skipped_positions(), &mut position);
                add(row, &position);
            }
        }
        stem.norms.apply_in_place(Place::Embedding, &mut x);
        x
    }

    /// From what leaves the last block [t, hidden] to what the head reads [t, embedding].
    fn leave(&self, x: &[f32]) -> Vec<f32> {
        let (shape, stem) = (self.architecture(), &self.frame.stem);
        let last = stem.norms.apply(Place::Final, x);
        let Some([_, out]) = &stem.projections else { return last };
        let mut narrow = vec![0.0; x.len() / shape.hidden.max(1) * shape.embedding];
        out.apply(&last, &mut narrow);
        narrow
    }

    /// Logits of what the head reads [t, embedding].
    pub(super) fn logits(
        &self,
        last: &[f32],
        pass: &mut Pass<'_, '_>,
        control: &Control,
    ) -> Result<Vec<f32>, ModelError> {
        control.check()?;
        let shape = self.architecture();
        let mut logits = match &self.frame.head {
            Head::Own(map) => self.linear(map, last, pass),
            Head::Tied(bias) => {
                let mut logits = vec![0.0; last.len() / shape.embedding.max(1) * shape.vocabulary];
                self.frame.stem.embedding.apply(last, &mut logits);
                if !bias.is_empty() {
                    logits.chunks_exact_mut(shape.vocabulary.max(1)).for_each(|row| add(row, bias));
                }
                logits
            }
        };
        logits.iter_mut().for_each(|logit| *logit /= shape.scales.logits);
        if let Some(cap) = shape.scales.cap {
            logits.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
        }
        self.check_files()?;
        Ok(logits)
    }
}

/// x += y.
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    row_by_row(x, 1, |first, x| {
        let y = y.get(first..).unwrap_or_default();
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    });
}

/// x *= factor.
pub(super) fn scale(x: &mut [f32], factor: f32) {
    if factor.to_bits() != 1.0_f32.to_bits() {
        row_by_row(x, 1, |_, x| x.iter_mut().for_each(|x| *x *= factor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::control::OutOfMemory;
    use crate::model::{Kind, Layer};

    const NAMES: [&str; 9] = [
        "gpt_neo",
        "gpt2",
        "llama",
        "gemma3_text",
        "falcon_new_decoder",
        "bloom",
        "opt_350m_style",
        "mixtral",
        "qwen3_moe",
    ];

    fn of_expert(layer: &Layer) -> bool {
        matches!(layer.kind, Kind::ExpertGate | Kind::ExpertUp | Kind::ExpertDown)
    }

    fn model(name: &str) -> Model {
        let path = format!("tests/data/golden/{name}");
        Model::load(&Checkpoint::open(path.as_ref()).unwrap()).unwrap()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|x| x.to_bits()).collect()
    }

    /// Notes what it sees; doubles the output of one layer.
    #[derive(Default)]
    struct Notes {
        inputs: Vec<(Vec<usize>, usize)>,
        outputs: Vec<usize>,
        doubled: Option<usize>,
    }

    impl Observer for Notes {
        fn input(&mut self, layers: &[usize], x: &[f32]) {
            self.inputs.push((layers.to_vec(), x.len()));
        }

        fn output(&mut self, layer: usize, y: &mut [f32]) {
            self.outputs.push(layer);
            if self.doubled == Some(layer) {
                y.iter_mut().for_each(|y| *y *= 2.0);
            }
        }
    }

    #[test]
    fn the_pieces_are_the_whole_to_the_bit() {
        for name in NAMES {
            let (model, control) = (model(name), Control::new());
            let ids: Vec<u32> = (0..19).map(|i| i * 7 % 31).collect();
            let whole = model.forward_all(&ids, &mut model.cache(), None, &control).unwrap();
            let mut x = model.embeddings(&ids).unwrap();
            model.run_blocks(0..1, &mut x, None, &control).unwrap();
            model.run_blocks(1..model.architecture().blocks, &mut x, None, &control).unwrap();
            assert_eq!(bits(&model.finish(&x, None, &control).unwrap()), bits(&whole), "{name}");
            for asked in [0, 7, 18] {
                let x = model.run_to_end(0, asked, model.embeddings(&ids).unwrap(), None, &control).unwrap();
                let later = &whole[asked * model.architecture().vocabulary..];
                assert_eq!(bits(&model.finish(&x, None, &control).unwrap()), bits(later), "{name} {asked}");
            }
        }
    }

    #[test]
    fn a_prompt_of_several_batches_is_the_whole_to_the_bit() {
        for name in ["bloom", "falcon_new_decoder"] {
            let (model, control) = (model(name), Control::new());
            for tokens in [BATCH, 2 * BATCH + 5] {
                let ids: Vec<u32> = (0..tokens as u32).map(|i| i * 7 % 31).collect();
                let [mut at_once, mut in_batches] = [model.cache(), model.cache()];
                let whole = model.forward_all(&ids, &mut at_once, None, &control).unwrap();
                let last = model.forward(&ids, &mut in_batches, &control).unwrap();
                assert_eq!(bits(&last), bits(&whole[whole.len() - model.architecture().vocabulary..]), "{name}");
                let [next, later] = [at_once, in_batches].map(|mut cache| model.forward(&[3], &mut cache, &control));
                assert_eq!(bits(&next.unwrap()), bits(&later.unwrap()), "{name}");
            }
        }
    }

    #[test]
    fn a_text_beyond_memory_is_an_error_and_leaves_the_cache_as_it_was() {
        let model = model("llama");
        let mut cache = model.cache();
        model.forward(&[1, 2, 3], &mut cache, &Control::new()).unwrap();
        let more = 1 << 50;
        let told = model.see_room(cache.len(), more, (1, 1)).unwrap_err().to_string();
        assert!(told.starts_with(&OutOfMemory(model.cache_bytes(more + 3)).to_string()), "{told}");
        assert!(model.see_room(cache.len(), 1, (1 << 50, 1)).is_err());
        assert_eq!(cache.len(), 3);
        assert!(model.forward(&[4], &mut cache, &Control::new()).is_ok());
    }

    #[test]
    fn each_layer_is_seen_once_with_its_input() {
        for name in NAMES {
            let (model, mut notes) = (model(name), Notes::default());
            model.forward_all(&[1, 2, 3], &mut model.cache(), Some(&mut notes), &Control::new()).unwrap();
            let mut seen: Vec<usize> = notes.inputs.iter().flat_map(|(layers, _)| layers.clone()).collect();
            for (layers, length) in &notes.inputs {
                for layer in layers.iter().map(|layer| &model.layers()[*layer]) {
                    let tokens = length / layer.cols;
                    assert!(tokens == 3 || (tokens < 3 && of_expert(layer)), "{name} {}", layer.name);
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..model.layers().len()).collect::<Vec<_>>(), "{name}");
            notes.outputs.sort_unstable();
            assert_eq!(seen, notes.outputs);
        }
    }

    #[test]
    fn experts_see_the_tokens_that_were_sent_to_them() {
        for (name, chosen, maps) in [("mixtral", 2, 3), ("qwen3_moe", 2, 3)] {
            let (model, mut notes) = (model(name), Notes::default());
            model.forward_all(&[1, 2, 3, 4, 5], &mut model.cache(), Some(&mut notes), &Control::new()).unwrap();
            let tokens = |(layers, length): &(Vec<usize>, usize)| {
                let each = layers.iter().map(|layer| &model.layers()[*layer]).filter(|layer| of_expert(layer));
                each.map(|layer| length / layer.cols).sum::<usize>()
            };
            let worked: usize = notes.inputs.iter().map(tokens).sum();
            assert_eq!(worked, 5 * chosen * maps * model.architecture().blocks, "{name}");
        }
    }

    #[test]
    fn a_disturbed_output_is_what_the_model_goes_on_with() {
        for name in NAMES {
            let (model, control) = (model(name), Control::new());
            let whole = model.forward_all(&[4, 5, 6], &mut model.cache(), None, &control).unwrap();
            let mut seen = Notes::default();
            model.forward_all(&[4, 5, 6], &mut model.cache(), Some(&mut seen), &control).unwrap();
            let idle = |layer| seen.inputs.iter().any(|(layers, length)| layers.contains(&layer) && *length == 0);
            for layer in (0..model.layers().len()).filter(|layer| !idle(*layer)) {
                let mut notes = Notes { doubled: Some(layer), ..Notes::default() };
                let other = model.forward_all(&[4, 5, 6], &mut model.cache(), Some(&mut notes), &control).unwrap();
                assert_ne!(bits(&whole), bits(&other), "{name} {}", model.layers()[layer].name);
            }
        }
    }
}
