//! What commands share: opening models, reading policies, building the compressed model.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use globset::GlobBuilder;
use rayon::prelude::*;

use super::args::{CalibrationArg, ChatArg, Common, PolicyArg, PromptArg};
use super::failure::{Several, Usage, warn};
use super::interrupt::Interrupt;
use super::output;
use super::progress::Progress;
use crate::checkpoint::{Checkpoint, Message, Tokenizer};
use crate::compress::{
    Calibration, CompressError, FactorCache, Issue, Layout, Plan, Policy, PolicyError, Resolved, compressed_weight,
    resolve, weights_need,
};
use crate::control::{Control, Need, Told};
use crate::linalg::NumericError;
use crate::measure::{KeptPasses, Spectrum, energy_rank};
use crate::model::{Layer, Model, ModelError, layers_of, stored_layers};
use crate::workbench::{Locations, Source};

/// What every command is given.
#[derive(Debug)]
pub struct Session {
    /// Options of every command.
    pub common: Common,
    /// Where things are kept.
    pub locations: Locations,
    /// Signals.
    pub interrupt: Interrupt,
    /// Decompositions.
    pub cache: FactorCache,
    /// What was said of memory.
    pub told: Told,
}

/// An opened checkpoint with its layers.
#[derive(Debug)]
pub struct Opened {
    /// The files.
    pub checkpoint: Checkpoint,
    /// Its layers.
    pub layers: Vec<Layer>,
}

/// A policy read, resolved against a model.
#[derive(Debug)]
pub struct Planned {
    /// The policy.
    pub policy: Policy,
    /// Plan and rule of every layer.
    pub resolved: Vec<Resolved>,
}

impl Planned {
    /// The plans alone.
    pub fn plans(&self) -> Vec<Plan> {
        self.resolved.iter().map(|resolved| resolved.plan).collect()
    }

    /// Leaves layers with values that are no numbers dense; a line for each, in their order.
    pub fn keep_sound(&mut self, opened: &Opened) -> Vec<String> {
        let bad = opened.layers.par_iter().zip(&self.resolved).map(|(layer, resolved)| {
            let matrix = layer.matrix(&opened.checkpoint).filter(|_| !resolved.plan.is_dense());
            matrix.map_or(0, |matrix| matrix.non_finite().0 + matrix.non_finite().1)
        });
        let bad: Vec<u64> = bad.collect();
        let mut lines = Vec::new();
        for ((layer, resolved), bad) in opened.layers.iter().zip(&mut self.resolved).zip(bad) {
            if bad > 0 {
                resolved.plan = Plan::dense();
                let name = output::name(&layer.name);
                lines.push(format!("{name} holds {bad} values that are NaN or infinite; it stays dense"));
            }
        }
        lines
    }
}

/// What was found, with a warning for each failure; where all failed, the first failure alone.
///
/// # Errors
/// That failure.
pub fn any_of<T>(found: Vec<anyhow::Result<T>>) -> anyhow::Result<Vec<Option<T>>> {
    let any = found.iter().any(Result::is_ok);
    let each = found.into_iter().map(|found| match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if !any => Err(error),
        Err(error) => {
            warn(format!("{error:#}"));
            Ok(None)
        }
    });
    each.collect()
}

impl Session {
    /// A control that signals cancel, with a progress bar called `name` as long as the second is kept.
    pub fn phase(&self, name: &'static str) -> (Control, Progress) {
        let control = self.interrupt.control();
        let progress = Progress::watch(name, &control);
        (control, progress)
    }

