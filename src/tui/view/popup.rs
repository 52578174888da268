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

/// The width of a frame that would be so `wide`.
fn frame_width(area: Rect, wide: u16) -> u16 {
    if area.width.saturating_sub(wide) < 2 * MIN_BESIDE { area.width } else { wide }
}

/// The width of the room within such a frame.
pub fn inner_width(area: Rect, wide: u16) -> u16 {
    frame_width(area, wide).saturating_sub(4)
}

/// Draws an empty frame in the middle of `area`, or from edge to edge where there is little beside it; the room within it.
pub fn frame(view: &mut View<'_>, area: Rect, size: (u16, u16), title: &str) -> Rect {
    let place = centred(area, frame_width(area, size.0), size.1);
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
