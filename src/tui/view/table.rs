//! The table of layers.

use ratatui::layout::Rect;

use super::paint::{View, damage_role, error_role, fit, fit_end, width};
use super::spark;
use crate::tui::column::{Column, error, tensor};
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::{Pane, Target};
use crate::workbench::{LayerRow, Measured};

/// What is left out first where the table is too narrow.
const EXPENDABLE: [Column; 8] = [
    Column::Name,
    Column::Type,
    Column::Before,
    Column::Predicted,
    Column::Shape,
    Column::Spectrum,
    Column::After,
    Column::Output,
];
const SPARK_WIDTH: u16 = 8;
const WIDE_SPARK_WIDTH: u16 = 16;
const MIN_NAME_WIDTH: u16 = 20;
const MARGIN: u16 = 3;

/// A column with its place.
#[derive(Debug, Clone, Copy)]
struct Slot {
    column: Column,
    x: u16,
    width: u16,
}

/// Draws the table under its head.
pub fn render(view: &mut View<'_>, area: Rect) {
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let listing = &view.ui.listing;
    let height = usize::from(body.height);
    let offset = offset(view.facts.table_offset, listing.line(), height, listing.order.len());
    view.facts.table_offset = offset;
    view.facts.page = height.max(1);
    let shown: Vec<usize> = listing.order.iter().skip(offset).take(height).copied().collect();
    let label = view.scene.opened.map_or("", |opened| opened.label.as_str());
    view.facts.widths.take_in(label, view.scene.rows, &shown);
    let slots = slots(view, area);
    heads(view, area, &slots);
    for (y, index) in (body.y..).zip(shown) {
        if let Some(layer) = view.scene.rows.get(index) {
            line(view, Rect { y, height: 1, ..body }, &slots, index, layer);
        }
    }
    if listing.order.is_empty() {
        let text =
            if view.scene.rows.is_empty() { "no layers yet" } else { "no layer passes the filter; Esc clears it" };
        view.put(body.x + MARGIN, body.y, body.right(), text, Role::Dim);
    }
}

/// The first line shown, so that the cursor's is among them and no line is wasted.
pub fn offset(before: usize, line: usize, height: usize, lines: usize) -> usize {
    let least = (line + 1).saturating_sub(height);
    before.clamp(least, line.max(least)).min(lines.saturating_sub(height))
}

fn slots(view: &View<'_>, area: Rect) -> Vec<Slot> {
    let there = |column: &&Column| match column {
        Column::Output => view.scene.rows.iter().any(|row| row.output_error.is_some()),
        Column::Damage => view.scene.rows.iter().any(|row| row.damage.is_some()),
        _ => true,
    };
    let columns = Column::ALL.iter().filter(there);
    let mut chosen: Vec<(Column, u16)> = columns.map(|column| (*column, natural_width(view, *column))).collect();
    let room = area.width.saturating_sub(MARGIN + 1);
    let total = |chosen: &[(Column, u16)]| chosen.iter().map(|(_, width)| width + 1).sum::<u16>();
    for column in EXPENDABLE {
        if total(&chosen) <= room + 1 {
            break;
        }
        chosen.retain(|(kept, _)| *kept != column);
    }
    let mut spare = (room + 1).saturating_sub(total(&chosen));
    let longest = view.facts.widths.of(Column::Name);
    for (column, width) in chosen.iter_mut().rev() {
        let wanted = match column {
            Column::Name => longest,
            Column::Spectrum => WIDE_SPARK_WIDTH,
            _ => continue,
        };
        let more = wanted.saturating_sub(*width).min(spare);
        *width += more;
        spare -= more;
    }
    let mut x = area.x + MARGIN;
    let place = |(column, width)| {
        let slot = Slot { column, x, width };
        x += width + 1;
        slot
    };
    chosen.into_iter().map(place).collect()
}

fn natural_width(view: &View<'_>, column: Column) -> u16 {
    match column {
        Column::Spectrum => SPARK_WIDTH,
        Column::Name => MIN_NAME_WIDTH,
        _ => {
            let least = match column {
                Column::Plan => 8,
                Column::Predicted | Column::Measured => 6,
                _ => 0,
            };
            let head = width(column.title()) + u16::from(view.ui.listing.sort == column);
            view.facts.widths.of(column).max(head).max(least).min(24)
        }
    }
}

