//! What a change of one layer does to a model: every trial restarts where its block begins, so it costs the rest of the pass.

use std::ops::Range;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::compare::{WindowPass, first_scored, log_sums, next_tokens, score, text_windows};
use super::logits::LogSum;
use super::{CompareOptions, MeasureError, PositionStats, Reference};
use crate::control::Control;
use crate::model::{CompressedLinear, Model, ModelError, Observer};

/// Most bytes of trial weights and hidden states that are kept at a time.
pub(super) const HELD: u64 = 1 << 30;

/// One change to try.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The layer's index in the model.
    pub layer: usize,
    /// What it runs instead.
    pub weight: Arc<CompressedLinear>,
    /// What is done with it.
    pub effect: Effect,
}

/// What a trial does to its layer. Noise is Gaussian, of the size of the change (norm of the output's error over each window),
/// the same in all directions, seed 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The layer runs the trial's weight.
    Change,
    /// The layer stays as it is, and noise is added to its output.
    Noise,
    /// The layer runs the trial's weight, and noise is added to its output.
    ChangeAndNoise,
}

/// What a trial did: means over the scored positions, against the original.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrialResult {
    /// Scored positions.
    pub tokens: usize,
    /// KLD in nats, and its standard error.
    pub kld: (f64, f64),
    /// Cosine of the logits.
    pub cosine: f64,
    /// Mean squared difference of the logits.
    pub mse: f64,
    /// Share of positions with the same top token.
    pub top1: f64,
    /// Perplexity over the original's.
    pub perplexity_ratio: f64,
    /// ||(W - W')X||_F / ||WX||_F over every position of the text, as the layer's input is in this model; W is the original's.
    pub output_error: f64,
}

/// Runs `base` with one change at a time over the windows of a text, and compares each with `original` (the same model, where
/// the changes are to be seen alone). The order of sums does not depend on threads: a trial that changes nothing gives exactly
/// the figures of `base`, zeros where that is the original. `done` is called with a trial's place as soon as it is known.
///
/// # Errors
/// Model errors; a text too short to score; cancelled.
pub fn run_trials<'a>(
    (original, base): (impl Into<Reference<'a>>, &Model),
    trials: &[Trial],
    options: &CompareOptions,
    done: &(dyn Fn(usize, &TrialResult) + Sync),
    control: &Control,
) -> Result<Vec<TrialResult>, MeasureError> {
    let original = original.into();
    let windows = text_windows(original.model.architecture().context, options)?;
    control.set_total((trials.len() * windows.len()) as u64);
    try_on(&mut Starts::new((original, base), &windows), trials, done, control)
}

/// [`run_trials`] over windows that are cut already; a step of progress for each trial of each window.
pub(super) fn try_on(
    starts: &mut Starts<'_>,
    trials: &[Trial],
    done: &(dyn Fn(usize, &TrialResult) + Sync),
    control: &Control,
) -> Result<Vec<TrialResult>, MeasureError> {
    let mut results = Vec::with_capacity(trials.len());
    for part in parts(trials.iter().map(|trial| trial.weight.bytes())) {
        let first = part.start;
        let trials = trials.get(part).unwrap_or_default();
        let mut sums = vec![Sum::default(); trials.len()];
        for window in 0..starts.windows.len() {
            let start = starts.at(window, control)?;
            let each = trials.par_iter().zip(&mut sums);
            each.try_for_each(|(trial, sum)| {
                sum.add(&start.run(trial, control)?);
                control.advance(1);
                Ok::<_, ModelError>(())
            })?;
        }
        for (place, sum) in sums.into_iter().enumerate() {
            let result = sum.finish();
            done(first + place, &result);
            results.push(result);
        }
    }
    Ok(results)
}

/// Trials, by the bytes of their weights, in parts that are held together.
pub(super) fn parts(trials: impl Iterator<Item = u64>) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut held = 0_u64;
    for (place, bytes) in trials.enumerate() {
        held = held.saturating_add(bytes);
        if let Some(part) = parts.last_mut().filter(|_| held <= HELD) {
            part.end = place + 1;
        } else {
            parts.push(place..place + 1);
            held = bytes;
        }
    }
    parts
}

/// The windows that trials start from, each made when it is first asked for. Those that can be held are made once, the others
/// once for every part of the trials.
pub(super) struct Starts<'a> {
    original: Reference<'a>,
    base: &'a Model,
    windows: &'a [Vec<u32>],
    made: Vec<Option<Arc<Start<'a>>>>,
    held: usize,
}

