//! A text as pieces: the prompt, then each token by what it is.

use std::ops::Range;

use super::wrap::Piece;
use crate::tui::theme::Role;
use crate::workbench::{LiveView, Pane};

const FIRST_DIFFERENCE: &str = "≠";
const LOOP: &str = "↻";
const BRANCH: &str = "↳";
const PLAN_CHANGE: &str = "◆";

/// How a piece is drawn, and which token it belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ink {
    /// Its meaning.
    pub role: Role,
    /// The token whose text it is.
    pub token: Option<usize>,
    /// Whether it lies under the cursor.
    pub chosen: bool,
    /// Where it begins a word of the original's text, also in other texts that have that word: they stand on one line.
    pub meets: Option<usize>,
}

impl Ink {
    const fn of(role: Role) -> Self {
        Self { role, token: None, chosen: false, meets: None }
    }
}

/// One of the texts with what is to be marked in it.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// What was written.
    pub pane: &'a Pane,
    /// Whether it is a branch of another text.
    pub branch: bool,
    /// Index of the first token that differs.
    pub first: usize,
    /// Bytes of the text from there on that the other text lacks.
    pub differs: &'a [Range<usize>],
    /// Where words that both have begin, from there on: here, and in the original's text; `None` for that text itself.
    pub meets: Option<&'a [(usize, usize)]>,
    /// Tokens at which other plans took effect.
    pub plan_changes: &'a [usize],
    /// The token under the cursor.
    pub cursor: Option<usize>,
}

/// How far a text has been taken apart.
#[derive(Debug, Clone, Copy, Default)]
struct At {
    /// Bytes so far.
    all: usize,
    /// Those of them that both texts begin with, once they have parted.
    shared: usize,
    /// How many of the ranges that differ lie behind.
    differs: usize,
    /// Whether a word could begin here.
    blank: bool,
}

impl Text<'_> {
    /// The prompt and the tokens, markers between them.
    pub fn pieces(&self, live: &LiveView) -> Vec<Piece<Ink>> {
        let asked = if live.chat { format!("{}\n", live.prompt) } else { live.prompt.clone() };
        let mut pieces = vec![(asked, Ink::of(Role::Prompt))];
        pieces.extend(live.earlier.iter().map(|token| (token.text.clone(), Ink::of(Role::Prompt))));
        let mut at = At { blank: true, ..At::default() };
        for (index, token) in self.pane.tokens.iter().enumerate() {
            if index == self.first {
                at.shared = at.all;
            }
            let differs = if index < self.first { &[] } else { self.differs.get(at.differs..).unwrap_or_default() };
            self.push(&mut pieces, index, &token.text, at, differs);
            at.all += token.text.len();
            at.blank = token.text.chars().next_back().map_or(at.blank, char::is_whitespace);
            if index >= self.first {
                at.differs += differs.partition_point(|range| range.end <= at.all - at.shared);
            }
        }
        pieces
    }

    /// A token cut where words begin and where `differs` begins or ends; its markers stand at the word, not at the space
    /// before it.
    fn push(&self, pieces: &mut Vec<Piece<Ink>>, index: usize, text: &str, at: At, differs: &[Range<usize>]) {
        let chosen = self.cursor == Some(index);
        let ink = |differs, meets| Ink { role: self.role(index, differs), token: Some(index), chosen, meets };
        let mut markers = self.markers(index);
        if chosen && text.trim().is_empty() {
            pieces.append(&mut markers);
            pieces.push((visible(text), ink(false, None)));
            return;
        }
        let begin = at.all - at.shared;
        for (part, differs, word) in parts(text, begin, at.blank, differs) {
            let mut ink = ink(differs, word.and_then(|place| self.meets(index, at.shared, place)));
            if part.trim().is_empty() {
                ink.chosen &= markers.is_empty();
            } else if let Some((_, marker)) = markers.first_mut() {
                marker.meets = ink.meets.take();
                pieces.append(&mut markers);
            }
            pieces.push((part.to_owned(), ink));
        }
        pieces.append(&mut markers);
    }

    /// Where in the original's text the word stands that begins at `place`, both texts being alike up to byte `shared`.
    fn meets(&self, index: usize, shared: usize, place: usize) -> Option<usize> {
        match self.meets {
            Some(words) if index >= self.first => {
                let found = words.binary_search_by_key(&place, |(here, _)| *here).ok()?;
                words.get(found).map(|(_, original)| shared + original)
            }
            _ => Some(shared + place),
        }
    }

    fn markers(&self, index: usize) -> Vec<Piece<Ink>> {
        let looping = self.pane.looping.is_some_and(|found| found.start == index);
        [
            (self.branch && index == 0, BRANCH, Role::Changed),
            (index == self.first, FIRST_DIFFERENCE, Role::First),
            (looping, LOOP, Role::Bad),
            (self.plan_changes.contains(&index), PLAN_CHANGE, Role::Changed),
        ]
        .into_iter()
        .filter(|(there, ..)| *there)
        .map(|(_, glyph, role)| (glyph.to_owned(), Ink::of(role)))
        .collect()
    }

    fn role(&self, index: usize, differs: bool) -> Role {
        match self.pane.looping {
            Some(found) if index >= found.start => Role::Looping,
            _ if differs => Role::Differs,
            _ => Role::Text,
        }
    }
}

