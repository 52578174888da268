//! Input statistics as a safetensors file (docs/formats.md, "The calibration file").

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use serde::{Deserialize, Serialize};

use super::Calibration;
use super::calibration::Stored;
use crate::checkpoint::{
    Bytes, Checkpoint, CheckpointError, Dtype, Tensor, TensorSpec, WriteError, escaped, fingerprint, replace_file,
    write_safetensors,
};
use crate::linalg::{InputStatistics, Moments};

/// Version of the format, and of the way in which statistics are computed.
const VERSION: &str = "2";
/// The key of the version in the metadata.
const KEY: &str = "rankscope_calibration";

/// Why a calibration file is not used, or could not be written. Each message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] CheckpointError),
    /// It is no calibration file, or not a sound one.
    #[error("{file}: {reason}; make one with 'calibrate'")]
    Invalid {
        /// Its name, escaped.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// It was made from another model.
    #[error("{file} holds the input statistics of another model; make those of this one with 'calibrate'")]
    OtherModel {
        /// Its name, escaped.
        file: String,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// How the inputs of some layers are described.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// E[x x^T].
    Gram,
    /// E[x^2] alone.
    Diagonal,
}

impl InputKind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Gram => "gram",
            Self::Diagonal => "mean_square",
        }
    }
}

/// One input that layers read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalibratedInput {
    /// The first layer that reads it; `NAME.gram` or `NAME.mean_square` is its tensor.
    pub name: String,
    /// Its length.
    pub width: usize,
    /// All layers that read it.
    pub layers: Vec<String>,
    /// What is known of it.
    pub kind: InputKind,
    /// How many inputs were seen.
    pub tokens: u64,
}

/// What a calibration file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CalibrationAbout {
    /// Fingerprint of the model.
    pub source: String,
    /// Digest of the text's ids, and of how they were cut into windows.
    pub text: String,
    /// Positions that the model read, those of BOS included.
    pub tokens: u64,
    /// Windows.
    pub windows: u64,
    /// The inputs, in the model's order.
    pub inputs: Vec<CalibratedInput>,
    /// Layers without statistics: their inputs were not finite, or never came.
    pub left_out: Vec<String>,
}

/// A calibration file, opened.
#[derive(Debug, Clone)]
pub struct CalibrationFile {
    /// What it says about itself.
    pub about: CalibrationAbout,
    /// The statistics; they stay in the file until they are asked for.
    pub calibration: Calibration,
    /// The numbers as they lie in the file.
    pub tensors: Vec<Tensor>,
}

impl CalibrationAbout {
    /// What a person should know about these statistics, a line each.
    pub fn notes(&self) -> Vec<String> {
        let name = |name: &str, more: usize| {
            let name = escaped(name, 200);
            if more > 0 { format!("{name} and {more} more") } else { name }
        };
        let mut notes = Vec::new();
        let wide: Vec<_> = self.inputs.iter().filter(|input| input.kind == InputKind::Diagonal).collect();
        if let [first, rest @ ..] = wide.as_slice() {
            let (name, width) = (name(&first.name, rest.len()), first.width);
            notes.push(format!("{name}: an input of {width} numbers is so long that its mean squares alone are kept"));
        }
        if let [first, rest @ ..] = self.left_out.as_slice() {
            notes.push(format!(
                "{}: no statistics, since its inputs are not finite or never came; keep it dense or weight it plain",
                name(first, rest.len())
            ));
        }
        notes
    }
}

impl CalibratedInput {
    /// The statistics of what `layers` read, the first of which names them, as an entry and its tensor.
    pub fn of(layers: Vec<String>, statistics: &InputStatistics) -> (Self, Tensor) {
        let name = layers.first().cloned().unwrap_or_default();
        let (kind, numbers) = match &statistics.moments {
            Moments::Gram(numbers) => (InputKind::Gram, numbers),
            Moments::Diagonal(numbers) => (InputKind::Diagonal, numbers),
        };
        let data = Bytes::copied(bytemuck::cast_slice(numbers));
        let input = Self { name, width: statistics.width, layers, kind, tokens: statistics.tokens };
        let tensor = Tensor::new(input.tensor(), Dtype::F32, vec![numbers.len()], data);
        (input, tensor)
    }

    /// The name of its tensor.
    fn tensor(&self) -> String {
        format!("{}.{}", self.name, self.kind.suffix())
    }

