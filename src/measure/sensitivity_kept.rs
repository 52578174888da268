//! What a sensitivity scan knows already, kept by content.

use tracing::debug;

use super::calibrate::digest;
use super::reference::model_key;
use super::{Mode, SensitivityOptions, TrialResult};
use crate::checkpoint::KeptFolder;
use crate::compress::Plan;

/// Version of the way in which results are computed.
const VERSION: &str = "4";
/// Most bytes of results that are kept.
const KEPT: u64 = 64 << 20;

/// What can be found out about a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// What its change does.
    Alone,
    /// What that is held against.
    Beside,
}

/// What a change does alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Alone {
    pub(super) change: TrialResult,
    pub(super) weight_error: f64,
    pub(super) calibrated: Option<f64>,
}

/// What a change is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Beside {
    pub(super) kld_iso: f64,
    pub(super) looping: Option<bool>,
}

/// What is known of a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) alone: Option<Alone>,
    pub(super) beside: Option<Beside>,
}

impl Known {
    pub(super) fn lacks(&self, part: Part) -> bool {
        match part {
            Part::Alone => self.alone.is_none(),
            Part::Beside => self.beside.is_none(),
        }
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self { alone: self.alone.or(other.alone), beside: self.beside.or(other.beside) }
    }
}

/// Figures of one layer that take work, as numbers.
trait Figures: Sized {
    fn numbers(&self) -> Vec<f64>;

    fn of(numbers: &[f64]) -> Option<Self>;
}

impl Figures for Alone {
    fn numbers(&self) -> Vec<f64> {
        let TrialResult { tokens, kld, cosine, mse, top1, perplexity_ratio, output_error } = self.change;
        let calibrated = self.calibrated.unwrap_or(f64::NAN);
        let change = [tokens as f64, kld.0, kld.1, cosine, mse, top1, perplexity_ratio, output_error];
        [&change[..], &[self.weight_error, calibrated]].concat()
    }

    fn of(numbers: &[f64]) -> Option<Self> {
        let &[tokens, kld, kld_error, cosine, mse, top1, perplexity_ratio, output_error, weight_error, calibrated] =
            numbers
        else {
            return None;
        };
        let (tokens, kld) = (tokens as usize, (kld, kld_error));
        let change = TrialResult { tokens, kld, cosine, mse, top1, perplexity_ratio, output_error };
        Some(Self { change, weight_error, calibrated: known(calibrated) })
    }
}

impl Figures for Beside {
    fn numbers(&self) -> Vec<f64> {
        vec![self.kld_iso, self.looping.map_or(f64::NAN, |looping| f64::from(u8::from(looping)))]
    }

    fn of(numbers: &[f64]) -> Option<Self> {
        let &[kld_iso, looping] = numbers else { return None };
        Some(Self { kld_iso, looping: known(looping).map(|looping| looping > 0.0) })
    }
}

/// A figure that may not be there is NaN in a file.
fn known(number: f64) -> Option<f64> {
    (!number.is_nan()).then_some(number)
}

/// Where the results of a scan are kept, and what they depend on.
pub(super) struct Kept {
    folder: Option<KeptFolder>,
    scan: String,
    prompt: String,
}

impl Kept {
    pub(super) fn new(options: &SensitivityOptions<'_>, windows: &[Vec<u32>]) -> Self {
        let folder = options.folder.map(|path| KeptFolder::new(path.to_owned(), "damage", KEPT));
        let plans = match options.mode {
            Mode::Only => String::new(),
            Mode::Without => format!("{:?}", options.plans),
        };
        let text = digest(windows.iter().map(|window| bytemuck::cast_slice(window)));
        let calibration = options.meter.calibration.map_or("", |calibration| calibration.fingerprint());
        let model = model_key(options.meter.model, &options.meter.checkpoint.fingerprint());
        let parts = [VERSION, &model, &plans, &text, calibration].map(str::as_bytes);
        let prompt = digest(std::iter::once(bytemuck::cast_slice(options.prompt)));
        Self { folder, scan: digest(parts.into_iter()), prompt }
    }

    fn key(&self, options: &SensitivityOptions<'_>, (layer, plan): (usize, &Plan), part: Part) -> String {
        let name = options.meter.model.layers().get(layer).map_or("", |layer| &layer.name);
        let (mode, plan, of) = (format!("{:?}", options.mode), format!("{plan:?}"), format!("{part:?}"));
        let prompt = if part == Part::Beside { self.prompt.as_str() } else { "" };
        digest([self.scan.as_str(), name, &mode, &plan, &of, prompt].iter().map(|part| part.as_bytes()))
    }

