//! Original against compressed, position by position over a text.

use std::ops::Range;

use rayon::prelude::*;
use serde::Serialize;

use super::logits::{Distribution, LogSum, compare_distributions, cosine};
use super::statistics::{mean_and_error, share_and_error};
use super::{Kld, MeasureError, Perplexity, PositionStats, Reference};
use crate::control::Control;
use crate::model::{Model, ModelError, Observer};

/// Longest window, in tokens.
pub(super) const WINDOW: usize = 512;
/// Shortest window that scores a position: one token to read, one to predict.
const SHORTEST: usize = 2;

/// What to compare on.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// Ids of the whole text (no BOS).
    pub ids: Vec<u32>,
    /// BOS that opens each window, where the tokenizer adds one.
    pub bos: Option<u32>,
    /// At most this many ids of the text are used.
    pub limit: Option<usize>,
}

/// Hidden state after one block (the last one after the final norm, as transformers returns it), original against
/// compressed, means over the scored positions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Block.
    pub block: usize,
    /// Mean cosine of the two states.
    pub cosine: f64,
    /// Mean of ||compressed|| / ||original||.
    pub norm_ratio: f64,
}

impl Drift {
    /// Whether the state kept its size: norm ratios of less than a half or more than two are named.
    pub fn is_sound(&self) -> bool {
        (0.5..=2.0).contains(&self.norm_ratio)
    }
}

/// `compare`'s JSON, without bytes (the face adds `bytes` and `bits_per_weight`).
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Scored positions.
    pub tokens: usize,
    /// Mean and least cosine of logits.
    pub cosine: (f64, f64),
    /// Mean squared logit difference and its standard error.
    pub mse: (f64, f64),
    /// KLD.
    pub kld: Kld,
    /// Mean and RMS of `p_compressed` - `p_original` of the text's token.
    pub delta_p: (f64, f64),
    /// Top-1 agreement and its binomial standard error.
    pub top1: (f64, f64),
    /// Perplexities.
    pub perplexity: Perplexity,
    /// Per block.
    pub drift: Vec<Drift>,
}

/// The windows of a text of `ids` tokens: min(512, context) each, BOS included where there is one; what is left over
/// at the end and fills no window is left out, as llama.cpp's `perplexity` does it. A text shorter than one window is
/// one window.
pub fn windows(ids: usize, context: usize, bos: bool) -> Vec<Range<usize>> {
    let length = WINDOW.min(context).saturating_sub(usize::from(bos)).max(1);
    if ids < length {
        return Vec::from_iter((ids > 0).then_some(0..ids));
    }
    (0..ids / length).map(|index| index * length..(index + 1) * length).collect()
}

/// The windows of a text for models of that context, each opened by BOS where there is one; those that score no position are
/// left out.
pub(super) fn text_windows(context: usize, options: &CompareOptions) -> Result<Vec<Vec<u32>>, MeasureError> {
    let ids = options.ids.get(..options.limit.unwrap_or(usize::MAX)).unwrap_or(&options.ids);
    let window = |range: Range<usize>| options.bos.into_iter().chain(ids[range].iter().copied()).collect();
    let windows = windows(ids.len(), context, options.bos.is_some()).into_iter().map(window);
    let windows: Vec<Vec<u32>> = windows.filter(|window: &Vec<u32>| window.len() >= SHORTEST).collect();
    if windows.is_empty() {
        return Err(MeasureError::TooShort { tokens: ids.len(), least: SHORTEST - usize::from(options.bos.is_some()) });
    }
    Ok(windows)
}

/// What one model says about one window.
#[derive(Debug, Clone)]
pub struct WindowPass {
    /// Logits [scored, vocabulary] of the scored positions.
    pub logits: Vec<f32>,
    /// Hidden states as [`Observer`] receives them, each [scored, hidden].
    pub states: Vec<Vec<f32>>,
}

impl Observer for Vec<Vec<f32>> {
    fn hidden(&mut self, _index: usize, state: &[f32]) {
        self.push(state.to_vec());
    }
}

/// The tokens that the scored positions of a window predict.
pub(super) fn next_tokens(window: &[u32]) -> &[u32] {
    window.get(first_scored(window.len()) + 1..).unwrap_or_default()
}

/// What makes logits [scored, vocabulary] distributions.
pub(super) fn log_sums(logits: &[f32], vocabulary: usize) -> Vec<LogSum> {
    logits.par_chunks(vocabulary).map(LogSum::of).collect()
}

/// Compares logits [scored, vocabulary] of the positions before the tokens `next`; those of the original with their sums.
pub(super) fn score(
    next: &[u32],
    (original, sums): (&[f32], &[LogSum]),
    compressed: &[f32],
    vocabulary: usize,
) -> Vec<PositionStats> {
    let original = original.par_chunks(vocabulary).zip(sums).map(|(logits, sum)| Distribution::with(logits, *sum));
    let pairs = original.zip(compressed.par_chunks(vocabulary).map(Distribution::new));
    pairs.zip(next).map(|((p, q), next)| compare_distributions(&p, &q, Some(*next))).collect()
}

