//! Help and palette.

use ratatui::layout::Rect;

use super::paint::{View, fit};
use super::popup;
use super::side_by_side::line_input;
use super::table::offset;
use crate::tui::action::Info;
use crate::tui::keymap::shown;
use crate::tui::theme::Role;
use crate::tui::ui::{Menu, Target};

const KEY_WIDTH: u16 = 12;
const TITLE_WIDTH: u16 = 22;

/// Draws the menu.
pub fn render(view: &mut View<'_>, area: Rect, menu: &Menu) {
    let size = if menu.help { (100, area.height.saturating_sub(2)) } else { (64, 18) };
    let title = if menu.help { format!("Help: {}", menu.from.title()) } else { "Commands".to_owned() };
    let inner = popup::frame(view, area, size, &title);
    if inner.height < 3 {
        return;
    }
    let label = "type to filter ";
    let start = view.put(inner.x, inner.y, inner.right(), label, Role::Dim);
    line_input(view, start, inner.y, inner.right(), &menu.input);
    let items = menu.items();
    let list = Rect { y: inner.y + 2, height: inner.height - 2, ..inner };
    let height = usize::from(list.height);
    let first = offset(menu.chosen.saturating_sub(height / 2), menu.chosen, height, items.len());
    for (y, (line, info)) in (list.y..list.bottom()).zip(items.iter().enumerate().skip(first)) {
        item(view, Rect { y, height: 1, ..list }, menu, info, line);
    }
    if items.is_empty() {
        view.put(list.x, list.y, list.right(), "nothing of that name", Role::Dim);
    }
}

fn item(view: &mut View<'_>, area: Rect, menu: &Menu, info: &Info, line: usize) {
    let keys: Vec<String> = info.keys_in(menu.from).map(shown).collect();
    let chosen = line == menu.chosen;
    view.put(area.x, area.y, area.right(), if chosen { "▸" } else { " " }, Role::Accent);
    view.put(area.x + 2, area.y, area.x + KEY_WIDTH, &keys.join(" "), Role::Key);
    let described = menu.help && area.width > KEY_WIDTH + TITLE_WIDTH + 20;
    let text = if described { info.title.to_owned() } else { info.description.to_owned() };
    let end = if described { area.x + KEY_WIDTH + TITLE_WIDTH } else { area.right() };
    let room = usize::from(end.saturating_sub(area.x + KEY_WIDTH + 2));
    view.put(area.x + KEY_WIDTH + 1, area.y, end, &fit(&text, room), Role::Text);
    if described {
        let room = usize::from(area.right().saturating_sub(end));
        view.put(end, area.y, area.right(), &fit(info.description, room), Role::Dim);
    }
    if chosen {
        view.tint(area, Role::Cursor);
    }
    view.hit(area, Target::MenuLine(line));
}