    /// Opens what `MODEL` names, fetched before where that is asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(&self, model: &str) -> anyhow::Result<Opened> {
        if self.common.download {
            super::download::fetch(model, &self.interrupt)?;
        }
        let checkpoint = Source::parse(model).open(&self.locations)?;
        let layers = layers_of(&checkpoint);
        Ok(Opened { checkpoint, layers })
    }

    /// Opens the model that a policy works on: with `--original`, that one.
    ///
    /// # Errors
    /// `--original` without `--policy`; what is wrong with the model.
    pub fn open_for(&self, model: &str, policy: &PolicyArg) -> anyhow::Result<Opened> {
        match (&policy.original, &policy.policy) {
            (Some(original), Some(_)) => self.open(original),
            (Some(_), None) => {
                Err(Usage("--original needs --policy here: it is the model that the policy is applied to".into())
                    .into())
            }
            (None, _) => self.open(model),
        }
    }

    /// A layer's singular values, computed or found in the cache.
    ///
    /// # Errors
    /// A layer stored compressed; numeric trouble.
    pub fn spectrum(&self, opened: &Opened, layer: &Layer, control: &Control) -> anyhow::Result<Spectrum> {
        let parts = opened.checkpoint.tensor(&layer.tensor).zip(layer.matrix(&opened.checkpoint));
        let no_matrix = || format!("{} {}", output::name(&layer.name), layer.why_no_matrix(&opened.checkpoint));
        let (tensor, matrix) = parts.with_context(no_matrix)?;
        let values = self.cache.values(tensor, &matrix, control).with_context(|| output::name(&layer.name))?;
        Ok(Spectrum::new(values.to_vec(), layer.rows, layer.cols))
    }

    /// The spectra of these layers, computed side by side, in their order: each, or why it cannot be had.
    ///
    /// # Errors
    /// Interrupted.
    pub fn spectra(&self, opened: &Opened, layers: &[&Layer]) -> anyhow::Result<Vec<anyhow::Result<Spectrum>>> {
        self.tell_need("decomposing", self.spectra_need(opened, layers));
        let (control, _progress) = self.phase("decomposing");
        control.set_total(layers.len() as u64);
        let spectrum = |layer: &&Layer| {
            let spectrum = self.spectrum(opened, layer, &control);
            control.advance(1);
            spectrum
        };
        let found = layers.par_iter().map(spectrum).collect();
        control.check()?;
        Ok(found)
    }

    /// Reads a policy and resolves it against a model; warnings go to stderr.
    ///
    /// # Errors
    /// What is wrong with it, by lines.
    pub fn plan(&self, path: &Path, opened: &Opened) -> anyhow::Result<Planned> {
        let policy = read_policy(path)?;
        let (resolved, warnings) = self.resolve(&policy, opened).map_err(|error| refused(path, &error))?;
        warnings.iter().for_each(|issue| warn(format!("{}: {}", path.display(), located(issue))));
        Ok(Planned { policy, resolved })
    }

    /// As [`Session::plan`] for what is then computed: a layer with values that are no numbers stays dense, of which a warning
    /// tells.
    ///
    /// # Errors
    /// As [`Session::plan`].
    pub fn sound_plan(&self, path: &Path, opened: &Opened) -> anyhow::Result<Planned> {
        let mut planned = self.plan(path, opened)?;
        planned.keep_sound(opened).iter().for_each(warn);
        Ok(planned)
    }

    /// Resolves a policy, decomposing layers where it asks for a share of energy.
    ///
    /// # Errors
    /// What is wrong with it, by lines.
    pub fn resolve(&self, policy: &Policy, opened: &Opened) -> Result<(Vec<Resolved>, Vec<Issue>), PolicyError> {
        let (control, _progress) = self.phase("decomposing");
        let mut rank_for = |index: usize, share: f64| {
            let layer = opened.layers.get(index).ok_or_else(|| "no such layer".to_owned())?;
            self.tell_need("decomposing", self.spectra_need(opened, &[layer]));
            match self.spectrum(opened, layer, &control) {
                Ok(spectrum) => Ok(energy_rank(&spectrum.values, share)),
                // Any rank will do: what holds values that are no numbers stays dense.
                Err(error) if not_finite(&error) => Ok(1),
                Err(error) => Err(format!("{error:#}")),
            }
        };
        resolve(policy, &opened.layers, &mut rank_for)
    }

    /// The model with every layer as planned, sharing all else with `model`. `then` is what `job`, which runs it, needs besides.
    ///
    /// # Errors
    /// A layer that cannot be stored so.
    pub fn compressed(
        &self,
        model: &Model,
        opened: &Opened,
        plans: &[Plan],
        calibration: Option<&Calibration>,
        (job, then): (&str, Need),
    ) -> anyhow::Result<Model> {
        let work = opened.work(plans);
        let coding = self.coding_need(opened, calibration, &work);
        self.tell_need(job, weights_need(work).and(coding.or(then)));
        let (control, _progress) = self.phase("compressing");
        let changed: Vec<(usize, &Plan)> = plans.iter().enumerate().filter(|(_, plan)| !plan.is_dense()).collect();
        control.set_total(changed.len() as u64);
        let encode = |(index, plan): &(usize, &Plan)| {
            let layer = opened.layers.get(*index).context("the policy names a layer that is not there")?;
            let weight =
                compressed_weight(&opened.checkpoint, layer, plan, Layout::Native, &self.cache, calibration, &control);
            control.advance(1);
            anyhow::Ok((*index, Arc::new(weight.with_context(|| output::name(&layer.name))?)))
        };
        let weights: Vec<_> = changed.par_iter().map(encode).collect::<anyhow::Result<_>>()?;
        Ok(weights.into_iter().fold(model.clone(), |model, (index, weight)| model.with_weight(index, weight)))
    }

    /// The model under the policy in a file, with the statistics that it needs. `then` is what `job`, which runs it, needs besides.
    ///
    /// # Errors
    /// What is wrong with policy or statistics; a layer that cannot be stored so.
    pub fn compressed_by(
        &self,
        model: &Model,
        opened: &Opened,
        policy: &Path,
        statistics: &CalibrationArg,
        then: (&str, Need),
    ) -> anyhow::Result<Model> {
        let planned = self.sound_plan(policy, opened)?;
        let plans = planned.plans();
        let calibration = self.calibration(opened, statistics, &plans, Some(&planned.policy))?;
        self.compressed(model, opened, &plans, calibration.as_ref(), then)
    }

    /// Where passes of a model as opened are kept, where anything is.
    pub fn passes(&self, opened: &Opened, model: &Model) -> Option<KeptPasses> {
        let folder = self.locations.passes()?;
        Some(KeptPasses::new(folder, model, &opened.checkpoint.fingerprint()))
    }

    /// The model that a command runs: as it is, or compressed by a policy. `need` is what `job` needs besides its weights.
    ///
    /// # Errors
    /// What is wrong with the policy.
    pub fn under(
        &self,
        policy: &PolicyArg,
        model: Model,
        opened: &Opened,
        (job, need): (&str, Need),
    ) -> anyhow::Result<Model> {
        if let Some(path) = &policy.policy {
            return self.compressed_by(&model, opened, path, &policy.statistics, (job, need));
        }
        self.tell_need(job, need);
        Ok(model)
    }
}

