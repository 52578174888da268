//! The map: blocks down, kinds across, every layer at once.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::more;
use super::paint::{View, damage_role, error_role, fit, fit_end, width};
use super::spark::bar;
use super::table::offset;
use crate::compress::{Base, Wording};
use crate::measure::Notation;
use crate::model::Kind;
use crate::tui::action::Action;
use crate::tui::column::{damage, plan, tensor};
use crate::tui::figure::Figure;
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::workbench::{Damage, LayerRow};

const GUTTER: u16 = 5;
const CELL: u16 = 13;
const MIN_CELL: u16 = 6;
/// What the pane's title takes beside the legend.
const HEAD: u16 = 12;
/// From this height on the layer under the cursor is told in full below the map.
const MIN_TOLD_HEIGHT: u16 = 6;
/// Columns that its name keeps of its end, whatever else is told.
const LEAST_NAME: usize = 8;
/// Columns that it keeps where the plan is told in more words.
const READABLE_NAME: usize = 20;

/// The layers of one cell: a block and a kind. Layers outside of blocks share the last line.
pub type Cells = BTreeMap<(usize, Kind), Vec<usize>>;

/// Which layers lie where, among those that the filter shows.
pub fn cells(rows: &[LayerRow], order: &[usize]) -> Cells {
    let mut cells = Cells::new();
    for index in order {
        if let Some(row) = rows.get(*index) {
            cells.entry((row.layer.block.unwrap_or(usize::MAX), row.layer.kind)).or_default().push(*index);
        }
    }
    cells.values_mut().for_each(|layers| layers.sort_unstable());
    cells
}

