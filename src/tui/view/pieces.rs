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
}

impl Ink {
    const fn of(role: Role) -> Self {
        Self { role, token: None, chosen: false }
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
    /// Tokens at which other plans took effect.
    pub plan_changes: &'a [usize],
    /// The token under the cursor.
    pub cursor: Option<usize>,
}

impl Text<'_> {
    /// The prompt and the tokens, markers between them.
    pub fn pieces(&self, live: &LiveView) -> Vec<Piece<Ink>> {
        let asked = if live.chat { format!("{}\n", live.prompt) } else { live.prompt.clone() };
        let mut pieces = vec![(asked, Ink::of(Role::Prompt))];
        pieces.extend(live.earlier.iter().map(|token| (token.text.clone(), Ink::of(Role::Prompt))));
        let mut passed = 0;
        let mut differs = self.differs;
        for (index, token) in self.pane.tokens.iter().enumerate() {
            let known = if index < self.first { &[] } else { differs };
            self.push(&mut pieces, index, &token.text, passed, known);
            if index >= self.first {
                passed += token.text.len();
                differs = differs.get(differs.partition_point(|range| range.end <= passed)..).unwrap_or_default();
            }
        }
        pieces
    }

    /// A token whose text begins at byte `begin`, cut where `differs` begins or ends; its markers stand at the word, not at the
    /// space before it.
    fn push(&self, pieces: &mut Vec<Piece<Ink>>, index: usize, text: &str, begin: usize, differs: &[Range<usize>]) {
        let chosen = self.cursor == Some(index);
        let ink = |differs| Ink { role: self.role(index, differs), token: Some(index), chosen };
        let mut markers = self.markers(index);
        let blank = text.trim().is_empty();
        let space = if markers.is_empty() || blank { 0 } else { text.len() - text.trim_start_matches(' ').len() };
        let (start, word) = text.split_at(space);
        if !start.is_empty() {
            pieces.push((start.to_owned(), Ink { chosen: false, ..ink(false) }));
        }
        pieces.append(&mut markers);
        if chosen && blank {
            pieces.push((visible(text), ink(false)));
        } else {
            let parts = parts(word, begin + space, differs);
            pieces.extend(parts.into_iter().map(|(part, differs)| (part.to_owned(), ink(differs))));
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

/// A text that begins at byte `begin`, cut where a range begins or ends; whether each part lies in one.
fn parts<'a>(text: &'a str, begin: usize, ranges: &[Range<usize>]) -> Vec<(&'a str, bool)> {
    let (mut parts, mut at) = (Vec::new(), 0);
    let mut push = |to: usize, inside: bool| {
        if let Some(part) = text.get(at..to).filter(|part| !part.is_empty()) {
            parts.push((part, inside));
            at = to;
        }
    };
    for range in ranges.iter().take_while(|range| range.start < begin + text.len()) {
        push(range.start.saturating_sub(begin), false);
        push((range.end.saturating_sub(begin)).min(text.len()), true);
    }
    push(text.len(), false);
    parts
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

    #[test]
    fn a_marker_stands_at_the_word_and_the_cursor_on_its_token_alone() {
        let pane = pane(&[" a", " bc", "d e"]);
        let text =
            Text { pane: &pane, branch: false, first: 1, differs: &[1..4, 5..6], plan_changes: &[], cursor: Some(1) };
        let pieces = text.pieces(&LiveView::default());
        let shown: Vec<_> = pieces.iter().map(|(text, ink)| (text.as_str(), ink.role, ink.chosen)).collect();
        let expected = [
            ("", Role::Prompt, false),
            (" a", Role::Text, false),
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
        let text =
            Text { pane: &pane, branch: false, first: usize::MAX, differs: &[], plan_changes: &[], cursor: Some(1) };
        let shown: String = text.pieces(&LiveView::default()).into_iter().map(|(text, _)| text).collect();
        assert_eq!(shown, "a↵\nb");
    }

    #[test]
    fn a_branch_is_marked_after_what_it_goes_on_from() {
        let live = LiveView { prompt: "p".into(), earlier: self::pane(&[" q"]).tokens, ..LiveView::default() };
        let pane = pane(&[" r"]);
        let text = Text { pane: &pane, branch: true, first: usize::MAX, differs: &[], plan_changes: &[], cursor: None };
        let shown: String = text.pieces(&live).into_iter().map(|(text, _)| text).collect();
        assert_eq!(shown, "p q ↳r");
    }
}
