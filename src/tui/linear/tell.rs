//! What is told, as plain lines.

use std::fmt::Write as _;

use super::columns_of;
use crate::checkpoint::escaped;
use crate::tui::figure::FIGURES;
use crate::tui::format;
use crate::tui::listing::Listing;
use crate::tui::log::{LogSeen, LogView};
use crate::tui::scene::Scene;
use crate::tui::view::comparison_page;
use crate::workbench::{JobState, JobView, LayerRow, Pane};

/// Entries of the log that are told at once.
const ENTRIES: usize = 40;

/// Columns of the comparison's page.
const WIDTH: u16 = 76;

/// The opened model in a line.
pub fn model(scene: &Scene<'_>) -> String {
    let Some(opened) = scene.opened else { return "no model is open".to_owned() };
    let parameters = format::count(opened.parameters);
    format!("{}, {parameters} parameters, {} layers. {}", escaped(&opened.label, 80), scene.rows.len(), totals(scene))
}

/// Bytes before and after.
pub fn totals(scene: &Scene<'_>) -> String {
    let totals = scene.totals;
    let (before, after) = (format::bytes(totals.bytes_original), format::bytes(totals.bytes_compressed));
    let bits = format!("{:.2} bits a weight", totals.bits_compressed);
    let unsaved = if scene.unsaved { ", unsaved" } else { "" };
    format!("{before} to {after}, {bits}, {} changed{unsaved}", format::plural(totals.changed, "layer"))
}

/// The layers that are shown, each with its number.
pub fn layers(scene: &Scene<'_>, listing: &Listing) -> String {
    let mut text = String::new();
    for index in &listing.order {
        if let Some(row) = scene.rows.get(*index) {
            let mark = if listing.marked.contains(index) { " selected" } else { "" };
            let _ = writeln!(text, "{index}{mark}: {}, {}", escaped(&row.layer.name, 120), columns_of(row));
        }
    }
    let _ = writeln!(text, "{}", format::plural(listing.order.len(), "layer"));
    text
}

/// All that is known of a layer.
pub fn layer(row: &LayerRow) -> String {
    let mut text = format!("{}, plan {}", escaped(&row.layer.name, 200), row.plan);
    for about in FIGURES.iter().filter(|about| !about.query.is_empty()) {
        if let Some(value) = about.figure.value(row) {
            let _ = write!(text, "\n  {}: {}", about.title, about.figure.shown(value));
        }
    }
    text
}

/// Both texts with where they part.
pub fn texts(scene: &Scene<'_>) -> String {
    let live = scene.live;
    let mut text = String::new();
    if live.prompt.is_empty() {
        return "nothing was written yet; generate writes\n".to_owned();
    }
    let _ = writeln!(text, "prompt: {}", escaped(&live.prompt, 2000));
    for (name, pane) in [("original", &live.original), ("compressed", &live.compressed)] {
        let written: String = pane.tokens.iter().map(|token| token.text.as_str()).collect();
        let _ = writeln!(text, "{name}: {}{}", escaped(&written, 20_000), ending(pane));
    }
    match live.first_difference {
        Some(at) => {
            let _ = writeln!(text, "they part at token {at}");
        }
        None => text.push_str("they are equal so far\n"),
    }
    if let Some(reason) = &live.error {
        let _ = writeln!(text, "failed: {}", escaped(reason, 400));
    }
    let means = live.means;
    let figure = format::figure;
    let _ = writeln!(
        text,
        "over {} tokens: cosine {:.4}, MSE {}, KLD {}, top-1 {}",
        means.count,
        means.cosine,
        figure(means.mse),
        figure(means.kld),
        format::percent(means.top1)
    );
    text
}

fn ending(pane: &Pane) -> String {
    let looping = pane
        .looping
        .map_or_else(String::new, |found| format!(" [loops: {} tokens {} times]", found.period, found.repeats));
    format!("{looping}{}", pane.ended.map_or_else(String::new, |reason| format!(" [{reason}]")))
}