/// First scored position of a window: its second half, of which the last token has no next one.
pub(super) fn first_scored(length: usize) -> usize {
    (length / 2).min(length.saturating_sub(SHORTEST))
}

/// Runs a model over one window (BOS included); its second half is scored.
///
/// # Errors
/// Model errors.
pub fn run_window(model: &Model, window: &[u32], control: &Control) -> Result<WindowPass, ModelError> {
    let mut states: Vec<Vec<f32>> = Vec::new();
    let logits = scored_pass(model, window, &mut states, control)?;
    Ok(WindowPass { logits, states })
}

/// Logits [scored, vocabulary] of a window's scored positions, which `observer` watches.
pub(super) fn scored_pass(
    model: &Model,
    window: &[u32],
    observer: &mut dyn Observer,
    control: &Control,
) -> Result<Vec<f32>, ModelError> {
    let scored_end = window.len().saturating_sub(1);
    let (read, scored) = window[..scored_end].split_at(first_scored(window.len()));
    let mut cache = model.cache();
    if !read.is_empty() {
        model.forward(read, &mut cache, control)?;
    }
    model.forward_all(scored, &mut cache, Some(observer), control)
}

/// Sums of one block's drift over positions.
#[derive(Debug, Clone, Copy, Default)]
struct DriftSum {
    cosine: f64,
    norm_ratio: f64,
}

/// Everything summed up so far.
#[derive(Debug, Default)]
struct Tally {
    positions: Vec<PositionStats>,
    drift: Vec<DriftSum>,
}

impl Tally {
    /// Adds a window that both models have run.
    fn add(&mut self, window: &[u32], original: &WindowPass, compressed: &WindowPass, vocabulary: usize) {
        let next = next_tokens(window);
        let sums = log_sums(&original.logits, vocabulary);
        self.positions.extend(score(next, (&original.logits, &sums), &compressed.logits, vocabulary));
        // State 0 is the embeddings, before any block.
        let states = original.states.iter().zip(&compressed.states).skip(1);
        let sums: Vec<_> = states.map(|(a, b)| drift_of(a, b, next.len())).collect();
        self.drift.resize(self.drift.len().max(sums.len()), DriftSum::default());
        for (all, new) in self.drift.iter_mut().zip(sums) {
            all.cosine += new.cosine;
            all.norm_ratio += new.norm_ratio;
        }
    }

    fn finish(self) -> Comparison {
        let n = self.positions.len();
        let of = |pick: &dyn Fn(&PositionStats) -> f64| self.positions.iter().map(pick).collect::<Vec<f64>>();
        let cosines = of(&|s| s.cosine);
        let delta_p: Vec<f64> = self.positions.iter().filter_map(|s| s.delta_p).collect();
        let squares: Vec<f64> = delta_p.iter().map(|d| d * d).collect();
        let mean = |sum: f64| sum / n as f64;
        let drift = self.drift.iter().enumerate();
        Comparison {
            tokens: n,
            cosine: (mean_and_error(&cosines).0, least(&cosines)),
            mse: mean_and_error(&of(&|s| s.mse)),
            kld: Kld::new(&of(&|s| s.kld)),
            delta_p: (mean_and_error(&delta_p).0, mean_and_error(&squares).0.sqrt()),
            top1: share_and_error(self.positions.iter().filter(|s| s.top1).count(), n),
            perplexity: Perplexity::new(&self.positions),
            drift: drift
                .map(|(block, sum)| Drift { block, cosine: mean(sum.cosine), norm_ratio: mean(sum.norm_ratio) })
                .collect(),
        }
    }
}

/// The least value; NaN if one is.
fn least(values: &[f64]) -> f64 {
    values
        .iter()
        .copied()
        .fold(f64::INFINITY, |least, value| if value < least || value.is_nan() { value } else { least })
}

/// Cosines and norm ratios of two states [positions, width], summed over positions.
fn drift_of(original: &[f32], compressed: &[f32], positions: usize) -> DriftSum {
    let width = (original.len() / positions.max(1)).max(1);
    let rows = original.chunks(width).zip(compressed.chunks(width));
    rows.fold(DriftSum::default(), |sum, (a, b)| DriftSum {
        cosine: sum.cosine + cosine(a, b),
        norm_ratio: sum.norm_ratio + norm_ratio(a, b),
    })
}

/// ||b|| / ||a||; 1 where both are zero.
fn norm_ratio(a: &[f32], b: &[f32]) -> f64 {
    let square = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    let (a, b) = (square(a), square(b));
    if a == 0.0 && b == 0.0 { 1.0 } else { (b / a).sqrt() }
}

