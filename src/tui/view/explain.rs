//! What a figure means.

use ratatui::layout::Rect;

use super::more;
use super::paint::{View, fit};
use super::popup;
use super::table::offset;
use crate::tui::figure::FIGURES;
use crate::tui::theme::Role;
use crate::tui::ui::Target;

/// Lines about the chosen figure.
const TEXT: u16 = 7;
const TITLES: u16 = 24;

/// Draws the figure that is asked about above, and the list of all of them below.
pub fn render(view: &mut View<'_>, area: Rect, chosen: usize) {
    let inner = popup::frame(view, area, (92, area.height.min(26)), "What it means");
    let Some(about) = FIGURES.get(chosen).filter(|_| inner.height >= 3) else { return };
    let text = TEXT.min(inner.height);
    let value = view.scene.rows.get(view.ui.listing.cursor).and_then(|row| about.figure.value(row));
    let here = value.map_or_else(String::new, |value| format!("  {} in this layer", about.figure.shown(value)));
    let after = view.put(inner.x, inner.y, inner.right(), about.title, Role::Title);
    view.put(after, inner.y, inner.right(), &here, Role::Accent);
    view.put(inner.x, inner.y + 1, inner.right(), &fit(about.formula, usize::from(inner.width)), Role::Key);
    view.paragraph(Rect { y: inner.y + 2, height: text.saturating_sub(3), ..inner }, about.meaning, Role::Text);
    let list = Rect { y: inner.y + text, height: inner.height - text, ..inner };
    let height = usize::from(list.height);
    let first = offset(chosen.saturating_sub(height / 2), chosen, height, FIGURES.len());
    more::on_frame(view, list, first, FIGURES.len());
    for (y, (line, about)) in (list.y..list.bottom()).zip(FIGURES.iter().enumerate().skip(first)) {
        let place = Rect { y, height: 1, ..list };
        view.put(list.x, y, list.right(), if line == chosen { "▸" } else { " " }, Role::Accent);
        let end = (list.x + 2 + TITLES).min(list.right());
        view.put(list.x + 2, y, end, about.title, Role::Text);
        let room = usize::from(list.right().saturating_sub(end));
        view.put(end, y, list.right(), &fit(about.formula, room), Role::Dim);
        if line == chosen {
            view.tint(place, Role::Cursor);
        }
        view.hit(place, Target::Line(line));
    }
}