/// The layer that lies `across` kinds and `down` blocks from `from`: the nearest one that is there.
pub fn step(rows: &[LayerRow], order: &[usize], from: usize, across: isize, down: isize) -> Option<usize> {
    let cells = cells(rows, order);
    let row = rows.get(from)?;
    let here = (row.layer.block.unwrap_or(usize::MAX), row.layer.kind);
    let mut blocks: Vec<usize> = cells.keys().map(|(block, _)| *block).collect();
    blocks.dedup();
    let mut kinds: Vec<Kind> = cells.keys().map(|(_, kind)| *kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let block = moved(&blocks, &here.0, down)?;
    let kind = moved(&kinds, &here.1, across)?;
    let place = kinds.iter().position(|other| *other == kind)?;
    let distance = |(_, other): &&(usize, Kind)| kinds.iter().position(|k| k == other).map(|p| p.abs_diff(place));
    let nearest = cells.keys().filter(|(other, _)| *other == block).min_by_key(distance)?;
    cells.get(nearest)?.first().copied()
}

fn moved<T: PartialEq + Copy>(all: &[T], here: &T, by: isize) -> Option<T> {
    let index = all.iter().position(|one| one == here)?.saturating_add_signed(by);
    all.get(index.min(all.len().saturating_sub(1))).copied()
}

/// Draws the map.
pub fn render(view: &mut View<'_>, area: Rect) {
    let cells = cells(view.scene.rows, &view.ui.listing.order);
    let mut kinds: Vec<Kind> = cells.keys().map(|(_, kind)| *kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut blocks: Vec<usize> = cells.keys().map(|(block, _)| *block).collect();
    blocks.dedup();
    let under_cursor = view.scene.rows.get(view.ui.listing.cursor);
    let here = under_cursor.and_then(|row| row.layer.block).unwrap_or(usize::MAX);
    let kind = kinds.iter().position(|kind| under_cursor.is_some_and(|row| row.layer.kind == *kind));
    let (kinds, width) = heads(view, area, &kinds, kind.unwrap_or_default());
    let line = blocks.iter().position(|block| *block == here).unwrap_or_default();
    let told = area.height >= MIN_TOLD_HEIGHT;
    let area = Rect { height: area.height - u16::from(told), ..area };
    if told {
        readout(view, Rect { y: area.bottom(), height: 1, ..area });
    }
    let figure = view.ui.metric.figure();
    let scale = Scale::of(figure, view.scene.rows, &view.ui.listing.order);
    let notation = figure.notation(view.scene.rows.iter().filter_map(|row| figure.value(row)));
    let height = usize::from(area.height.saturating_sub(1));
    let first = offset(view.facts.map_offset, line, height, blocks.len());
    view.facts.map_offset = first;
    for (y, block) in (area.y + 1..area.bottom()).zip(blocks.iter().skip(first)) {
        let name = if *block == usize::MAX { "·".to_owned() } else { block.to_string() };
        view.put_right(area.x, y, area.x + GUTTER - 2, &name, Role::Dim);
        for (x, kind) in (area.x + GUTTER..).step_by(usize::from(width)).zip(kinds) {
            if let Some(layers) = cells.get(&(*block, *kind)) {
                let place = Rect { x, y, width: width.min(area.right().saturating_sub(x)), height: 1 };
                cell(view, place, layers, (scale, notation));
            }
        }
    }
    let list = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    more::bar(view, area.right().saturating_sub(1), list, first, blocks.len());
}

/// Draws the names of the kinds that have room, that of the cursor among them; those kinds, and how wide each is.
fn heads<'a>(view: &mut View<'_>, area: Rect, kinds: &'a [Kind], here: usize) -> (&'a [Kind], u16) {
    let room = area.width.saturating_sub(GUTTER);
    let width = (room / u16::try_from(kinds.len()).unwrap_or(u16::MAX).max(1)).clamp(MIN_CELL, CELL);
    let fits = usize::from(room / width).max(1);
    let first = offset(here.saturating_sub(fits / 2), here, fits, kinds.len());
    let shown = kinds.get(first..kinds.len().min(first + fits)).unwrap_or_default();
    for (x, kind) in (area.x + GUTTER..).step_by(usize::from(width)).zip(shown) {
        view.put(x, area.y, (x + width).min(area.right()), &fit(kind.name(), usize::from(width - 1)), Role::Dim);
    }
    if first > 0 {
        view.put(area.x + GUTTER - 2, area.y, area.right(), "‹", Role::Accent);
    }
    if first + fits < kinds.len() {
        view.put(area.right().saturating_sub(1), area.y, area.right(), "›", Role::Accent);
    }
    (shown, width)
}

fn cell(view: &mut View<'_>, area: Rect, layers: &[usize], (scale, notation): (Scale, Notation)) {
    let rows = view.scene.rows;
    let members: Vec<&LayerRow> = layers.iter().filter_map(|index| rows.get(*index)).collect();
    let figure = view.ui.metric.figure();
    let Some(worst) = members.iter().copied().max_by(|a, b| level(figure, a).total_cmp(&level(figure, b))) else {
        return;
    };
    let marked = layers.iter().any(|index| view.ui.listing.marked.contains(index));
    let many = if members.len() > 1 { "*" } else { "" };
    let silent = is_of_the_plan(figure) && worst.plan.is_dense();
    let height = scale.place(level(figure, worst)).filter(|_| !silent);
    let heat = height.map_or(" ", |place| bar((1.0 + 7.0 * place).round() as usize));
    let gap = if area.width > MIN_CELL + 2 { " " } else { "" };
    let room = usize::from(area.width.saturating_sub(3)).saturating_sub(gap.len());
    let value = match value(figure, worst, notation) {
        long if usize::from(width(&long)) > room => fit(&brief(figure, worst).unwrap_or(long), room),
        value => value,
    };
    let text = format!("{}{}{heat}{gap}{value}{many}", if marked { "●" } else { " " }, letter(worst));
    let role = role(figure, worst, height);
    view.put(area.x.saturating_sub(1), area.y, area.right(), &text, role);
    let place = Rect { x: area.x.saturating_sub(1), ..area };
    if layers.contains(&view.ui.listing.cursor) {
        // Up to the gap between cells, or to the end of a text that leaves none.
        let wide = place.width.saturating_sub(1).max(width(&text)).min(place.width);
        view.under_cursor(Rect { width: wide, ..place }, view.on_map());
    }
    if let Some(first) = layers.first() {
        view.hit(place, Target::Layer(*first));
    }
}

fn level(figure: Figure, row: &LayerRow) -> f64 {
    figure.value(row).unwrap_or_default()
}

/// How high a figure stands among those of the map, 0 to 1: by orders of magnitude where they differ by many.
#[derive(Debug, Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(figure: Figure, rows: &[LayerRow], order: &[usize]) -> Self {
        let values = order.iter().filter_map(|index| figure.value(rows.get(*index)?)).filter(|value| *value > 0.0);
        let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        Self { low, high }
    }

    fn place(self, value: f64) -> Option<f64> {
        if !(value > 0.0 && self.low.is_finite()) {
            return None;
        }
        let by = |value: f64| if self.high > 20.0 * self.low { value.ln() } else { value };
        let range = by(self.high) - by(self.low);
        Some(if range > 0.0 { ((by(value) - by(self.low)) / range).clamp(0.0, 1.0) } else { 0.5 })
    }
}

/// How a layer is stored, as one letter.
fn letter(row: &LayerRow) -> char {
    match (row.plan.base, row.plan.rank) {
        (Base::Dense, 0) => 'd',
        (Base::None, _) => 'r',
        (Base::Int8, 0) => '8',
        (Base::Int4, 0) => '4',
        _ => '+',
    }
}

/// Whether a figure says nothing about a dense layer.
const fn is_of_the_plan(figure: Figure) -> bool {
    matches!(figure, Figure::Error | Figure::Output | Figure::Rank | Figure::RankShare)
}

