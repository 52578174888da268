//! The factor cache's files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tracing::debug;

use crate::checkpoint::{
    Checkpoint, Dtype, KeptFolder, Tensor, TensorSpec, View, WriteError, replace_file, write_safetensors,
};
use crate::linalg::{Decomposition, OutputErrors};

/// Version of the way in which decompositions are computed and stored.
const VERSION: &str = "2";
/// Largest difference between the energy told and that of the singular values, as a share.
const ENERGY_TOLERANCE: f64 = 1e-3;

/// The cache could not be written; the work goes on without it.
#[derive(Debug, thiserror::Error)]
#[error("factors are not kept: {0}")]
pub struct CacheError(#[from] WriteError);

/// A folder of decompositions, one safetensors file each: `s` [k], `ut` [k, m], `vt` [k, n] in f32, of a weighted one `output`
/// [k] in f64; the energy and what no rank holds in the metadata.
#[derive(Debug)]
pub(super) struct CacheFolder(KeptFolder);

impl CacheFolder {
    /// At most `limit` bytes are kept.
    pub(super) fn new(folder: PathBuf, limit: u64) -> Self {
        Self(KeptFolder::new(folder, "safetensors", limit))
    }

    /// Whether there is a file for a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.path(key).is_file()
    }

    /// The decomposition of a matrix of `shape`, if a sound one is there; the vectors of the first `ranks` alone are read.
    pub(super) fn read(&self, key: &str, shape: (usize, usize), ranks: usize) -> Option<Decomposition> {
        let path = self.0.path(key);
        if !path.is_file() {
            return None;
        }
        let found = Checkpoint::open(&path).ok().and_then(|file| decoded(&file, shape, ranks));
        if found.is_some() {
            self.0.used(key);
        } else {
            debug!(?path, "cached factors are unsound, and computed anew");
        }
        found
    }

    /// Writes a decomposition; older files make room.
    pub(super) fn write(&self, key: &str, decomposition: &Decomposition) {
        match self.try_write(key, decomposition) {
            Ok(bytes) => self.0.grew(bytes),
            Err(error) => debug!("{error}"),
        }
    }

    fn try_write(&self, key: &str, decomposition: &Decomposition) -> Result<u64, CacheError> {
        let rank = decomposition.s.len();
        let spec = |name: &str, shape| TensorSpec { name: name.to_owned(), dtype: Dtype::F32, shape };
        let mut tensors = vec![
            (spec("s", vec![rank]), bytemuck::cast_slice(&decomposition.s)),
            (spec("ut", vec![rank, decomposition.rows]), bytemuck::cast_slice(&decomposition.ut)),
            (spec("vt", vec![rank, decomposition.cols]), bytemuck::cast_slice(&decomposition.vt)),
        ];
        let mut metadata = BTreeMap::from([
            ("rankscope_factors".to_owned(), VERSION.to_owned()),
            ("energy".to_owned(), decomposition.energy.to_string()),
            ("rest".to_owned(), decomposition.rest.to_string()),
        ]);
        if let Some(output) = &decomposition.output {
            let spec = TensorSpec { dtype: Dtype::F64, ..spec("output", vec![rank]) };
            tensors.insert(0, (spec, bytemuck::cast_slice(&output.terms)));
            metadata.insert("output_rest".to_owned(), output.rest.to_string());
        }
        replace_file(&self.0.path(key), true, &[], |out| write_safetensors(out, &tensors, &metadata))?;
        Ok(tensors.iter().map(|(_, bytes)| bytes.len() as u64).sum())
    }
}

/// The decomposition in a file, if it is one of a matrix of `shape`, with the vectors of the first `ranks`.
fn decoded(file: &Checkpoint, (rows, cols): (usize, usize), ranks: usize) -> Option<Decomposition> {
    if file.metadata().get("rankscope_factors")? != VERSION {
        return None;
    }
    let rank = rows.min(cols);
    let part = |name: &str, shape: &[usize], numbers: usize| {
        let tensor = file.tensor(name).filter(|tensor| tensor.dtype == Dtype::F32 && tensor.shape == shape)?;
        let part: View<f32> = tensor.data.slice(0..numbers.checked_mul(4)?)?.view()?;
        part.iter().all(|x| x.is_finite()).then(|| part.to_vec())
    };
    let read = rank.min(ranks);
    let s = part("s", &[rank], rank)?;
    let (ut, vt) = (part("ut", &[rank, rows], read * rows)?, part("vt", &[rank, cols], read * cols)?);
    let number = |name: &str| file.metadata().get(name)?.parse().ok().filter(|x: &f64| x.is_finite() && *x >= 0.0);
    let (energy, rest) = (number("energy")?, number("rest")?);
    let output = match file.tensor("output") {
        Some(tensor) => Some(OutputErrors { terms: terms(tensor, rank)?, rest: number("output_rest")? }),
        None => None,
    };
    let found: f64 = s.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() + rest;
    let ordered = output.is_some() || s.is_sorted_by(|a, b| a >= b);
    // By now all is read: what was gone by then were zeros.
    let sound = (found - energy).abs() <= ENERGY_TOLERANCE * energy && ordered && file.check().is_ok();
    sound.then_some(Decomposition { rows, cols, s, ut, vt, energy, rest, output })
}

