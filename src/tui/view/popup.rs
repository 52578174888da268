//! The frame that all dialogs share.

use ratatui::layout::Rect;
use ratatui::symbols::border;
use ratatui::widgets::{Block, Widget};

use super::layout::centred;
use super::paint::{View, fit};
use crate::tui::theme::Role;
use crate::tui::ui::Target;

/// Draws an empty frame in the middle of `area`; the room within it.
pub fn frame(view: &mut View<'_>, area: Rect, size: (u16, u16), title: &str) -> Rect {
    let place = centred(area, size.0.min(area.width.saturating_sub(2)), size.1.min(area.height));
    view.clear(place);
    let title = fit(&format!(" {title} "), usize::from(place.width.saturating_sub(4)));
    let block = Block::bordered()
        .border_set(border::ROUNDED)
        .border_style(view.style(Role::Popup))
        .title(title)
        .title_style(view.style(Role::Title));
    let inner = block.inner(place);
    block.render(place, view.buffer);
    view.hit(place, Target::Ground);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}
