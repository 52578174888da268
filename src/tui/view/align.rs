//! What two texts share after they part, word by word, kept from frame to frame.

use std::ops::Range;

use unicode_width::UnicodeWidthStr;

use crate::measure::{SharedWords, Word, shared_words};
use crate::workbench::{JobId, LiveView, Pane};

/// Shared words that follow one another over so many columns are brought to one line; for fewer the texts would be torn apart at
/// every "the".
pub const LEAST_RUN: usize = 10;

/// Which words differ, for texts as long as they were when this was found.
#[derive(Debug, Clone, Default)]
pub struct Alignment {
    of: Option<Key>,
    differs: [Vec<Range<usize>>; 2],
    meets: Vec<(usize, usize)>,
    counts: Option<Counts>,
}

/// The texts of a run at a time.
type Key = (Option<JobId>, usize, [usize; 2]);

/// How many words two texts share after they part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Words that both have.
    pub shared: usize,
    /// Words of the text that has more.
    pub words: usize,
    /// Whether there are more, which were not compared.
    pub cut: bool,
}

/// Brings all policies' up to date with a run: cheap where its texts have not grown.
pub fn follow(alignments: &mut Vec<Alignment>, run: &LiveView) {
    alignments.resize_with(1 + run.rivals.len(), Alignment::default);
    alignments.iter_mut().zip([run].into_iter().chain(&run.rivals)).for_each(|(known, live)| known.follow(live));
}

impl Alignment {
    fn follow(&mut self, live: &LiveView) {
        let Some(first) = live.first_difference else {
            *self = Self::default();
            return;
        };
        let panes = [&live.original, &live.compressed];
        let key = (live.job, first, panes.map(|pane| written(pane, first).map(str::len).sum()));
        if self.of != Some(key) {
            let begun = begun_word(&live.original, first);
            let [one, other] = panes.map(|pane| begun.clone() + &written(pane, first).collect::<String>());
            let found = shared_words(&one, &other);
            self.differs = [0, 1].map(|side| differing(&found, side, begun.len()));
            self.meets = meets(&found, [&one, &other], begun.len());
            self.counts = counts(&found, begun.len());
            self.of = Some(key);
        }
    }

    /// Bytes that the other text lacks, counted from where the texts part: of the original's text, or the other one.
    pub fn differs(&self, compressed: bool) -> &[Range<usize>] {
        self.differs.get(usize::from(compressed)).map_or(&[], Vec::as_slice)
    }

    /// Where words that both have begin in the other text and in the original's, counted as for [`Self::differs`], as far as they
    /// are worth a line.
    pub fn meets(&self) -> &[(usize, usize)] {
        &self.meets
    }

    /// How many words are shared; none before the texts part.
    pub fn counts(&self) -> Option<Counts> {
        self.counts
    }
}

fn written(pane: &Pane, first: usize) -> impl Iterator<Item = &str> {
    pane.tokens.iter().skip(first).map(|token| token.text.as_str())
}

/// The word that both texts have begun when they part.
fn begun_word(pane: &Pane, first: usize) -> String {
    let mut begun = String::new();
    for token in pane.tokens.iter().take(first).rev() {
        begun.insert_str(0, &token.text);
        if let Some(blank) = begun.rfind(char::is_whitespace) {
            return begun.get(blank..).unwrap_or_default().trim_start().to_owned();
        }
    }
    begun
}

/// The words of one text that the other lacks, as far as they lie after the first `begun` bytes.
fn differing(found: &SharedWords, side: usize, begun: usize) -> Vec<Range<usize>> {
    let words = found.words.get(side).into_iter().flatten();
    let own = words.filter(|word| !word.shared && word.range.end > begun);
    own.map(|word| word.range.start.saturating_sub(begun)..word.range.end - begun).collect()
}

