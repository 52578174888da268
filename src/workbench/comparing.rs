//! The job that compares both models over a text, part by part, and what it has found so far.

use std::fs;
use std::path::PathBuf;

use super::events::Event;
use super::jobs::{End, Task};
use super::metering::{Metered, Wanted};
use super::rules::plans;
use super::{EVALUATION_TEXT, JobId, JobKind, LayerRow, PROMPTS, Severity, Workbench, prompts_of};
use crate::checkpoint::escaped;
use crate::compress::Plan;
use crate::linalg::Arithmetic;
use crate::measure::{
    AttentionShift, Comparison, FastCost, Health, LayerError, MeasureError, ModelMeter, Reference, attention_shift,
    compare, comparing_need, fast_cost, health, layer_errors,
};

/// Most tokens written after each prompt, as in `compare --health`.
const WRITTEN: usize = 96;
/// A text is no larger than this, in bytes.
const MOST_BYTES: u64 = 64 << 20;
/// What comparison, attention, layers and texts take of the whole, roughly.
const SHARES: [u64; 4] = [30, 25, 15, 30];

/// What is known of both models over a text; the parts come one after another.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// Where the text lies; nothing for the one in the program.
    pub text: Option<PathBuf>,
    /// KLD and its percentiles, top-1, perplexity, drift.
    pub comparison: Comparison,
    /// What fast arithmetic costs, where it is switched on.
    pub fast: Option<FastCost>,
    /// Attention of each block.
    pub attention: Option<Vec<AttentionShift>>,
    /// Output errors of the changed layers, the worst first.
    pub layers: Option<Vec<LayerError>>,
    /// Greedy texts after the prompts in the program.
    pub health: Option<Health>,
    /// The plans that the compressed model had.
    pub plans: Vec<Plan>,
}

impl Compared {
    /// Whether the plans have changed since.
    pub fn is_stale(&self, rows: &[LayerRow]) -> bool {
        self.plans != plans(rows)
    }
}

/// The comparison of the open model: what was found last, and the job that is at it.
#[derive(Debug, Clone, Default)]
pub struct ComparisonView {
    /// What was found last.
    pub found: Option<Box<Compared>>,
    /// The job that compares, if any.
    pub job: Option<JobId>,
}

impl Workbench {
    /// Starts to compare both models over a text file, or over the evaluation text in the program. The compressed model is the
    /// one of the plans as they are now.
    ///
    /// # Errors
    /// The message for the line: no such file, a model that cannot run.
    pub fn compare(&mut self, text: Option<PathBuf>) -> Result<(), String> {
        text.as_ref().map_or(Ok(()), check)?;
        let wanted = Wanted::Comparison(text);
        if self.needs_statistics() { self.begin_calibrated(wanted) } else { self.begin_measured(wanted) }
    }

    /// What was found last.
    pub fn comparison(&self) -> &ComparisonView {
        &self.comparison
    }

    /// Shows what is known already.
    pub fn take_comparison(&mut self, found: Compared) {
        self.comparison = ComparisonView { found: Some(Box::new(found)), job: None };
    }

    pub(super) fn begin_comparison(&mut self, text: Option<PathBuf>) {
        let Some(metered) = self.metered() else { return };
        self.replace_job(self.comparison.job);
        let of =
            text.as_ref().map_or("the evaluation text".to_owned(), |path| escaped(&path.display().to_string(), 100));
        let job = self.jobs.spawn(JobKind::Compare, format!("compare over {of}"), Vec::new(), move |task| {
            let read = |path: &PathBuf| {
                fs::read_to_string(path).map_err(|error| End::Failed(format!("{}: {error}", path.display())))
            };
            let own = text.as_ref().map(read).transpose()?;
            let words = own.as_deref().unwrap_or(EVALUATION_TEXT);
            metered.measure_over(words, task, |meter| parts(&metered, text.clone(), meter, task))
        });
        self.comparison.job = Some(job);
    }

    pub(super) fn comparison_arrived(&mut self, job: JobId, found: Box<Compared>) {
        if self.comparison.job == Some(job) {
            self.comparison.found = Some(found);
        }
    }

    /// The job came to an end; the parts that it found stay.
    pub(super) fn comparison_ended(&mut self, job: JobId) {
        if self.comparison.job == Some(job) {
            self.comparison.job = None;
            if self.comparison.found.as_ref().is_some_and(|found| found.health.is_some()) {
                self.messages.say(Severity::Info, "the comparison is whole");
            }
        }
    }
}

fn check(path: &PathBuf) -> Result<(), String> {
    let shown = || escaped(&path.display().to_string(), 200);
    let found = fs::metadata(path).map_err(|error| format!("{}: {error}", shown()))?;
    let sound = found.is_file() && found.len() <= MOST_BYTES;
    if sound { Ok(()) } else { Err(format!("{} is no file of at most {} MiB", shown(), MOST_BYTES >> 20)) }
}

/// Finds the parts, telling all that is known after each.
fn parts(metered: &Metered, text: Option<PathBuf>, meter: &ModelMeter<'_>, task: &Task) -> Result<(), MeasureError> {
    task.tell_need("comparing", metered.compressed_need(meter, comparing_need(meter.model, meter.text), task));
    task.control.set_total(SHARES.iter().sum());
    let [first, second, third, fourth] = SHARES.map(|share| task.control.part(share));
    let compressed = metered.compressed(meter, &first)?;
    let pair = (meter.model, &compressed);
    let reference = Reference { model: meter.model, passes: meter.passes };
    let comparison = compare(reference, &compressed, meter.text, &first)?;
    let plans = metered.plans.clone();
    let mut found = Compared { text, comparison, fast: None, attention: None, layers: None, health: None, plans };
    let tell = |found: &Compared| {
        task.outbox.send(Event::Compared { job: task.id, found: Box::new(found.clone()) });
    };
    tell(&found);
    if metered.arithmetic == Arithmetic::Fast {
        found.fast = Some(fast_cost(&compressed, meter.text, &task.control.part(0))?);
        tell(&found);
    }
    found.attention = Some(attention_shift(pair, meter.text, &second)?);
    tell(&found);
    let mut layers = layer_errors(pair, meter.text, &third)?;
    layers.sort_by(|a, b| b.output_error.total_cmp(&a.output_error));
    found.layers = Some(layers);
    tell(&found);
    found.health = Some(health(pair, metered.tokenizer(), &prompts_of(PROMPTS), WRITTEN, &fourth)?);
    tell(&found);
    Ok(())
}
