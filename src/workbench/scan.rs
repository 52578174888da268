//! The job that measures what each layer alone does, and what it found.

use super::events::Event;
use super::jobs::{End, Task};
use super::metering::{Metered, Wanted};
use super::rules::plans;
use super::{JobId, JobKind, LayerRow, Severity, Workbench};
use crate::checkpoint::escaped;
use crate::compress::Plan;
use crate::measure::readable::figure;
use crate::measure::{
    Depth, LayerDamage, MeasureError, Mode, ModelMeter, PILLAR, Scope, SensitivityOptions, compare, sensitivity,
};
use crate::model::Model;

/// A layer without a plan is tried at the full rank over this.
const SHARE: usize = 4;
/// A layer's name takes no more of a message than this.
const MOST_NAME: usize = 80;

/// What a scan found out about a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Damage {
    /// What was asked.
    pub mode: Mode,
    /// The plan that was tried, or restored from.
    pub plan: Plan,
    /// KLD in nats of compressing it alone, or of the policy without it.
    pub kld: f64,
    /// KLD where noise of the same output error stands for its compression; `None` where it is not known yet.
    pub kld_iso: Option<f64>,
    /// The damage over that of noise, as far as that is known.
    pub over_noise: Option<f64>,
    /// Whether plans have changed since.
    pub stale: bool,
}

impl Damage {
    /// Whether the layer's directions matter far more than the size of its error tells.
    pub fn is_pillar(&self) -> bool {
        self.over_noise.is_some_and(|ratio| ratio > PILLAR)
    }

    fn new(found: &LayerDamage, mode: Mode, together: f64) -> Self {
        Self {
            mode,
            plan: found.plan,
            kld: found.change.kld.0,
            kld_iso: found.kld_iso,
            over_noise: found.over_noise(mode, together),
            stale: false,
        }
    }
}

/// A scan that was begun: its job, what it asks, and the plans that it began with.
#[derive(Debug)]
pub(super) struct Scan {
    job: JobId,
    mode: Mode,
    plans: Vec<Plan>,
}

impl Workbench {
    /// Starts to measure every layer alone on the evaluation text: compressed as planned (or to a quarter of its full rank,
    /// where it is dense) in the original, or restored in the model as planned. Rows get what is found one by one: first what
    /// each change does, then what noise of its size does; what was measured before is not measured again.
    ///
    /// # Errors
    /// The message: no model that can be measured, nothing to restore.
    pub fn scan(&mut self, mode: Mode) -> Result<(), String> {
        if self.opened().is_some_and(|opened| opened.fixed) {
            return Err("these layers are stored compressed and fixed; open with --original MODEL to try them".into());
        }
        if mode == Mode::Without && self.totals.changed == 0 {
            return Err("no layer is compressed, so none can be restored; plan some first".into());
        }
        self.begin_calibrated(Wanted::Scan(mode))
    }

    pub(super) fn begin_scan(&mut self, mode: Mode) {
        let Some(metered) = self.metered() else { return };
        let Some(cache) = self.project.as_ref().map(|_| self.locations.cache.clone()) else { return };
        let earlier = self.scan.take().map(|scan| scan.job);
        self.replace_job(earlier);
        let tried = tried(&self.rows, mode);
        let name = match mode {
            Mode::Only => format!("try {} layers alone", tried.len()),
            Mode::Without => format!("restore {} layers alone", tried.len()),
        };
        let folder = cache.map(|cache| cache.join("sensitivity"));
        let job = self
            .jobs
            .spawn(JobKind::Scan, name, Vec::new(), move |task| run(task, &metered, mode, &tried, folder.as_deref()));
        self.rows.iter_mut().for_each(|row| row.damage = None);
        self.scan = Some(Scan { job, mode, plans: plans(&self.rows) });
    }

    /// More is known of a layer.
    pub(super) fn damage_arrived(&mut self, job: JobId, layer: usize, damage: Damage) {
        if self.scan.as_ref().is_some_and(|scan| scan.job == job) {
            self.take_damage(layer, damage);
        }
    }

    /// Notes what a scan found out about a layer.
    pub fn take_damage(&mut self, layer: usize, damage: Damage) {
        if let Some(row) = self.rows.get_mut(layer) {
            row.damage = Some(damage);
            self.note_stale();
        }
    }