fn value(figure: Figure, row: &LayerRow, notation: Notation) -> String {
    let known = figure.value(row);
    match figure {
        Figure::Kld => {
            row.damage.as_ref().map_or_else(|| "·".to_owned(), |known| damage(known, notation).trim_end().to_owned())
        }
        _ if is_of_the_plan(figure) && row.plan.is_dense() => "·".to_owned(),
        Figure::Error | Figure::Output => known.map_or_else(|| "…".to_owned(), |value| notation.write(value)),
        Figure::Rank | Figure::RankShare if row.plan.rank == 0 => "·".to_owned(),
        Figure::OverNoise | Figure::Alpha => known.map_or_else(|| "·".to_owned(), |value| figure.shown(value)),
        _ => known.map_or_else(|| "…".to_owned(), |value| figure.shown(value).replace(' ', "")),
    }
}

/// A KLD alone or an error in few columns.
fn brief(figure: Figure, row: &LayerRow) -> Option<String> {
    let mark = |damage: Damage| if damage.is_pillar() { "!" } else { "" };
    let number = |kld: f64| if kld >= 0.0995 { format!("{kld:.1}") } else { format!("{kld:.0e}") };
    match figure {
        Figure::Kld => row.damage.map(|damage| format!("{}{}", mark(damage), number(damage.kld))),
        _ => figure.value(row).map(|value| figure.shown(value).replace(' ', "")),
    }
}

fn role(figure: Figure, row: &LayerRow, place: Option<f64>) -> Role {
    match figure {
        Figure::Kld | Figure::OverNoise => damage_role(row),
        _ if is_of_the_plan(figure) && row.plan.is_dense() => Role::Dim,
        Figure::Error | Figure::Output => figure.value(row).map_or(Role::Dim, error_role),
        Figure::Rank | Figure::RankShare if Figure::RankShare.value(row).is_some_and(|share| share < 0.25) => {
            Role::Fair
        }
        Figure::After if row.bytes_after > row.layer.bytes => Role::Bad,
        Figure::After if row.plan.is_dense() => Role::Dim,
        Figure::After | Figure::Rank | Figure::RankShare => Role::Good,
        _ => place.map_or(Role::Dim, |place| if place > 0.75 { Role::Fair } else { Role::Good }),
    }
}

/// What stands under the map: the layer under the cursor with the figure in full.
fn readout(view: &mut View<'_>, area: Rect) {
    let Some(row) = view.scene.rows.get(view.ui.listing.cursor) else { return };
    let figure = view.ui.metric.figure();
    let shown = figure.value(row).map_or_else(|| "not known".to_owned(), |value| figure.shown(value));
    let sizes = format!("{} → {}", format::bytes(row.layer.bytes), format::bytes(row.bytes_after));
    let pillar = if row.damage.is_some_and(|damage| damage.is_pillar()) { "  ! pillar" } else { "" };
    let told = |wording| format!("  {} {shown}  {}  {sizes}{pillar}", figure.title(), plan(row, wording));
    let room = usize::from(area.width.saturating_sub(2));
    let fits = |told: &String| usize::from(width(told)) + READABLE_NAME <= room;
    let told = Wording::ALL.into_iter().rev().map(told).find(fits).unwrap_or_else(|| told(Wording::Short));
    let name = fit_end(&tensor(row), room.saturating_sub(usize::from(width(&told))).max(LEAST_NAME));
    view.put(area.x + 1, area.y, area.right(), &fit(&(name + &told), room), Role::Text);
}

/// What stands on the right of the map's head: the longest form that has room beside the title in so many columns.
pub fn legend(view: &View<'_>, room: u16) -> String {
    let name = view.ui.metric.name();
    let forms: &[&str] = match view.ui.metric.figure() {
        Figure::Kld => {
            &["! pillar: over 10 times that of noise  ~ of other plans than now", "! pillar  ~ other plans", "! pillar"]
        }
        Figure::OverNoise => &["! pillar: above 10x", "above 10x: pillar"],
        _ => &[
            "d dense  r low rank  8 int8  4 int4  + low rank on top  ▁▄█ more",
            "d dense  r low rank  8 int8  4 int4  + both  ▁▄█ more",
            "d dense r low rank 8/4 int + both",
            "d dense r rank 8/4 int",
        ],
    };
    let fits = |text: &String| width(text) + HEAD <= room;
    let next = format!("  {} next figure", view.key(Action::MapMetric));
    let longest = forms.first().map(|form| format!("{name} · {form} {next}"));
    let all = longest.into_iter().chain(forms.iter().map(|form| format!("{name} · {form}")));
    all.into_iter().find(fits).unwrap_or_else(|| name.to_owned())
}
