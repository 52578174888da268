//! Several texts wrapped side by side, such that words which they share stand on one line.

use unicode_width::UnicodeWidthStr;

use super::align::LEAST_RUN;
use super::pieces::Ink;
use super::wrap::{Lines, Piece};

/// For so many columns that texts share a line may stay empty: about a short sentence.
const WORTH_A_LINE: usize = 24;

/// Wraps texts of so many columns each. Where words meet, the texts that are not as far down begin a line there; but where the one
/// that is farthest has no room for more of what they share, they meet on its next line, and where more lines would stay empty
/// than what they share is worth, each goes on where it is.
pub fn wrap_abreast(texts: &[Vec<Piece<Ink>>], width: usize) -> Vec<Vec<Vec<Piece<Ink>>>> {
    let mut texts: Vec<Growing<'_>> =
        texts.iter().map(|pieces| Growing { left: pieces, lines: Lines::of(width) }).collect();
    loop {
        texts.iter_mut().for_each(Growing::go_to_meeting);
        let Some(next) = texts.iter().filter_map(Growing::meeting).min() else { break };
        let here = |text: &&mut Growing<'_>| text.meeting() == Some(next);
        let line = texts.iter_mut().filter(here).map(|text| text.line()).max().unwrap_or_default();
        let torn = texts.iter_mut().filter(here).any(|text| text.line() == line && text.line_of_run(width) > line);
        let apart = torn || texts.iter_mut().filter(here).any(|text| !text.is_worth(line));
        texts.iter_mut().filter(here).for_each(|text| text.go_on(if apart { 0 } else { line }));
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
        self.lines.line_for(self.run(most).min(most))
    }

    /// Whether to go on at this line: enough is shared from here on for the lines that would stay empty.
    fn is_worth(&self, line: usize) -> bool {
        let least = self.lines.blank_before(line) * WORTH_A_LINE;
        self.run(least) >= least
    }

    /// The columns of the next word with those after it that the texts share too; where they are at least so many, no more are
    /// counted.
    fn run(&self, most: usize) -> usize {
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
        end
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
        let one = [("a", Some(0)), ("longway", None), ("the", Some(4)), ("hill", Some(5))];
        let other = [("a", Some(0)), ("way", None), ("the", Some(4)), ("hill", Some(5))];
        let shown = lines(&[&one, &other], 9);
        assert_eq!(shown, [vec!["a longway", "the hill"], vec!["a way", "the hill"]]);
    }

    #[test]
    fn a_word_that_does_not_fit_is_met_on_the_line_where_it_goes() {
        let shown = lines(&[&[("abc", None), ("defg", Some(1))], &[("x", None), ("defg", Some(1))]], 6);
        assert_eq!(shown, [vec!["abc", "defg"], vec!["x", "defg"]]);
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
    fn no_more_lines_stay_empty_than_what_is_shared_is_worth() {
        let way = ["aaaa", "bbbb", "cccc", "dddd"].map(|word| (word, None));
        let run = ["it", "was", "dark", "then", "and", "they", "ran"];
        let shared = |words: usize| -> Vec<(&str, Option<usize>)> {
            run.into_iter().enumerate().map(|(at, word)| (word, (at < words).then_some(20 + at))).collect()
        };
        let behind = |words: usize| {
            let run = shared(words);
            let texts = [[&way[..], &run].concat(), [&[("x", None)][..], &run].concat()];
            lines(&[&texts[0], &texts[1]], 9).remove(1)
        };
        assert_eq!(behind(2), ["x it was", "dark then", "and they", "ran"]);
        assert_eq!(behind(7), ["x", "", "it was", "dark then", "and they", "ran"]);
    }

    #[test]
    fn three_texts_meet_where_each_has_the_word() {
        let one = [("ab", Some(0)), ("cd", Some(1)), ("ef", Some(2))];
        let shown = lines(&[&one, &[("xx", None), ("yy", None), ("cd", Some(1))], &[("gg", None), ("ef", Some(2))]], 6);
        assert_eq!(shown, [vec!["ab", "cd ef"], vec!["xx yy", "cd"], vec!["gg", "ef"]]);
    }
}