fn heads(view: &mut View<'_>, area: Rect, slots: &[Slot]) {
    for slot in slots {
        let sorted = view.ui.listing.sort == slot.column;
        let arrow = match (sorted, view.ui.listing.falling) {
            (false, _) => "",
            (true, true) => "▼",
            (true, false) => "▲",
        };
        let text = fit(&format!("{}{arrow}", slot.column.title()), usize::from(slot.width));
        let role = if sorted { Role::Accent } else { Role::Dim };
        let end = slot.x + slot.width;
        if slot.column.is_number() {
            view.put_right(slot.x, area.y, end, &text, role);
        } else {
            view.put(slot.x, area.y, end, &text, role);
        }
        view.hit(Rect { x: slot.x, y: area.y, width: slot.width, height: 1 }, Target::Column(slot.column));
    }
}

fn line(view: &mut View<'_>, area: Rect, slots: &[Slot], index: usize, row: &LayerRow) {
    let under_cursor = view.ui.listing.cursor == index;
    let marked = view.ui.listing.marked.contains(&index);
    view.put(area.x, area.y, area.right(), if under_cursor { "▸" } else { " " }, Role::Accent);
    view.put(area.x + 1, area.y, area.right(), if marked { "●" } else { " " }, Role::Mark);
    for slot in slots.iter().copied() {
        cell(view, area.y, slot, row);
    }
    if under_cursor {
        let role = if view.ui.pane == Pane::Layers { Role::Cursor } else { Role::CursorAway };
        view.tint(area, role);
    }
    view.hit(area, Target::Layer(index));
}

fn cell(view: &mut View<'_>, y: u16, slot: Slot, row: &LayerRow) {
    let end = slot.x + slot.width;
    match slot.column {
        Column::Spectrum => {
            let bars = row.spectrum.as_ref().map(|known| spark::spectrum(known, usize::from(slot.width)));
            let changed = row.plan.rank > 0;
            view.put(slot.x, y, end, bars.as_deref().unwrap_or("…"), if changed { Role::Beyond } else { Role::Dim });
            if let Some(bars) = bars.filter(|_| changed) {
                let share = row.plan.rank as f64 / row.layer.max_rank().max(1) as f64;
                let kept = (share * f64::from(slot.width)).round().max(1.0) as usize;
                view.put(slot.x, y, end, &bars.chars().take(kept).collect::<String>(), Role::Curve);
            }
        }
        Column::Name => {
            let text = fit_end(&tensor(row), usize::from(slot.width));
            view.put(slot.x, y, end, &text, Role::Dim);
        }
        column if column.is_number() => {
            view.put_right(slot.x, y, end, &column.cell(row), role(column, row));
        }
        column => {
            let text = fit(&column.cell(row), usize::from(slot.width));
            view.put(slot.x, y, end, &text, role(column, row));
        }
    }
}

/// A layer's tensor without the ending that all of them have.
fn role(column: Column, row: &LayerRow) -> Role {
    match column {
        Column::Plan | Column::Rank | Column::After if row.plan.is_dense() => Role::Dim,
        Column::After if row.bytes_after > row.layer.bytes => Role::Bad,
        Column::Plan | Column::Rank | Column::After => Role::Changed,
        Column::Measured if matches!(row.measured, Measured::Failed(_)) => Role::Bad,
        Column::Measured if !row.plan.is_dense() => error(row).map_or(Role::Dim, error_role),
        Column::Output => row.output_error.map_or(Role::Dim, error_role),
        Column::Damage => damage_role(row),
        Column::Predicted | Column::Measured | Column::Shape | Column::Type | Column::Before => Role::Dim,
        _ => Role::Text,
    }
}

/// What stands on the right of the pane's head.
pub fn summary(view: &View<'_>) -> String {
    let listing = &view.ui.listing;
    let mut parts = vec![match listing.order.len() {
        shown if shown == view.scene.rows.len() => format::plural(shown, "layer"),
        shown => format!("{shown} of {}", format::plural(view.scene.rows.len(), "layer")),
    }];
    if view.scene.totals.changed > 0 {
        parts.push(format!(
            "{} changed{}",
            view.scene.totals.changed,
            if view.scene.unsaved { ", unsaved" } else { "" }
        ));
    }
    if !listing.marked.is_empty() {
        parts.push(format!("● {} selected", listing.marked.len()));
    }
    if !listing.filter_text.is_empty() {
        parts.push(format!("filter: {}", listing.filter_text));
    }
    parts.join(" · ")
}
