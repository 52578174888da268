//! The banner of the tour, below everything else.

use ratatui::layout::Rect;

use super::paint::View;
use crate::tui::action::Action;
use crate::tui::context::Context;
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
        // What counts elsewhere is told with its key there.
        let counts = |context: &Context| !view.ui.keymap.keys(*action, *context).is_empty();
        let place = [context].into_iter().chain(Context::ALL).find(counts).unwrap_or(context);
        text = text.replacen("{}", &view.ui.keymap.shown(*action, place), 1);
    }
    view.rule(area.x, area.y, area.right(), "─", Role::Accent);
    let head = format!(" tour {} of {}: {} ", step + 1, STEPS.len(), at.title);
    view.put(area.x + 1, area.y, area.right(), &head, Role::Accent);
    let skip = format!(" {} skips ", view.ui.keymap.shown(Action::Tour, context));
    let x = view.put_right(area.x + 1, area.y, area.right().saturating_sub(1), &skip, Role::Dim);
    view.hit(Rect { x, y: area.y, width: area.right().saturating_sub(x), height: 1 }, Target::Action(Action::Tour));
    let below = Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height - 1 };
    view.paragraph(below, &text, Role::Text);
}
