//! The comparison over a text: figures, blocks, layers and texts as one page that is scrolled.

use ratatui::layout::Rect;

use super::comparison_lines::{Line, lines};
use super::header::progress;
use super::more;
use super::paint::{View, fit};
use super::popup;
use crate::checkpoint::escaped;
use crate::tui::theme::Role;
use crate::workbench::{JobKind, JobView};

/// Draws the page from its line `first` on.
pub fn render(view: &mut View<'_>, area: Rect, first: usize) {
    let inner = popup::frame(view, area, (100, area.height), "Comparison: original and compressed over a text");
    if inner.height < 3 {
        return;
    }
    let mut y = inner.y;
    for (text, role) in notices(view) {
        view.put(inner.x, y, inner.right(), &fit(&text, usize::from(inner.width)), role);
        y += 1;
    }
    let Some(found) = &view.scene.comparison.found else { return };
    let page = Rect { y, height: inner.bottom().saturating_sub(y), ..inner };
    let lines = lines(found, page.width);
    view.facts.comparison_overflow = lines.len().saturating_sub(usize::from(page.height));
    let first = first.min(view.facts.comparison_overflow);
    for (y, line) in (page.y..page.bottom()).zip(lines.iter().skip(first)) {
        put_line(view, Rect { y, height: 1, ..page }, line);
    }
    more::on_frame(view, page, first, lines.len());
}

fn notices(view: &View<'_>) -> Vec<(String, Role)> {
    let found = view.scene.comparison.found.as_ref();
    let working = at_work(view).map(|job| (format!("{}{}", escaped(&job.name, 60), progress(job)), Role::Accent));
    let nothing =
        (working.is_none() && found.is_none()).then(|| ("nothing is compared yet; r compares".into(), Role::Dim));
    let stale = found.is_some_and(|found| found.is_stale(view.scene.rows));
    let stale = stale.then(|| ("the plans have changed since; r compares again".into(), Role::Fair));
    working.into_iter().chain(nothing).chain(stale).collect()
}

/// The job that compares, or that it waits for.
pub fn at_work<'a>(view: &View<'a>) -> Option<&'a JobView> {
    view.scene.running().find(|job| matches!(job.kind, JobKind::Compare | JobKind::Calibrate))
}

fn put_line(view: &mut View<'_>, area: Rect, line: &Line) {
    line.iter().fold(area.x, |x, (text, role)| {
        let room = usize::from(area.right().saturating_sub(x));
        view.put(x, area.y, area.right(), &fit(text, room), *role)
    });
}
