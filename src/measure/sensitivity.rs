//! Which layers matter: each compressed alone, or restored alone within a policy.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::compare::text_windows;
use super::meter::ModelMeter;
use super::sensitivity_kept::{Alone, Beside, Kept, Known, Part};
use super::trial::{HELD, Starts, try_on};
use super::{Effect, MeasureError, Trial, TrialResult, find_loop};
use crate::compress::{LayerInputs, Plan, measured_error, measured_output_error};
use crate::control::Control;
use crate::model::{CompressedLinear, Model, ModelError};

/// How many times the damage of noise of the same size marks a layer whose directions matter.
pub const PILLAR: f64 = 10.0;
/// Layers between two times that results are kept: as many texts are written at once, which is what the kernels' tiles take.
pub(super) const AT_A_TIME: usize = 6;
/// Tokens written to see whether a text loops.
pub(super) const WRITTEN: usize = 96;

/// What is done to a layer, and the weight that does it.
type Change = (usize, Arc<CompressedLinear>);

/// What is asked of each layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// What compressing it alone does to the original.
    Only,
    /// What restoring it alone does to the compressed model.
    Without,
}

/// How much is asked about each layer, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What its change does.
    Change,
    /// And what that is held against: noise of the size of its error, and a text.
    Whole,
    /// As [`Depth::Whole`], but first the changes of all layers, so that there is soon something of each.
    ChangesFirst,
}

impl Depth {
    /// What is found out in each round over the layers.
    pub(super) const fn rounds(self) -> &'static [&'static [Part]] {
        match self {
            Self::Change => &[&[Part::Alone]],
            Self::Whole => &[&[Part::Alone, Part::Beside]],
            Self::ChangesFirst => &[&[Part::Alone], &[Part::Beside]],
        }
    }
}

/// What to scan.
#[derive(Debug, Clone, Copy)]
pub struct SensitivityOptions<'a> {
    /// The original, its statistics and the text.
    pub meter: ModelMeter<'a>,
    /// What is asked.
    pub mode: Mode,
    /// How much of it.
    pub depth: Depth,
    /// All layers that are compressed together, each by its index, with its plan.
    pub plans: &'a [(usize, Plan)],
    /// Indexes of those that are tried.
    pub tried: &'a [usize],
    /// Ids that a text is written after.
    pub prompt: &'a [u32],
    /// Where results are kept; `None`: nowhere.
    pub folder: Option<&'a Path>,
}

/// What a layer does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayerDamage {
    /// Its index in the model.
    pub layer: usize,
    /// How it is compressed.
    pub plan: Plan,
    /// The model with only this layer compressed, or only this one restored, against the original.
    pub change: TrialResult,
    /// KLD where Gaussian noise of the same output error stands for this layer's compression: in the original, or in the
    /// compressed model. `None` where it is not asked, or not known yet.
    pub kld_iso: Option<f64>,
    /// ||W - W'||_F / ||W||_F.
    pub weight_error: f64,
    /// ||(W - W')X||_F / ||WX||_F over the calibration's inputs, or without statistics over those of the text.
    pub output_error: f64,
    /// Whether a greedy text ends in a loop; `None` also where the prompt leaves no room for one.
    pub looping: Option<bool>,
}

impl LayerDamage {
    /// The damage of compressing this layer over that of noise of the same size; `together` is the KLD of the compressed
    /// model. `None` where noise does no damage, or its damage is not known.
    pub fn over_noise(&self, mode: Mode, together: f64) -> Option<f64> {
        let (kld, kld_iso) = (self.change.kld.0, self.kld_iso?);
        let (damage, noise) = match mode {
            Mode::Only => (kld, kld_iso),
            Mode::Without => (together - kld, kld_iso - kld),
        };
        (noise > 0.0).then(|| damage / noise)
    }
}

/// A layer that is tried, with what is known of it so far.
#[derive(Debug, Clone, Copy)]
struct Tried {
    layer: usize,
    plan: Plan,
    known: Known,
}

impl Tried {
    fn damage(&self) -> Option<LayerDamage> {
        let &Self { layer, plan, known: Known { alone, beside } } = self;
        let Alone { change, weight_error, calibrated } = alone?;
        let output_error = calibrated.unwrap_or(change.output_error);
        let (kld_iso, looping) = (beside.map(|beside| beside.kld_iso), beside.and_then(|beside| beside.looping));
        Some(LayerDamage { layer, plan, change, kld_iso, weight_error, output_error, looping })
    }
}

