//! The spectrum of one layer: what is kept at its rank, and what that costs.

use ratatui::layout::Rect;

use super::chart::{self, Chart};
use super::paint::{View, fit_end, width};
use crate::checkpoint::escaped;
use crate::compress::{Base, Plan, Weighting};
use crate::measure::{Mode, Spectrum};
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::{Purpose, Target};
use crate::workbench::{Damage, LayerRow, Measured};

/// From this height on the two charts stand above each other.
const MIN_STACKED_HEIGHT: u16 = 12;
/// From this width on they stand side by side.
const MIN_PAIR_WIDTH: u16 = 64;
/// Higher than this they stand above each other however wide they are.
const MAX_PAIR_HEIGHT: u16 = 18;

/// Draws charts and figures.
pub fn render(view: &mut View<'_>, area: Rect) {
    let Some(row) = view.scene.rows.get(view.ui.listing.cursor) else {
        view.put(area.x + 1, area.y, area.right(), "no layer", Role::Dim);
        return;
    };
    match &row.spectrum {
        Some(spectrum) => known(view, area, row, spectrum),
        None if row.layer.fixed => {
            let text = "stored compressed: its spectrum is in the original (--original MODEL)";
            view.put(area.x + 1, area.y, area.right(), text, Role::Dim);
        }
        None => {
            view.put(area.x + 1, area.y, area.right(), "waiting for its decomposition …", Role::Dim);
        }
    }
}

/// The layer's name, cut from the left, and its shape: for a head of so many columns.
pub fn title(view: &View<'_>, room: u16) -> String {
    let Some(row) = view.scene.rows.get(view.ui.listing.cursor) else { return String::new() };
    let shape = format!("{}×{}", row.layer.rows, row.layer.cols);
    let name = fit_end(&escaped(&row.layer.name, 200), usize::from(room.saturating_sub(width(&shape) + 19)));
    format!("{name} {shape}")
}

fn known(view: &mut View<'_>, area: Rect, row: &LayerRow, spectrum: &Spectrum) {
    let parts = figures(row, spectrum, shown_rank(view, row));
    let lines = flow(&parts, area.width.saturating_sub(2));
    let room = if area.height >= MIN_STACKED_HEIGHT { 4 } else { 3 };
    let height = room.min(u16::try_from(lines.len()).unwrap_or(room)).min(area.height);
    let charts = Rect { height: area.height - height, ..area };
    for (y, line) in (charts.bottom()..area.bottom()).zip(&lines) {
        let mut x = area.x + 1;
        for (label, value, role) in line {
            x = view.put(x, y, area.right(), label, Role::Dim);
            x = view.put(x, y, area.right(), value, *role) + 2;
        }
    }
    if area.width >= MIN_PAIR_WIDTH && charts.height < MAX_PAIR_HEIGHT {
        let half = area.width / 2;
        values_chart(view, Rect { width: half, ..charts }, row, spectrum);
        error_chart(view, Rect { x: area.x + half, width: area.width - half, ..charts }, row, spectrum);
    } else if charts.height >= MIN_STACKED_HEIGHT - 3 {
        let upper = charts.height * 55 / 100;
        values_chart(view, Rect { height: upper, ..charts }, row, spectrum);
        error_chart(view, Rect { y: charts.y + upper, height: charts.height - upper, ..charts }, row, spectrum);
    } else {
        values_chart(view, charts, row, spectrum);
    }
}

/// The rank to show: the one being dragged or typed, or else the plan's.
pub fn shown_rank(view: &View<'_>, row: &LayerRow) -> Option<usize> {
    let typed = view.ui.field.as_ref().filter(|field| field.purpose == Purpose::Rank);
    let typed = typed.and_then(|field| field.input.value().trim().parse().ok());
    let rank = view.ui.dragged_rank.or(typed).or((row.plan.rank > 0).then_some(row.plan.rank))?;
    Some(rank.clamp(1, row.layer.max_rank().max(1)))
}

fn values_chart(view: &mut View<'_>, area: Rect, row: &LayerRow, spectrum: &Spectrum) {
    let first = spectrum.spectral_norm.max(f64::MIN_POSITIVE);
    // The last values of a square matrix fall towards nothing: the scale ends before them, so that the others have room.
    let last = spectrum.values.get(spectrum.values.len() * 95 / 100).map_or(0.0, |value| f64::from(*value));
    let (top, bottom) = (first.log10(), last.max(first * 1e-6).log10().min(first.log10() - 0.5));
    let scaled = |value: f64| (value.max(f64::MIN_POSITIVE).log10() - bottom) / (top - bottom);
    let height =
        |rank: usize| scaled(spectrum.values.get(rank.saturating_sub(1)).map_or(0.0, |value| f64::from(*value)));
    let chart = Chart {
        title: "singular values, log",
        under: true,
        labels: (format::figure(first), format::figure(10_f64.powf(bottom))),
        max_rank: row.layer.max_rank(),
        height: &height,
        cut: shown_rank(view, row),
        level: Some((scaled(spectrum.noise_edge), "noise edge")),
        role: Role::Curve,
    };
    drawn(view, area, &chart);
}

