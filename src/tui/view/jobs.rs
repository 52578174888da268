//! The list of jobs, and the messages so far.

use ratatui::layout::Rect;

use super::header::progress;
use super::more;
use super::paint::{View, fit};
use super::popup;
use super::table::offset;
use crate::checkpoint::escaped;
use crate::tui::action::Action;
use crate::tui::context::Context;
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::workbench::{JobState, JobView, Severity};

const MAX_HEIGHT: u16 = 30;
const MESSAGES: usize = 12;

/// Draws jobs above and messages below.
pub fn render(view: &mut View<'_>, area: Rect, chosen: usize) {
    let lines = view.scene.jobs.len().max(1) + view.scene.messages.len().min(MESSAGES) + 3;
    let height = u16::try_from(lines).unwrap_or(u16::MAX).min(MAX_HEIGHT);
    let inner = popup::frame(view, area, (92, height), "Jobs and messages");
    if inner.height < 3 {
        return;
    }
    let jobs = view.scene.jobs;
    let lines = u16::try_from(jobs.len().max(1)).unwrap_or(u16::MAX).min(inner.height.div_ceil(2));
    if jobs.is_empty() {
        view.put(inner.x, inner.y, inner.right(), "no job has run yet", Role::Dim);
    }
    let list = Rect { height: lines, ..inner };
    let height = usize::from(lines);
    let first = offset(chosen.saturating_sub(height / 2), chosen, height, jobs.len());
    more::on_frame(view, list, first, jobs.len());
    for (y, (line, job)) in (list.y..list.bottom()).zip(jobs.iter().enumerate().skip(first)) {
        entry(view, Rect { y, height: 1, ..inner }, job, line == chosen, line);
    }
    let below = Rect { y: list.bottom(), height: inner.height - lines, ..inner };
    messages(view, below);
}

/// The newest messages, below a line.
fn messages(view: &mut View<'_>, area: Rect) {
    view.rule(area.x, area.y, area.right(), "─", Role::Dim);
    let messages = view.scene.messages;
    let room = usize::from(area.height.saturating_sub(1));
    let shown = if messages.len() > room { room.saturating_sub(1) } else { messages.len() };
    for (y, message) in (area.y + 1..area.bottom()).zip(messages.iter().rev().take(shown)) {
        let (glyph, role) = severity(message.severity);
        let text = fit(&format!("{glyph} {}", message.text), usize::from(area.width));
        view.put(area.x, y, area.right(), &text, role);
    }
    if shown < messages.len() && room > 0 {
        let key = view.ui.keymap.shown(Action::Log, Context::Jobs);
        let text = format!("… and {} before; {key} shows the log", messages.len() - shown);
        view.put(area.x, area.bottom() - 1, area.right(), &text, Role::Dim);
    }
}

fn entry(view: &mut View<'_>, area: Rect, job: &JobView, chosen: bool, line: usize) {
    view.put(area.x, area.y, area.right(), if chosen { "▸" } else { " " }, Role::Accent);
    let (state, role) = match &job.state {
        JobState::Running => (format!("{}{}  ✕ cancel", left(job), progress(job)), Role::Info),
        JobState::Done => (format!("done in {:.1} s", job.seconds), Role::Dim),
        JobState::Cancelled => ("cancelled".to_owned(), Role::Dim),
        JobState::Failed(reason) => (format!("failed: {}", escaped(reason, 120)), Role::Error),
    };
    let state = if job.retryable { format!("r retries · {state}") } else { state };
    let state = fit(&state, usize::from(area.width) * 6 / 10);
    view.hit(area, Target::JobLine(line));
    let start = view.put_right(area.x, area.y, area.right(), &state, role);
    let room = usize::from(start.saturating_sub(area.x + 3));
    view.put(area.x + 2, area.y, start, &fit(&escaped(&job.name, 80), room), Role::Text);
    if chosen {
        view.tint(area, Role::Cursor);
    }
    if job.state == JobState::Running {
        let button = Rect { x: area.right().saturating_sub(8), width: 8, ..area };
        view.hit(button, Target::CancelJob(job.id));
    }
}

/// What is left of a running job, where that can be told.
fn left(job: &JobView) -> String {
    job.seconds_left().map_or_else(String::new, |left| format!("about {} left ", format::duration(left)))
}

/// The glyph and the style of a message.
pub fn severity(severity: Severity) -> (&'static str, Role) {
    match severity {
        Severity::Info => ("✓", Role::Info),
        Severity::Warning => ("!", Role::Warning),
        Severity::Error => ("✗", Role::Error),
    }
}
