//! The header: the model, its bytes, what compression does to it, and the jobs at work.

use ratatui::layout::Rect;

use super::paint::{View, fit, width};
use crate::checkpoint::escaped;
use crate::tui::action::Action;
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::workbench::JobView;

/// From this width on words are written out.
const MIN_WORDY_WIDTH: u16 = 114;
/// Below this width only KLD and top-1 agreement are shown.
const MIN_FIGURES_WIDTH: u16 = 76;
/// From this width on the count of tokens behind the figures has room.
const MIN_COUNTED_WIDTH: u16 = 140;

type Part = (String, Role);

/// Draws the two lines of the header.
pub fn render(view: &mut View<'_>, area: Rect) {
    let jobs = jobs_width_of(view, area);
    model_line(view, Rect { width: area.width.saturating_sub(jobs), ..area });
    let sizes = sizes_beside_figures(view, area.width);
    // Figures begin with a gap of their own.
    let room = area.width.saturating_sub(2 + parts_width(&sizes));
    let figures = figures(view, area.width, room);
    let wide: u16 = parts_width(&figures);
    let y = area.y + 1;
    let end = area.right().saturating_sub(1);
    let start = end.saturating_sub(wide);
    let after = put_parts(view, area.x + 1, y, start, &sizes);
    if after < end {
        put_parts(view, start.max(after), y, end, &figures);
    }
}

fn model_line(view: &mut View<'_>, area: Rect) {
    let mut parts = vec![("rankscope  ".to_owned(), Role::Accent)];
    if let Some(opened) = view.scene.opened {
        parts.push((escaped(&opened.label, 60), Role::Title));
        let family = opened.family.as_deref().map_or_else(|| "cannot run".to_owned(), |family| escaped(family, 30));
        parts.push((format!(" · {family} · {} parameters", format::count(opened.parameters)), Role::Dim));
        parts.push((format!(" · {}", format::plural(opened.blocks, "block")), Role::Dim));
        if let Some(context) = opened.context {
            parts.push((format!(" · context {context}"), Role::Dim));
        }
        let fixed = opened.fixed.then(|| (" · layers fixed".to_owned(), Role::Fair));
        // What says least goes first where there is no room for all.
        let room =
            area.width.saturating_sub(2 + fixed.as_ref().map_or(0, |part| parts_width(std::slice::from_ref(part))));
        while parts.len() > 2 && parts_width(&parts) > room {
            parts.pop();
        }
        parts.extend(fixed);
    } else {
        parts.push(("no model is open".to_owned(), Role::Dim));
    }
    put_parts(view, area.x + 1, area.y, area.right(), &parts);
}

/// Draws the jobs on the right of the first line; the columns they take.
fn jobs_width_of(view: &mut View<'_>, area: Rect) -> u16 {
    let running: Vec<&JobView> = view.scene.running().collect();
    let Some(first) = running.first() else { return 0 };
    let more = if running.len() > 1 { format!(" +{}", running.len() - 1) } else { String::new() };
    let room = usize::from(area.width / 2);
    let text = format!("{}{}{more}", fit(&escaped(&first.name, 60), room.saturating_sub(14)), progress(first));
    let end = area.right().saturating_sub(1);
    let start = view.put_right(area.x, area.y, end, &text, Role::Info);
    view.hit(Rect { x: start, y: area.y, width: end.saturating_sub(start), height: 1 }, Target::Action(Action::Jobs));
    end.saturating_sub(start) + 2
}

/// ` ▰▰▱▱▱ 40%`, or nothing where the end is not known.
pub fn progress(job: &JobView) -> String {
    let (done, total) = job.progress;
    if total == 0 {
        return if done == 0 { " …".to_owned() } else { format!(" {done}") };
    }
    let share = (done as f64 / total as f64).min(1.0);
    let full = (share * 5.0).floor() as usize;
    format!(" {}{} {:>3.0}%", "▰".repeat(full), "▱".repeat(5 - full.min(5)), share * 100.0)
}

/// How much is told of the sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sizes {
    Full,
    Words,
    Brief,
    Least,
}

/// The longest form that leaves room for all figures, or else for the fewest.
fn sizes_beside_figures(view: &View<'_>, room: u16) -> Vec<Part> {
    let (most, fewest) = (figures(view, room, u16::MAX), figures(view, room, 0));
    let forms = [
        (Sizes::Full, &most),
        (Sizes::Words, &most),
        (Sizes::Brief, &most),
        (Sizes::Brief, &fewest),
        (Sizes::Least, &fewest),
    ];
    let told = forms.map(|(form, figures)| (sizes(view, form), parts_width(figures)));
    let fits = |(sizes, figures): &&(Vec<Part>, u16)| parts_width(sizes) + figures + 2 <= room;
    told.iter().find(fits).or(told.last()).map(|(sizes, _)| sizes.clone()).unwrap_or_default()
}

