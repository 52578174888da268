//! Probes: the shares that both models answer, and the cases that only one of them gets right.

use ratatui::layout::Rect;

use super::header::progress;
use super::more;
use super::paint::{View, fit, fit_end};
use super::popup;
use super::table::offset;
use crate::checkpoint::escaped;
use crate::measure::{ChangedProbe, RightModel};
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::workbench::{JobKind, JobView, ProbeAnswers};

/// Lines of a case, with an empty one between two.
const CASE: u16 = 4;
const NAMES: u16 = 14;
/// Characters of a text that may be shown.
const LONG: usize = 400;

/// Draws the view.
pub fn render(view: &mut View<'_>, area: Rect, chosen: usize) {
    let inner = popup::frame(view, area, (110, area.height), "Probes: what is answered as expected");
    if inner.height < 3 {
        return;
    }
    let mut y = inner.y;
    if let Some(job) = at_work(view) {
        let text = format!("{}{}", escaped(&job.name, 60), progress(job));
        view.put(inner.x, y, inner.right(), &fit(&text, usize::from(inner.width)), Role::Accent);
        y += 1;
    }
    let Some(answers) = &view.scene.probes.answers else {
        if at_work(view).is_none() {
            view.put(inner.x, y, inner.right(), "nothing is answered yet; r asks", Role::Dim);
        }
        return;
    };
    shares(view, Rect { y, height: 1, ..inner }, answers);
    y += 1;
    if answers.is_stale(view.scene.rows) {
        let text = "the plans have changed since; r asks again";
        view.put(inner.x, y, inner.right(), text, Role::Fair);
        y += 1;
    }
    y += 1;
    cases(view, Rect { y, height: inner.bottom().saturating_sub(y), ..inner }, answers, chosen);
}

/// The job that asks, or that it waits for.
pub fn at_work<'a>(view: &View<'a>) -> Option<&'a JobView> {
    view.scene.running().find(|job| matches!(job.kind, JobKind::Probe | JobKind::Calibrate))
}

fn shares(view: &mut View<'_>, area: Rect, answers: &ProbeAnswers) {
    let report = &answers.report;
    let lost = report.compressed < report.original;
    let changed = match report.changed.len() {
        0 => " · none changed".to_owned(),
        count => format!(" · {count} changed"),
    };
    let parts = [
        (format::percent(report.original), Role::Title),
        (" → ".to_owned(), Role::Dim),
        (format::percent(report.compressed), if lost { Role::Bad } else { Role::Good }),
        (format!(" of {} answered", report.count), Role::Text),
        (changed, Role::Text),
    ];
    let x = parts.iter().fold(area.x, |x, (text, role)| view.put(x, area.y, area.right(), text, *role));
    let label = format!(" · {}", escaped(&answers.label, LONG));
    view.put(x, area.y, area.right(), &fit(&label, usize::from(area.right().saturating_sub(x))), Role::Dim);
}

fn cases(view: &mut View<'_>, area: Rect, answers: &ProbeAnswers, chosen: usize) {
    let cases = &answers.report.changed;
    let fits = usize::from((area.height + 1) / (CASE + 1)).max(1);
    let first = offset(chosen.saturating_sub(fits / 2), chosen, fits, cases.len());
    let lines = |cases: usize| cases * usize::from(CASE + 1);
    let overflow = cases.len() > fits;
    more::on_frame(
        view,
        area,
        lines(first),
        if overflow { lines(cases.len()).max(usize::from(area.height) + 1) } else { 0 },
    );
    let places = (area.y..area.bottom()).step_by(usize::from(CASE) + 1);
    for (y, (index, of)) in places.zip(cases.iter().enumerate().skip(first)) {
        let place = Rect { y, height: CASE.min(area.bottom() - y), ..area };
        case(view, place, of);
        view.hit(place, Target::ProbeCase(index));
        if index == chosen {
            view.put(place.x, y, place.right(), "▸", Role::Accent);
            view.tint(Rect { height: 1, ..place }, Role::Cursor);
        }
    }
}

/// The question, what should follow, and what both wrote until it was decided.
fn case(view: &mut View<'_>, area: Rect, case: &ChangedProbe) {
    let room = usize::from(area.width);
    let end: Vec<char> = case.prompt.trim().chars().rev().take(LONG).collect();
    let end: String = end.into_iter().rev().collect();
    let question = fit_end(&escaped(&end, usize::MAX), room.saturating_sub(2));
    view.put(area.x + 2, area.y, area.right(), &question, Role::Title);
    let mark = |of: RightModel| if case.right == of { ("✓", "", Role::Good) } else { ("✗", "…", Role::Bad) };
    let lines = [
        ("expected", &case.expected, (" ", "", Role::Text)),
        ("original", &case.original, mark(RightModel::Original)),
        ("compressed", &case.compressed, mark(RightModel::Compressed)),
    ];
    for (y, (name, text, (sign, end, role))) in (area.y + 1..area.bottom()).zip(lines) {
        view.put(area.x + 2, y, area.right(), name, Role::Dim);
        view.put(area.x + NAMES - 1, y, area.right(), sign, role);
        let text = format!("{}{end}", escaped(text.trim(), LONG));
        let text = fit(&text, room.saturating_sub(usize::from(NAMES) + 1));
        view.put(area.x + NAMES + 1, y, area.right(), &text, if sign == "✗" { role } else { Role::Text });
    }
}