/// Runs both models over the text, side by side, one window at a time; what is kept of the original is not run again, and a
/// model that is compared with itself is run once.
///
/// # Errors
/// Model errors; a text too short to score; vocabularies that differ.
pub fn compare<'a>(
    original: impl Into<Reference<'a>>,
    compressed: &Model,
    options: &CompareOptions,
    control: &Control,
) -> Result<Comparison, MeasureError> {
    let original = original.into();
    let (shape, other) = (original.model.architecture(), compressed.architecture());
    let vocabulary = shape.vocabulary;
    if vocabulary != other.vocabulary {
        return Err(MeasureError::Vocabulary { original: vocabulary, compressed: other.vocabulary });
    }
    let windows = text_windows(shape.context.min(other.context), options)?;
    let original = original.over(windows.len(), windows.first().map_or(0, Vec::len));
    control.set_total(windows.len() as u64);
    let mut tally = Tally::default();
    let itself = std::ptr::eq(original.model, compressed);
    for window in windows {
        let other = || (!itself).then(|| run_window(compressed, &window, control)).transpose();
        let (p, q) = rayon::join(|| original.pass(&window, control), other);
        let (p, q) = (p?, q?);
        tally.add(&window, &p, q.as_ref().unwrap_or(&p), vocabulary);
        control.advance(1);
    }
    Ok(tally.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_are_512_or_the_context_with_bos_inside() {
        assert_eq!(windows(1200, 2048, false), [0..512, 512..1024]);
        assert_eq!(windows(1200, 2048, true), [0..511, 511..1022]);
        assert_eq!(windows(100, 40, false), [0..40, 40..80]);
        assert_eq!(windows(30, 40, true), vec![0..30]);
        assert_eq!(windows(512, 2048, false), vec![0..512]);
        assert_eq!(windows(0, 2048, true), Vec::<Range<usize>>::new());
    }

    #[test]
    fn the_second_half_is_scored() {
        // As llama.cpp: of 512 tokens the positions 256..=510 score their next token.
        assert_eq!(first_scored(512), 256);
        assert_eq!(first_scored(3), 1);
        assert_eq!(first_scored(2), 0);
    }

    #[test]
    fn a_tally_of_equal_passes_is_perfect() {
        let pass = WindowPass { logits: vec![0.0, 1.0, 2.0, 0.5, 0.1, 0.2], states: vec![vec![1.0; 4], vec![2.0; 4]] };
        let mut tally = Tally::default();
        tally.add(&[0, 1, 2, 0, 1][..4], &pass, &pass, 3);
        let comparison = tally.finish();
        assert_eq!(comparison.tokens, 1);
        assert_eq!((comparison.kld.mean, comparison.mse.0, comparison.top1.0), (0.0, 0.0, 1.0));
        assert_eq!(comparison.drift.len(), 1);
        assert!((comparison.drift[0].cosine - 1.0).abs() < 1e-12);
    }

    fn model(name: &str) -> Model {
        Model::load(&crate::checkpoint::Checkpoint::open(std::path::Path::new(name)).unwrap()).unwrap()
    }

    #[test]
    fn a_window_read_in_two_parts_is_that_read_at_once() {
        let (model, control) = (model("tests/data/golden/gpt_neo"), Control::new());
        let window: Vec<u32> = (0..17).map(|i| i * 5 % 32).collect();
        let pass = run_window(&model, &window, &control).unwrap();
        let mut states: Vec<Vec<f32>> = Vec::new();
        let whole = model.forward_all(&window, &mut model.cache(), Some(&mut states), &control).unwrap();
        let (v, first) = (model.architecture().vocabulary, first_scored(window.len()));
        assert_eq!(pass.logits, whole[first * v..(window.len() - 1) * v]);
        assert_eq!(pass.states.len(), states.len());
        let h = model.architecture().hidden;
        assert_eq!(pass.states[1], states[1][first * h..(window.len() - 1) * h]);
    }

    #[test]
    fn what_cannot_be_compared_is_told() {
        let (one, control) = (model("tests/data/golden/gpt_neo"), Control::new());
        let options = |ids: Vec<u32>| CompareOptions { ids, bos: None, limit: None };
        let error = compare(&one, &one, &options(vec![1]), &control).unwrap_err();
        assert!(error.to_string().contains("1 tokens, too few"), "{error}");
        let other = model("tests/data/bad_files/ok_base");
        let error = compare(&one, &other, &options(vec![1; 40]), &control).unwrap_err();
        assert!(matches!(error, MeasureError::Vocabulary { .. }));
        control.cancel();
        assert!(compare(&one, &one, &options(vec![1; 40]), &control).is_err());
    }

    #[test]
    fn nan_is_never_the_quiet_least() {
        assert!(least(&[1.0, f64::NAN, 0.5]).is_nan());
        assert!((least(&[1.0, 0.25, 0.5]) - 0.25).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn windows_follow_each_other_within_the_text(ids in 0_usize..5000, context in 1_usize..700, bos: bool) {
            let all = windows(ids, context, bos);
            prop_assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() == pair[1].len()));
            prop_assert!(all.iter().all(|range| range.end <= ids && range.len() <= context.min(512)));
            prop_assert!(all.first().is_none_or(|range| range.start == 0));
        }
    }
}

#[cfg(test)]
#[path = "compare_reference.rs"]
mod reference;
