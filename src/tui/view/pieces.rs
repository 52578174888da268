//! A text as pieces: the prompt, then each token by what it is.

use super::wrap::Piece;
use crate::tui::theme::Role;
use crate::workbench::{LiveView, Pane};

const FIRST_DIFFERENCE: &str = "≠";
const LOOP: &str = "↻";
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
    /// Index of the first token that differs.
    pub first: usize,
    /// Of the tokens from there on: whether the other text has them too.
    pub shared: &'a [bool],
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
        for (index, token) in self.pane.tokens.iter().enumerate() {
            let chosen = self.cursor == Some(index);
            let ink = Ink { role: self.role(index), token: Some(index), chosen };
            let text = if chosen { visible(&token.text) } else { token.text.clone() };
            let mut markers = self.markers(index);
            // A marker stands at the word, not at the space before it.
            let word = text.trim_start_matches(' ');
            let space = text.len() - word.len();
            if markers.is_empty() || space == 0 {
                pieces.append(&mut markers);
                pieces.push((text, ink));
            } else {
                pieces.push((" ".repeat(space), ink));
                pieces.append(&mut markers);
                pieces.push((word.to_owned(), ink));
            }
        }
        pieces
    }

    fn markers(&self, index: usize) -> Vec<Piece<Ink>> {
        let looping = self.pane.looping.is_some_and(|found| found.start == index);
        [
            (index == self.first, FIRST_DIFFERENCE, Role::First),
            (looping, LOOP, Role::Bad),
            (self.plan_changes.contains(&index), PLAN_CHANGE, Role::Changed),
        ]
        .into_iter()
        .filter(|(there, ..)| *there)
        .map(|(_, glyph, role)| (glyph.to_owned(), Ink::of(role)))
        .collect()
    }

    fn role(&self, index: usize) -> Role {
        let equal = index < self.first || self.shared.get(index - self.first).copied().unwrap_or(true);
        match self.pane.looping {
            Some(found) if index >= found.start => Role::Looping,
            _ if equal => Role::Text,
            _ => Role::Differs,
        }
    }
}

/// A token's text such that something of it can be seen: blanks and breaks, and what is no whole character yet, have stand-ins.
fn visible(text: &str) -> String {
    if text.is_empty() {
        return "▯".to_owned();
    }
    if !text.trim().is_empty() {
        return text.to_owned();
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
        let pane = pane(&[" a", " bc", "d"]);
        let text = Text { pane: &pane, first: 1, shared: &[false, true], plan_changes: &[], cursor: Some(1) };
        let pieces = text.pieces(&LiveView::default());
        let shown: Vec<_> = pieces.iter().map(|(text, ink)| (text.as_str(), ink.role, ink.chosen)).collect();
        let expected = [
            ("", Role::Prompt, false),
            (" a", Role::Text, false),
            (" ", Role::Differs, true),
            ("≠", Role::First, false),
            ("bc", Role::Differs, true),
            ("d", Role::Text, false),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_token_that_shows_nothing_is_seen_under_the_cursor() {
        assert_eq!((visible(" "), visible("\n"), visible("")), ("␣".into(), "↵\n".into(), "▯".into()));
        assert_eq!(visible(" a"), " a");
    }
}
