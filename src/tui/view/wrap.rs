//! Text of several styles, wrapped by words to a width.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::tui::theme::Role;

/// A stretch of text in one style, or with whatever else tells it from its neighbours.
pub type Piece<T = Role> = (String, T);

#[derive(Debug, Clone, Copy)]
struct Glyph<'a, T> {
    text: &'a str,
    width: usize,
    role: T,
}

/// Lines as they grow.
#[derive(Debug)]
pub struct Lines<'a, T> {
    all: Vec<Vec<Glyph<'a, T>>>,
    /// Columns taken in the last one.
    used: usize,
    width: usize,
}

/// Wraps pieces into lines of at most `width` columns: between words where it can, within them where it must.
pub fn wrap<T: Copy + PartialEq>(pieces: &[Piece<T>], width: usize) -> Vec<Vec<Piece<T>>> {
    let mut lines = Lines::of(width);
    pieces.iter().for_each(|(text, role)| lines.write(text, *role));
    lines.pieces()
}

/// Control characters become a visible stand-in: a text may hold anything.
fn glyph<T>(grapheme: &str, role: T) -> Glyph<'_, T> {
    let text = match grapheme {
        "\t" => "    ",
        _ if grapheme.chars().any(is_unsafe) => "\u{fffd}",
        _ => grapheme,
    };
    Glyph { text, width: text.width(), role }
}

/// Whether a character could steer the terminal, or turn the order of what follows.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl<'a, T: Copy + PartialEq> Lines<'a, T> {
    /// None yet, of at most `width` columns.
    pub fn of(width: usize) -> Self {
        Self { all: vec![Vec::new()], used: 0, width: width.max(1) }
    }

    /// Goes on with a text in one style.
    pub fn write(&mut self, text: &'a str, role: T) {
        for grapheme in text.graphemes(true) {
            if grapheme == "\n" || grapheme == "\r\n" {
                self.open();
            } else {
                let glyph = glyph(grapheme, role);
                // What is wider than a whole line is told by a stand-in.
                let fits = glyph.width <= self.width;
                self.push(if fits { glyph } else { Glyph { text: "\u{fffd}", width: 1, role } });
            }
        }
    }

    /// The line on which a word of so many columns would stand.
    pub fn line_for(&self, word: usize) -> usize {
        let fits = self.used == 0 || self.used + word <= self.width;
        self.all.len() - usize::from(fits)
    }

    /// How many lines would stay empty before that one, if it came next.
    pub fn blank_before(&self, line: usize) -> usize {
        (line + usize::from(self.used == 0)).saturating_sub(self.all.len())
    }

    /// Goes on at the beginning of a line; those before it end early.
    pub fn down_to(&mut self, line: usize) {
        while self.all.len() <= line {
            self.open();
        }
    }

    /// The lines as pieces, those of one style joined.
    pub fn pieces(&self) -> Vec<Vec<Piece<T>>> {
        self.all.iter().map(|line| joined(line)).collect()
    }

    fn open(&mut self) {
        self.all.push(Vec::new());
        self.used = 0;
    }

    fn push(&mut self, next: Glyph<'a, T>) {
        let Some(line) = self.all.last_mut() else { return };
        if self.used + next.width <= self.width || line.is_empty() {
            line.push(next);
            self.used += next.width;
        } else if next.text == " " {
            self.open();
        } else {
            let start = line.iter().rposition(|glyph| glyph.text == " ").map_or(line.len(), |space| space + 1);
            let moved = line.split_off(start);
            while line.last().is_some_and(|glyph| glyph.text == " ") {
                line.pop();
            }
            self.used = moved.iter().map(|glyph| glyph.width).sum();
            self.all.push(moved);
            self.push(next);
        }
    }
}

fn joined<T: Copy + PartialEq>(line: &[Glyph<'_, T>]) -> Vec<Piece<T>> {
    let mut pieces: Vec<Piece<T>> = Vec::new();
    for glyph in line {
        match pieces.last_mut() {
            Some((text, role)) if *role == glyph.role => text.push_str(glyph.text),
            _ => pieces.push((glyph.text.to_owned(), glyph.role)),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str, width: usize) -> Vec<String> {
        let plain = |line: Vec<Piece<Role>>| line.into_iter().map(|(text, _)| text).collect();
        wrap(&[(text.to_owned(), Role::Text)], width).into_iter().map(plain).collect()
    }

    #[test]
    fn words_stay_whole_where_they_fit() {
        assert_eq!(lines("Once upon a time", 9), ["Once upon", "a time"]);
        assert_eq!(lines("unbreakable", 4), ["unbr", "eaka", "ble"]);
        assert_eq!(lines("a\n\nb", 9), ["a", "", "b"]);
        assert_eq!(lines("木木木", 4), ["木木", "木"]);
        assert_eq!(lines(" ab木", 3), ["", "ab", "木"]);
    }

    #[test]
    fn what_is_wider_than_a_line_is_told_by_a_stand_in() {
        assert_eq!(lines("a木b", 1), ["a", "\u{fffd}", "b"]);
    }

    #[test]
    fn styles_survive_the_wrap() {
        let pieces = [("one t".to_owned(), Role::Text), ("wo".to_owned(), Role::Differs)];
        let wrapped = wrap(&pieces, 4);
        assert_eq!(wrapped[1], [("t".to_owned(), Role::Text), ("wo".to_owned(), Role::Differs)]);
    }

    #[test]
    fn nothing_in_a_text_reaches_the_terminal_as_a_command() {
        assert_eq!(lines("a\u{1b}[2Jb\u{202e}", 20), ["a\u{fffd}[2Jb\u{fffd}"]);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_asked(text in "\\PC{0,60}", width in 2_usize..20) {
            for line in lines(&text, width) {
                // As the terminal draws it: grapheme by grapheme.
                prop_assert!(line.graphemes(true).map(UnicodeWidthStr::width).sum::<usize>() <= width);
            }
        }
    }
}