impl<'a> Starts<'a> {
    pub(super) fn new((original, base): (Reference<'a>, &'a Model), windows: &'a [Vec<u32>]) -> Self {
        let longest = windows.first().map_or(0, Vec::len);
        let shape = base.architecture();
        let numbers = longest * (shape.blocks + 1) * shape.hidden + longest.div_ceil(2) * shape.vocabulary;
        let held = held(windows.len(), 4 * numbers as u64);
        Self { original: original.over(windows.len(), longest), base, windows, made: vec![None; windows.len()], held }
    }

    fn at(&mut self, window: usize, control: &Control) -> Result<Arc<Start<'a>>, ModelError> {
        if let Some(Some(made)) = self.made.get(window) {
            return Ok(Arc::clone(made));
        }
        let text = self.windows.get(window).map_or(&[][..], Vec::as_slice);
        let start = Arc::new(Start::new(self.original, self.base, text, control)?);
        if let Some(place) = self.made.get_mut(window).filter(|_| window < self.held) {
            *place = Some(Arc::clone(&start));
        }
        Ok(start)
    }
}

/// How many of so many windows, of which each takes so many bytes, are held; where not all are, there is room for one more.
fn held(windows: usize, each: u64) -> usize {
    let fit = usize::try_from(HELD / each.max(1)).unwrap_or(usize::MAX);
    if windows <= fit { windows } else { fit.saturating_sub(1) }
}

/// One window: what the original says, and what enters each block of the base.
struct Start<'a> {
    original: &'a Model,
    base: &'a Model,
    window: &'a [u32],
    logits: Vec<f32>,
    sums: Vec<LogSum>,
    entering: Vec<Vec<f32>>,
}

impl<'a> Start<'a> {
    fn new(original: Reference<'a>, base: &'a Model, window: &'a [u32], control: &Control) -> Result<Self, ModelError> {
        // The last token has no next one, and is not read.
        let read = window.get(..window.len() - 1).unwrap_or_default();
        let mut x = base.embeddings(read)?;
        let mut entering = Vec::with_capacity(base.architecture().blocks);
        for block in 0..base.architecture().blocks {
            entering.push(x.clone());
            base.run_blocks(block..block + 1, &mut x, None, control)?;
        }
        entering.push(x);
        let pass = if std::ptr::eq(original.model, base) {
            original.pass_by(window, || ended(base, window, &entering, control))?
        } else {
            original.pass(window, control)?
        };
        let (logits, original) = (pass.logits, original.model);
        let sums = log_sums(&logits, original.architecture().vocabulary);
        Ok(Self { original, base, window, logits, sums, entering })
    }

    fn run(&self, trial: &Trial, control: &Control) -> Result<Seen, ModelError> {
        let blocks = self.base.architecture().blocks;
        let block = self.base.layers().get(trial.layer).and_then(|layer| layer.block).unwrap_or(blocks).min(blocks);
        let x = self.entering.get(block).cloned().unwrap_or_default();
        let mut watch = Watched::new(self.original, self.base, trial);
        let changed = self.base.with_weight(trial.layer, Arc::clone(&trial.weight));
        let model = if trial.effect == Effect::Noise { self.base } else { &changed };
        let scored = first_scored(self.window.len());
        // The error of a layer is measured over every token, which those of the last block may see only if all are asked for.
        let asked = if block + 1 < blocks { scored } else { 0 };
        let x = model.run_to_end(block, asked, x, Some(&mut watch), control)?;
        let shape = self.base.architecture();
        let rows = x.get((scored - asked) * shape.hidden..).unwrap_or_default();
        let logits = model.finish(rows, Some(&mut watch), control)?;
        let original = (&self.logits[..], &self.sums[..]);
        let positions = score(next_tokens(self.window), original, &logits, shape.vocabulary);
        Ok(Seen { positions, error: watch.error, whole: watch.whole })
    }
}

/// The pass of a window whose states are known up to the end of the last block, equal to the bit to the one run as a whole.
fn ended(model: &Model, window: &[u32], entering: &[Vec<f32>], control: &Control) -> Result<WindowPass, ModelError> {
    let (last, before) = entering.split_last().ok_or(ModelError::Empty)?;
    let mut states: Vec<Vec<f32>> = before.iter().map(|x| scored_rows(x, window.len()).to_vec()).collect();
    let logits = model.finish(scored_rows(last, window.len()), Some(&mut states), control)?;
    Ok(WindowPass { logits, states })
}

/// Of `x`, a row for each token of a window but its last, the rows that are scored.
fn scored_rows(x: &[f32], length: usize) -> &[f32] {
    x.get(first_scored(length) * (x.len() / (length - 1).max(1))..).unwrap_or_default()
}

