//! The words of a policy's settings, and what to say to a word that is none of them.

use super::{Base, Factors, Weighting};
use crate::checkpoint::{escaped, nearest};

/// Words of a setting and what they mean.
pub(super) type Words<T> = &'static [(&'static str, T)];

/// Words of `base`.
pub(super) const BASES: Words<Base> =
    &[("none", Base::None), ("dense", Base::Dense), ("int8", Base::Int8), ("int4", Base::Int4)];
/// Words of `factors`.
pub(super) const FACTORS: Words<Factors> = &[("f32", Factors::F32), ("f16", Factors::F16), ("int8", Factors::Int8)];
/// Words of `weighting`.
pub(super) const WEIGHTINGS: Words<Weighting> = &[("plain", Weighting::Plain), ("activations", Weighting::Activations)];
/// Words of a switch.
pub(super) const SWITCH: Words<bool> = &[("true", true), ("false", false)];

/// Characters of a foreign word that a message quotes.
pub(super) const QUOTED: usize = 100;

/// `"word"`, safe to show.
pub(super) fn quoted(word: &str) -> String {
    format!("\"{}\"", escaped(word, QUOTED))
}

/// The value that `word` stands for.
///
/// # Errors
/// What is wrong with the word and which to take.
pub(super) fn value_of<T: Copy>(words: Words<T>, word: &str) -> Result<T, String> {
    let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
    let known = words.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
    known.ok_or_else(|| format!("{} is not known; {}", quoted(word), hint(word, &names)))
}

/// `did you mean "rank"?`, or the words to choose from where none is near.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    did_you_mean(word, known.iter().copied()).unwrap_or_else(|| format!("give one of {}", known.join(", ")))
}

/// `did you mean "rank"?` where one of the known words is near.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    // Comparing words takes time by the product of their lengths.
    let word: String = word.chars().take(QUOTED).collect();
    nearest(&word, known).map(|near| format!("did you mean {}?", quoted(near)))
}
