//! A question that names what would be lost.

use ratatui::layout::Rect;

use super::paint::{View, fit};
use super::popup;
use crate::checkpoint::escaped;
use crate::tui::action::Action;
use crate::tui::theme::Role;
use crate::tui::ui::{Question, Target};

/// Draws the question.
pub fn render(view: &mut View<'_>, area: Rect, question: &Question) {
    let lines = u16::try_from(question.losses.len()).unwrap_or(u16::MAX);
    let inner = popup::frame(view, area, (64, lines.saturating_add(6)), &question.title);
    if inner.height < 2 {
        return;
    }
    view.put(inner.x, inner.y, inner.right(), "This would be lost:", Role::Text);
    let buttons = inner.bottom() - 1;
    let room = usize::from(buttons.saturating_sub(inner.y + 1));
    let count = question.losses.len();
    let shown = if count > room { room.saturating_sub(1) } else { count };
    if shown < count && room > 0 {
        view.put(inner.x, buttons - 1, inner.right(), &format!("  … and {} more", count - shown), Role::Warning);
    }
    for (y, loss) in (inner.y + 1..buttons).zip(question.losses.iter().take(shown)) {
        let text = fit(&format!("  ! {}", escaped(loss, 200)), usize::from(inner.width));
        view.put(inner.x, y, inner.right(), &text, Role::Warning);
    }
    let mut x = inner.x;
    for (key, label, action) in [("y", "yes, leave it", Action::Yes), ("n", "no, stay", Action::No)] {
        let after = view.put(x, buttons, inner.right(), key, Role::Key);
        let end = view.put(after + 1, buttons, inner.right(), label, Role::Text);
        view.hit(Rect { x, y: buttons, width: end.saturating_sub(x), height: 1 }, Target::Action(action));
        x = end + 4;
    }
}
