//! The choice of the table's columns.

use ratatui::layout::Rect;

use super::more;
use super::paint::{View, fit};
use super::popup;
use super::table::offset;
use crate::tui::column::Column;
use crate::tui::columns::Columns;
use crate::tui::theme::Role;
use crate::tui::ui::Target;

const TITLES: u16 = 12;
const WIDTHS: u16 = 10;

/// Draws every column with its mark, its width and what it shows.
pub fn render(view: &mut View<'_>, area: Rect, chosen: usize) {
    let height = u16::try_from(Column::ALL.len()).unwrap_or(u16::MAX) + 2;
    let inner = popup::frame(view, area, (72, height), "Columns");
    let room = usize::from(inner.height);
    let first = offset(chosen.saturating_sub(room / 2), chosen, room, Column::ALL.len());
    more::on_frame(view, inner, first, Column::ALL.len());
    for (y, (line, column)) in (inner.y..inner.bottom()).zip(Column::ALL.into_iter().enumerate().skip(first)) {
        let place = Rect { y, height: 1, ..inner };
        let columns = &view.ui.listing.columns;
        let mark = match (column == Columns::FROZEN, columns.shows(column)) {
            (true, _) => "[=]",
            (false, true) => "[x]",
            (false, false) => "[ ]",
        };
        let wide = columns.width(column).map_or_else(|| "fits".to_owned(), |width| width.to_string());
        let x = view.put(inner.x, y, inner.right(), if line == chosen { "▸ " } else { "  " }, Role::Accent);
        let x = view.put(x, y, inner.right(), mark, Role::Mark) + 1;
        view.put(x, y, x + TITLES, column.title(), Role::Text);
        let end = view.put_right(x + TITLES, y, (x + TITLES + WIDTHS).min(inner.right()), &wide, Role::Dim);
        let about = (end + 2 + WIDTHS / 2).max(x + TITLES + WIDTHS + 2);
        let words = column.figure().title();
        let left = usize::from(inner.right().saturating_sub(about));
        view.put(about, y, inner.right(), &fit(words, left), Role::Dim);
        if line == chosen {
            view.tint(place, Role::Cursor);
        }
        view.hit(place, Target::Line(line));
    }
}