/// What one window says of a trial.
struct Seen {
    positions: Vec<PositionStats>,
    error: f64,
    whole: f64,
}

/// Sums over windows, in the order of the positions.
#[derive(Debug, Clone, Default)]
struct Sum {
    tokens: usize,
    kld: f64,
    kld_squares: f64,
    cosine: f64,
    mse: f64,
    agreed: usize,
    /// Of ln p(next), original minus compressed.
    surprise: f64,
    /// ||(W - W')X||^2 and ||WX||^2.
    error: f64,
    whole: f64,
}

impl Sum {
    fn add(&mut self, seen: &Seen) {
        for position in &seen.positions {
            self.tokens += 1;
            self.kld += position.kld;
            self.kld_squares += position.kld * position.kld;
            self.cosine += position.cosine;
            self.mse += position.mse;
            self.agreed += usize::from(position.top1);
            self.surprise += position.nll.map_or(0.0, |(original, changed)| changed - original);
        }
        self.error += seen.error;
        self.whole += seen.whole;
    }

    fn finish(&self) -> TrialResult {
        let n = self.tokens as f64;
        let kld = self.kld / n;
        // Not by max, which would make a number of NaN.
        let variance = (self.kld_squares / n - kld * kld).clamp(0.0, f64::INFINITY);
        TrialResult {
            tokens: self.tokens,
            kld: (kld, (variance / (n - 1.0)).sqrt()),
            cosine: self.cosine / n,
            mse: self.mse / n,
            top1: self.agreed as f64 / n,
            perplexity_ratio: (self.surprise / n).exp(),
            output_error: if self.whole > 0.0 { (self.error / self.whole).sqrt() } else { 0.0 },
        }
    }
}

/// Measures the error of the trial's layer where it reads its input, and disturbs its output where that is asked for.
struct Watched<'a> {
    layer: usize,
    /// The base's and the trial's.
    weights: Option<[&'a CompressedLinear; 2]>,
    /// Which of them is the original's.
    whole_of: usize,
    noise: Option<ChaCha8Rng>,
    error: f64,
    whole: f64,
}

impl<'a> Watched<'a> {
    fn new(original: &Model, base: &'a Model, trial: &'a Trial) -> Self {
        let weights = base.weight(trial.layer).map(|own| [&**own, &*trial.weight]);
        let restores = original.weight(trial.layer).is_some_and(|weight| Arc::ptr_eq(weight, &trial.weight));
        let noise = (trial.effect != Effect::Change).then(|| ChaCha8Rng::seed_from_u64(0));
        Self { layer: trial.layer, weights, whole_of: usize::from(restores), noise, error: 0.0, whole: 0.0 }
    }
}

impl Observer for Watched<'_> {
    fn input(&mut self, layers: &[usize], x: &[f32]) {
        let Some([own, other]) = self.weights.filter(|_| layers.contains(&self.layer)) else { return };
        let (error, wholes) = output_squares([own, other], x);
        self.error += error;
        self.whole += wholes[self.whole_of];
    }

    fn output(&mut self, layer: usize, y: &mut [f32]) {
        if let Some(noise) = self.noise.as_mut().filter(|_| layer == self.layer) {
            let scale = (self.error / y.len().max(1) as f64).sqrt();
            y.iter_mut().for_each(|y| *y += (scale * gaussian(noise)) as f32);
        }
    }
}

/// ||(W - W')X||^2 and ||WX||^2, ||W'X||^2 of two weights of one shape over inputs `x` [t, n].
pub(super) fn output_squares(weights: [&CompressedLinear; 2], x: &[f32]) -> (f64, [f64; 2]) {
    let [a, b] = weights.map(|weight| {
        let (rows, cols) = weight.shape();
        let mut y = vec![0.0; x.len() / cols.max(1) * rows];
        weight.apply(x, &mut y);
        y
    });
    let square = |x: f32| f64::from(x) * f64::from(x);
    let error = a.iter().zip(&b).map(|(a, b)| square(a - b)).sum();
    (error, [&a, &b].map(|y| y.iter().map(|y| square(*y)).sum()))
}