/// A text that begins at byte `begin`, cut where words begin and where a range begins or ends: each part with whether it lies in
/// a range, and its place if it begins a word. `blank`: what stands before the text does not belong to its first word.
fn parts<'a>(text: &'a str, begin: usize, blank: bool, ranges: &[Range<usize>]) -> Vec<(&'a str, bool, Option<usize>)> {
    let words = words(text, blank);
    let near = || ranges.iter().take_while(|range| range.start < begin + text.len());
    let edges =
        near().flat_map(|range| [range.start, range.end]).map(|edge| edge.saturating_sub(begin).min(text.len()));
    let mut cuts: Vec<usize> = edges.chain(words.iter().copied()).chain([0, text.len()]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let part = |from: usize, to: usize| {
        let inside = near().any(|range| range.contains(&(begin + from)));
        text.get(from..to).map(|part| (part, inside, words.contains(&from).then_some(begin + from)))
    };
    cuts.windows(2).filter_map(|cut| if let [from, to] = cut { part(*from, *to) } else { None }).collect()
}

/// Where words begin.
fn words(text: &str, blank: bool) -> Vec<usize> {
    let mut blank = blank;
    let begins = |(_, c): &(usize, char)| std::mem::replace(&mut blank, c.is_whitespace()) && !c.is_whitespace();
    text.char_indices().filter(begins).map(|(place, _)| place).collect()
}

/// Stand-ins for what shows nothing: blanks, and what is no whole character yet.
fn visible(text: &str) -> String {
    if text.is_empty() {
        return "▯".to_owned();
    }
    text.chars().map(|c| if c == '\n' { "↵\n".to_owned() } else { "␣".to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workbench::LiveToken;

    fn pane(tokens: &[&str]) -> Pane {
        let token = |(id, text): (usize, &&str)| LiveToken { id: id as u32, text: (*text).to_owned() };
        Pane { tokens: tokens.iter().enumerate().map(token).collect(), ..Pane::default() }
    }

    fn whole(pane: &Pane, first: usize) -> Text<'_> {
        Text { pane, branch: false, first, differs: &[], meets: None, plan_changes: &[], cursor: None }
    }

    #[test]
    fn words_meet_where_the_original_has_them_and_markers_go_with_their_word() {
        let pane = pane(&["a b", "c", " new", " goat", "s"]);
        let met = |text: Text<'_>| -> Vec<(String, Option<usize>)> {
            let pieces = text.pieces(&LiveView::default());
            pieces.into_iter().filter(|(_, ink)| ink.meets.is_some()).map(|(text, ink)| (text, ink.meets)).collect()
        };
        let word = |word: &str, place| (word.to_owned(), Some(place));
        assert_eq!(met(whole(&pane, 2)), [word("a ", 0), word("b", 2), word("≠", 5), word("goat", 9)]);
        let other = Text { meets: Some(&[(5, 17)]), plan_changes: &[3], ..whole(&pane, 2) };
        assert_eq!(met(other), [word("a ", 0), word("b", 2), word("◆", 21)]);
    }

    #[test]
    fn a_marker_stands_at_the_word_and_the_cursor_on_its_token_alone() {
        let pane = pane(&[" a", " bc", "d e"]);
        let text = Text { differs: &[1..4, 5..6], cursor: Some(1), ..whole(&pane, 1) };
        let pieces = text.pieces(&LiveView::default());
        let shown: Vec<_> = pieces.iter().map(|(text, ink)| (text.as_str(), ink.role, ink.chosen)).collect();
        let expected = [
            ("", Role::Prompt, false),
            (" ", Role::Text, false),
            ("a", Role::Text, false),
            (" ", Role::Text, false),
            ("≠", Role::First, false),
            ("bc", Role::Differs, true),
            ("d", Role::Differs, false),
            (" ", Role::Text, false),
            ("e", Role::Differs, false),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_token_that_shows_nothing_is_seen_under_the_cursor() {
        assert_eq!((visible(" "), visible("\n"), visible("")), ("␣".into(), "↵\n".into(), "▯".into()));
        let pane = pane(&["a", "\n", "b"]);
        let text = Text { cursor: Some(1), ..whole(&pane, usize::MAX) };
        let shown: String = text.pieces(&LiveView::default()).into_iter().map(|(text, _)| text).collect();
        assert_eq!(shown, "a↵\nb");
    }

    #[test]
    fn a_branch_is_marked_after_what_it_goes_on_from() {
        let live = LiveView { prompt: "p".into(), earlier: self::pane(&[" q"]).tokens, ..LiveView::default() };
        let pane = pane(&[" r"]);
        let text = Text { branch: true, ..whole(&pane, usize::MAX) };
        let shown: String = text.pieces(&live).into_iter().map(|(text, _)| text).collect();
        assert_eq!(shown, "p q ↳r");
    }
}
