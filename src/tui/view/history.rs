//! Snapshots and edits, and what would change between two of them.

use ratatui::layout::Rect;

use super::more;
use super::paint::{View, fit, fit_end};
use super::popup;
use super::table::offset;
use crate::tui::column::tensor;
use crate::tui::format;
use crate::tui::history::{Entry, HistoryView};
use crate::tui::theme::Role;
use crate::tui::ui::Target;

/// From this width within the frame on the changes stand beside the list.
const MIN_PAIR_WIDTH: u16 = 76;

/// Draws the list, and the changes beside or below it.
pub fn render(view: &mut View<'_>, area: Rect, history: &HistoryView) {
    let inner = popup::frame(view, area, (120, area.height.min(34)), "History and snapshots");
    if inner.height < 3 {
        return;
    }
    let (list, changes) = if inner.width >= MIN_PAIR_WIDTH {
        let half = inner.width * 45 / 100;
        let right = Rect { x: inner.x + half + 2, width: inner.width - half - 2, ..inner };
        (Rect { width: half, ..inner }, right)
    } else {
        let upper = inner.height.div_ceil(2);
        let lower = Rect { y: inner.y + upper, height: inner.height - upper, ..inner };
        (Rect { height: upper, ..inner }, lower)
    };
    entries(view, list, history);
    differences(view, changes, history);
}

/// The line of the plans as they are.
fn now(view: &View<'_>) -> usize {
    view.scene.snapshots.len() + view.scene.history.done.len()
}

fn entries(view: &mut View<'_>, area: Rect, history: &HistoryView) {
    let (snapshots, edits) = (view.scene.snapshots, view.scene.history);
    let all = snapshots.len() + edits.done.len() + edits.undone.len() + 1;
    let height = usize::from(area.height);
    let first = offset(history.chosen.saturating_sub(height / 2), history.chosen, height, all);
    // Beside the changes there is a gap, else the frame.
    more::bar(view, area.right() + 1, area, first, all);
    for (y, line) in (area.y..area.bottom()).zip(first..all) {
        let place = Rect { y, height: 1, ..area };
        let (glyph, name, role) = match HistoryView::entry(snapshots.len(), line) {
            Entry::Snapshot(index) => {
                ("◆", snapshots.get(index).map_or_else(String::new, |one| one.name.clone()), Role::Mark)
            }
            Entry::Step(0) => ("·", "as opened".to_owned(), Role::Dim),
            Entry::Step(step) => {
                let undone = step > edits.done.len();
                let again = edits.undone.iter().rev().nth(step.wrapping_sub(edits.done.len() + 1));
                let edit = if undone { again } else { edits.done.get(step - 1) };
                let name = edit.map_or_else(String::new, |edit| {
                    let count = format::plural(edit.changes.len(), "layer");
                    if edit.name.contains(" layer") { edit.name.clone() } else { format!("{} · {count}", edit.name) }
                });
                (if undone { "↷" } else { "✓" }, name, if undone { Role::Dim } else { Role::Text })
            }
        };
        let now = line == now(view);
        view.put(area.x, y, area.right(), if line == history.chosen { "▸" } else { " " }, Role::Accent);
        view.put(area.x + 2, y, area.right(), glyph, role);
        let mark = match (history.with == Some(line), now) {
            (true, _) => "compared with",
            (false, true) => "now",
            (false, false) => "",
        };
        let end = view.put_right(area.x + 4, y, area.right(), mark, Role::Accent);
        view.put(area.x + 4, y, end, &fit(&name, usize::from(end.saturating_sub(area.x + 5))), role);
        if line == history.chosen {
            view.tint(place, Role::Cursor);
        }
        view.hit(place, Target::Line(line));
    }
}

fn differences(view: &mut View<'_>, area: Rect, history: &HistoryView) {
    let count = history.changes.len();
    let chosen_is = |line: usize| line == history.chosen;
    let title = match (history.with, count) {
        (Some(line), _) if chosen_is(line) => "what the others are compared with".to_owned(),
        (Some(_), 0) => "no layer differs: the same plans".to_owned(),
        (None, 0) if chosen_is(now(view)) => "the plans as they are".to_owned(),
        (None, 0) => "the same plans as now".to_owned(),
        (with, count) => {
            let differ = if count == 1 { "1 layer differs".to_owned() } else { format!("{count} layers differ") };
            let from = if with.is_some() { "compared" } else { "now" };
            format!("{differ}: {from} → here")
        }
    };
    view.put(area.x, area.y, area.right(), &fit(&title, usize::from(area.width)), Role::Title);
    let rows = usize::from(area.height.saturating_sub(1));
    let shown = if count > rows { rows.saturating_sub(1) } else { count };
    let half = area.width / 2;
    for (y, (layer, from, to)) in (area.y + 1..area.bottom()).zip(history.changes.iter().take(shown)) {
        let name = view.scene.rows.get(*layer).map_or_else(String::new, tensor);
        view.put(area.x, y, area.x + half, &fit_end(&name, usize::from(half.saturating_sub(1))), Role::Dim);
        let text = format!("{from} → {to}");
        view.put(area.x + half, y, area.right(), &fit(&text, usize::from(area.width - half)), Role::Changed);
    }
    if shown < count {
        let y = area.bottom().saturating_sub(1);
        view.put(area.x, y, area.right(), &format!("… and {} more", count - shown), Role::Dim);
    }
}