/// Tries every layer asked for; the layers that matter most come first: those of most KLD alone, or of least KLD once
/// restored. Results are kept, so that an interrupted scan goes on where it was, and one that asks more takes in what one that
/// asks less has found; the same bits kept or not, at any number of threads. `told` is called with a layer whenever more of it
/// is known. `base` is the model that is changed: the original, or with [`Mode::Without`] the compressed one. The notes say
/// what was not as it should be.
///
/// # Errors
/// A layer that cannot be stored so, model errors, a text too short to score, cancelled.
pub fn sensitivity(
    options: &SensitivityOptions<'_>,
    base: &Model,
    told: &dyn Fn(&LayerDamage),
    control: &Control,
) -> Result<(Vec<LayerDamage>, Vec<String>), MeasureError> {
    let windows = text_windows(options.meter.model.architecture().context, options.meter.text)?;
    let kept = Kept::new(options, &windows);
    let (mut all, mut notes) = (Vec::new(), Vec::new());
    for &(layer, plan) in options.plans.iter().filter(|(layer, _)| options.tried.contains(layer)) {
        let tried = Tried { layer, plan, known: kept.read(options, (layer, &plan), &mut notes) };
        tried.damage().iter().for_each(told);
        all.push(tried);
    }
    let rounds = options.depth.rounds();
    let lacking = |part: Part| all.iter().filter(|tried| tried.known.lacks(part)).count();
    let steps = |part: &Part| lacking(*part) * (windows.len() + usize::from(*part == Part::Beside));
    control.set_total(rounds.iter().copied().flatten().map(steps).sum::<usize>() as u64);
    let mut starts = Starts::new((options.meter.reference(), base), &windows);
    for round in rounds {
        let open = all.iter_mut().filter(|tried| round.iter().any(|part| tried.known.lacks(*part)));
        let mut open: Vec<&mut Tried> = open.collect();
        for some in open.chunks_mut(AT_A_TIME) {
            let measured = measured(options, base, (some, round), &mut starts, control)?;
            for (tried, fresh) in some.iter_mut().zip(measured) {
                kept.write(options, (tried.layer, &tried.plan), &fresh);
                tried.known = tried.known.or(fresh);
                tried.damage().iter().for_each(told);
            }
        }
    }
    let mut found: Vec<LayerDamage> = all.iter().filter_map(Tried::damage).collect();
    let order = |a: &LayerDamage, b: &LayerDamage| a.change.kld.0.total_cmp(&b.change.kld.0);
    found.sort_by(|a, b| match options.mode {
        Mode::Only => order(b, a).then(a.layer.cmp(&b.layer)),
        Mode::Without => order(a, b).then(a.layer.cmp(&b.layer)),
    });
    Ok((found, notes))
}

/// Measures a few layers side by side: of each, what it lacks of the round.
fn measured(
    options: &SensitivityOptions<'_>,
    base: &Model,
    (some, round): (&[&mut Tried], &[Part]),
    starts: &mut Starts<'_>,
    control: &Control,
) -> Result<Vec<Known>, MeasureError> {
    let meter = &options.meter;
    let weights = some.par_iter().map(|tried| meter.weight(tried.layer, &tried.plan, control));
    let weights: Vec<Arc<CompressedLinear>> = weights.collect::<Result<_, _>>()?;
    let wanted = |tried: &Tried, part: Part| round.contains(&part) && tried.known.lacks(part);
    let (mut trials, mut changes) = (Vec::new(), Vec::new());
    for (tried, weight) in some.iter().zip(&weights) {
        let own = meter.model.weight(tried.layer).unwrap_or(weight);
        let (weight, noisy) = match options.mode {
            Mode::Only => (weight, Effect::Noise),
            Mode::Without => (own, Effect::ChangeAndNoise),
        };
        let trial = |effect: Effect| Trial { layer: tried.layer, weight: Arc::clone(weight), effect };
        trials.extend(wanted(tried, Part::Alone).then(|| trial(Effect::Change)));
        trials.extend(wanted(tried, Part::Beside).then(|| trial(noisy)));
        changes.extend(wanted(tried, Part::Beside).then(|| (tried.layer, Arc::clone(weight))));
    }
    let mut results = try_on(starts, &trials, &|_, _| {}, control)?.into_iter();
    let mut loops = looping(base, &changes, options.prompt, control)?.into_iter();
    let mut next = |tried: &Tried| {
        let change = if wanted(tried, Part::Alone) { results.next() } else { None };
        let noise = if wanted(tried, Part::Beside) { results.next().zip(loops.next()) } else { None };
        (change, noise.map(|(noise, looping)| Beside { kld_iso: noise.kld.0, looping }))
    };
    let found: Vec<_> = some.iter().map(|tried| next(tried)).collect();
    let each = some.par_iter().zip(&weights).zip(found);
    each.map(|((tried, weight), (change, beside))| {
        let alone = change.map(|change| {
            let (weight_error, calibrated) = errors(meter, tried.layer, weight, control)?;
            Ok::<_, MeasureError>(Alone { change, weight_error, calibrated })
        });
        Ok(Known { alone: alone.transpose()?, beside })
    })
    .collect()
}

/// Errors of weight and output as stored; the latter where there are statistics.
fn errors(
    meter: &ModelMeter<'_>,
    layer: usize,
    weight: &CompressedLinear,
    control: &Control,
) -> Result<(f64, Option<f64>), MeasureError> {
    let layer = meter.layer(layer)?;
    let Some(matrix) = layer.matrix(meter.checkpoint) else { return Ok((f64::NAN, None)) };
    let output = LayerInputs::of(meter.calibration, &layer.name)
        .map(|inputs| measured_output_error(&matrix, weight, &inputs.statistics, control))
        .transpose()
        .map_err(|error| super::meter::failed(layer, error.into()))?;
    Ok((measured_error(&matrix, weight, control)?, output))
}

/// Whether the greedy text after a prompt ends in a loop, with each change of the model alone; a step of progress for each.
fn looping(
    model: &Model,
    changes: &[Change],
    prompt: &[u32],
    control: &Control,
) -> Result<Vec<Option<bool>>, ModelError> {
    let mut loops = vec![None; changes.len()];
    let fits = !prompt.is_empty() && prompt.len() < model.architecture().context;
    let keys = model.cache_bytes(prompt.len() + WRITTEN).max(1);
    let at_once = usize::try_from(HELD / keys).unwrap_or(usize::MAX).max(1);
    for (loops, changes) in loops.chunks_mut(at_once).zip(changes.chunks(at_once)) {
        if fits {
            let texts = model.written_with_each(changes, prompt, WRITTEN, control)?;
            loops.iter_mut().zip(&texts).for_each(|(ends, text)| *ends = Some(find_loop(text).is_some()));
        }
        control.advance(changes.len() as u64);
    }
    Ok(loops)
}

#[cfg(test)]
#[path = "sensitivity_tests.rs"]
mod tests;