fn error_chart(view: &mut View<'_>, area: Rect, row: &LayerRow, spectrum: &Spectrum) {
    let height = |rank: usize| spectrum.error_at(rank);
    let chart = Chart {
        title: if is_plain(row) { "error by rank" } else { "error by rank, plain" },
        under: false,
        labels: ("100%".to_owned(), "0%".to_owned()),
        max_rank: row.layer.max_rank(),
        height: &height,
        cut: shown_rank(view, row),
        level: None,
        role: Role::ErrorCurve,
    };
    drawn(view, area, &chart);
}

fn drawn(view: &mut View<'_>, area: Rect, chart: &Chart<'_>) {
    chart::render(view, area, chart);
    view.hit(chart::plot_area(area), Target::Chart(chart.max_rank));
}

/// Whether the layer is cut by its own singular values and nothing else.
fn is_plain(row: &LayerRow) -> bool {
    let Plan { base, weighting, norm_correction, .. } = row.plan;
    matches!(base, Base::None | Base::Dense) && weighting == Weighting::Plain && !norm_correction
}

type Figure = (String, String, Role);

fn figures(row: &LayerRow, spectrum: &Spectrum, rank: Option<usize>) -> Vec<Figure> {
    let figure = |label: &str, value: String| (format!("{label} "), value, Role::Text);
    let mut all = Vec::new();
    match rank {
        Some(rank) => {
            all.push((format!("rank {rank}/"), row.layer.max_rank().to_string(), Role::Dim));
            all.push(figure("energy", format::percent(spectrum.energy_at(rank))));
            // The singular values alone tell the error of the plain low-rank plan; of any other the row knows it, or nobody.
            let own = row.predicted.filter(|_| rank == row.plan.rank);
            let error = if is_plain(row) { Some(spectrum.error_at(rank)) } else { own };
            let shown = |error| ("predicted ".to_owned(), format::percent(error), super::paint::error_role(error));
            all.extend(error.map(shown));
        }
        None => all.push(figure("plan", row.plan.to_string())),
    }
    all.push(match &row.measured {
        Measured::Exact => figure("measured", "exact".to_owned()),
        Measured::Pending => figure("measured", "…".to_owned()),
        Measured::Unknown => figure("measured", "?".to_owned()),
        Measured::Error(error) => figure("measured", format::percent(*error)),
        Measured::Failed(reason) => ("measured ".to_owned(), escaped(reason, 60), Role::Bad),
    });
    all.extend(output_figure(row, rank).map(|value| figure("output error", value)));
    if let Some(damage) = &row.damage {
        all.extend(damaged(damage));
    }
    let [half, ninety, most] = spectrum.energy_ranks;
    all.push(figure("stable rank", format!("{:.1}", spectrum.stable_rank)));
    all.push(figure("effective", format!("{:.1}", spectrum.effective_rank)));
    all.push(figure("above noise", spectrum.noise_edge_rank.to_string()));
    all.push(figure("50/90/99% at", format!("{half}/{ninety}/{most}")));
    all
}

/// What a scan found out, and what it was made with where that is not the plan.
fn damaged(damage: &Damage) -> Vec<Figure> {
    let label = match damage.mode {
        Mode::Only => "KLD alone",
        Mode::Without => "KLD without",
    };
    let mut all = vec![(format!("{label} "), format::figure(damage.kld), Role::Text)];
    all.push(("of noise ".to_owned(), format::figure(damage.kld_iso), Role::Text));
    if let Some(ratio) = damage.over_noise {
        let (word, role) = if damage.is_pillar() { (" pillar", Role::Bad) } else { ("", Role::Text) };
        all.push(("over noise ".to_owned(), format!("{ratio:.1}x{word}"), role));
    }
    if damage.stale {
        all.push(("of ".to_owned(), format!("{}, not as planned now", damage.plan), Role::Dim));
    }
    all
}

/// The measured output error beside the one predicted for the plan's rank.
fn output_figure(row: &LayerRow, rank: Option<usize>) -> Option<String> {
    let predicted = row.predicted_output.filter(|_| rank == Some(row.plan.rank)).map(format::percent);
    match (row.output_error.map(format::percent), predicted) {
        (Some(measured), Some(predicted)) => Some(format!("{measured} (predicted {predicted})")),
        (Some(measured), None) => Some(measured),
        (None, predicted) => predicted.map(|predicted| format!("{predicted} predicted")),
    }
}

fn flow(parts: &[Figure], room: u16) -> Vec<Vec<Figure>> {
    let mut lines: Vec<Vec<Figure>> = Vec::new();
    let mut used = 0;
    for part in parts {
        let wide = width(&part.0) + width(&part.1);
        match lines.last_mut() {
            Some(line) if used + 2 + wide <= room => {
                line.push(part.clone());
                used += 2 + wide;
            }
            _ => {
                lines.push(vec![part.clone()]);
                used = wide;
            }
        }
    }
    lines
}
