//! The banner of the tour, below everything else.

use ratatui::layout::Rect;

use super::paint::View;
use super::wrap::wrap;
use crate::tui::action::Action;
use crate::tui::theme::Role;
use crate::tui::tour::STEPS;
use crate::tui::ui::Target;

/// Lines of the banner, its rule among them.
pub const HEIGHT: u16 = 3;
/// Below this height of the screen it has no room.
pub const MIN_HEIGHT: u16 = 19;

/// Draws the step.
pub fn render(view: &mut View<'_>, area: Rect, step: usize) {
    let Some(at) = STEPS.get(step) else { return };
    let context = view.ui.pane.context();
    let mut text = at.text.to_owned();
    for action in at.actions {
        text = text.replacen("{}", &view.ui.keymap.shown(*action, context), 1);
    }
    view.rule(area.x, area.y, area.right(), "─", Role::Accent);
    let head = format!(" tour {} of {}: {} ", step + 1, STEPS.len(), at.title);
    view.put(area.x + 1, area.y, area.right(), &head, Role::Accent);
    let skip = format!(" {} skips ", view.ui.keymap.shown(Action::Tour, context));
    let x = view.put_right(area.x + 1, area.y, area.right().saturating_sub(1), &skip, Role::Dim);
    view.hit(Rect { x, y: area.y, width: area.right().saturating_sub(x), height: 1 }, Target::Action(Action::Tour));
    let lines = wrap(&[(text, Role::Text)], usize::from(area.width.saturating_sub(2)));
    for (y, line) in (area.y + 1..area.bottom()).zip(lines) {
        line.iter().fold(area.x + 1, |x, (text, role)| view.put(x, y, area.right(), text, *role));
    }
}
