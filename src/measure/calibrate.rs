//! Input statistics of every layer over a text, kept by content.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::calibrate_run::Run;
use super::reference::model_key;
use super::{MeasureError, windows};
use crate::checkpoint::{KeptFolder, WriteError};
use crate::compress::{CalibratedInput, CalibrationAbout, CalibrationFile};
use crate::control::Control;
use crate::model::Model;

/// Length of an input above which only its mean squares are kept, unless told: its triangle would take 512 MB in a file, and
/// twice that while it is summed.
pub const WIDEST_INPUT: usize = 16384;
/// Version of the way in which statistics are computed.
const VERSION: &str = "3";
/// Most bytes of statistics that are kept; the newest stay, whatever they take.
const KEPT: u64 = 16 << 30;
/// How often one that waits for another's result looks again.
const PATIENCE: Duration = Duration::from_millis(50);

/// What to calibrate on.
#[derive(Debug, Clone)]
pub struct CalibrateOptions {
    /// Ids of the whole text (no BOS).
    pub ids: Vec<u32>,
    /// BOS that opens each window, where the tokenizer adds one.
    pub bos: Option<u32>,
    /// At most this many ids of the text are used.
    pub limit: Option<usize>,
    /// Of inputs longer than this only the mean squares are kept.
    pub widest: usize,
}

/// Statistics, with what a person should know about them.
#[derive(Debug)]
pub struct Calibrated {
    /// The statistics, in their file.
    pub file: CalibrationFile,
    /// What should be said, a line each.
    pub notes: Vec<String>,
}

impl CalibrateOptions {
    /// The windows that a model of that context reads, as [`windows`] cuts them, BOS included.
    fn windows(&self, context: usize) -> Result<Vec<Vec<u32>>, MeasureError> {
        let ids = self.ids.get(..self.limit.unwrap_or(usize::MAX)).unwrap_or(&self.ids);
        let cut = windows(ids.len(), context, self.bos.is_some()).into_iter();
        let window = |ids: &[u32]| self.bos.into_iter().chain(ids.iter().copied()).collect();
        let found: Vec<Vec<u32>> = cut.filter_map(|range| ids.get(range)).map(window).collect();
        if found.is_empty() { Err(MeasureError::TooShort { tokens: ids.len(), least: 1 }) } else { Ok(found) }
    }
}

/// The statistics of the inputs of every layer of `model` over a text, all positions counted: from `folder` where they lie
/// already, or computed now, block by block, and kept there. What was computed before an interruption is not computed
/// again. `source` is the fingerprint of the model's checkpoint; `digests` a folder that remembers which files are sound.
/// The same bits at any number of threads, cached or not, interrupted or not.
///
/// # Errors
/// A text without tokens, model errors, a folder that cannot be written, cancelled.
pub fn calibrate(
    model: &Model,
    source: &str,
    options: &CalibrateOptions,
    (folder, digests): (&Path, Option<&Path>),
    control: &Control,
) -> Result<Calibrated, MeasureError> {
    let windows = options.windows(model.architecture().context)?;
    let (key, text) = keys(model, source, options, &windows);
    let kept_in = kept_in(folder);
    let path = kept_in.path(&key);
    let mut notes = Vec::new();
    let mut kept = cached(&path, source, digests, &mut notes);
    if kept.is_none() {
        if let Err(error) = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder)) {
            return calibrate_for_now(model, source, options, (folder, &error), control);
        }
        let lock = folder.join(format!("{key}.lock"));
        let _turn = turn(&lock, control)?;
        kept = cached(&path, source, digests, &mut notes);
        if kept.is_none() {
            let work = folder.join(format!("{key}.part"));
            let (inputs, tensors) = Run::new(model, source, &key, &windows, options.widest, &work, control)?.all()?;
            let about = about(model, (source, &text), &windows, inputs);
            CalibrationFile::write(&path, true, &[], &about, tensors)?;
            kept_in.make_room();
            let _ = fs::remove_dir_all(work);
        }
        let _ = fs::remove_file(&lock);
    }
    let file = match kept {
        Some(file) => file,
        None => CalibrationFile::open(&path, source, digests)?,
    };
    notes.extend(rough(model, &file.about));
    notes.extend(file.about.notes());
    Ok(Calibrated { file, notes })
}

