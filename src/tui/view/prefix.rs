//! What may follow a key that begins several commands.

use ratatui::layout::Rect;

use super::paint::{View, fit, width};
use crate::tui::action::Info;
use crate::tui::context::Context;
use crate::tui::theme::Role;
use crate::tui::ui::Target;

/// Draws the continuations above the footer, one a line.
pub fn render(view: &mut View<'_>, area: Rect, context: Context) {
    let infos: Vec<&'static Info> = view.ui.keymap.in_context(context).filter(|info| info.footer > 0).collect();
    let lines = u16::try_from(infos.len()).unwrap_or(u16::MAX).saturating_add(1).min(area.height);
    let place = Rect { y: area.bottom().saturating_sub(lines), height: lines, ..area };
    view.clear(place);
    view.hit(place, Target::Ground);
    view.rule(place.x, place.y, place.right(), "─", Role::Popup);
    view.put(place.x + 1, place.y, place.right(), &format!(" {} … ", context.title()), Role::Title);
    for (y, info) in (place.y + 1..place.bottom()).zip(infos) {
        let key = view.ui.keymap.shown(info.action, context);
        let x = view.put_right(place.x + 1, y, place.x + 7, &key, Role::Key) + width(&key) + 2;
        let x = view.put(x, y, place.right(), info.title, Role::Text) + 2;
        let x = x.max(place.x + 26);
        let room = usize::from(place.right().saturating_sub(x + 1));
        view.put(x, y, place.right(), &fit(info.description, room), Role::Dim);
        view.hit(Rect { y, height: 1, ..place }, Target::Action(info.action));
    }
}
