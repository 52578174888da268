//! What a sensitivity scan knows already, kept by content.

use tracing::debug;

use super::TrialResult;
use crate::checkpoint::KeptFolder;

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

/// What is kept under a key; an entry that is broken goes, and a note says so.
pub(super) fn read(folder: Option<&KeptFolder>, key: &str, notes: &mut Vec<String>) -> Option<Kept> {
    let found = folder?.read(key).map_err(|unsound| notes.push(unsound.to_string())).ok()??;
    decoded(&found)
}

/// Keeps an entry; where it cannot be written, the work goes on without it.
pub(super) fn write(folder: Option<&KeptFolder>, key: &str, kept: &Kept) {
    if let Some(Err(error)) = folder.map(|folder| folder.write(key, &[&encoded(kept)])) {
        debug!("a result is not kept: {error}");
    }
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

fn decoded(bytes: &[u8]) -> Option<Kept> {
    let (numbers, []) = bytes.as_chunks::<8>() else { return None };
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
        let (folder, mut notes) = (KeptFolder::new(place.path().join("new"), "damage", u64::MAX), Vec::new());
        assert_eq!(read(Some(&folder), "a", &mut notes), None);
        write(Some(&folder), "a", &kept());
        let other = Kept { calibrated: Some(0.4), looping: None, ..kept() };
        write(Some(&folder), "b", &other);
        let found = ["a", "b"].map(|key| read(Some(&folder), key, &mut notes));
        assert_eq!(found, [Some(kept()), Some(other)]);
        assert!(notes.is_empty() && read(None, "a", &mut notes).is_none());
    }

    #[test]
    fn a_broken_entry_leaves_a_note() {
        let place = tempfile::tempdir().unwrap();
        let (folder, mut notes) = (KeptFolder::new(place.path().to_owned(), "damage", u64::MAX), Vec::new());
        std::fs::write(folder.path("a"), [0; 128]).unwrap();
        assert_eq!((read(Some(&folder), "a", &mut notes), notes.len()), (None, 1));
        folder.write("b", &[&[0; 12]]).unwrap();
        assert_eq!(read(Some(&folder), "b", &mut notes), None);
    }
}