/// A standard normal number (Box and Muller 1958).
fn gaussian(random: &mut ChaCha8Rng) -> f64 {
    let mut uniform = || (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    let (a, b) = (1.0 - uniform(), uniform());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::linalg::Matrix;
    use crate::measure::{KeptPasses, compare};

    fn model(name: &str) -> Model {
        Model::load(&Checkpoint::open(format!("tests/data/golden/{name}").as_ref()).unwrap()).unwrap()
    }

    fn options() -> CompareOptions {
        CompareOptions { ids: (0..60).map(|i| i * 7 % 31).collect(), bos: None, limit: None }
    }

    /// The layer's matrix, each element times (1 + share) on every other place.
    fn bent(model: &Model, layer: usize, share: f32) -> Arc<CompressedLinear> {
        let weight = model.weight(layer).unwrap();
        let (rows, cols) = weight.shape();
        let mut w = weight.to_f32();
        w.iter_mut().step_by(2).for_each(|w| *w *= 1.0 + share);
        Arc::new(CompressedLinear::dense(Matrix::from_f32(rows, cols, &w).unwrap()))
    }

    fn run(model: &Model, trials: &[Trial]) -> Vec<TrialResult> {
        run_trials((model, model), trials, &options(), &|_, _| {}, &Control::new()).unwrap()
    }

    #[test]
    fn a_trial_that_changes_nothing_is_exactly_zero() {
        for name in ["gpt_neo", "gpt2", "llama"] {
            let model = model(name);
            for layer in 0..model.layers().len() {
                for effect in [Effect::Change, Effect::Noise, Effect::ChangeAndNoise] {
                    let weight = Arc::clone(model.weight(layer).unwrap());
                    let found = &run(&model, &[Trial { layer, weight, effect }])[0];
                    let TrialResult { kld, mse, top1, perplexity_ratio, output_error, .. } = *found;
                    assert_eq!((kld, mse, output_error), ((0.0, 0.0), 0.0, 0.0));
                    assert_eq!((top1, perplexity_ratio), (1.0, 1.0));
                }
            }
        }
    }

    #[test]
    fn a_trial_is_the_comparison_with_the_changed_model() {
        for name in ["gpt_neo", "gpt2", "llama"] {
            let model = model(name);
            for layer in [0, model.layers().len() / 2, model.layers().len() - 1] {
                let weight = bent(&model, layer, 0.3);
                let whole =
                    compare(&model, &model.with_weight(layer, Arc::clone(&weight)), &options(), &Control::new())
                        .unwrap();
                let found = &run(&model, &[Trial { layer, weight, effect: Effect::Change }])[0];
                assert_eq!(
                    (found.kld.0, found.mse, found.tokens),
                    (whole.kld.mean, whole.mse.0, whole.tokens),
                    "{name} {layer}"
                );
                assert!((found.kld.1 / whole.kld.mean_se - 1.0).abs() < 1e-6);
                assert!((found.perplexity_ratio - whole.perplexity.ratio).abs() < 1e-9 && found.output_error > 0.0);
            }
        }
    }

    #[test]
    fn noise_is_as_large_as_the_change_and_the_same_every_time() {
        let model = model("llama");
        let weight = bent(&model, 3, 0.2);
        let trials =
            [Effect::Noise, Effect::Change].map(|effect| Trial { layer: 3, weight: Arc::clone(&weight), effect });
        let [noisy, changed] = run(&model, &trials).try_into().unwrap();
        assert!((noisy.output_error - changed.output_error).abs() < 1e-15);
        assert!(noisy.kld.0 > 0.0 && (noisy.kld.0 - changed.kld.0).abs() > 1e-9);
        assert_eq!(run(&model, &trials)[0], noisy);
    }

    #[test]
    fn the_pass_that_a_scan_of_the_original_keeps_is_the_one_that_a_comparison_runs() {
        for name in ["gpt_neo", "llama"] {
            let (model, control) = (model(name), Control::new());
            let windows = text_windows(model.architecture().context, &options()).unwrap();
            let place = tempfile::tempdir().unwrap();
            let passes = KeptPasses::new(place.path().to_owned(), &model, "source");
            let reference = Reference { model: &model, passes: Some(&passes) };
            Starts::new((reference, &model), &windows).at(0, &control).unwrap();
            assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
            let kept = reference.pass(&windows[0], &control).unwrap();
            let run = Reference::from(&model).pass(&windows[0], &control).unwrap();
            assert_eq!((kept.logits, kept.states), (run.logits, run.states), "{name}");
        }
    }

    #[test]
    fn as_many_windows_are_held_as_have_room() {
        let found =
            [(3, HELD / 3), (4, HELD / 3), (4, HELD / 2), (2, HELD + 1), (9, 0)].map(|(all, each)| held(all, each));
        assert_eq!(found, [3, 2, 1, 0, 9]);
    }

    #[test]
    fn many_weights_are_tried_in_parts() {
        assert_eq!(parts([HELD / 2, HELD / 2, 1, HELD + 5, 2, 3].into_iter()), [0..2, 2..3, 3..4, 4..6]);
        assert_eq!(parts(std::iter::empty()), Vec::<Range<usize>>::new());
    }
}