/// Where shared words begin that are worth a line, after the first `begun` bytes: in the second text and in the first.
fn meets(found: &SharedWords, texts: [&str; 2], begun: usize) -> Vec<(usize, usize)> {
    let shared = |side: usize| found.words.get(side).into_iter().flatten().enumerate().filter(|(_, word)| word.shared);
    let pairs: Vec<_> = shared(1).zip(shared(0)).collect();
    let runs = pairs.chunk_by(|((here, _), (original, _)), ((here_next, _), (original_next, _))| {
        here + 1 == *here_next && original + 1 == *original_next
    });
    let [one, other] = texts;
    let span = |from: &Word, to: &Word| other.get(from.range.start..to.range.end).map_or(0, UnicodeWidthStr::width);
    let ends = |run: &[((usize, &Word), _)]| run.first().zip(run.last()).map(|(first, last)| span(first.0.1, last.0.1));
    let long = runs.filter(|run| ends(run).is_some_and(|columns| columns >= LEAST_RUN)).flatten();
    let begins = |text: &str, place: usize| text.get(..place).is_some_and(|text| text.ends_with(char::is_whitespace));
    let places = long.map(|((_, here), (_, original))| (here.range.start, original.range.start));
    let whole = places.filter(|(here, original)| begins(other, *here) && begins(one, *original));
    whole.filter_map(|(here, original)| Some((here.checked_sub(begun)?, original.checked_sub(begun)?))).collect()
}

fn counts(found: &SharedWords, begun: usize) -> Option<Counts> {
    let count = |side: usize, all: bool| {
        let words = found.words.get(side).into_iter().flatten();
        words.filter(|word| word.counts && word.range.end > begun && (all || word.shared)).count()
    };
    let words = count(0, true).max(count(1, true));
    (words > 0).then(|| Counts { shared: count(0, false), words, cut: found.cut })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::LiveToken;

    fn live(original: &[&str], compressed: &[&str]) -> LiveView {
        let pane = |texts: &[&str]| {
            let token = |text: &&str| LiveToken { id: 0, text: (*text).to_owned() };
            Pane { tokens: texts.iter().map(token).collect(), ..Pane::default() }
        };
        let first = original.iter().zip(compressed).position(|(a, b)| a != b);
        LiveView {
            original: pane(original),
            compressed: pane(compressed),
            first_difference: first,
            ..LiveView::default()
        }
    }

    #[test]
    fn words_are_those_of_the_text_and_not_of_its_tokens() {
        let mut found = Alignment::default();
        found.follow(&live(&[" She", " was un", "happy", " to", "day"], &[" She", " was un", "fair", " today", "!"]));
        assert_eq!((found.differs(false).first(), found.differs(false).len()), (Some(&(0..5)), 1));
        assert_eq!((found.differs(true), found.meets()), (&[0..4, 10..11][..], &[][..]));
        assert_eq!(found.counts(), Some(Counts { shared: 1, words: 2, cut: false }));
    }

    #[test]
    fn words_meet_where_enough_of_them_follow_one_another() {
        let mut found = Alignment::default();
        found.follow(&live(&[" It", " was the end of the long day."], &[" So", " it is the top of a long day."]));
        assert_eq!(found.meets(), [], "neither the nor of");
        found.follow(&live(&[" It", " was the end of the long day."], &[" So", " far it is the end of a long day."]));
        assert_eq!(found.meets(), [(14, 8), (18, 12), (22, 16)]);
    }

    #[test]
    fn a_text_that_grows_is_compared_anew() {
        let mut found = Alignment::default();
        found.follow(&live(&[" a"], &[" a"]));
        assert_eq!(found.counts(), None);
        found.follow(&live(&[" a", " goat", " came"], &[" a", " frog"]));
        assert_eq!(found.counts(), Some(Counts { shared: 0, words: 2, cut: false }));
        found.follow(&live(&[" a", " goat", " came"], &[" a", " frog", " came", "."]));
        assert_eq!(found.counts(), Some(Counts { shared: 1, words: 2, cut: false }));
        assert_eq!(found.differs(true), [1..5, 10..11]);
        assert_eq!((found.differs(false).first(), found.differs(false).len()), (Some(&(1..5)), 1));
    }
}