    /// How many numbers it has.
    fn numbers(&self) -> Option<usize> {
        match self.kind {
            InputKind::Gram => Some(self.width.checked_mul(self.width.checked_add(1)?)? / 2),
            InputKind::Diagonal => Some(self.width),
        }
    }
}

impl CalibrationFile {
    /// Writes statistics, over none of `inputs`: the same ones give the same bytes. `tensors` are those of `about.inputs`.
    ///
    /// # Errors
    /// The target's: it exists and `force` is not given, or the system's.
    pub fn write(
        path: &Path,
        force: bool,
        inputs: &[PathBuf],
        about: &CalibrationAbout,
        mut tensors: Vec<Tensor>,
    ) -> Result<(), CalibrationError> {
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let json = |value: serde_json::Result<String>| value.map_err(|error| invalid(path, error.to_string()));
        let metadata = BTreeMap::from([
            (KEY.to_owned(), VERSION.to_owned()),
            ("source_fingerprint".to_owned(), about.source.clone()),
            ("text".to_owned(), about.text.clone()),
            ("tokens".to_owned(), about.tokens.to_string()),
            ("windows".to_owned(), about.windows.to_string()),
            ("inputs".to_owned(), json(serde_json::to_string(&about.inputs))?),
            ("left_out".to_owned(), json(serde_json::to_string(&about.left_out))?),
            ("fingerprint".to_owned(), fingerprint(&tensors)),
        ]);
        let spec = |t: &Tensor| TensorSpec { name: t.name.clone(), dtype: t.dtype, shape: t.shape.clone() };
        let parts: Vec<(TensorSpec, &[u8])> = tensors.iter().map(|t| (spec(t), &t.data[..])).collect();
        Ok(replace_file(path, force, inputs, |out| write_safetensors(out, &parts, &metadata))?)
    }

    /// Opens a file and checks that it holds what it was written with; `source` is the fingerprint of the model that it
    /// must be of. Where `digests` names a folder, that check is remembered there.
    ///
    /// # Errors
    /// [`CalibrationError`]: unreadable, no calibration file, damaged, of another model.
    pub fn open(path: &Path, source: &str, digests: Option<&Path>) -> Result<Self, CalibrationError> {
        let file = Checkpoint::open(path)?;
        let file = match digests {
            Some(folder) => file.remembering(folder),
            None => file,
        };
        let refuse = |reason: String| invalid(path, reason);
        let (about, told) = read_about(&file).map_err(refuse)?;
        if about.source != source {
            return Err(CalibrationError::OtherModel { file: shown(path) });
        }
        let stored = stored(&file, &about.inputs).map_err(refuse)?;
        if file.fingerprint() != told {
            return Err(refuse("its numbers are not those that it was written with".to_owned()));
        }
        let calibration = Calibration::stored(told, stored);
        Ok(Self { about, calibration, tensors: file.tensors().to_vec() })
    }

    /// Writes these statistics to another place.
    ///
    /// # Errors
    /// As [`replace_file`].
    pub fn copy_to(&self, path: &Path, force: bool, inputs: &[PathBuf]) -> Result<(), CalibrationError> {
        Self::write(path, force, inputs, &self.about, self.tensors.clone())
    }
}

/// What the metadata says, and the fingerprint of the numbers.
fn read_about(file: &Checkpoint) -> Result<(CalibrationAbout, String), String> {
    let metadata = file.metadata();
    match metadata.get(KEY).map(String::as_str) {
        Some(VERSION) => {}
        Some(other) => return Err(format!("its format is version {}, not {VERSION}", escaped(other, 40))),
        None => return Err("it is no calibration file".to_owned()),
    }
    let text = |key: &str| metadata.get(key).ok_or_else(|| format!("its metadata has no \"{key}\""));
    let count = |key: &str| text(key)?.parse().map_err(|_| format!("\"{key}\" in its metadata is no number"));
    let about = CalibrationAbout {
        source: text("source_fingerprint")?.clone(),
        text: text("text")?.clone(),
        tokens: count("tokens")?,
        windows: count("windows")?,
        inputs: parsed(text("inputs")?, "inputs")?,
        left_out: parsed(text("left_out")?, "left_out")?,
    };
    Ok((about, text("fingerprint")?.clone()))
}

fn parsed<T: serde::de::DeserializeOwned>(json: &str, key: &str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|error| format!("\"{key}\" in its metadata cannot be read: {error}"))
}

