//! The log: its last entries, the one under the cursor in full.

use ratatui::layout::Rect;

use super::more;
use super::paint::{View, fit, fit_end, fit_path, width};
use super::popup;
use super::table::offset;
use super::wrap::wrap;
use crate::tui::log::{LogEntry, LogLevel, LogView};
use crate::tui::theme::Role;
use crate::tui::ui::Target;

/// Lines below the list for the entry under the cursor, one more where they are short.
const WHOLE: u16 = 3;
const MIN_LONG_WIDTH: u16 = 100;
/// From this height on they are there.
const MIN_WHOLE_HEIGHT: u16 = 10;
/// From this width on an entry says which room made it.
const MIN_ROOM_WIDTH: u16 = 76;
const ROOM: u16 = 11;

/// Draws the entries, oldest first.
pub fn render(view: &mut View<'_>, area: Rect, log: &LogView) {
    // As high as all entries need, so that a filter does not move the frame.
    let lines = u16::try_from(view.scene.log.entries.len()).unwrap_or(u16::MAX).saturating_add(WHOLE + 5);
    let inner = popup::frame(view, area, (140, lines.max(MIN_WHOLE_HEIGHT + 2).min(area.height)), "Log");
    if inner.height < 3 {
        return;
    }
    let seen = view.scene.log;
    let shown = log.shown(seen);
    let chosen = log.line(&shown);
    head(view, inner, log, shown.len());
    let most = WHOLE + u16::from(inner.width < MIN_LONG_WIDTH);
    let whole = if inner.height >= MIN_WHOLE_HEIGHT { most } else { 0 };
    let list = Rect { y: inner.y + 1, height: inner.height - 1 - whole, ..inner };
    let height = usize::from(list.height);
    let first = offset(chosen.saturating_sub(height / 2), chosen, height, shown.len());
    more::on_frame(view, list, first, shown.len());
    for (y, (line, (_, entry))) in (list.y..list.bottom()).zip(shown.iter().enumerate().skip(first)) {
        let place = Rect { y, height: 1, ..list };
        put_entry(view, place, entry, line == chosen);
        view.hit(place, Target::Line(line));
    }
    if shown.is_empty() {
        let text = if seen.entries.is_empty() { "nothing was logged yet" } else { "no entry is like that" };
        view.put(list.x, list.y, list.right(), text, Role::Dim);
    }
    if let Some((_, entry)) = shown.get(chosen).filter(|_| whole > 0) {
        put_whole(view, Rect { y: list.bottom(), height: whole, ..inner }, entry);
    }
}

/// Where the file lies, and how much of it is shown.
fn head(view: &mut View<'_>, area: Rect, log: &LogView, shown: usize) {
    let words = if log.filter.is_empty() { String::new() } else { format!(" with \"{}\"", log.filter) };
    let count = format!("{shown} of {} · {}{words} · UTC", view.scene.log.entries.len(), log.limit());
    let count = fit(&count, usize::from(area.width) * 6 / 10);
    let end = view.put_right(area.x, area.y, area.right(), &count, Role::Dim);
    let room = usize::from(end.saturating_sub(area.x + 2));
    let path = view.scene.log_path.map_or_else(|| "in no file".to_owned(), |path| path.display().to_string());
    view.put(area.x, area.y, end, &fit_end(&path, room), Role::Title);
}

const fn look(level: LogLevel) -> (&'static str, Role) {
    match level {
        LogLevel::Error => ("✗", Role::Error),
        LogLevel::Warning => ("!", Role::Warning),
        LogLevel::Info => ("·", Role::Text),
        LogLevel::Debug | LogLevel::Trace => ("·", Role::Dim),
    }
}

fn put_entry(view: &mut View<'_>, area: Rect, entry: &LogEntry, chosen: bool) {
    let (glyph, role) = look(entry.level);
    view.put(area.x, area.y, area.right(), if chosen { "▸" } else { " " }, Role::Accent);
    let moment = entry.moment();
    let time = moment.get(11..19).unwrap_or_default();
    let mut x = view.put(area.x + 2, area.y, area.right(), time, Role::Dim) + 1;
    x = view.put(x, area.y, area.right(), glyph, role) + 1;
    if area.width >= MIN_ROOM_WIDTH {
        view.put(x, area.y, area.right(), &fit(entry.room(), usize::from(ROOM - 1)), Role::Dim);
        x += ROOM;
    }
    view.put(x, area.y, area.right(), &fit_path(&entry.text, usize::from(area.right().saturating_sub(x))), role);
    if chosen {
        view.tint(area, Role::Cursor);
    }
}

fn put_whole(view: &mut View<'_>, area: Rect, entry: &LogEntry) {
    view.rule(area.x, area.y, area.right(), "─", Role::Dim);
    let about = format!(" {} {} {} ", entry.moment(), entry.level.name(), entry.place);
    let about = fit(&about, usize::from(area.width.saturating_sub(2)));
    view.put(area.right().saturating_sub(width(&about) + 1), area.y, area.right(), &about, Role::Dim);
    let lines = wrap(&[(entry.text.clone(), Role::Text)], usize::from(area.width));
    let (room, more) = (usize::from(area.height - 1), lines.len());
    for (y, (at, line)) in (area.y + 1..area.bottom()).zip(lines.into_iter().enumerate()) {
        let end = line.iter().fold(area.x, |x, (text, role)| view.put(x, y, area.right(), text, *role));
        if at + 1 == room && more > room {
            view.put(end.min(area.right().saturating_sub(1)), y, area.right(), "…", Role::Dim);
        }
    }
}
