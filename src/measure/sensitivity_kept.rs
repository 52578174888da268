//! What a sensitivity scan knows already, kept by content.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::debug;

use super::TrialResult;
use crate::checkpoint::replace_file;

/// Numbers of an entry.
const NUMBERS: usize = 12;

/// The figures of one layer that take work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Kept {
    pub(super) change: TrialResult,
    pub(super) kld_iso: f64,
    pub(super) weight_error: f64,
    pub(super) calibrated: Option<f64>,
    pub(super) looping: Option<bool>,
}

/// A folder of entries: the BLAKE3 of key and numbers, then the numbers, f64 in little-endian order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folder<'a>(pub(super) Option<&'a Path>);

impl Folder<'_> {
    fn path(&self, key: &str) -> Option<PathBuf> {
        self.0.map(|folder| folder.join(format!("{key}.damage")))
    }

    /// What is kept under a key; an entry that is broken goes, and a note says so.
    pub(super) fn read(&self, key: &str, notes: &mut Vec<String>) -> Option<Kept> {
        let path = self.path(key)?;
        let bytes = fs::read(&path).ok()?;
        let found = decoded(key, &bytes);
        if found.is_none() {
            notes.push("a kept result is unsound, and measured anew".to_owned());
            let _ = fs::remove_file(path);
        }
        found
    }

    /// Keeps an entry; where it cannot be written, the work goes on without it.
    pub(super) fn write(&self, key: &str, kept: &Kept) {
        let Some(path) = self.path(key) else { return };
        let numbers = encoded(kept);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| error.to_string());
        let written = written.and_then(|()| {
            let write = |out: &mut dyn std::io::Write| {
                out.write_all(seal(key, &numbers).as_bytes())?;
                out.write_all(&numbers)
            };
            replace_file(&path, true, &[], write).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            debug!("a result is not kept: {error}");
        }
    }
}

fn seal(key: &str, numbers: &[u8]) -> blake3::Hash {
    blake3::Hasher::new().update(key.as_bytes()).update(numbers).finalize()
}

fn encoded(kept: &Kept) -> Vec<u8> {
    let TrialResult { tokens, kld, cosine, mse, top1, perplexity_ratio, output_error } = kept.change;
    let looping = kept.looping.map_or(f64::NAN, |looping| f64::from(u8::from(looping)));
    let calibrated = kept.calibrated.unwrap_or(f64::NAN);
    let numbers: [f64; NUMBERS] = [
        tokens as f64,
        kld.0,
        kld.1,
        cosine,
        mse,
        top1,
        perplexity_ratio,
        output_error,
        kept.kld_iso,
        kept.weight_error,
        calibrated,
        looping,
    ];
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn decoded(key: &str, bytes: &[u8]) -> Option<Kept> {
    let (sealed, numbers) = bytes.split_at_checked(blake3::OUT_LEN)?;
    if seal(key, numbers).as_bytes() != sealed {
        return None;
    }
    let (numbers, []) = numbers.as_chunks::<8>() else { return None };
    let numbers: Vec<f64> = numbers.iter().map(|number| f64::from_le_bytes(*number)).collect();
    let numbers: [f64; NUMBERS] = numbers.try_into().ok()?;
    let [
        tokens,
        kld,
        kld_error,
        cosine,
        mse,
        top1,
        perplexity_ratio,
        output_error,
        kld_iso,
        weight_error,
        calibrated,
        looping,
    ] = numbers;
    let tokens = tokens as usize;
    let change = TrialResult { tokens, kld: (kld, kld_error), cosine, mse, top1, perplexity_ratio, output_error };
    let known = |number: f64| (!number.is_nan()).then_some(number);
    let looping = known(looping).map(|looping| looping > 0.0);
    Some(Kept { change, kld_iso, weight_error, calibrated: known(calibrated), looping })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        let change = TrialResult {
            tokens: 77,
            kld: (0.1, 0.01),
            cosine: 0.9,
            mse: 1.0 / 3.0,
            top1: 0.75,
            perplexity_ratio: 1.1,
            output_error: 0.2,
        };
        Kept { change, kld_iso: 0.05, weight_error: 0.3, calibrated: None, looping: Some(true) }
    }

    #[test]
    fn what_is_written_is_read_back_to_the_bit() {
        let place = tempfile::tempdir().unwrap();
        let (folder, mut notes) = (place.path().join("new"), Vec::new());
        let folder = Folder(Some(&folder));
        assert_eq!(folder.read("a", &mut notes), None);
        folder.write("a", &kept());
        let other = Kept { calibrated: Some(0.4), looping: None, ..kept() };
        folder.write("b", &other);
        assert_eq!((folder.read("a", &mut notes), folder.read("b", &mut notes)), (Some(kept()), Some(other)));
        assert!(notes.is_empty());
    }

    #[test]
    fn broken_entries_and_those_of_another_key_go_with_a_note() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder(Some(place.path()));
        folder.write("a", &kept());
        let whole = fs::read(folder.path("a").unwrap()).unwrap();
        let mut bent = whole.clone();
        bent[40] ^= 1;
        for broken in [&bent[..], &whole[..50], &[]] {
            fs::write(folder.path("a").unwrap(), broken).unwrap();
            let mut notes = Vec::new();
            assert_eq!((folder.read("a", &mut notes), notes.len()), (None, 1));
            assert!(!folder.path("a").unwrap().exists());
        }
        fs::write(folder.path("b").unwrap(), whole).unwrap();
        assert_eq!(folder.read("b", &mut Vec::new()), None);
    }
}