    /// Marks what no longer tells of the plans as they are.
    pub(super) fn note_stale(&mut self) {
        let of_all = self.scan.as_ref().is_some_and(|scan| scan.mode == Mode::Without);
        let others = of_all && self.scan.as_ref().is_some_and(|scan| scan.plans != plans(&self.rows));
        for row in &mut self.rows {
            let changed = !row.plan.is_dense() && row.damage.is_some_and(|damage| damage.plan != row.plan);
            if let Some(damage) = &mut row.damage {
                damage.stale = others || changed;
            }
        }
    }
}

/// The layers that a scan tries, with their plans.
fn tried(rows: &[LayerRow], mode: Mode) -> Vec<(usize, Plan)> {
    let each = rows.iter().enumerate().filter(|(_, row)| !row.layer.fixed);
    let plan = |row: &LayerRow| match (row.plan.is_dense(), mode) {
        (false, _) => Some(row.plan),
        (true, Mode::Only) => Some(Plan::low_rank((row.layer.max_rank() / SHARE).max(1))),
        (true, Mode::Without) => None,
    };
    each.filter_map(|(layer, row)| Some((layer, plan(row)?))).collect()
}

fn run(
    task: &Task,
    metered: &Metered,
    mode: Mode,
    tried: &[(usize, Plan)],
    folder: Option<&std::path::Path>,
) -> Result<(), End> {
    let prompt = metered.prompt();
    let (told, notes) = metered.measure(task, |meter| {
        let plans = sound(meter, tried);
        let (control, free) = (&task.control, (task.free)());
        let trying = meter.trying_need(&plans, free);
        let need = if mode == Mode::Only { trying } else { meter.compressed_need(&plans, trying, free) };
        task.tell_need("trying layers", need);
        let (compressed, together) = match mode {
            Mode::Only => (None, 0.0),
            Mode::Without => {
                let compressed = meter.compressed(&plans, &task.control.part(0))?;
                let part = task.control.part(0);
                let together = compare(meter.reference(), &compressed, meter.text, &part)?.kld.mean;
                (Some(compressed), together)
            }
        };
        let base = compressed.as_ref().unwrap_or(meter.model);
        let layers: Vec<usize> = plans.iter().map(|(layer, _)| *layer).collect();
        let (depth, plans, tried) = (Depth::ChangesFirst, &plans[..], &layers[..]);
        let options = SensitivityOptions { meter: *meter, mode, depth, plans, tried, prompt: &prompt, folder };
        let told = |found: &LayerDamage| {
            let damage = Damage::new(found, mode, together);
            task.outbox.send(Event::Damage { job: task.id, layer: found.layer, damage });
        };
        let (found, notes) = sensitivity(&options, base, &told, control)?;
        Ok::<_, MeasureError>((extreme(&found, mode, meter.model), notes))
    })?;
    told.into_iter().for_each(|text| task.outbox.send(Event::Say(Severity::Info, text)));
    notes.into_iter().for_each(|note| task.outbox.send(Event::Say(Severity::Warning, note)));
    Ok(())
}

/// Which layer stands out, in a sentence.
fn extreme(found: &[LayerDamage], mode: Mode, model: &Model) -> Option<String> {
    let by_kld = |a: &&LayerDamage, b: &&LayerDamage| a.change.kld.0.total_cmp(&b.change.kld.0);
    let (most, does) = match mode {
        Mode::Only => (found.iter().max_by(by_kld)?, "harms most alone"),
        Mode::Without => (found.iter().min_by(by_kld)?, "restored alone helps most"),
    };
    let name = escaped(&model.layers().get(most.layer)?.name, MOST_NAME);
    Some(format!("{} layers tried: {name} {does}, KLD {}", found.len(), figure(most.change.kld.0)))
}

/// Without the layers of NaN or infinities.
fn sound(meter: &ModelMeter<'_>, tried: &[(usize, Plan)]) -> Vec<(usize, Plan)> {
    let (sound, _) = meter.compressible(&[], &Scope::default());
    tried.iter().copied().filter(|(layer, _)| sound.iter().any(|of| of.layer == *layer)).collect()
}
