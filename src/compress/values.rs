//! Singular values of layers, kept as decompositions are.

use std::sync::Arc;

use tracing::debug;

use super::{CompressError, FactorCache};
use crate::checkpoint::Tensor;
use crate::control::Control;
use crate::linalg::{Matrix, singular_values};

/// Version of the way in which values are computed and stored.
const VERSION: u64 = 1;
/// Most spectra remembered.
const SPECTRA: usize = 16384;

impl FactorCache {
    /// The singular values of a layer's matrix, descending: from memory, disk, or computed now (and stored). They never
    /// come from a decomposition that happens to be there, so that figures and ranks by energy are the same whatever is kept.
    /// `matrix` is that of `tensor`.
    ///
    /// # Errors
    /// Numeric trouble or cancelled; trouble with the disk only costs the cache.
    pub fn values(&self, tensor: &Tensor, matrix: &Matrix, control: &Control) -> Result<Arc<[f32]>, CompressError> {
        let key = self.values_key(tensor, matrix);
        let turn = match self.turn(&key, &|state| state.values.get(&key).cloned(), control)? {
            Ok(known) => return Ok(known),
            Err(turn) => turn,
        };
        let count = matrix.rows().min(matrix.cols());
        let found = match self.stored(&key, count) {
            Some(found) => found,
            None => self.computed(&key, tensor, matrix, control)?,
        };
        let mut state = self.state();
        if state.values.len() >= SPECTRA {
            state.values.clear();
        }
        state.values.insert(key.clone(), Arc::clone(&found));
        drop(state);
        drop(turn);
        Ok(found)
    }

    /// Whether the singular values of a layer's matrix are known.
    pub(super) fn keeps_values(&self, tensor: &Tensor, matrix: &Matrix) -> bool {
        let key = self.values_key(tensor, matrix);
        let held = self.state().values.contains_key(&key);
        held || self.values_folder().is_some_and(|folder| folder.path(&key).is_file())
    }

    fn values_key(&self, tensor: &Tensor, matrix: &Matrix) -> String {
        format!("{}-values", self.key(tensor, matrix))
    }

    fn stored(&self, key: &str, count: usize) -> Option<Arc<[f32]>> {
        let bytes = self.values_folder()?.read(key).ok()??;
        let (version, rest) = bytes.split_first_chunk()?;
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(rest.get(..count.checked_mul(4)?)?);
        let sound = u64::from_le_bytes(*version) == VERSION && rest.len() == 4 * count;
        (sound && values.is_sorted_by(|a, b| a >= b)).then(|| values.into())
    }

    fn computed(
        &self,
        key: &str,
        tensor: &Tensor,
        matrix: &Matrix,
        control: &Control,
    ) -> Result<Arc<[f32]>, CompressError> {
        let w = matrix.to_f32();
        // What is gone from the file was read as zeros.
        tensor.data.check()?;
        let values = singular_values(&w, matrix.rows(), matrix.cols(), control)?;
        if let Some(folder) = self.values_folder() {
            let parts: [&[u8]; 2] = [&VERSION.to_le_bytes(), bytemuck::cast_slice(&values)];
            folder.write(key, &parts).unwrap_or_else(|error| debug!("spectra are not kept: {error}"));
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::compress::testing::{matrix, tensor};
    use crate::linalg::NumericError;

    const W: [f32; 6] = [3.0, 0.0, 0.0, 0.0, 4.0, 0.0];

    fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn values_are_kept_by_content_and_found_again() {
        let place = tempfile::tempdir().unwrap();
        let (tensor, w) = (tensor("w", &[2, 3], &W), matrix(2, 3, &W));
        let new = || FactorCache::new(Some(place.path().to_owned()));
        let fresh = new().values(&tensor, &w, &Control::new()).unwrap();
        assert_eq!(*fresh, [4.0, 3.0]);
        let cache = new();
        let kept = cache.values(&tensor, &w, &Control::new()).unwrap();
        assert_eq!(kept, fresh);
        // Another's file under this name would be told apart by its seal: what is found comes from the file.
        let [file] = &files(place.path())[..] else { panic!("one file") };
        assert!(file.extension().is_some_and(|ending| ending == "values"));
        fs::remove_file(file).unwrap();
        assert!(Arc::ptr_eq(&kept, &cache.values(&tensor, &w, &Control::new()).unwrap()));
        assert!(files(place.path()).is_empty());
    }

    #[test]
    fn broken_files_are_computed_anew() {
        let place = tempfile::tempdir().unwrap();
        let (tensor, w) = (tensor("w", &[2, 3], &W), matrix(2, 3, &W));
        let values = || FactorCache::new(Some(place.path().to_owned())).values(&tensor, &w, &Control::new()).unwrap();
        let fresh = values();
        let file = files(place.path()).remove(0);
        let whole = fs::read(&file).unwrap();
        for bytes in [&whole[..whole.len() - 1], &[], &[0; 60]] {
            fs::write(&file, bytes).unwrap();
            assert_eq!(values(), fresh);
            assert_eq!(fs::read(&file).unwrap(), whole);
        }
    }

    #[test]
    fn a_decomposition_that_is_kept_changes_nothing() {
        let numbers: Vec<f32> = (0..40 * 30).map(|i| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5).collect();
        let (tensor, w) = (tensor("w", &[40, 30], &numbers), matrix(40, 30, &numbers));
        let alone = FactorCache::new(None).values(&tensor, &w, &Control::new()).unwrap();
        let cache = FactorCache::new(None);
        let whole = cache.get(&tensor, &w, &Control::new()).unwrap();
        assert_eq!(cache.values(&tensor, &w, &Control::new()).unwrap(), alone);
        assert!(alone.iter().zip(&whole.s).all(|(a, b)| (a - b).abs() <= 1e-6 * alone[0]));
    }

    #[test]
    fn trouble_is_told_and_not_kept() {
        let (bad, w) = (tensor("w", &[1, 2], &[f32::NAN, 1.0]), matrix(1, 2, &[f32::NAN, 1.0]));
        let cache = FactorCache::new(None);
        let control = Control::new();
        for _ in 0..2 {
            let error = cache.values(&bad, &w, &control).unwrap_err();
            assert!(matches!(error, CompressError::Numeric(NumericError::NonFinite(1))));
        }
        control.cancel();
        assert!(matches!(cache.values(&bad, &w, &control), Err(CompressError::Cancelled(_))));
    }
}
