//! The save and export dialog.

use ratatui::layout::Rect;

use super::paint::{View, fit, width};
use super::popup;
use super::side_by_side::line_input;
use crate::checkpoint::escaped;
use crate::tui::action::Action;
use crate::tui::context::Context;
use crate::tui::export_form::{ExportForm, Format};
use crate::tui::theme::Role;
use crate::tui::ui::Target;

const LABEL: u16 = 13;

/// Draws the form.
pub fn render(view: &mut View<'_>, area: Rect, form: &ExportForm) {
    let inner = popup::frame(view, area, (84, 20), "Save and export");
    if inner.height < 6 {
        return;
    }
    formats(view, inner, form);
    view.put(
        inner.x + LABEL,
        inner.y + 1,
        inner.right(),
        &fit(form.format.description(), usize::from(inner.width.saturating_sub(LABEL))),
        Role::Dim,
    );
    path(view, Rect { y: inner.y + 2, height: 1, ..inner }, form);
    overwrite(view, Rect { y: inner.y + 3, height: 1, ..inner }, form);
    let buttons = inner.bottom() - 1;
    contents(view, Rect { y: inner.y + 5, height: buttons.saturating_sub(inner.y + 6), ..inner }, form);
    let mut x = inner.x;
    for action in [Action::Write, Action::Close] {
        let label = format!(" {} {} ", view.ui.keymap.shown(action, Context::Export), action.title());
        let end = view.put(x, buttons, inner.right(), &label, Role::Key);
        view.hit(Rect { x, y: buttons, width: end - x, height: 1 }, Target::Action(action));
        x = end + 2;
    }
}

fn label(view: &mut View<'_>, area: Rect, text: &str, field: usize, form: &ExportForm) {
    let chosen = form.field == field;
    view.put(area.x, area.y, area.right(), if chosen { "▸" } else { " " }, Role::Accent);
    view.put(area.x + 2, area.y, area.right(), text, if chosen { Role::Title } else { Role::Dim });
    view.hit(Rect { height: 1, ..area }, Target::FormField(field));
}

fn formats(view: &mut View<'_>, area: Rect, form: &ExportForm) {
    label(view, area, "what", 0, form);
    let (mut x, first) = (area.x + LABEL, first_shown(form.format, area.width.saturating_sub(LABEL)));
    if first > 0 {
        view.put(x - 2, area.y, area.right(), "‹", Role::Dim);
    }
    for (place, format) in Format::ALL.into_iter().enumerate().skip(first) {
        let chosen = format == form.format;
        if x + taken(format) > area.right() {
            view.put(area.right() - 1, area.y, area.right(), "›", Role::Dim);
            break;
        }
        let text = if chosen { format!("[{}]", format.name()) } else { format!(" {} ", format.name()) };
        let end = view.put(x, area.y, area.right(), &text, if chosen { Role::Accent } else { Role::Text });
        view.hit(Rect { x, y: area.y, width: end.saturating_sub(x), height: 1 }, Target::FormField(10 + place));
        x = end + 1;
    }
}

/// Columns of a format's name with what stands around it.
fn taken(format: Format) -> u16 {
    width(format.name()) + 3
}

/// The first format that is shown: where not all find room, as few are left out before the chosen one as can be.
fn first_shown(chosen: Format, room: u16) -> usize {
    let end = Format::ALL.iter().position(|format| *format == chosen).unwrap_or_default();
    let fits =
        |first: &usize| Format::ALL.iter().take(end + 1).skip(*first).map(|format| taken(*format)).sum::<u16>() <= room;
    (0..end).find(fits).unwrap_or(end)
}

fn path(view: &mut View<'_>, area: Rect, form: &ExportForm) {
    label(view, area, "where", 1, form);
    let x = area.x + LABEL;
    if form.field == 1 {
        line_input(view, x, area.y, area.right(), &form.path);
    } else {
        let text = fit(&escaped(form.path.value(), 400), usize::from(area.width.saturating_sub(LABEL)));
        view.put(x, area.y, area.right(), &text, Role::Text);
    }
}

fn overwrite(view: &mut View<'_>, area: Rect, form: &ExportForm) {
    label(view, area, "overwrite", 2, form);
    let text =
        if form.force { "[x] writes over what is there" } else { "[ ] refuses where something is there already" };
    let text = fit(text, usize::from(area.width.saturating_sub(LABEL)));
    view.put(area.x + LABEL, area.y, area.right(), &text, if form.force { Role::Warning } else { Role::Text });
}

fn contents(view: &mut View<'_>, area: Rect, form: &ExportForm) {
    let problem = form.error.as_ref().or(form.forecast.as_ref().err());
    let mut y = area.y;
    if let Some(problem) = problem {
        let text = format!("✗ {}", escaped(problem, 400));
        y += view.paragraph(Rect { height: area.height.min(3), ..area }, &text, Role::Error);
    }
    for job in view.scene.running().filter(|job| job.kind == crate::workbench::JobKind::Export) {
        let text = format!("{}{}", escaped(&job.name, 80), super::header::progress(job));
        view.put(area.x, y, area.right(), &text, Role::Info);
        y += 1;
    }
    if let Ok(lines) = &form.forecast {
        let room = usize::from(area.bottom().saturating_sub(y));
        let shown = if lines.len() > room { room.saturating_sub(1) } else { lines.len() };
        if shown < lines.len() && room > 0 {
            let text = format!("… and {} more", lines.len() - shown);
            view.put(area.x, area.bottom() - 1, area.right(), &text, Role::Dim);
        }
        for (index, (y, line)) in (y..area.bottom()).zip(lines.iter().take(shown)).enumerate() {
            let role = if index == 0 { Role::Text } else { Role::Dim };
            let first = line.first.map(|action| format!(": {} measures it first", view.key(action)));
            let text = escaped(&line.text, 300) + &first.unwrap_or_default();
            let text = fit(&text, usize::from(area.width));
            let start = if index == 0 { "contains " } else { "" };
            let x = view.put(area.x, y, area.right(), start, Role::Dim);
            view.put(x, y, area.right(), &text, role);
            debug_assert!(width(&text) <= area.width);
        }
    }
}