fn sizes(view: &View<'_>, form: Sizes) -> Vec<Part> {
    let totals = view.scene.totals;
    if view.scene.opened.is_none() {
        return Vec::new();
    }
    if totals.changed == 0 {
        return unchanged(view, form);
    }
    let ratio = totals.bytes_original as f64 / (totals.bytes_compressed as f64).max(1.0);
    let role = Role::Changed;
    let mut parts = vec![
        (format::bytes(totals.bytes_original), Role::Text),
        (" → ".to_owned(), Role::Dim),
        (format::bytes(totals.bytes_compressed), role),
    ];
    let ratio = (format!("  {ratio:.2}x"), role);
    let bits = (format!("  {:.1}", totals.bits_compressed), role);
    match form {
        Sizes::Full => parts.extend([
            ratio,
            (" smaller · ".to_owned(), Role::Dim),
            (format!("{:.2} → ", totals.bits_original), Role::Dim),
            (format!("{:.2}", totals.bits_compressed), role),
            (" bits/weight".to_owned(), Role::Dim),
        ]),
        Sizes::Words => parts.extend([ratio, bits, (" bits/weight".to_owned(), Role::Dim)]),
        Sizes::Brief => parts.extend([ratio, bits, (" bits".to_owned(), Role::Dim)]),
        Sizes::Least => parts.extend([bits, (" bits".to_owned(), Role::Dim)]),
    }
    parts
}

/// The sizes where no layer has another plan than the checkpoint's.
fn unchanged(view: &View<'_>, form: Sizes) -> Vec<Part> {
    let totals = view.scene.totals;
    let (stored, gap, bits) = match form {
        Sizes::Full => (" as stored", " · ", format!("{:.2}", totals.bits_original)),
        Sizes::Words | Sizes::Brief => (" as stored", "  ", format!("{:.1}", totals.bits_original)),
        Sizes::Least => ("", "  ", format!("{:.1}", totals.bits_original)),
    };
    let unit = if matches!(form, Sizes::Full | Sizes::Words) { " bits/weight" } else { " bits" };
    vec![
        (format::bytes(totals.bytes_original), Role::Text),
        (format!("{stored}{gap}"), Role::Dim),
        (bits, Role::Text),
        (unit.to_owned(), Role::Dim),
    ]
}

/// As many figures as have `left` columns, the most telling ones last and kept longest, on a screen of `room` columns.
fn figures(view: &View<'_>, room: u16, left: u16) -> Vec<Part> {
    let least = if room < MIN_FIGURES_WIDTH { 2 } else { 0 };
    let mut fewer = (least..=2).map(|skipped| figures_after(view, room, skipped));
    let fitting = fewer.clone().find(|parts| parts_width(parts) <= left);
    fitting.or(fewer.next_back()).unwrap_or_default()
}

fn figures_after(view: &View<'_>, room: u16, skipped: usize) -> Vec<Part> {
    let means = view.scene.run.means;
    let known = means.count > 0;
    let stale = view.ui.is_stale(view.scene);
    let role = |good: bool, fair: bool| match (known && !stale, good, fair) {
        (false, ..) => Role::Dim,
        (true, true, _) => Role::Good,
        (true, false, true) => Role::Fair,
        (true, false, false) => Role::Bad,
    };
    let wide = room >= MIN_WORDY_WIDTH;
    let cosine = if wide { format!("{:.4}", means.cosine) } else { format!("{:.3}", means.cosine) };
    let plain = if stale { Role::Dim } else { Role::Text };
    let all = [
        (if wide { "cosine " } else { "cos " }, cosine, plain),
        ("MSE ", format::figure(means.mse), plain),
        ("KLD ", format::figure(means.kld), role(means.kld < 0.01, means.kld < 0.1)),
        ("top-1 ", format::percent(means.top1), role(means.top1 >= 0.98, means.top1 >= 0.9)),
    ];
    let mut parts = Vec::new();
    for (label, value, role) in all.into_iter().skip(skipped) {
        let gap = if parts.is_empty() || !wide { " " } else { "  " };
        parts.push((format!("{gap}{label}"), Role::Dim));
        parts.push((if known { value } else { "–".to_owned() }, role));
    }
    if room >= MIN_COUNTED_WIDTH {
        parts.push((format!("  over {}", format::plural(means.count, "token")), Role::Dim));
    }
    parts
}

fn parts_width(parts: &[Part]) -> u16 {
    parts.iter().map(|(text, _)| width(text)).sum()
}

fn put_parts(view: &mut View<'_>, mut x: u16, y: u16, end: u16, parts: &[Part]) -> u16 {
    for (text, role) in parts {
        x = view.put(x, y, end, text, *role);
    }
    x
}
