//! The original's passes over a text, kept: ten policies cost ten compressed passes, not twenty.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::debug;

use super::calibrate::digest;
use super::compare::{WindowPass, run_window};
use crate::checkpoint::KeptFolder;
use crate::control::Control;
use crate::linalg::kernel_family;
use crate::model::{Model, ModelError};

/// Version of the way in which passes are computed and stored.
const VERSION: &str = "2";
/// Most bytes of passes that are kept, unless told.
const KEPT: u64 = 4 << 30;
/// Bytes of a number in a file.
const WORD: usize = size_of::<f32>();

/// Passes of one model over windows of text, kept in a folder: f32 logits and hidden states of the scored positions, equal to
/// the bit to those computed anew.
#[derive(Debug)]
pub struct KeptPasses {
    folder: KeptFolder,
    limit: u64,
    model: String,
    unsound: AtomicBool,
}

impl KeptPasses {
    /// Passes of `model`, loaded from a checkpoint whose fingerprint is `source`; at most 4 GiB lie in the folder.
    pub fn new(folder: PathBuf, model: &Model, source: &str) -> Self {
        Self::with_limit(folder, model, source, KEPT)
    }

    /// As [`KeptPasses::new`], with another limit.
    pub fn with_limit(folder: PathBuf, model: &Model, source: &str, limit: u64) -> Self {
        let folder = KeptFolder::new(folder, "pass", limit);
        Self { folder, limit, model: model_key(model, source), unsound: AtomicBool::new(false) }
    }

    /// What a person should know about what was kept.
    pub fn note(&self) -> Option<&'static str> {
        let unsound = self.unsound.load(Ordering::Relaxed);
        unsound.then_some("kept passes of the original were unsound, and computed anew")
    }

    fn key(&self, window: &[u32]) -> String {
        digest([VERSION.as_bytes(), self.model.as_bytes(), bytemuck::cast_slice(window)].into_iter())
    }

    fn read(&self, key: &str) -> Option<WindowPass> {
        let found = self.folder.read(key).unwrap_or_else(|_| {
            self.unsound.store(true, Ordering::Relaxed);
            None
        });
        decoded(&found?)
    }

    fn write(&self, key: &str, pass: &WindowPass) {
        let lengths = std::iter::once(&pass.logits).chain(&pass.states).map(|part| part.len() as u64);
        let head: Vec<u64> = std::iter::once(1 + pass.states.len() as u64).chain(lengths).collect();
        let parts = std::iter::once(&pass.logits).chain(&pass.states).map(|part| bytemuck::cast_slice(part));
        let parts: Vec<&[u8]> = std::iter::once(bytemuck::cast_slice(&head)).chain(parts).collect();
        if let Err(error) = self.folder.write(key, &parts) {
            debug!("a pass of the original is not kept: {error}");
        }
    }
}

/// What a model's passes depend on: its weights, how it computes with them, and the kernels of this machine.
pub(super) fn model_key(model: &Model, source: &str) -> String {
    let architecture = format!("{:?}", model.architecture());
    digest([source, &architecture, kernel_family()].iter().map(|part| part.as_bytes()))
}

/// How many parts, how long each is, then the parts: logits, states.
fn decoded(bytes: &[u8]) -> Option<WindowPass> {
    let (count, rest) = bytes.split_first_chunk::<8>()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    let (lengths, mut rest) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut parts = Vec::new();
    for length in lengths.as_chunks::<8>().0 {
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (part, others) = rest.split_at_checked(length.checked_mul(WORD)?)?;
        parts.push(bytemuck::pod_collect_to_vec(part));
        rest = others;
    }
    let logits = (!parts.is_empty() && rest.is_empty()).then(|| parts.remove(0))?;
    Some(WindowPass { logits, states: parts })
}

/// The original, as what other models are measured against.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// The model.
    pub model: &'a Model,
    /// Where its passes are kept; `None`: nowhere.
    pub passes: Option<&'a KeptPasses>,
}

impl<'a> From<&'a Model> for Reference<'a> {
    fn from(model: &'a Model) -> Self {
        Self { model, passes: None }
    }
}

