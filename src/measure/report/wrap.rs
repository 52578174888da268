//! Text broken into lines of a given width.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::checkpoint::escaped;

/// Columns that one cluster may take when written out as an escape.
const LONGEST: usize = 40;

/// Part of a line in one style.
pub(super) type Run<S> = (String, S);

/// Breaks text in pieces of a style each into lines of at most `columns` columns, at spaces where there are some, and at the
/// line breaks of the text. Characters that do not show are written as escapes.
pub(super) fn wrap<S: Copy + PartialEq>(pieces: &[(&str, S)], columns: usize) -> Vec<Vec<Run<S>>> {
    let mut lines: Vec<Vec<(String, S)>> = vec![Vec::new()];
    for (cluster, style) in pieces.iter().flat_map(|(text, style)| text.graphemes(true).map(|c| (c, *style))) {
        if matches!(cluster, "\n" | "\r\n") {
            lines.push(Vec::new());
            continue;
        }
        let Some(line) = lines.last_mut() else { continue };
        let shown = escaped(cluster, LONGEST);
        let full = line.iter().map(|(text, _)| text.width()).sum::<usize>() + shown.width() > columns;
        let mut next = Vec::new();
        if full && cluster != " " {
            let space = line.iter().rposition(|(text, _)| text == " ");
            next = space.map_or_else(Vec::new, |space| line.split_off(space + 1));
        }
        if full {
            lines.push(next);
        }
        if let Some(line) = lines.last_mut().filter(|_| !(full && cluster == " ")) {
            line.push((shown, style));
        }
    }
    lines.into_iter().map(joined).collect()
}

/// Neighbours of one style in one piece.
fn joined<S: Copy + PartialEq>(line: Vec<(String, S)>) -> Vec<Run<S>> {
    let mut runs: Vec<Run<S>> = Vec::new();
    for (text, style) in line {
        match runs.last_mut() {
            Some((run, of)) if *of == style => run.push_str(&text),
            _ => runs.push((text, style)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[(&str, u8)], columns: usize) -> Vec<String> {
        wrap(pieces, columns).iter().map(|line| line.iter().map(|run| run.0.as_str()).collect()).collect()
    }

    #[test]
    fn lines_break_at_spaces_and_where_there_are_none_anywhere() {
        assert_eq!(lines(&[("one two three", 0)], 8), ["one two ", "three"]);
        assert_eq!(lines(&[("onetwothree", 0)], 4), ["onet", "woth", "ree"]);
        assert_eq!(lines(&[("one two", 0)], 3), ["one", "two"]);
        assert_eq!(lines(&[("a\nb\u{1b}", 0)], 20), ["a", "b\\u{1b}"]);
        assert_eq!(lines(&[("見出し語", 0)], 4), ["見出", "し語"]);
        assert_eq!(lines(&[], 4), [""]);
    }

    #[test]
    fn styles_stay_with_their_text() {
        let wrapped = wrap(&[("ab", 1), ("cd ef", 2)], 6);
        let run = |text: &str, style| (text.to_owned(), style);
        assert_eq!(wrapped, [vec![run("ab", 1), run("cd ", 2)], vec![run("ef", 2)]]);
    }
}
