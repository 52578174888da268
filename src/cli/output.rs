//! What commands print: one JSON document, or quiet tables.

use std::io::Write;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::checkpoint::escaped;
use crate::measure::FastCost;

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

/// `128 x 512`.
pub fn shape(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "scalar".to_owned();
    }
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}

/// `2.78 MB`; MB = 10^6 bytes.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64, &[" B", " kB", " MB", " GB", " TB"])
}

/// `1.38 M`.
pub fn count(count: u64) -> String {
    scaled(count as f64, &["", " k", " M", " G", " T"])
}

/// `0.0123`, `1.2e-5`; a dash where there is no figure.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "-".to_owned()
    } else if size != 0.0 && !(1e-3..1e6).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.4}")
    }
}

/// As [`figure`], for what may be missing.
pub fn maybe(value: Option<f64>) -> String {
    figure(value.unwrap_or(f64::NAN))
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

/// `98.1 %`.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { "-".to_owned() }
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let unit_name = units.get(unit).copied().unwrap_or_default();
    match unit {
        0 => format!("{value:.0}{unit_name}"),
        _ => format!("{value:.2}{unit_name}"),
    }
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

    #[test]
    fn numbers_have_units() {
        assert_eq!(bytes(2_776_696), "2.78 MB");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(999_999), "1.00 MB");
        assert_eq!(count(1_380_000), "1.38 M");
        assert_eq!(
            (figure(0.0123), figure(1.23e-5), figure(f64::NAN), figure(0.0)),
            ("0.0123".into(), "1.23e-5".into(), "-".into(), "0.0000".into())
        );
        assert_eq!(shape(&[2, 3]), "2 x 3");
    }
}
