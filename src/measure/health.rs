//! Generation health: what greedy texts of both models look like, over a set of prompts.

use rayon::prelude::*;
use serde::Serialize;

use super::{MeasureError, find_loop, repetition};
use crate::checkpoint::Tokenizer;
use crate::control::Control;
use crate::model::{Generation, Model, ModelError, Sampling};

/// `compare`'s JSON `health`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// Prompts that were continued.
    pub prompts: usize,
    /// Most tokens written after each.
    pub max_tokens: usize,
    /// The original's texts.
    pub original: Written,
    /// The compressed model's.
    pub compressed: Written,
    /// Tokens before the two texts part, the median over prompts; texts that never part count with their length.
    pub median_divergence: f64,
    /// Share of prompts whose texts never part.
    pub same: f64,
    /// Per prompt.
    pub texts: Vec<TextPair>,
}

/// Figures over the texts of one model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Written {
    /// Share of texts that end in a loop.
    pub loop_rate: f64,
    /// Distinct bigrams over bigrams, mean over texts; null where no text has one.
    pub distinct_2: Option<f64>,
    /// Distinct trigrams over trigrams, likewise.
    pub distinct_3: Option<f64>,
}

/// Both models' greedy texts after one prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextPair {
    /// The prompt.
    pub prompt: String,
    /// Tokens before the texts part; null where they never do.
    pub divergence: Option<usize>,
    /// The original's text.
    pub original: TextOf,
    /// The compressed model's text.
    pub compressed: TextOf,
}

impl TextPair {
    /// Where the last word before the two texts part begins, in bytes of either.
    pub fn parting(&self) -> usize {
        parting(&self.original.text, &self.compressed.text)
    }
}

fn parting(a: &str, b: &str) -> usize {
    let same = a.char_indices().zip(b.chars()).take_while(|((_, a), b)| a == b);
    let end = same.last().map_or(0, |((at, character), _)| at + character.len_utf8());
    let before = a.get(..end).unwrap_or_default().trim_end();
    before.rfind(' ').map_or(0, |at| at + 1)
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TextOf {
    /// What was written.
    pub text: String,
    /// How many tokens.
    pub tokens: usize,
    /// Whether it ends in a loop.
    pub looping: bool,
}

/// Both models' greedy texts after one prompt, as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPair {
    /// The prompt.
    pub prompt: String,
    /// Its ids.
    pub ids: Vec<u32>,
    /// New ids of the original.
    pub original: Vec<u32>,
    /// New ids of the compressed model.
    pub compressed: Vec<u32>,
}

impl WrittenPair {
    /// The first new token at which the texts differ, the end of the shorter one included.
    pub fn divergence(&self) -> Option<usize> {
        divergence(&self.original, &self.compressed)
    }
}

/// Lets both models continue each prompt greedily by at most `max_tokens`. Prompts that leave no room in the context are
/// errors.
///
/// # Errors
/// Model errors, no prompts, cancelled.
pub fn write_pairs(
    (original, compressed): (&Model, &Model),
    tokenizer: &Tokenizer,
    prompts: &[String],
    max_tokens: usize,
    control: &Control,
) -> Result<Vec<WrittenPair>, MeasureError> {
    if prompts.is_empty() {
        return Err(MeasureError::NoPrompts);
    }
    control.set_total(2 * prompts.len() as u64);
    let pairs = prompts.par_iter().map(|prompt| {
        let ids = tokenizer.encode(prompt).map_err(ModelError::from)?;
        let write = |model: &Model| {
            let written = write(model, &ids, max_tokens, control)?;
            control.advance(1);
            Ok::<_, ModelError>(written)
        };
        let (original, compressed) = rayon::join(|| write(original), || write(compressed));
        let (original, compressed) = (original?, compressed?);
        Ok(WrittenPair { prompt: prompt.clone(), ids, original, compressed })
    });
    pairs.collect()
}

/// What greedy texts of both models look like, as [`write_pairs`] has them written.
///
/// # Errors
/// As [`write_pairs`].
pub fn health(
    pair: (&Model, &Model),
    tokenizer: &Tokenizer,
    prompts: &[String],
    max_tokens: usize,
    control: &Control,
) -> Result<Health, MeasureError> {
    Ok(Health::of(&write_pairs(pair, tokenizer, prompts, max_tokens, control)?, tokenizer, max_tokens))
}