/// The plan that was found for a budget.
pub fn proposal(scene: &Scene<'_>) -> String {
    let Some(review) = scene.review else { return "no plan was proposed; budget 5bpw seeks one".to_owned() };
    let mut text = format!("within {}:", review.label);
    for (line, change) in review.changes.iter().enumerate() {
        let state = if change.accepted { "accepted" } else { "rejected" };
        let sizes = format!("{} to {}", format::bytes(change.bytes_now), format::bytes(change.proposed.bytes));
        let damage = format::figure(change.proposed.damage);
        let name = escaped(&change.name, 120);
        let _ =
            write!(text, "\n{line} {state}: {name}, {} to {}, {sizes}, KLD {damage}", change.now, change.proposed.plan);
    }
    let totals = review.totals();
    let _ = write!(
        text,
        "\naccepted: {}, {}, {:.2} bits a weight; proposal apply takes them",
        format::plural(totals.accepted, "layer"),
        format::bytes(totals.bytes),
        totals.bits_per_weight
    );
    text
}

/// Both models over a text.
pub fn comparison(scene: &Scene<'_>) -> String {
    match &scene.comparison.found {
        Some(found) => comparison_page(found, WIDTH),
        None => "nothing was compared yet; compare does\n".to_owned(),
    }
}

/// The probes.
pub fn answers(scene: &Scene<'_>) -> String {
    let Some(answers) = &scene.probes.answers else { return "no probe was asked yet; probes asks\n".to_owned() };
    let report = &answers.report;
    let (one, other) = (format::percent(report.original), format::percent(report.compressed));
    let shares = format!("original {one}, compressed {other}");
    format!("{}: {} probes, {shares}, {} changed\n", escaped(&answers.label, 120), report.count, report.changed.len())
}

/// The frontier.
pub fn points(scene: &Scene<'_>) -> String {
    let points = &scene.frontier.points;
    if points.is_empty() {
        return "no frontier was measured yet; frontier measures it\n".to_owned();
    }
    let mut text = String::new();
    for point in points {
        let _ = writeln!(text, "{}: {}, KLD {}", point.name(), format::bytes(point.bytes), format::figure(point.kld));
    }
    text
}

/// Every change of plans.
pub fn steps(scene: &Scene<'_>) -> String {
    let mut text = String::from("0: as opened\n");
    let edits = scene.history.done.iter().chain(scene.history.undone.iter().rev());
    for (at, edit) in (1..).zip(edits) {
        let now = if at == scene.history.done.len() { " (now)" } else { "" };
        let _ = writeln!(text, "{at}: {}, {}{now}", edit.name, format::plural(edit.changes.len(), "layer"));
    }
    text
}

/// The last entries of the log.
pub fn log(seen: &LogSeen, view: &LogView) -> String {
    let shown = view.shown(seen);
    let last = shown.iter().skip(shown.len().saturating_sub(ENTRIES));
    let lines: String = last.map(|(_, entry)| entry.line(std::process::id())).collect();
    if lines.is_empty() { "no entry is like that\n".to_owned() } else { lines }
}

/// The jobs, each with its number.
pub fn jobs(jobs: &[JobView]) -> String {
    if jobs.is_empty() {
        return "no job has run yet\n".to_owned();
    }
    let mut text = String::new();
    for job in jobs {
        let state = match (&job.state, job.progress) {
            (JobState::Running, (_, 0)) => "at work".to_owned(),
            (JobState::Running, (done, total)) => format!("at work, {}", format::percent(done as f64 / total as f64)),
            (JobState::Done, _) => format!("done in {:.1} s", job.seconds),
            (JobState::Cancelled, _) => "cancelled".to_owned(),
            (JobState::Failed(reason), _) => format!("failed: {}", escaped(reason, 400)),
        };
        let _ = writeln!(text, "{}: {}, {state}", job.id.0, escaped(&job.name, 200));
    }
    text
}