/// Whether a layer cannot be decomposed because of values that are no numbers.
fn not_finite(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(CompressError::Numeric(NumericError::NonFinite(_))))
}

impl Opened {
    /// Indices of the layers whose names match a glob, in the model's order.
    ///
    /// # Errors
    /// As [`Opened::matching`].
    pub fn indices(&self, glob: &str) -> anyhow::Result<Vec<usize>> {
        let names: Vec<&str> = self.matching(glob)?.iter().map(|layer| layer.name.as_str()).collect();
        let all = self.layers.iter().enumerate();
        Ok(all.filter(|(_, layer)| names.contains(&layer.name.as_str())).map(|(index, _)| index).collect())
    }

    /// The layers whose names match a glob, in the model's order.
    ///
    /// # Errors
    /// A glob that is none, or matches nothing.
    pub fn matching(&self, glob: &str) -> anyhow::Result<Vec<&Layer>> {
        let matcher =
            GlobBuilder::new(glob).build().map_err(|error| Usage(format!("--layer: {error}")))?.compile_matcher();
        let layers: Vec<&Layer> =
            self.layers.iter().filter(|layer| layer.names().any(|name| matcher.is_match(name))).collect();
        if layers.is_empty() {
            let like = self
                .layers
                .first()
                .map_or_else(String::new, |layer| format!(" (the first is {})", output::name(&layer.name)));
            anyhow::bail!("no layer matches \"{glob}\"; 'inspect' lists the names of all {}{like}", self.layers.len());
        }
        Ok(layers)
    }

