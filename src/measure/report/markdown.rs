//! Markdown, with what comes from outside made safe to read.

use super::wrap::wrap;
use crate::checkpoint::escaped;

/// Longest name in a table, in characters.
const LONGEST_NAME: usize = 200;
/// Columns of a text in a block of its own.
const COLUMNS: usize = 96;

/// A table: headings, of which those that begin with `>` are of numbers, and rows of cells.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let names: Vec<&str> = headings.iter().map(|heading| heading.trim_start_matches('>')).collect();
    let marks: Vec<&str> = headings.iter().map(|h| if h.starts_with('>') { "---:" } else { "---" }).collect();
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head = format!("| {} |\n|{}|\n", names.join(" | "), marks.join("|"));
    rows.iter().fold(head, |text, row| text + &line(row))
}

/// A name as code, also within a table.
pub(super) fn code(name: &str) -> String {
    let name = escaped(name, LONGEST_NAME).replace('|', "\\|");
    // A fence longer than any run of backticks within.
    let longest = name.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space = if name.starts_with('`') || name.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{name}{space}{fence}")
}

/// A sentence, in which nothing means anything but itself.
pub(super) fn plain(text: &str) -> String {
    text.chars().fold(String::new(), |mut plain, c| {
        if matches!(c, '\\' | '`' | '*' | '_' | '<' | '>' | '[' | ']' | '#' | '|' | '&' | '~') {
            plain.push('\\');
        }
        plain.push(c);
        plain
    })
}

/// A text in a block of its own, broken into lines.
pub(super) fn block(text: &str) -> String {
    let line = |runs: &Vec<(String, ())>| runs.iter().map(|run| run.0.as_str()).collect::<String>();
    let wrapped = wrap(&[(text.trim_matches('\n'), ())], COLUMNS);
    let lines: Vec<String> = wrapped.iter().map(|runs| line(runs).trim_end().to_owned()).collect();
    let text = lines.join("\n");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}\n")
}

/// A picture with what it shows.
pub(super) fn picture(shows: &str, file: &str) -> String {
    format!("![{shows}]({file})\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_stays_in_its_place() {
        assert_eq!(code("a|b`c"), "``a\\|b`c``");
        assert_eq!(code("`x"), "`` `x ``");
        assert_eq!(code("a\nb"), "`a\\nb`");
        assert_eq!(plain("a_b <i>"), "a\\_b \\<i\\>");
        assert_eq!(block("a \n```\n# b\n"), "````text\na\n```\n# b\n````\n");
        let rows = [vec!["x".to_owned(), "1".to_owned()]];
        assert_eq!(table(&["name", ">bytes"], &rows), "| name | bytes |\n|---|---:|\n| x | 1 |\n");
    }
}
