//! Which layers matter: each compressed alone, or restored alone within a policy.

use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Serialize;

use super::calibrate::digest;
use super::compare::text_windows;
use super::meter::ModelMeter;
use super::reference::model_key;
use super::sensitivity_kept::{Kept, read, write};
use super::trial::{HELD, Starts, try_on};
use super::{Effect, MeasureError, Trial, TrialResult, find_loop};
use crate::checkpoint::KeptFolder;
use crate::compress::{LayerInputs, Plan, measured_error, measured_output_error};
use crate::control::Control;
use crate::model::{CompressedLinear, Model, ModelError};

/// How many times the damage of noise of the same size marks a layer whose directions matter.
pub const PILLAR: f64 = 10.0;
/// Version of the way in which results are computed.
const VERSION: &str = "3";
/// Most bytes of results that are kept.
const KEPT: u64 = 64 << 20;
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

/// What to scan.
#[derive(Debug, Clone, Copy)]
pub struct SensitivityOptions<'a> {
    /// The original, its statistics and the text.
    pub meter: ModelMeter<'a>,
    /// What is asked.
    pub mode: Mode,
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
    /// compressed model.
    pub kld_iso: f64,
    /// ||W - W'||_F / ||W||_F.
    pub weight_error: f64,
    /// ||(W - W')X||_F / ||WX||_F over the calibration's inputs, or without statistics over those of the text.
    pub output_error: f64,
    /// Whether a greedy text ends in a loop; `None` where the prompt leaves no room for one.
    pub looping: Option<bool>,
}

impl LayerDamage {
    /// The damage of compressing this layer over that of noise of the same size; `together` is the KLD of the compressed
    /// model. `None` where noise does no damage.
    pub fn over_noise(&self, mode: Mode, together: f64) -> Option<f64> {
        let kld = self.change.kld.0;
        let (damage, noise) = match mode {
            Mode::Only => (kld, self.kld_iso),
            Mode::Without => (together - kld, self.kld_iso - kld),
        };
        (noise > 0.0).then(|| damage / noise)
    }
}

/// Tries every layer asked for; the layers that matter most come first: those of most KLD alone, or of least KLD once
/// restored. Results are kept, so that an interrupted scan goes on where it was; the same bits kept or not, at any number of
/// threads. `told` is called with each layer as soon as it is known. `base` is the model that is changed: the original, or with [`Mode::Without`] the compressed one. The notes say
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
    let keys = Keys::new(options, &windows);
    let (folder, mut notes) = (options.folder.map(folder), Vec::new());
    let asked = options.plans.iter().filter(|(layer, _)| options.tried.contains(layer));
    let (mut found, mut open) = (Vec::new(), Vec::new());
    for (layer, plan) in asked {
        match read(folder.as_ref(), &keys.of(options, *layer, plan), &mut notes) {
            Some(kept) => {
                let damage = damage(*layer, *plan, &kept);
                told(&damage);
                found.push(damage);
            }
            None => open.push((*layer, *plan)),
        }
    }
    control.set_total((open.len() * (2 * windows.len() + 1)) as u64);
    let mut starts = Starts::new((options.meter.reference(), base), &windows);
    for part in open.chunks(AT_A_TIME) {
        for ((layer, plan), kept) in part.iter().zip(measured(options, base, part, &mut starts, control)?) {
            write(folder.as_ref(), &keys.of(options, *layer, plan), &kept);
            let damage = damage(*layer, *plan, &kept);
            told(&damage);
            found.push(damage);
        }
    }
    let order = |a: &LayerDamage, b: &LayerDamage| a.change.kld.0.total_cmp(&b.change.kld.0);
    found.sort_by(|a, b| match options.mode {
        Mode::Only => order(b, a).then(a.layer.cmp(&b.layer)),
        Mode::Without => order(a, b).then(a.layer.cmp(&b.layer)),
    });
    Ok((found, notes))
}

fn folder(path: &Path) -> KeptFolder {
    KeptFolder::new(path.to_owned(), "damage", KEPT)
}

fn damage(layer: usize, plan: Plan, kept: &Kept) -> LayerDamage {
    let &Kept { change, kld_iso, weight_error, calibrated, looping } = kept;
    let output_error = calibrated.unwrap_or(change.output_error);
    LayerDamage { layer, plan, change, kld_iso, weight_error, output_error, looping }
}

/// What the results of a scan depend on.
struct Keys {
    scan: String,
}

impl Keys {
    fn new(options: &SensitivityOptions<'_>, windows: &[Vec<u32>]) -> Self {
        let plans = match options.mode {
            Mode::Only => String::new(),
            Mode::Without => format!("{:?}", options.plans),
        };
        let text = digest(windows.iter().map(|window| bytemuck::cast_slice(window)));
        let calibration = options.meter.calibration.map_or("", |calibration| calibration.fingerprint());
        let model = model_key(options.meter.model, &options.meter.checkpoint.fingerprint());
        let parts = [VERSION, &model, &plans, &text, calibration].map(str::as_bytes);
        let prompt: &[u8] = bytemuck::cast_slice(options.prompt);
        Self { scan: digest(parts.into_iter().chain([prompt])) }
    }

    fn of(&self, options: &SensitivityOptions<'_>, layer: usize, plan: &Plan) -> String {
        let name = options.meter.model.layers().get(layer).map_or("", |layer| &layer.name);
        let (mode, plan) = (format!("{:?}", options.mode), format!("{plan:?}"));
        digest([self.scan.as_str(), name, &mode, &plan].iter().map(|part| part.as_bytes()))
    }
}

/// Measures a few layers side by side.
fn measured(
    options: &SensitivityOptions<'_>,
    base: &Model,
    part: &[(usize, Plan)],
    starts: &mut Starts<'_>,
    control: &Control,
) -> Result<Vec<Kept>, MeasureError> {
    let meter = &options.meter;
    let weights = part.par_iter().map(|(layer, plan)| meter.weight(*layer, plan, control));
    let weights: Vec<Arc<CompressedLinear>> = weights.collect::<Result<_, _>>()?;
    let trials: Vec<Trial> = part
        .iter()
        .zip(&weights)
        .flat_map(|((layer, _), weight)| {
            let own = meter.model.weight(*layer).unwrap_or(weight);
            let (weight, noisy) = match options.mode {
                Mode::Only => (weight, Effect::Noise),
                Mode::Without => (own, Effect::ChangeAndNoise),
            };
            [Effect::Change, noisy].map(|effect| Trial { layer: *layer, weight: Arc::clone(weight), effect })
        })
        .collect();
    let results = try_on(starts, &trials, &|_, _| {}, control)?;
    let (pairs, _) = results.as_chunks::<2>();
    let (changes, _) = trials.as_chunks::<2>();
    let changes: Vec<Change> = changes.iter().map(|[trial, _]| (trial.layer, Arc::clone(&trial.weight))).collect();
    let loops = looping(base, &changes, options.prompt, control)?;
    let each = part.par_iter().zip(&weights).zip(pairs.par_iter().zip(loops));
    each.map(|(((layer, _), weight), ([change, noise], looping))| {
        let (weight_error, calibrated) = errors(meter, *layer, weight, control)?;
        Ok(Kept { change: *change, kld_iso: noise.kld.0, weight_error, calibrated, looping })
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