/// As [`calibrate`] where the folder cannot be written: in one that goes again. (The file stays mapped without its name.)
fn calibrate_for_now(
    model: &Model,
    source: &str,
    options: &CalibrateOptions,
    (folder, error): (&Path, &std::io::Error),
    control: &Control,
) -> Result<Calibrated, MeasureError> {
    let passing = tempfile::tempdir().map_err(|source| WriteError::Io { path: folder.to_owned(), source })?;
    let mut found = calibrate(model, source, options, (passing.path(), None), control)?;
    found.notes.push(format!("the statistics are not kept: {} cannot be written ({error})", folder.display()));
    Ok(found)
}

/// Whether [`calibrate`] would find what it computes already there, so that it needs no memory for it.
pub fn is_calibrated(model: &Model, source: &str, options: &CalibrateOptions, folder: &Path) -> bool {
    let windows = options.windows(model.architecture().context).unwrap_or_default();
    kept_in(folder).path(&keys(model, source, options, &windows).0).is_file()
}

fn kept_in(folder: &Path) -> KeptFolder {
    KeptFolder::new(folder.to_owned(), "safetensors", KEPT)
}

/// What names the statistics, and their text.
fn keys(model: &Model, source: &str, options: &CalibrateOptions, windows: &[Vec<u32>]) -> (String, String) {
    let text = digest(windows.iter().map(|window| bytemuck::cast_slice(window)));
    let widest = options.widest.to_string();
    let parts = [VERSION, &model_key(model, source), &text, &widest];
    (digest(parts.iter().map(|part| part.as_bytes())), text)
}

/// What is kept already, if it is sound; if not, it goes.
fn cached(path: &Path, source: &str, digests: Option<&Path>, notes: &mut Vec<String>) -> Option<CalibrationFile> {
    if !path.is_file() {
        return None;
    }
    match CalibrationFile::open(path, source, digests) {
        Ok(file) => Some(file),
        Err(error) => {
            notes.push(format!("kept statistics are unsound, and computed anew ({error})"));
            let _ = fs::remove_file(path);
            None
        }
    }
}

/// The right to compute, once nobody else does; held as long as the file is. Where the system has no locks, at once.
fn turn(path: &Path, control: &Control) -> Result<File, MeasureError> {
    let fail = |source| WriteError::Io { path: path.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(fail)?;
    while matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        control.check()?;
        thread::sleep(PATIENCE);
    }
    Ok(file)
}

fn about(
    model: &Model,
    (source, text): (&str, &str),
    windows: &[Vec<u32>],
    inputs: Vec<CalibratedInput>,
) -> CalibrationAbout {
    let seen = |name: &String| inputs.iter().any(|input| input.layers.contains(name));
    let left_out = model.layers().iter().map(|layer| layer.name.clone()).filter(|name| !seen(name)).collect();
    CalibrationAbout {
        source: source.to_owned(),
        text: text.to_owned(),
        tokens: windows.iter().map(|window| window.len() as u64).sum(),
        windows: windows.len() as u64,
        inputs,
        left_out,
    }
}

/// What is to be said of a text that is too short to tell which directions matter.
fn rough(model: &Model, about: &CalibrationAbout) -> Option<String> {
    let longest = model.layers().iter().map(|layer| layer.cols).max().unwrap_or_default();
    (about.windows < 2 || about.tokens < longest as u64).then(|| {
        let tokens = about.tokens;
        format!(
            "only {tokens} tokens were seen, fewer than tell all directions of the inputs apart; give a longer text"
        )
    })
}

/// BLAKE3 over parts, each with its length, hex.
pub(super) fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
#[path = "calibrate_tests.rs"]
mod tests;