/// Errors in the output, by rank.
fn terms(tensor: &Tensor, rank: usize) -> Option<Vec<f64>> {
    let view: View<f64> = tensor.data.view().filter(|_| tensor.dtype == Dtype::F64 && tensor.shape == [rank])?;
    view.iter().all(|x| x.is_finite() && *x >= 0.0).then(|| view.to_vec())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn decomposition() -> Decomposition {
        let (s, energy) = (vec![2.0, 1.0], 5.000_000_000_000_1);
        Decomposition {
            rows: 2,
            cols: 3,
            s,
            ut: vec![1.0, 0.0, 0.0, 1.0],
            vt: vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            energy,
            rest: 0.0,
            output: None,
        }
    }

    fn key(digit: char) -> String {
        std::iter::repeat_n(digit, 64).collect()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let home = tempfile::tempdir().unwrap();
        let folder = CacheFolder::new(home.path().join("made/when/needed"), u64::MAX);
        assert_eq!(folder.read(&key('a'), (2, 3), usize::MAX), None);
        folder.write(&key('a'), &decomposition());
        assert_eq!(folder.read(&key('a'), (2, 3), usize::MAX), Some(decomposition()));
        assert_eq!(folder.read(&key('a'), (3, 2), 2), None);
        assert_eq!(folder.read(&key('b'), (2, 3), 2), None);
        let first = Decomposition { ut: vec![1.0, 0.0], vt: vec![1.0, 0.0, 0.0], ..decomposition() };
        assert_eq!(folder.read(&key('a'), (2, 3), 1), Some(first));
        let output = Some(OutputErrors { terms: vec![0.1, 0.7], rest: 1e-17 });
        let weighted = Decomposition { s: vec![1.0, 2.0], rest: 1e-9, output, ..decomposition() };
        folder.write(&key('b'), &weighted);
        assert_eq!(folder.read(&key('b'), (2, 3), 2), Some(weighted.clone()));
        let output = Some(OutputErrors { terms: vec![0.1, f64::NAN], rest: 0.0 });
        folder.write(&key('b'), &Decomposition { output, ..weighted });
        assert_eq!(folder.read(&key('b'), (2, 3), 2), None);
    }

    #[test]
    fn unsound_files_are_ignored_and_replaced() {
        let home = tempfile::tempdir().unwrap();
        let folder = CacheFolder::new(home.path().to_owned(), u64::MAX);
        folder.write(&key('a'), &decomposition());
        let sound = fs::read(folder.0.path(&key('a'))).unwrap();
        let mut nan = sound.clone();
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        let energy = String::from_utf8_lossy(&sound).find("5.0000").unwrap();
        let mut wrong_energy = sound.clone();
        wrong_energy[energy] = b'6';
        for bytes in [&b"garbage"[..], &[], &sound[..end - 1], &nan, &wrong_energy] {
            fs::write(folder.0.path(&key('a')), bytes).unwrap();
            assert_eq!(folder.read(&key('a'), (2, 3), usize::MAX), None);
        }
        folder.write(&key('a'), &decomposition());
        assert_eq!(folder.read(&key('a'), (2, 3), usize::MAX), Some(decomposition()));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_no_decomposition() {
        let home = tempfile::tempdir().unwrap();
        let folder = CacheFolder::new(home.path().to_owned(), u64::MAX);
        folder.write(&key('a'), &decomposition());
        let path = folder.0.path(&key('a'));
        let file = Checkpoint::open(&path).unwrap();
        assert!(decoded(&file, (2, 3), 2).is_some());
        let last = fs::metadata(&path).unwrap().len() - 4;
        fs::File::options().write(true).open(&path).unwrap().set_len(last).unwrap();
        assert_eq!(decoded(&file, (2, 3), 2), None);
    }

    #[test]
    fn a_folder_that_cannot_be_written_costs_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("file"), "").unwrap();
        let folder = CacheFolder::new(home.path().join("file/inside"), 0);
        folder.write(&key('a'), &decomposition());
        assert_eq!(folder.read(&key('a'), (2, 3), usize::MAX), None);
    }
}
