//! What commands print: one JSON document, or quiet tables.

use std::io::Write;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::checkpoint::escaped;
use crate::measure::FastCost;
pub use crate::measure::readable::{bytes, count, figure, maybe, percent, shape};

/// Longest name in a table, in characters.
const LONGEST_NAME: usize = 200;

/// Prints one JSON document, on one line.
///
/// # Errors
/// The system's.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(document)?;
    text.push('\n');
    print(&text)
}

/// Prints text as it is, at once.
///
/// # Errors
/// The system's.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table of aligned columns.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; those that begin with `>` are of numbers.
    pub fn new(headings: &[&'static str]) -> Self {
        let column = |heading: &&'static str| match heading.strip_prefix('>') {
            Some(heading) => (heading, Align::Right),
            None => (*heading, Align::Left),
        };
        Self { columns: headings.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as text; columns that are empty throughout are left out.
    pub fn text(&self) -> String {
        let cell = |row: &[String], index: usize| row.get(index).cloned().unwrap_or_default();
        let used: Vec<usize> =
            (0..self.columns.len()).filter(|index| self.rows.iter().any(|row| !cell(row, *index).is_empty())).collect();
        let headings: Vec<String> = self.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        let lines = || std::iter::once(&headings).chain(&self.rows);
        let width = |index: usize| lines().map(|row| cell(row, index).width()).max().unwrap_or(0);
        let widths: Vec<usize> = used.iter().map(|index| width(*index)).collect();
        let mut text = String::new();
        for row in lines() {
            let cells = used.iter().zip(&widths).map(|(index, width)| {
                let cell = cell(row, *index);
                let gap = " ".repeat(width - cell.width());
                let right = self.columns.get(*index).is_some_and(|(_, align)| *align == Align::Right);
                if right { gap + &cell } else { cell + &gap }
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// A name from a file, safe to show.
pub fn name(name: &str) -> String {
    escaped(name, LONGEST_NAME)
}

/// What fast arithmetic costs, as a line.
pub fn fast_line(cost: &FastCost) -> String {
    let FastCost { tokens, kld, top1_agreement } = cost;
    let (mean, error) = (figure(kld.mean), figure(kld.mean_se));
    format!(
        "fast arithmetic      KLD {mean} ± {error} nats against exact, {} same top token, over {tokens} tokens",
        percent(*top1_agreement)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new(&["name", ">bytes", "note"]);
        table.row(vec!["a".into(), "5 B".into(), String::new()]);
        table.row(vec!["long".into(), "12 B".into(), String::new()]);
        assert_eq!(table.text(), "name  bytes\na       5 B\nlong   12 B\n");
    }
}
