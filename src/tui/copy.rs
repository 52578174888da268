//! Copies of cells, rows and the table, for the clipboard.

use serde_json::{Map, Value, json};
use unicode_width::UnicodeWidthStr;

use super::action::Action;
use super::app::{App, Effect};
use super::column::{Column, tensor};
use super::figure::{FIGURES, Figure};
use super::format;
use super::ui::Dialog;
use crate::measure::Notation;
use crate::workbench::{LayerRow, Severity};

/// Many terminals take no more from a program at once.
const USUAL_LIMIT: usize = 74_994;

impl App {
    pub(super) fn act_on_prefix(&mut self, action: Action) {
        if matches!(self.ui.dialog, Some(Dialog::Prefix(_))) {
            self.ui.dialog = None;
        }
        let columns = self.facts.columns.clone();
        let here: Vec<usize> = vec![self.ui.listing.cursor];
        let table = if self.ui.listing.marked.is_empty() {
            self.ui.listing.order.clone()
        } else {
            self.ui.listing.marked.iter().copied().collect()
        };
        let rows = |wanted: &[usize]| -> Vec<&LayerRow> {
            wanted.iter().filter_map(|index| self.workbench.rows().get(*index)).collect()
        };
        let text = match action {
            Action::CopyCell => rows(&here).first().map(|row| cell(self.ui.listing.column, row)).unwrap_or_default(),
            Action::CopyRow => separated(&columns, &rows(&here), false),
            Action::CopyRowJson => objects(&rows(&here)),
            Action::CopyTable => separated(&columns, &rows(&table), true),
            Action::CopyTableText => aligned(&columns, &rows(&table)),
            Action::CopyTableJson => objects(&rows(&table)),
            _ => return,
        };
        let size = format::bytes(text.len() as u64);
        self.copy(text, &size, "select fewer layers");
    }

    /// Sends a text to the clipboard, and tells so: `what` it is, and how there would be `less` of it.
    pub(super) fn copy(&mut self, text: String, what: &str, less: &str) {
        let (severity, told) = match text.len() {
            _ if self.system_clipboard => (Severity::Info, format!("{what} sent to the system's clipboard")),
            ..=USUAL_LIMIT => (Severity::Info, format!("{what} sent to the terminal's clipboard (OSC 52)")),
            _ => {
                let told = format!("{what} sent to the clipboard; many terminals drop more than 75 kB: {less}");
                (Severity::Warning, told)
            }
        };
        self.effects.push(Effect::Copy(text));
        self.say(severity, told);
    }
}

fn cell(column: Column, row: &LayerRow) -> String {
    match column {
        Column::Spectrum => row
            .spectrum
            .as_ref()
            .map_or_else(String::new, |known| known.values.iter().map(f32::to_string).collect::<Vec<_>>().join(" ")),
        column => raw(column, row),
    }
}

/// A figure with all its digits, else what the table shows.
fn raw(column: Column, row: &LayerRow) -> String {
    match column {
        Column::Name => row.layer.name.clone(),
        Column::Kind | Column::Shape | Column::Type | Column::Plan => column.plain_cell(row),
        figure => figure.figure().value(row).map_or_else(String::new, |value| value.to_string()),
    }
}

/// Values between tabs, a line a layer; the spectrum is its stable rank.
fn separated(columns: &[Column], rows: &[&LayerRow], heads: bool) -> String {
    let head = columns.iter().map(|column| column.words().to_owned()).collect::<Vec<_>>().join("\t");
    let line = |row: &&LayerRow| columns.iter().map(|column| raw(*column, row)).collect::<Vec<_>>().join("\t");
    let lines = heads.then_some(head).into_iter().chain(rows.iter().map(line));
    lines.map(|line| line + "\n").collect()
}

/// The table as it is shown, in columns.
fn aligned(columns: &[Column], rows: &[&LayerRow]) -> String {
    let columns: Vec<Column> = columns.iter().copied().filter(|column| *column != Column::Spectrum).collect();
    let values = |column: Column| rows.iter().filter_map(move |row| column.figure().value(row));
    let notations: Vec<(Column, Notation)> =
        columns.iter().map(|column| (*column, column.notation(values(*column)))).collect();
    let shown = |(column, notation): &(Column, Notation), row: &LayerRow| {
        if *column == Column::Name { tensor(row) } else { column.cell(row, *notation) }
    };
    let mut lines = vec![columns.iter().map(|column| column.title().to_owned()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| notations.iter().map(|column| shown(column, row)).collect()));
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.width()).max().unwrap_or_default())
        .collect();
    let padded = |line: &Vec<String>| {
        let cells = line.iter().zip(&columns).zip(&widths).map(|((cell, column), width)| {
            let space = " ".repeat(width.saturating_sub(cell.width()));
            if column.is_number() { format!("{space}{cell}") } else { format!("{cell}{space}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(padded).collect()
}

/// Counts without a fraction.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

/// A JSON array of layers with every figure that is known of them.
fn objects(rows: &[&LayerRow]) -> String {
    let object = |row: &&LayerRow| {
        let mut object = Map::new();
        object.insert("name".into(), json!(row.layer.name));
        object.insert("kind".into(), json!(row.layer.kind.name()));
        object.insert("shape".into(), json!([row.layer.rows, row.layer.cols]));
        object.insert("plan".into(), json!(row.plan.to_string()));
        for about in FIGURES.iter().filter(|about| !about.query.is_empty() && about.figure != Figure::Kind) {
            object.insert(about.query.into(), about.figure.value(row).map_or(Value::Null, number));
        }
        Value::Object(object)
    };
    let all = Value::Array(rows.iter().map(object).collect());
    serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
}
