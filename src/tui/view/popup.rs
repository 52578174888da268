//! The frame that all dialogs share.

use ratatui::layout::Rect;
use ratatui::symbols::border;
use ratatui::widgets::{Block, Widget};

use super::layout::centred;
use super::paint::{View, fit};
use crate::tui::theme::Role;
use crate::tui::ui::Target;

/// Narrower than this, what shows beside a frame tells nothing.
const MIN_BESIDE: u16 = 10;

/// Draws an empty frame in the middle of `area`, or from edge to edge where there is little beside it; the room within it.
pub fn frame(view: &mut View<'_>, area: Rect, size: (u16, u16), title: &str) -> Rect {
    let wide = if area.width.saturating_sub(size.0) < 2 * MIN_BESIDE { area.width } else { size.0 };
    let place = centred(area, wide, size.1);
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
