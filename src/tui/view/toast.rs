//! The message on the screen.

use ratatui::layout::Rect;

use super::jobs::severity;
use super::paint::{View, width};
use super::wrap::wrap;
use crate::tui::ui::Toast;

const MAX_WIDTH: u16 = 100;
const MAX_LINES: usize = 4;

/// Draws the message in the corner above the footer.
pub fn render(view: &mut View<'_>, area: Rect, toast: &Toast) {
    let (glyph, role) = severity(toast.severity);
    let room = area.width.saturating_sub(4).min(MAX_WIDTH);
    let mut lines = wrap(&[(format!("{glyph} {}", toast.text), role)], usize::from(room));
    let most = MAX_LINES.min(usize::from(area.height));
    if lines.len() > most {
        lines.truncate(most);
        lines.last_mut().into_iter().for_each(|line| line.push(("…".to_owned(), role)));
    }
    let wide = lines.iter().map(|line| line.iter().map(|(text, _)| width(text)).sum::<u16>()).max().unwrap_or_default();
    let height = u16::try_from(lines.len()).unwrap_or_default();
    let place = Rect {
        x: area.right().saturating_sub(wide + 4).max(area.x),
        y: area.bottom().saturating_sub(height).max(area.y),
        width: (wide + 4).min(area.width),
        height: height.min(area.height),
    };
    view.clear(place);
    for (y, line) in (place.y..place.bottom()).zip(lines) {
        let start = view.put(place.x, y, place.right(), "▐ ", role);
        line.iter().fold(start, |x, (text, role)| view.put(x, y, place.right(), text, *role));
    }
}
