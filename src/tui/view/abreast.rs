//! Several texts wrapped side by side, such that words which they share stand on one line.

use unicode_width::UnicodeWidthStr;

use super::align::LEAST_RUN;
use super::pieces::Ink;
use super::wrap::{Lines, Piece};

/// Wraps texts of so many columns each. Where words meet, the texts that are not as far down begin a line there; but where the one
/// that is farthest has no room for more of what they share, they meet on its next line.
pub fn wrap_abreast(texts: &[Vec<Piece<Ink>>], width: usize) -> Vec<Vec<Vec<Piece<Ink>>>> {
    let mut texts: Vec<Growing<'_>> =
        texts.iter().map(|pieces| Growing { left: pieces, lines: Lines::of(width) }).collect();
    loop {
        texts.iter_mut().for_each(Growing::go_to_meeting);
        let Some(next) = texts.iter().filter_map(Growing::meeting).min() else { break };
        let here = |text: &&mut Growing<'_>| text.meeting() == Some(next);
        let line = texts.iter_mut().filter(here).map(|text| text.line()).max().unwrap_or_default();
        let torn = texts.iter_mut().filter(here).any(|text| text.line() == line && text.line_of_run(width) > line);
        texts.iter_mut().filter(here).for_each(|text| text.go_on(if torn { 0 } else { line }));
    }
    texts.iter().map(|text| text.lines.pieces()).collect()
}

/// A text with the lines that it has so far.
struct Growing<'a> {
    left: &'a [Piece<Ink>],
    lines: Lines<'a, Ink>,
}

impl Growing<'_> {
    /// Where the next piece meets those of other texts.
    fn meeting(&self) -> Option<usize> {
        self.left.first().and_then(|(_, ink)| ink.meets)
    }

    fn go_to_meeting(&mut self) {
        while self.meeting().is_none() && self.write() {}
    }

    /// Takes one piece over; whether there was one.
    fn write(&mut self) -> bool {
        let Some(((text, ink), left)) = self.left.split_first() else { return false };
        self.lines.write(text, Ink { meets: None, ..*ink });
        self.left = left;
        true
    }

    /// The line on which the next word would stand.
    fn line(&self) -> usize {
        let mut word = 0;
        for (text, _) in self.left {
            let end = text.find(char::is_whitespace);
            word += text.get(..end.unwrap_or(text.len())).map_or(0, UnicodeWidthStr::width);
            if end.is_some() {
                break;
            }
        }
        self.lines.line_for(word)
    }

    /// The line on which the next word would stand together with those after it that the texts share too, as far as they matter.
    fn line_of_run(&self, width: usize) -> usize {
        let most = LEAST_RUN.min(width / 2);
        let (mut columns, mut end, mut blank) = (0, 0, true);
        for (text, ink) in self.left {
            let is_blank = text.trim().is_empty();
            if end >= most || (end > 0 && blank && !is_blank && ink.meets.is_none()) {
                break;
            }
            columns += text.width();
            blank = text.ends_with(char::is_whitespace);
            end = if is_blank { end } else { columns };
        }
        self.lines.line_for(end.min(most))
    }

    /// Writes the next piece on this line, or on a later one where it is there already.
    fn go_on(&mut self, line: usize) {
        self.lines.down_to(line);
        self.write();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::Role;

    /// Words, each where it meets another, as lines.
    fn lines(texts: &[&[(&str, Option<usize>)]], width: usize) -> Vec<Vec<String>> {
        let pieces = |words: &&[(&str, Option<usize>)]| {
            let ink = |meets| Ink { role: Role::Text, token: None, chosen: false, meets };
            let word =
                |(word, meets): &(&str, Option<usize>)| [((*word).to_owned(), ink(*meets)), (" ".into(), ink(None))];
            words.iter().flat_map(word).collect::<Vec<_>>()
        };
        let texts: Vec<_> = texts.iter().map(pieces).collect();
        let joined =
            |line: Vec<Piece<Ink>>| line.into_iter().map(|(text, _)| text).collect::<String>().trim_end().to_owned();
        wrap_abreast(&texts, width).into_iter().map(|lines| lines.into_iter().map(joined).collect()).collect()
    }

    #[test]
    fn who_is_behind_begins_the_line_on_which_the_other_is() {
        let one = [("a", Some(0)), ("long", None), ("way", None), ("round", None), ("the", Some(4)), ("hill", Some(5))];
        let other = [("a", Some(0)), ("path", None), ("the", Some(4)), ("hill", Some(5))];
        let shown = lines(&[&one, &other], 9);
        assert_eq!(shown, [vec!["a long", "way round", "the hill"], vec!["a path", "", "the hill"]]);
    }

    #[test]
    fn a_word_that_does_not_fit_is_met_on_the_line_where_it_goes() {
        let shown = lines(&[&[("abc", None), ("defg", Some(1))], &[("defg", Some(1))]], 6);
        assert_eq!(shown, [vec!["abc", "defg"], vec!["", "defg"]]);
    }

    #[test]
    fn what_is_shared_is_not_torn_apart_at_the_end_of_a_line() {
        let run = [("we", Some(2)), ("want", Some(5)), ("it", Some(10)), ("all", Some(13))];
        let one = [&[("x", Some(0))][..], &run].concat();
        let other = [&[("aaaa", None), ("bbbb", None)][..], &run].concat();
        let shown = lines(&[&one, &other], 12);
        assert_eq!(shown, [vec!["x we", "want it all"], vec!["aaaa bbbb we", "want it all"]]);
    }

    #[test]
    fn three_texts_meet_where_each_has_the_word() {
        let one = [("ab", Some(0)), ("cd", Some(1)), ("ef", Some(2))];
        let shown = lines(&[&one, &[("xx", None), ("yy", None), ("cd", Some(1))], &[("ef", Some(2))]], 6);
        assert_eq!(shown, [vec!["ab", "cd ef"], vec!["xx yy", "cd"], vec!["", "ef"]]);
    }
}
