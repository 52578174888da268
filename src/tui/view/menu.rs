//! Help and palette.

use ratatui::layout::Rect;

use super::more;
use super::paint::{View, fit, width};
use super::popup;
use super::side_by_side::line_input;
use super::table::offset;
use crate::tui::action::{Info, Topic};
use crate::tui::keymap::shown;
use crate::tui::theme::Role;
use crate::tui::ui::{Menu, Target};

const KEY_WIDTH: u16 = 12;
/// From this height within the frame on the chosen command is explained below the list.
const MIN_EXPLAINED_HEIGHT: u16 = 10;
/// From this height on nothing is saved on lines.
const MIN_AIRY_HEIGHT: u16 = 18;
/// Lines of the explanation.
const EXPLAINED: u16 = 2;
const TITLE_WIDTH: u16 = 24;
/// With less, a line has either its name or its sentence.
const MIN_DESCRIPTION_WIDTH: u16 = 30;

/// Draws the menu.
pub fn render(view: &mut View<'_>, area: Rect, menu: &Menu) {
    let airy = area.height >= MIN_AIRY_HEIGHT;
    let height = if airy { area.height - 2 } else { area.height };
    let size = if menu.help { (104, height) } else { (84, 18) };
    let title = if menu.help { format!("Help: {}", menu.from.title()) } else { "Commands".to_owned() };
    let inner = popup::frame(view, area, size, &title);
    if inner.height < 3 {
        return;
    }
    let label = "type to filter ";
    let start = view.put(inner.x, inner.y, inner.right(), label, Role::Dim);
    line_input(view, start, inner.y, inner.right(), &menu.input);
    let items = menu.items(&view.ui.keymap, &view.ui.recent);
    let gap = u16::from(airy);
    let explained = if inner.height >= MIN_EXPLAINED_HEIGHT { EXPLAINED + gap } else { 0 };
    let list = Rect { y: inner.y + 1 + gap, height: inner.height - 1 - gap - explained, ..inner };
    let (height, lines) = (usize::from(list.height), lines(menu, &items));
    let at =
        lines.iter().position(|line| matches!(line, Line::Command(at, _) if *at == menu.chosen)).unwrap_or_default();
    let first = offset(at.saturating_sub(height / 2), at, height, lines.len());
    more::on_frame(view, list, first, lines.len());
    for (y, line) in (list.y..list.bottom()).zip(lines.iter().skip(first)) {
        match line {
            Line::Topic(topic) => {
                view.put(list.x, y, list.right(), topic.title(), Role::Title);
            }
            Line::Command(at, info) => item(view, Rect { y, height: 1, ..list }, menu, info, *at),
        }
    }
    if let Some(info) = items.get(menu.chosen).filter(|_| explained > 0) {
        explanation(view, Rect { y: inner.bottom() - EXPLAINED, height: EXPLAINED, ..inner }, info);
    }
    if items.is_empty() {
        view.put(list.x, list.y, list.right(), "nothing of that name", Role::Dim);
    }
}

/// A line of the list.
enum Line<'a> {
    Topic(Topic),
    /// A command, and its place among all.
    Command(usize, &'a Info),
}

fn lines<'a>(menu: &Menu, items: &[&'a Info]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut topic = None;
    for (at, info) in items.iter().enumerate() {
        if menu.by_topics() && topic.replace(info.topic) != Some(info.topic) {
            lines.push(Line::Topic(info.topic));
        }
        lines.push(Line::Command(at, info));
    }
    lines
}

/// The whole sentence about the chosen command, which its line may have cut.
fn explanation(view: &mut View<'_>, area: Rect, info: &Info) {
    view.paragraph(area, info.description, Role::Text);
}

fn item(view: &mut View<'_>, area: Rect, menu: &Menu, info: &Info, line: usize) {
    let keys: Vec<String> = view.ui.keymap.keys(info.action, menu.from).iter().map(|key| shown(key)).collect();
    let chosen = line == menu.chosen;
    view.put(area.x, area.y, area.right(), if chosen { "▸" } else { " " }, Role::Accent);
    view.put(area.x + 2, area.y, area.x + KEY_WIDTH, &whole_keys(&keys, KEY_WIDTH - 2), Role::Key);
    let titles = area.x + KEY_WIDTH + 1;
    let room = area.right().saturating_sub(titles);
    if room < TITLE_WIDTH + MIN_DESCRIPTION_WIDTH {
        // Whoever reads needs the sentence, whoever seeks a name finds the sentence below.
        let text = if menu.help { info.description } else { info.title };
        view.put(titles, area.y, area.right(), &fit(text, usize::from(room)), Role::Text);
    } else {
        let end =
            view.put(titles, area.y, titles + TITLE_WIDTH, &fit(info.title, usize::from(TITLE_WIDTH - 1)), Role::Text);
        let descriptions = end.max(titles + TITLE_WIDTH);
        let room = usize::from(area.right().saturating_sub(descriptions));
        view.put(descriptions, area.y, area.right(), &fit(info.description, room), Role::Dim);
    }
    if chosen {
        view.tint(area, Role::Cursor);
    }
    view.hit(area, Target::MenuLine(line));
}

/// As many keys as have room, the first in any case.
fn whole_keys(keys: &[String], room: u16) -> String {
    let join = |text: String, key: &String| if text.is_empty() { key.clone() } else { format!("{text} {key}") };
    keys.iter().fold(String::new(), |text, key| {
        let longer = join(text.clone(), key);
        if text.is_empty() || width(&longer) <= room { longer } else { text }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_cut_in_two() {
        let keys = ["shift-right", "L", "ctrl-f"].map(str::to_owned);
        assert_eq!((whole_keys(&keys, 10), whole_keys(&keys[1..], 10)), ("shift-right".into(), "L ctrl-f".into()));
        assert_eq!(whole_keys(&keys[1..], 7), "L");
    }
}