    /// The tokenizer, checked against the model.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn tokenizer(&self, model: &Model) -> anyhow::Result<Tokenizer> {
        let tokenizer = self.checkpoint.tokenizer()?;
        model.check_tokenizer(&tokenizer)?;
        Ok(tokenizer)
    }

    /// The ids of what is to be continued, and the tokenizer; ids go without one.
    ///
    /// # Errors
    /// A tokenizer or chat template that cannot be read or used, where it is needed.
    pub fn prompt(
        &self,
        model: &Model,
        prompt: &PromptArg,
        chat: &ChatArg,
    ) -> anyhow::Result<(Vec<u32>, Option<Tokenizer>)> {
        if let Some(ids) = &prompt.ids {
            return Ok((ids.clone(), self.tokenizer(model).ok()));
        }
        let tokenizer = self.tokenizer(model)?;
        let text = prompt.prompt.as_deref().unwrap_or_default();
        let ids = if chat.chat {
            let messages = Message::asked(chat.system.as_deref(), text);
            tokenizer.encode_plain(&self.checkpoint.chat_template()?.render(&messages, SystemTime::now())?)?
        } else {
            tokenizer.encode(text)?
        };
        Ok((ids, Some(tokenizer)))
    }

    /// Files that this command reads, and so never writes over.
    pub fn inputs(&self) -> Vec<PathBuf> {
        self.checkpoint.inputs()
    }

    /// Warns where the model could not be run: of a config that cannot be used, tensors that are missing, compressed layers that
    /// are damaged. Without a config there is nothing to run.
    pub fn warn_unless_it_runs(&self) {
        let configured = self.checkpoint.sidecars().iter().any(|file| file.name == "config.json");
        let loaded = if configured {
            Model::load(&self.checkpoint).map(drop)
        } else {
            stored_layers(&self.checkpoint).map(drop)
        };
        match loaded {
            // A family that is not known is no damage.
            Ok(()) | Err(ModelError::Family { .. }) => {}
            Err(error) => warn(format!("this model cannot be run: {error}")),
        }
    }

    /// How many blocks the layers lie in.
    pub fn blocks(&self) -> usize {
        self.layers.iter().filter_map(|layer| layer.block).max().map_or(0, |last| last + 1)
    }
}

/// Reads a policy file.
///
/// # Errors
/// What is wrong with it, by lines.
pub fn read_policy(path: &Path) -> anyhow::Result<Policy> {
    Policy::parse(&read_text(path)?).map_err(|error| refused(path, &error))
}

/// Reads a text file.
///
/// # Errors
/// The system's; not UTF-8.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    String::from_utf8(bytes).map_err(|error| {
        anyhow::anyhow!("{} is no UTF-8 text (byte {})", path.display(), error.utf8_error().valid_up_to())
    })
}

/// A policy's errors as one failure.
pub fn refused(path: &Path, error: &PolicyError) -> anyhow::Error {
    match error.issues.as_slice() {
        [issue] => anyhow::anyhow!("{}: {}", path.display(), located(issue)),
        issues => {
            let summary = format!("{} has {} errors", path.display(), issues.len());
            Several { summary, causes: issues.iter().map(located).collect() }.into()
        }
    }
}

/// `line 3: what`.
pub fn located(issue: &Issue) -> String {
    if issue.line == 0 { issue.message.clone() } else { format!("line {}: {}", issue.line, issue.message) }
}