impl Health {
    /// What these texts, of at most `max_tokens` tokens each, look like.
    pub fn of(pairs: &[WrittenPair], tokenizer: &Tokenizer, max_tokens: usize) -> Self {
        let lengths = pairs.iter().map(|pair| pair.divergence().unwrap_or(pair.original.len())).collect();
        let texts = pairs.iter().map(|pair| TextPair {
            prompt: pair.prompt.clone(),
            divergence: pair.divergence(),
            original: text_of(tokenizer, &pair.ids, &pair.original),
            compressed: text_of(tokenizer, &pair.ids, &pair.compressed),
        });
        Self {
            prompts: pairs.len(),
            max_tokens,
            original: figures(pairs.iter().map(|pair| &pair.original)),
            compressed: figures(pairs.iter().map(|pair| &pair.compressed)),
            median_divergence: median(lengths),
            same: pairs.iter().filter(|pair| pair.divergence().is_none()).count() as f64 / pairs.len().max(1) as f64,
            texts: texts.collect(),
        }
    }
}

/// A greedy text, end of text included where the model writes one.
fn write(model: &Model, prompt: &[u32], max_tokens: usize, control: &Control) -> Result<Vec<u32>, ModelError> {
    let mut generation = Generation::start(model, prompt, Sampling::default(), max_tokens, control)?;
    let mut ids = Vec::new();
    while let Some(id) = generation.next(model, control)? {
        ids.push(id);
    }
    Ok(ids)
}

fn text_of(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32]) -> TextOf {
    let mut stream = tokenizer.stream_after(prompt);
    let mut text: String = ids.iter().map(|id| stream.push(*id)).collect();
    text.push_str(&stream.finish());
    TextOf { text, tokens: ids.len(), looping: find_loop(ids).is_some() }
}

/// The first place at which two texts differ, the end of the shorter one included.
fn divergence(a: &[u32], b: &[u32]) -> Option<usize> {
    (a != b).then(|| a.iter().zip(b).take_while(|(a, b)| a == b).count())
}

fn figures<'a>(texts: impl Iterator<Item = &'a Vec<u32>>) -> Written {
    let found: Vec<_> = texts.map(|ids| repetition(ids)).collect();
    let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    Written {
        loop_rate: found.iter().filter(|found| found.looping).count() as f64 / found.len().max(1) as f64,
        distinct_2: mean(found.iter().filter_map(|found| found.distinct_2).collect()),
        distinct_3: mean(found.iter().filter_map(|found| found.distinct_3).collect()),
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<usize>) -> f64 {
    values.sort_unstable();
    let middle = |index: usize| values.get(index).map_or(0.0, |value| *value as f64);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { middle(half) } else { f64::midpoint(middle(half.saturating_sub(1)), middle(half)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_part_at_the_first_other_token_or_at_an_end() {
        assert_eq!(divergence(&[1, 2, 3], &[1, 2, 3]), None);
        assert_eq!(divergence(&[1, 2, 3], &[1, 5, 3]), Some(1));
        assert_eq!(divergence(&[1, 2, 3], &[1, 2]), Some(2));
        assert_eq!(divergence(&[], &[7]), Some(0));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in [(vec![5, 1, 3], 3.0), (vec![4, 1], 2.5), (vec![7], 7.0), (vec![], 0.0)] {
            assert!((median(values) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn loops_and_diversity_are_of_all_texts() {
        let (looping, sound) = ([1, 2].repeat(15), (0..30).collect::<Vec<u32>>());
        let found = figures([&looping, &sound].into_iter());
        assert!((found.loop_rate - 0.5).abs() < 1e-12);
        assert!((found.distinct_2.unwrap() - f64::midpoint(2.0 / 29.0, 1.0)).abs() < 1e-12);
        assert_eq!(figures([&vec![3]].into_iter()), Written { loop_rate: 0.0, distinct_2: None, distinct_3: None });
    }

    #[test]
    fn texts_part_at_the_word_before() {
        assert_eq!(parting("Wren took her book", "Wren took his book"), 10);
        assert_eq!(parting("Wren took ", "Wren took her"), 5);
        assert_eq!(parting("né à", "né b"), 0);
        assert_eq!(parting("", "x"), 0);
    }
}
