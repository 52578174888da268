//! The map of a model as SVG: blocks by kinds of layers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ReportLayer;
use crate::measure::drawing::xml;
use crate::measure::readable::{bytes, percent};
use crate::model::Kind;

const LEFT: f64 = 64.0;
const TOP: f64 = 66.0;
const FOOT: f64 = 34.0;
const MARGIN: f64 = 16.0;
const CELL_WIDTH: f64 = 86.0;
const CELL_HEIGHT: f64 = 20.0;
/// Least width, for title and legend.
const WIDTH: f64 = 620.0;
/// Colour of a layer that is stored as it was.
const UNCHANGED: &str = "#f0f0f0";

/// What a map shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MapFigure {
    /// Output errors; weight errors where there are none.
    Error,
    /// Bytes that are left.
    Bytes,
}

impl MapFigure {
    const fn title(self) -> &'static str {
        match self {
            Self::Error => "Error of each layer's output",
            Self::Bytes => "Bytes of each layer, as a share of what it had",
        }
    }

    const fn legend(self) -> &'static str {
        match self {
            Self::Error => {
                "dark: large error; grey: stored as it was; of several layers in one cell, the largest error"
            }
            Self::Bytes => "dark: most bytes left; grey: stored as it was",
        }
    }

    /// Red, green and blue of the lightest and the darkest cell.
    const fn colours(self) -> [[f64; 3]; 2] {
        match self {
            Self::Error => [[255.0, 237.0, 213.0], [154.0, 52.0, 18.0]],
            Self::Bytes => [[219.0, 234.0, 254.0], [30.0, 64.0, 175.0]],
        }
    }
}

/// All layers of one kind in one block.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    layers: usize,
    changed: usize,
    before: u64,
    after: u64,
    error: Option<f64>,
}

impl Cell {
    fn add(&mut self, layer: &ReportLayer) {
        self.layers += 1;
        self.changed += usize::from(layer.is_changed());
        self.before += layer.layer.bytes;
        self.after += layer.bytes;
        let error = layer.output_error.or(layer.weight_error);
        self.error = [self.error, error].into_iter().flatten().reduce(f64::max);
    }

    fn share(&self) -> f64 {
        self.after as f64 / self.before.max(1) as f64
    }

    /// What is written in it, and its value from 0 to `most`; nothing for one that is as it was.
    fn shown(&self, figure: MapFigure) -> Option<(String, f64)> {
        let value = match figure {
            MapFigure::Error => self.error?,
            MapFigure::Bytes => self.share(),
        };
        (self.changed > 0).then(|| (percent(value), value))
    }

    fn title(&self) -> String {
        let layers = if self.layers == 1 { String::new() } else { format!("{} layers, ", self.layers) };
        let error = self.error.map_or_else(String::new, |error| format!(", error {}", percent(error)));
        format!("{layers}{} to {}{error}", bytes(self.before), bytes(self.after))
    }
}

/// Draws blocks downwards and kinds across.
pub(super) fn map_svg(layers: &[ReportLayer], figure: MapFigure) -> String {
    // What lies in no block comes last.
    let place = |layer: &ReportLayer| (layer.layer.block.unwrap_or(usize::MAX), layer.layer.kind);
    let mut cells: BTreeMap<(usize, Kind), Cell> = BTreeMap::new();
    layers.iter().for_each(|layer| cells.entry(place(layer)).or_default().add(layer));
    let (mut blocks, mut kinds): (Vec<usize>, Vec<Kind>) = cells.keys().copied().unzip();
    blocks.dedup();
    kinds.sort_unstable();
    kinds.dedup();
    let width = (LEFT + CELL_WIDTH * kinds.len() as f64 + MARGIN).max(WIDTH);
    let height = TOP + CELL_HEIGHT * blocks.len() as f64 + FOOT;
    let mut svg = head((width, height), figure.title());
    let at = |column: usize, row: usize| (LEFT + CELL_WIDTH * column as f64, TOP + CELL_HEIGHT * row as f64);
    for (column, kind) in kinds.iter().enumerate() {
        let (x, y) = at(column, 0);
        write_text(&mut svg, (x + CELL_WIDTH / 2.0, y - 8.0), ("middle", "#333"), kind.name());
    }
    for (row, block) in blocks.iter().enumerate() {
        let (x, y) = at(0, row);
        let name = if *block == usize::MAX { "none".to_owned() } else { block.to_string() };
        write_text(&mut svg, (x - 8.0, y + 14.0), ("end", "#333"), &name);
    }
    let most = cells.values().filter_map(|cell| cell.shown(figure)).map(|shown| shown.1).fold(0.0, f64::max);
    for ((block, kind), cell) in &cells {
        let column = kinds.iter().position(|of| of == kind).unwrap_or_default();
        let row = blocks.iter().position(|of| of == block).unwrap_or_default();
        draw(&mut svg, at(column, row), cell, (figure, most));
    }
    write_text(&mut svg, (MARGIN, height - 12.0), ("start", "#666"), figure.legend());
    svg + "</svg>\n"
}

fn head((width, height): (f64, f64), title: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<title>{title}</title>\n<rect width=\"{width:.0}\" height=\"{height:.0}\" fill=\"white\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"15\" font-weight=\"bold\">{title}</text>\n"
    );
    write_text(&mut svg, (LEFT - 8.0, TOP - 8.0), ("end", "#666"), "block");
    svg
}

fn write_text(svg: &mut String, (x, y): (f64, f64), (anchor, colour): (&str, &str), text: &str) {
    let text = xml(text);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>");
}

fn draw(svg: &mut String, (x, y): (f64, f64), cell: &Cell, (figure, most): (MapFigure, f64)) {
    let shown = cell.shown(figure);
    let depth = shown.as_ref().map(|(_, value)| if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 });
    let ground = depth.map_or_else(|| UNCHANGED.to_owned(), |depth| shade(figure.colours(), depth));
    let (w, h, title) = (CELL_WIDTH - 2.0, CELL_HEIGHT - 2.0, xml(&cell.title()));
    let _ = writeln!(
        svg,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w}\" height=\"{h}\" fill=\"{ground}\"><title>{title}</title></rect>"
    );
    if let Some((text, _)) = shown {
        let ink = if depth.is_some_and(|depth| depth > 0.5) { "white" } else { "black" };
        write_text(svg, (x + w / 2.0, y + 13.5), ("middle", ink), &text);
    }
}

/// The colour between light and dark; what is no number is as light as can be.
fn shade([light, dark]: [[f64; 3]; 2], depth: f64) -> String {
    let depth = if depth.is_finite() { depth } else { 0.0 };
    let mixed = light.iter().zip(dark).map(|(light, dark)| light + (dark - light) * depth);
    mixed.fold("#".to_owned(), |colour, part| format!("{colour}{:02x}", part.round() as u8))
}