impl Reference<'_> {
    /// The same, but nothing is kept of a text of so many windows that they would not stay.
    pub(super) fn over(self, windows: usize, longest: usize) -> Self {
        let shape = self.model.architecture();
        let numbers = shape.vocabulary + shape.hidden * (shape.blocks + 1);
        let bytes = (windows * longest.div_ceil(2) * numbers * WORD) as u64;
        Self { passes: self.passes.filter(|passes| bytes <= passes.limit), ..self }
    }

    /// What the original says about a window, BOS included.
    pub(super) fn pass(&self, window: &[u32], control: &Control) -> Result<WindowPass, ModelError> {
        self.pass_by(window, || run_window(self.model, window, control))
    }

    /// As [`Reference::pass`], which `run` makes where it is not kept.
    pub(super) fn pass_by(
        &self,
        window: &[u32],
        run: impl FnOnce() -> Result<WindowPass, ModelError>,
    ) -> Result<WindowPass, ModelError> {
        let Some(passes) = self.passes else { return run() };
        let key = passes.key(window);
        if let Some(pass) = passes.read(&key) {
            return Ok(pass);
        }
        let pass = run()?;
        passes.write(&key, &pass);
        Ok(pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::measure::{CompareOptions, compare};

    fn model(name: &str) -> Model {
        Model::load(&Checkpoint::open(format!("tests/data/golden/{name}").as_ref()).unwrap()).unwrap()
    }

    fn files(folder: &std::path::Path) -> Vec<PathBuf> {
        std::fs::read_dir(folder).map_or_else(|_| Vec::new(), |all| all.map(|file| file.unwrap().path()).collect())
    }

    #[test]
    fn a_comparison_is_the_same_to_the_bit_kept_or_not_or_broken() {
        let (one, control) = (model("gpt_neo"), Control::new());
        let other = one.with_weight(2, std::sync::Arc::clone(one.weight(1).unwrap()));
        let text = CompareOptions { ids: (0..150).map(|i| i * 5 % 31).collect(), bos: None, limit: None };
        let place = tempfile::tempdir().unwrap();
        let passes = KeptPasses::new(place.path().to_owned(), &one, "source");
        let reference = Reference { model: &one, passes: Some(&passes) };
        let fresh = compare(&one, &other, &text, &control).unwrap();
        assert_eq!(compare(reference, &other, &text, &control).unwrap(), fresh);
        let kept = files(place.path());
        assert!(!kept.is_empty() && passes.note().is_none());
        assert_eq!(compare(reference, &other, &text, &control).unwrap(), fresh);
        assert_eq!(files(place.path()).len(), kept.len());
        let mut bytes = std::fs::read(&kept[0]).unwrap();
        bytes[60] ^= 4;
        std::fs::write(&kept[0], bytes).unwrap();
        assert_eq!(compare(reference, &other, &text, &control).unwrap(), fresh);
        assert!(passes.note().is_some());
    }

    #[test]
    fn what_is_kept_is_what_is_used() {
        let (one, other, control) = (model("gpt_neo"), model("gpt_neo_f16"), Control::new());
        let place = tempfile::tempdir().unwrap();
        let passes = KeptPasses::new(place.path().to_owned(), &one, "source");
        let window: Vec<u32> = (0..20).collect();
        let pass = Reference { model: &one, passes: Some(&passes) }.pass(&window, &control).unwrap();
        // Another model under the same key is told apart by nothing but the key.
        let again = Reference { model: &other, passes: Some(&passes) }.pass(&window, &control).unwrap();
        assert_eq!((&again.logits, &again.states), (&pass.logits, &pass.states));
        let elsewhere = KeptPasses::new(place.path().to_owned(), &one, "another source");
        let anew = Reference { model: &other, passes: Some(&elsewhere) }.pass(&window, &control).unwrap();
        assert_ne!(anew.logits, pass.logits);
    }

    #[test]
    fn a_text_that_would_not_stay_is_not_kept() {
        let (one, control) = (model("gpt_neo"), Control::new());
        let place = tempfile::tempdir().unwrap();
        let passes = KeptPasses::with_limit(place.path().to_owned(), &one, "source", 10_000);
        let text = CompareOptions { ids: (0..150).map(|i| i * 5 % 31).collect(), bos: None, limit: None };
        compare(Reference { model: &one, passes: Some(&passes) }, &one, &text, &control).unwrap();
        assert!(files(place.path()).is_empty());
    }

    #[test]
    fn files_of_other_shapes_are_no_passes() {
        let words = |words: &[u64]| bytemuck::cast_slice(words).to_vec();
        assert!(decoded(&words(&[1, 0])).is_some_and(|pass| pass.logits.is_empty() && pass.states.is_empty()));
        for bytes in [&[][..], &words(&[0]), &words(&[1, 2]), &words(&[1, 0, 7]), &words(&[u64::MAX, 1])] {
            assert!(decoded(bytes).is_none());
        }
    }
}
