//! Which words two texts share, in order.

use std::collections::HashMap;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// So many words of each text are compared; what follows is not.
pub const COMPARED_WORDS: usize = 2048;

/// A word of a text, or a mark of punctuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its bytes.
    pub range: Range<usize>,
    /// Whether the other text has it too, in the same order.
    pub shared: bool,
    /// Whether it is a word, and no mark.
    pub counts: bool,
}

/// The words of two texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SharedWords {
    /// Of each text.
    pub words: [Vec<Word>; 2],
    /// Whether a text has more words than were compared.
    pub cut: bool,
}

/// Finds the most words that two texts have in common in the same order: a longest common subsequence of their words and marks
/// (Unicode's word boundaries, UAX 29), blanks left out.
pub fn shared_words(one: &str, other: &str) -> SharedWords {
    let (mut ones, mut others) = (words(one), words(other));
    let cut = ones.len().max(others.len()) > COMPARED_WORDS;
    [&mut ones, &mut others].into_iter().for_each(|words| words.truncate(COMPARED_WORDS));
    let mut ids = HashMap::new();
    let (a, b) = (numbers(one, &ones, &mut ids), numbers(other, &others, &mut ids));
    let (in_a, in_b) = common(&a, &b);
    ones.iter_mut().zip(in_a).for_each(|(word, shared)| word.shared = shared);
    others.iter_mut().zip(in_b).for_each(|(word, shared)| word.shared = shared);
    SharedWords { words: [ones, others], cut }
}

/// The same number for the same word.
fn numbers<'a>(text: &'a str, words: &[Word], ids: &mut HashMap<&'a str, usize>) -> Vec<usize> {
    let number = |word: &Word| {
        let next = ids.len();
        *ids.entry(text.get(word.range.clone()).unwrap_or_default()).or_insert(next)
    };
    words.iter().map(number).collect()
}

/// The words of a text; a few more than are compared at most.
fn words(text: &str) -> Vec<Word> {
    text.split_word_bound_indices()
        .filter(|(_, word)| !word.trim().is_empty())
        .map(|(start, word)| Word {
            range: start..start + word.len(),
            shared: false,
            counts: word.chars().any(char::is_alphanumeric),
        })
        .take(COMPARED_WORDS + 1)
        .collect()
}

/// Which items of `a` and `b` are part of a longest common subsequence. By bits: a row of `a` for each item of `b`, in which
/// a bit is 0 where one more item of `a` makes the subsequence longer (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004).
fn common(a: &[usize], b: &[usize]) -> (Vec<bool>, Vec<bool>) {
    let width = a.len().div_ceil(64);
    let rows = rows(a, b, width);
    // Whether the subsequence of `i` items of `a` and `j` items of `b` is longer than that of one item of `a` less.
    let longer = |i: usize, j: usize| {
        let word = (j.checked_sub(1)).and_then(|row| rows.get(row * width + (i - 1) / 64));
        word.is_some_and(|word| word >> ((i - 1) % 64) & 1 == 0)
    };
    let (mut in_a, mut in_b) = (vec![false; a.len()], vec![false; b.len()]);
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        if !longer(i, j) {
            i -= 1;
        } else if longer(i, j - 1) {
            j -= 1;
        } else {
            (i, j) = (i - 1, j - 1);
            if let (Some(one), Some(other)) = (in_a.get_mut(i), in_b.get_mut(j)) {
                (*one, *other) = (true, true);
            }
        }
    }
    (in_a, in_b)
}

fn rows(a: &[usize], b: &[usize], width: usize) -> Vec<u64> {
    let mut places: HashMap<usize, Vec<usize>> = HashMap::new();
    a.iter().enumerate().for_each(|(place, item)| places.entry(*item).or_default().push(place));
    let (mut state, mut rows) = (vec![u64::MAX; width], Vec::with_capacity(width * b.len()));
    for item in b {
        let mut matches = vec![0_u64; width];
        for place in places.get(item).into_iter().flatten() {
            if let Some(word) = matches.get_mut(place / 64) {
                *word |= 1 << (place % 64);
            }
        }
        let mut carry = false;
        for (word, matches) in state.iter_mut().zip(&matches) {
            let kept = *word & matches;
            let (sum, over) = word.overflowing_add(kept);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            carry = over || again;
            *word = sum | (*word - kept);
        }
        rows.extend_from_slice(&state);
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shared<'a>(text: &'a str, words: &[Word]) -> Vec<&'a str> {
        words.iter().filter(|word| word.shared).map(|word| &text[word.range.clone()]).collect()
    }

    #[test]
    fn a_word_more_does_not_make_all_that_follows_differ() {
        let (one, other) = (" a goat. \"May I?\" asked the goat.", " a big frog! \"May I?\" asked the frog.");
        let found = shared_words(one, other);
        assert_eq!(shared(one, &found.words[0]), ["a", "\"", "May", "I", "?", "\"", "asked", "the", "."]);
        assert_eq!(shared(one, &found.words[0]), shared(other, &found.words[1]));
        let counted = |side: usize| found.words[side].iter().filter(|word| word.counts).count();
        assert_eq!((counted(0), counted(1), found.cut), (7, 8, false));
    }

    #[test]
    fn texts_without_blanks_and_empty_texts_have_words_too() {
        let found = shared_words("猫が好き", "犬が好き");
        assert!(!found.words[0][0].shared && found.words[0].last().unwrap().shared);
        assert_eq!(shared_words("", "a").words, [vec![], vec![Word { range: 0..1, shared: false, counts: true }]]);
        assert_eq!(shared_words(" \n", ""), SharedWords::default());
    }

    #[test]
    fn of_very_long_texts_the_first_words_are_compared() {
        let long = "a b ".repeat(COMPARED_WORDS);
        let found = shared_words(&long, &long);
        assert!(found.cut && found.words.iter().all(|words| words.len() == COMPARED_WORDS));
        assert!(found.words[0].iter().all(|word| word.shared));
        assert!(!shared_words("a b", "a c").cut);
    }

    /// The length of a longest common subsequence, by Wagner and Fischer's table.
    fn longest(a: &[usize], b: &[usize]) -> usize {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (j, y) in b.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
                diagonal = above;
            }
        }
        row[b.len()]
    }

    proptest! {
        #[test]
        fn both_keep_the_same_and_no_other_choice_is_longer(
            a in proptest::collection::vec(0_usize..5, 0..150), b in proptest::collection::vec(0_usize..5, 0..150),
        ) {
            let (in_a, in_b) = common(&a, &b);
            let kept = |items: &[usize], marks: &[bool]| items.iter().zip(marks).filter(|(_, m)| **m).map(|(i, _)| *i).collect::<Vec<_>>();
            prop_assert_eq!(kept(&a, &in_a), kept(&b, &in_b));
            prop_assert_eq!(in_a.iter().filter(|mark| **mark).count(), longest(&a, &b));
        }
    }
}
