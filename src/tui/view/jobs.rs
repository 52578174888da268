//! The list of jobs, and the messages so far.

use ratatui::layout::Rect;

use super::header::progress;
use super::paint::{View, fit};
use super::popup;
use crate::checkpoint::escaped;
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
    for (y, (line, job)) in (inner.y..inner.y + lines).zip(jobs.iter().enumerate()) {
        entry(view, Rect { y, height: 1, ..inner }, job, line == chosen, line);
    }
    let rule = inner.y + lines;
    view.rule(inner.x, rule, inner.right(), "─", Role::Dim);
    let room = usize::from(inner.bottom().saturating_sub(rule + 1));
    let messages = view.scene.messages;
    for (y, message) in (rule + 1..inner.bottom()).zip(messages.iter().rev().take(room)) {
        let (glyph, role) = severity(message.severity);
        let text = fit(&format!("{glyph} {}", message.text), usize::from(inner.width));
        view.put(inner.x, y, inner.right(), &text, role);
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
