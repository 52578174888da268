//! The cursor on the tokens of the original's text.

use super::action::Action;
use super::app::App;
use super::ui::Pane;
use crate::workbench::Severity;

/// Moves by as many lines or more go to an end.
const FARTHEST: usize = 1_000_000;

impl App {
    /// The token under the cursor.
    pub(super) fn cursor(&self) -> Option<usize> {
        self.ui.token_cursor(self.workbench.live())
    }

    /// Goes to a token.
    pub(super) fn go_to_token(&mut self, token: usize) {
        self.ui.focus(Pane::Text);
        self.ui.token = Some(token);
    }

    /// Goes so many tokens on; without a cursor, to where the texts part, or to the end that `by` comes from.
    pub(super) fn step_token(&mut self, by: isize) {
        let live = self.workbench.live();
        let Some(last) = live.original.tokens.len().checked_sub(1) else {
            let text = format!("nothing is written yet; {} lets both models write", self.key(Action::Generate));
            return self.say(Severity::Info, text);
        };
        let entered = live.first_difference.unwrap_or(if by < 0 { last } else { 0 });
        let token = self.cursor().map_or(entered, |cursor| cursor.saturating_add_signed(by).min(last));
        self.go_to_token(token);
    }

    /// Moves the cursor by lines of the text, as far to the right as it stands; more lines than a text has go to its end.
    pub(super) fn step_lines(&mut self, lines: isize) {
        let Some(cursor) = self.cursor() else { return };
        let last = self.workbench.live().original.tokens.len().saturating_sub(1);
        let beyond = if lines < 0 { 0 } else { last };
        let places = &self.facts.places;
        let Some((line, column)) = places.get(cursor).copied().filter(|_| lines.unsigned_abs() < FARTHEST) else {
            return self.go_to_token(beyond);
        };
        let wanted = line.saturating_add_signed(lines);
        // A line may hold no token: an empty one, or one of the prompt.
        let mut lines_of_tokens = places.iter().map(|place| place.0);
        let landed = if lines < 0 {
            lines_of_tokens.rfind(|line| *line <= wanted)
        } else {
            lines_of_tokens.find(|line| *line >= wanted)
        };
        let there = places.iter().enumerate().filter(|(_, place)| Some(place.0) == landed);
        let nearest = there.min_by_key(|(_, place)| place.1.abs_diff(column)).map(|(token, _)| token);
        self.go_to_token(nearest.unwrap_or(beyond));
    }
}