/// The statistics by layer, where every input has its tensor.
fn stored(file: &Checkpoint, inputs: &[CalibratedInput]) -> Result<HashMap<String, Arc<Stored>>, String> {
    let mut found = HashMap::new();
    for input in inputs {
        let name = input.tensor();
        let fits = |tensor: &&Tensor| tensor.dtype == Dtype::F32 && Some(tensor.elements()) == input.numbers();
        let tensor = file.tensor(&name).filter(fits);
        let tensor = tensor.ok_or_else(|| format!("it has no sound tensor {}", escaped(&name, 200)))?.clone();
        let (width, tokens, gram) = (input.width, input.tokens, input.kind == InputKind::Gram);
        let stored = Arc::new(Stored { tensor, width, tokens, gram, used: Mutex::new(Weak::new()) });
        found.extend(input.layers.iter().map(|layer| (layer.clone(), Arc::clone(&stored))));
    }
    Ok(found)
}

fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy(), 200)
}

fn invalid(path: &Path, reason: String) -> CalibrationError {
    CalibrationError::Invalid { file: shown(path), reason }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn statistics(numbers: &[f32], gram: bool) -> InputStatistics {
        let packed: Arc<[f32]> = Arc::from(numbers);
        let moments = if gram { Moments::Gram(packed) } else { Moments::Diagonal(packed) };
        InputStatistics { width: 2, tokens: 7, moments }
    }

    fn written(path: &Path) -> [InputStatistics; 2] {
        let (gram, diagonal) = (statistics(&[1.0, 0.5, 2.0], true), statistics(&[3.0, 4.0], false));
        let (q, q_tensor) = CalibratedInput::of(vec!["q".into(), "k".into()], &gram);
        let (o, o_tensor) = CalibratedInput::of(vec!["o".into()], &diagonal);
        let about = CalibrationAbout {
            source: "model".into(),
            text: "text".into(),
            tokens: 7,
            windows: 1,
            inputs: vec![q, o],
            left_out: vec!["up".into()],
        };
        CalibrationFile::write(path, true, &[], &about, vec![q_tensor, o_tensor]).unwrap();
        [gram, diagonal]
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let [gram, diagonal] = written(&path);
        let file = CalibrationFile::open(&path, "model", None).unwrap();
        let of = |layer: &str| file.calibration.statistics(layer);
        assert_eq!((of("q").as_deref(), of("o").as_deref()), (Some(&gram), Some(&diagonal)));
        let (q, k) = (of("q").unwrap(), of("k").unwrap());
        assert!(Arc::ptr_eq(&q, &k));
        assert_eq!(of("up"), None);
        assert_eq!((file.about.left_out.as_slice(), file.about.tokens), (["up".to_owned()].as_slice(), 7));
        let copy = folder.path().join("copy.safetensors");
        file.copy_to(&copy, false, &[]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), fs::read(&copy).unwrap());
        assert!(matches!(file.copy_to(&copy, false, &[]), Err(CalibrationError::Write(WriteError::Exists(_)))));
    }

    #[test]
    fn what_is_broken_or_of_another_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        written(&path);
        let refused = || CalibrationFile::open(&path, "model", None).unwrap_err().to_string();
        let other = CalibrationFile::open(&path, "other", None).unwrap_err();
        assert!(matches!(&other, CalibrationError::OtherModel { .. }), "{other}");
        let sound = fs::read(&path).unwrap();
        let mut damaged = sound.clone();
        *damaged.last_mut().unwrap() ^= 1;
        fs::write(&path, &damaged).unwrap();
        assert!(refused().contains("are not those that it was written with"));
        fs::write(&path, &sound[..sound.len() - 4]).unwrap();
        refused();
        fs::write(&path, b"garbage").unwrap();
        refused();
        let replaced = |from: &str, to: &str| {
            let at = sound.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
            let mut changed = sound.clone();
            changed[at..at + to.len()].copy_from_slice(to.as_bytes());
            fs::write(&path, changed).unwrap();
        };
        for (from, to, reason) in [
            ("rankscope_calibration", "rankscope_calibratioN", "no calibration file"),
            ("rankscope_calibration\":\"2", "rankscope_calibration\":\"3", "version 3"),
            ("\"tokens\":\"7", "\"tokens\":\"x", "no number"),
            ("width\\\":2", "width\\\":3", "no sound tensor"),
        ] {
            replaced(from, to);
            assert!(refused().contains(reason), "{}", refused());
        }
    }
}
