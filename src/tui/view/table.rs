//! The table of layers.

use ratatui::layout::Rect;

use super::group::{self, Sums};
use super::more;
use super::paint::{View, damage_role, error_role, fit, fit_end};
use super::slots::{MARGIN, Slot, Slots, head_width, lay_out};
use super::spark;
use crate::tui::action::Action;
use crate::tui::column::{Column, error, plan, tensor};
use crate::tui::context::Context;
use crate::tui::format;
use crate::tui::listing::Line;
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::workbench::{LayerRow, Measured};

/// Draws the table under its head.
pub fn render(view: &mut View<'_>, area: Rect) {
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let listing = &view.ui.listing;
    let height = usize::from(body.height);
    let listing_lines = listing.lines();
    let offset = offset(view.facts.table_offset, listing.line(), height, listing_lines);
    view.facts.table_offset = offset;
    view.facts.page = height.max(1);
    let lines: Vec<Line> = (offset..offset + height).map_while(|line| listing.at_line(line)).collect();
    let layer = |line: &Line| if let Line::Layer(index) = line { Some(*index) } else { None };
    let shown: Vec<usize> = lines.iter().filter_map(layer).collect();
    let label = view.scene.opened.map_or("", |opened| opened.label.as_str());
    view.facts.widths.take_in(label, view.scene.rows, &shown);
    let slots = lay_out(view, area);
    heads(view, area, &slots);
    for (y, entry) in (body.y..).zip(lines) {
        let place = Rect { y, height: 1, ..body };
        match entry {
            Line::Group(members) => group::render(view, place, &slots.shown, members),
            Line::Layer(index) => {
                if let Some(layer) = view.scene.rows.get(index) {
                    line(view, place, &slots.shown, index, layer);
                }
            }
        }
    }
    more::bar(view, body.right().saturating_sub(1), body, offset, listing_lines);
    view.facts.columns = slots.all;
    if listing.order.is_empty() {
        let text = if view.scene.rows.is_empty() {
            "no layers yet".to_owned()
        } else {
            let clear = view.ui.keymap.shown(Action::Dismiss, Context::Layers);
            format!("no layer passes the filter; {clear} clears it")
        };
        view.put(body.x + MARGIN, body.y, body.right(), &text, Role::Dim);
    }
}

/// The first line shown, so that the cursor's is among them and no line is wasted.
pub fn offset(before: usize, line: usize, height: usize, lines: usize) -> usize {
    let least = (line + 1).saturating_sub(height);
    before.clamp(least, line.max(least)).min(lines.saturating_sub(height))
}

fn heads(view: &mut View<'_>, area: Rect, slots: &Slots) {
    for slot in &slots.shown {
        let sorted = view.ui.listing.sort == slot.column;
        let arrow = match (sorted, view.ui.listing.falling) {
            (false, _) => "",
            (true, true) => "▼",
            (true, false) => "▲",
        };
        let (long, short) = (slot.column.long_title(), slot.column.title());
        let title = if head_width(view, slot.column, long) <= slot.width { long } else { short };
        let text = fit(&format!("{title}{arrow}"), usize::from(slot.width));
        let here = view.ui.listing.column == slot.column && view.on_table();
        let role = match (sorted, here) {
            (true, _) => Role::Accent,
            (false, true) => Role::Text,
            (false, false) => Role::Dim,
        };
        let end = slot.x + slot.width;
        if slot.column.is_number() {
            view.put_right(slot.x, area.y, end, &text, role);
        } else {
            view.put(slot.x, area.y, end, &text, role);
        }
        let place = Rect { x: slot.x, y: area.y, width: slot.width, height: 1 };
        if here {
            view.tint(place, Role::Cursor);
        }
        view.hit(place, Target::Column(slot.column));
    }
    if slots.more.0 {
        view.put(area.x + 1, area.y, area.right(), "‹", Role::Accent);
    }
    if slots.more.1 {
        view.put(area.right() - 1, area.y, area.right(), "›", Role::Accent);
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
        let role = if view.on_table() { Role::Cursor } else { Role::CursorAway };
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
            // What the checkpoint has compressed shows no spectrum later either.
            let none = if row.layer.fixed { "·" } else { "…" };
            view.put(slot.x, y, end, bars.as_deref().unwrap_or(none), if changed { Role::Beyond } else { Role::Dim });
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
        Column::Plan => {
            let text = fit(&plan(row, slot.wording), usize::from(slot.width));
            view.put(slot.x, y, end, &text, role(slot.column, row));
        }
        column if column.is_number() => {
            view.put_right(slot.x, y, end, &column.cell(row, slot.notation), role(column, row));
        }
        column => {
            let text = fit(&column.cell(row, slot.notation), usize::from(slot.width));
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

/// What is selected: how many layers, their bytes before and after, and the mean of their errors.
pub fn selection(view: &View<'_>) -> Option<String> {
    let marked = &view.ui.listing.marked;
    let rows: Vec<&LayerRow> = marked.iter().filter_map(|index| view.scene.rows.get(*index)).collect();
    let sums = Sums::of(&rows);
    let error = sums.error.map_or_else(String::new, |error| format!(", error {}", format::percent(error)));
    let sizes = format!("{} → {}", format::bytes(sums.before), format::bytes(sums.after));
    (!rows.is_empty()).then(|| format!("● {} selected, {sizes}{error}", rows.len()))
}

/// What stands on the right of the pane's head.
pub fn summary(view: &View<'_>) -> String {
    let listing = &view.ui.listing;
    let mut parts = selection(view).into_iter().collect::<Vec<_>>();
    if view.scene.totals.changed > 0 {
        let unsaved = if view.scene.unsaved { ", unsaved" } else { "" };
        parts.push(format!("{} changed{unsaved}", view.scene.totals.changed));
    }
    parts.push(match listing.order.len() {
        shown if shown == view.scene.rows.len() => format::plural(shown, "layer"),
        shown => format!("{shown} of {}", format::plural(view.scene.rows.len(), "layer")),
    });
    if !listing.filter_text.is_empty() {
        parts.push(format!("filter: {}", listing.filter_text));
    }
    parts.join(" · ")
}