    /// What is kept of what is asked about a layer.
    pub(super) fn read(
        &self,
        options: &SensitivityOptions<'_>,
        layer: (usize, &Plan),
        notes: &mut Vec<String>,
    ) -> Known {
        let key = |part: Part| {
            let is_asked = options.depth.rounds().iter().any(|round| round.contains(&part));
            is_asked.then(|| self.key(options, layer, part))
        };
        let folder = self.folder.as_ref();
        let alone = key(Part::Alone).and_then(|key| read(folder, &key, notes));
        let beside = key(Part::Beside).and_then(|key| read(folder, &key, notes));
        Known { alone, beside }
    }

    /// Keeps what was found out about a layer.
    pub(super) fn write(
        &self,
        options: &SensitivityOptions<'_>,
        layer: (usize, &Plan),
        Known { alone, beside }: &Known,
    ) {
        let key = |part: Part| self.key(options, layer, part);
        let folder = self.folder.as_ref();
        alone.iter().for_each(|alone| write(folder, &key(Part::Alone), alone));
        beside.iter().for_each(|beside| write(folder, &key(Part::Beside), beside));
    }
}

/// What is kept under a key; an entry that is broken goes, and a note says so.
fn read<F: Figures>(folder: Option<&KeptFolder>, key: &str, notes: &mut Vec<String>) -> Option<F> {
    let found = folder?.read(key).map_err(|unsound| notes.push(unsound.to_string())).ok()??;
    let (numbers, []) = found.as_chunks::<8>() else { return None };
    let numbers: Vec<f64> = numbers.iter().map(|number| f64::from_le_bytes(*number)).collect();
    F::of(&numbers)
}

/// Keeps an entry; where it cannot be written, the work goes on without it.
fn write(folder: Option<&KeptFolder>, key: &str, figures: &impl Figures) {
    let bytes: Vec<u8> = figures.numbers().iter().flat_map(|number| number.to_le_bytes()).collect();
    if let Some(Err(error)) = folder.map(|folder| folder.write(key, &[&bytes])) {
        debug!("a result is not kept: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone() -> Alone {
        let change = TrialResult {
            tokens: 77,
            kld: (0.1, 0.01),
            cosine: 0.9,
            mse: 1.0 / 3.0,
            top1: 0.75,
            perplexity_ratio: 1.1,
            output_error: 0.2,
        };
        Alone { change, weight_error: 0.3, calibrated: None }
    }

    fn kept_and_read<F: Figures>(folder: &KeptFolder, key: &str, figures: &F) -> Option<F> {
        let mut notes = Vec::new();
        assert!(read::<F>(Some(folder), key, &mut notes).is_none());
        write(Some(folder), key, figures);
        let found = read(Some(folder), key, &mut notes);
        assert!(notes.is_empty() && read::<F>(None, key, &mut notes).is_none());
        found
    }

    #[test]
    fn what_is_written_is_read_back_to_the_bit() {
        let place = tempfile::tempdir().unwrap();
        let folder = KeptFolder::new(place.path().join("new"), "damage", u64::MAX);
        for (key, alone) in [("a", alone()), ("b", Alone { calibrated: Some(0.4), ..alone() })] {
            assert_eq!(kept_and_read(&folder, key, &alone), Some(alone));
        }
        for (key, looping) in [("c", None), ("d", Some(true)), ("e", Some(false))] {
            let beside = Beside { kld_iso: 1.0 / 3.0, looping };
            assert_eq!(kept_and_read(&folder, key, &beside), Some(beside));
        }
    }

    #[test]
    fn a_broken_entry_leaves_a_note() {
        let place = tempfile::tempdir().unwrap();
        let (folder, mut notes) = (KeptFolder::new(place.path().to_owned(), "damage", u64::MAX), Vec::new());
        std::fs::write(folder.path("a"), [0; 128]).unwrap();
        assert_eq!((read::<Alone>(Some(&folder), "a", &mut notes), notes.len()), (None, 1));
        for bytes in [&[0; 12][..], &[0; 8]] {
            folder.write("b", &[bytes]).unwrap();
            assert_eq!(read::<Alone>(Some(&folder), "b", &mut notes), None);
            assert_eq!(read::<Beside>(Some(&folder), "b", &mut notes), None);
        }
    }
}
