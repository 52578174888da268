//! The table of layers.

use ratatui::layout::Rect;

use super::group::{self, Sums};
use super::more;
use super::paint::{View, damage_role, error_role, fit, fit_end, width};
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
        view.under_cursor(area, view.on_table());
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

/// The role of a cell: what a plan sets is told from what follows from it.
fn role(column: Column, row: &LayerRow) -> Role {
    match column {
        Column::Plan | Column::After if row.plan.is_dense() => Role::Dim,
        Column::After if row.bytes_after > row.layer.bytes => Role::Bad,
        Column::Plan | Column::After => Role::Changed,
        Column::Measured if matches!(row.measured, Measured::Failed(_)) => Role::Bad,
        Column::Measured if !row.plan.is_dense() => error(row).map_or(Role::Dim, error_role),
        Column::Output => row.output_error.map_or(Role::Dim, error_role),
        Column::Damage => damage_role(row),
        Column::Rank | Column::Predicted | Column::Measured | Column::Shape | Column::Type | Column::Before => {
            Role::Dim
        }
        _ => Role::Text,
    }
}

/// What is selected, in so many columns: how many layers, their bytes before and after, and the mean of their errors.
pub fn selection(view: &View<'_>, room: u16) -> Option<String> {
    longest(selections(view), room)
}

/// That in fewer and fewer words; nothing where nothing is selected.
fn selections(view: &View<'_>) -> Vec<String> {
    let marked = &view.ui.listing.marked;
    let rows: Vec<&LayerRow> = marked.iter().filter_map(|index| view.scene.rows.get(*index)).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let sums = Sums::of(&rows);
    let (count, error) = (rows.len(), sums.error.map(format::percent));
    let error = |word: &str| error.as_ref().map(|error| format!(", {word}{error}")).unwrap_or_default();
    let sizes = format!("{} → {}", format::bytes(sums.before), format::bytes(sums.after));
    vec![
        format!("● {count} selected, {sizes}{}", error("error ")),
        format!("● {count}: {sizes}{}", error("error ")),
        format!("● {count}: {sizes}{}", error("")),
    ]
}

/// What stands on the right of the pane's head, in so many columns: words go before figures, and last those on what is selected.
pub fn summary(view: &View<'_>, room: u16) -> String {
    let (selected, others) = (selections(view), others(view));
    let joined = |selected: Option<&String>, others: &[String]| {
        selected.into_iter().chain(others).map(String::as_str).collect::<Vec<_>>().join(" · ")
    };
    let fewer = others.iter().map(|others| joined(selected.first(), others));
    let brief =
        selected.iter().skip(1).map(|selected| joined(Some(selected), others.last().map_or(&[], Vec::as_slice)));
    longest(fewer.chain(brief), room).unwrap_or_default()
}

/// What else is told, in fewer and fewer words: what is changed, how many layers there are, and which of them are shown.
fn others(view: &View<'_>) -> Vec<Vec<String>> {
    let listing = &view.ui.listing;
    let (shown, all) = (listing.order.len(), view.scene.rows.len());
    let changed = view.scene.totals.changed;
    let unsaved = if view.scene.unsaved { ", unsaved" } else { "" };
    let changed = (changed > 0).then(|| format!("{changed} changed{unsaved}"));
    let every = (shown == all).then(|| format::plural(all, "layer"));
    let some = (shown < all).then(|| format!("{shown} of {}", format::plural(all, "layer")));
    let filter = (!listing.filter_text.is_empty()).then(|| format!("filter: {}", listing.filter_text));
    let told = |parts: [&Option<String>; 4]| parts.into_iter().flatten().cloned().collect();
    vec![
        told([&changed, &every, &some, &filter]),
        told([&changed, &None, &some, &filter]),
        told([&None, &None, &some, &filter]),
        told([&None, &None, &None, &filter]),
    ]
}

/// The first that has room, or else the last.
fn longest(forms: impl IntoIterator<Item = String>, room: u16) -> Option<String> {
    let mut last = None;
    for form in forms {
        if width(&form) <= room {
            return Some(form);
        }
        last = Some(form);
    }
    last
}
