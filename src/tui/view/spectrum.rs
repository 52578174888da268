//! The spectrum of one layer: what is kept at its rank, and what that costs.

use std::sync::Arc;

use ratatui::layout::Rect;

use super::chart::{self, Chart};
use super::paint::{View, fit_end, width};
use crate::checkpoint::escaped;
use crate::compress::{Base, ErrorCurve, Errors, Plan, Weighting};
use crate::measure::{Mode, Notation, Spectrum};
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::{Purpose, Target};
use crate::workbench::{Damage, LayerRow, Measured};

/// From this height on the two charts stand above each other.
const MIN_STACKED_HEIGHT: u16 = 12;
/// From this height on a line more is left to the figures.
const MIN_ROOMY_HEIGHT: u16 = 16;
/// From this width on they stand side by side.
const MIN_PAIR_WIDTH: u16 = 64;
/// Higher than this they stand above each other however wide they are.
const MAX_PAIR_HEIGHT: u16 = 18;

/// A zoomed chart shows at least so many ranks.
const LEAST_RANKS: usize = 8;
/// Of one kind so many layers are laid over one another at most.
const OVERLAID: usize = 200;

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
    let mut parts = figures(row, spectrum, shown_rank(view, row));
    let place = parts.len().min(3);
    let odd = odd_one(view, row).into_iter().flatten();
    parts.splice(place..place, odd);
    let room = match area.height {
        MIN_ROOMY_HEIGHT.. => 5,
        MIN_STACKED_HEIGHT.. => 4,
        _ => 3,
    };
    let lines = flow(&parts, area.width.saturating_sub(2), usize::from(room));
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

/// The ranks shown: all, or a part around the cut.
fn shown_ranks(view: &View<'_>, row: &LayerRow) -> (usize, usize) {
    let all = row.layer.max_rank().max(1);
    let part = (all >> view.ui.spectrum.zoom).max(all.min(LEAST_RANKS));
    let middle = shown_rank(view, row).unwrap_or(1);
    let first = middle.saturating_sub(part / 2).clamp(1, all - part + 1);
    (first, first + part - 1)
}

/// How values stand between the ends of the scale.
#[derive(Debug, Clone, Copy)]
struct Scale {
    top: f64,
    bottom: f64,
    linear: bool,
}

impl Scale {
    fn of(spectrum: &Spectrum, (first, last): (usize, usize), linear: bool) -> Self {
        let at = |rank: usize| spectrum.values.get(rank.saturating_sub(1)).map_or(0.0, |value| f64::from(*value));
        let top = at(first).max(f64::MIN_POSITIVE);
        if linear {
            return Self { top, bottom: 0.0, linear };
        }
        // The last values of a square matrix fall towards nothing: the scale ends before them, so that the others have room.
        let low = at(last.min(spectrum.values.len() * 95 / 100 + 1));
        Self { top: top.log10(), bottom: low.max(top * 1e-6).log10().min(top.log10() - 0.5), linear }
    }

    fn place(self, value: f64) -> f64 {
        let value = if self.linear { value } else { value.max(f64::MIN_POSITIVE).log10() };
        (value - self.bottom) / (self.top - self.bottom)
    }

    fn ends(self) -> (String, String) {
        let shown = |end: f64| format::figure(if self.linear { end } else { 10_f64.powf(end) });
        (shown(self.top), shown(self.bottom))
    }
}

fn values_chart(view: &mut View<'_>, area: Rect, row: &LayerRow, spectrum: &Spectrum) {
    let ranks = shown_ranks(view, row);
    let scale = Scale::of(spectrum, ranks, view.ui.spectrum.linear);
    let value = |values: &[f32], rank: usize| values.get(rank.saturating_sub(1)).map_or(0.0, |one| f64::from(*one));
    let height = |rank: usize| scale.place(value(&spectrum.values, rank));
    let first = spectrum.spectral_norm;
    // As strong at rank 1 as this layer, so that shapes are compared and not sizes.
    let others: Vec<(Arc<Spectrum>, usize)> = overlaid(view, row);
    let other = |at: usize| {
        let (other, max) = others.get(at)?;
        Some((Arc::clone(other), *max))
    };
    let drawn_others: Vec<Box<dyn Fn(usize) -> f64>> = (0..others.len())
        .filter_map(other)
        .map(|(other, max)| {
            let all = row.layer.max_rank().max(1);
            let scale_to = first / other.spectral_norm.max(f64::MIN_POSITIVE);
            let height = move |rank: usize| {
                let place = (rank * max / all).saturating_sub(1);
                scale.place(other.values.get(place).map_or(0.0, |one| f64::from(*one)) * scale_to)
            };
            Box::new(height) as Box<dyn Fn(usize) -> f64>
        })
        .collect();
    let seen = row.curve.as_ref().map(|curve| curve.seen.clone()).unwrap_or_default();
    let strongest = seen.iter().copied().fold(0.0_f32, f32::max);
    let seen_height =
        |rank: usize| scale.place(value(&seen, rank) * first / f64::from(strongest.max(f32::MIN_POSITIVE)));
    let mut behind: Vec<chart::Curve<'_>> = drawn_others.iter().map(|one| (&**one, Role::Beyond)).collect();
    if !seen.is_empty() {
        behind.push((&seen_height, Role::ErrorCurve));
    }
    let kind = if view.ui.spectrum.linear { "linear" } else { "log" };
    let of_inputs = if seen.is_empty() { "" } else { "; as inputs see them" };
    let title = match others.len() {
        0 => format!("singular values, {kind}{of_inputs}"),
        count => format!("{kind}, over {count} of its kind"),
    };
    let chart = Chart {
        title: &title,
        under: true,
        labels: scale.ends(),
        ranks,
        behind: &behind,
        height: &height,
        points: &[],
        cut: shown_rank(view, row),
        level: Some((scale.place(spectrum.noise_edge), "noise edge")),
        role: Role::Curve,
    };
    drawn(view, area, &chart);
}

/// The spectra of the other layers of its kind, with their largest ranks, where they are asked for: a frame must stay cheap, so
/// of very many an even choice.
fn overlaid(view: &View<'_>, row: &LayerRow) -> Vec<(Arc<Spectrum>, usize)> {
    if !view.ui.spectrum.overlay {
        return Vec::new();
    }
    let others = view.scene.rows.iter().filter(|other| other.layer.kind == row.layer.kind);
    let known = others.filter(|other| other.layer.name != row.layer.name);
    let known: Vec<_> =
        known.filter_map(|other| Some((Arc::clone(other.spectrum.as_ref()?), other.layer.max_rank()))).collect();
    let step = known.len().div_ceil(OVERLAID).max(1);
    known.into_iter().step_by(step).collect()
}

/// Which layer of this one's kind stands apart: the one whose share of effective rank is farthest from the median.
fn odd_one(view: &View<'_>, row: &LayerRow) -> Option<[Figure; 2]> {
    let kind: Vec<(&LayerRow, f64)> = view
        .scene
        .rows
        .iter()
        .filter(|other| other.layer.kind == row.layer.kind)
        .filter_map(|other| {
            Some((other, other.spectrum.as_ref()?.effective_rank / other.layer.max_rank().max(1) as f64))
        })
        .collect();
    let mut shares: Vec<f64> = kind.iter().map(|(_, share)| *share).collect();
    shares.sort_by(f64::total_cmp);
    let median = *shares.get(shares.len() / 2).filter(|_| view.ui.spectrum.overlay && shares.len() > 2)?;
    let (odd, share) = kind.into_iter().max_by(|a, b| (a.1 - median).abs().total_cmp(&(b.1 - median).abs()))?;
    let block = odd.layer.block.map_or_else(|| "it".to_owned(), |block| format!("block {block}"));
    let shares = format!("{} (median {})", format::percent(share), format::percent(median));
    Some([("odd one ".to_owned(), block, Role::Changed), ("effective share ".to_owned(), shares, Role::Text)])
}

fn error_chart(view: &mut View<'_>, area: Rect, row: &LayerRow, spectrum: &Spectrum) {
    let plain = |rank: usize| spectrum.error_at(rank);
    let curve = row.curve.as_deref();
    let own = |rank: usize| curve.and_then(|curve| at_rank(curve, rank)).map_or(0.0, |errors| errors.weight);
    let output =
        |rank: usize| curve.and_then(|curve| at_rank(curve, rank)).and_then(|errors| errors.output).unwrap_or_default();
    let has_output = curve.is_some_and(|curve| curve.errors.iter().any(|(_, errors)| errors.output.is_some()));
    let behind: &[chart::Curve<'_>] = if has_output { &[(&output, Role::Curve)] } else { &[] };
    let mut points: Vec<(usize, f64, Role)> =
        row.points.iter().map(|point| (point.0, point.1, Role::ErrorCurve)).collect();
    points.extend(row.points.iter().filter_map(|point| Some((point.0, point.2?, Role::Curve))));
    let title = match (curve.is_some(), is_plain(row), has_output) {
        (_, _, true) => "error by rank: weight, output  ● measured",
        (true, ..) => "error by rank  ● measured",
        (false, true, _) => "error by rank",
        (false, false, _) => "error by rank, plain",
    };
    let chart = Chart {
        title,
        under: false,
        labels: ("100%".to_owned(), "0%".to_owned()),
        ranks: shown_ranks(view, row),
        behind,
        height: if curve.is_some() { &own } else { &plain },
        points: &points,
        cut: shown_rank(view, row),
        level: None,
        role: Role::ErrorCurve,
    };
    drawn(view, area, &chart);
}

/// Between the two known ranks around it.
fn at_rank(curve: &ErrorCurve, rank: usize) -> Option<Errors> {
    let after = curve.errors.partition_point(|(known, _)| *known < rank);
    let (high, upper) = curve.errors.get(after).or(curve.errors.last())?;
    let Some((low, lower)) = after.checked_sub(1).and_then(|before| curve.errors.get(before)) else {
        return Some(*upper);
    };
    let share = (rank.min(*high) - low) as f64 / (high - low).max(1) as f64;
    let between = |low: f64, high: f64| low + share * (high - low);
    let output = lower.output.zip(upper.output).map(|(low, high)| between(low, high));
    Some(Errors { weight: between(lower.weight, upper.weight), output })
}

fn drawn(view: &mut View<'_>, area: Rect, chart: &Chart<'_>) {
    chart::render(view, area, chart);
    view.hit(chart::plot_area(area), Target::Chart(chart.ranks.0, chart.ranks.1));
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
        None => all.push(figure("plan", row.plan.in_words())),
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
    all.push(figure("effective rank", format!("{:.1}", spectrum.effective_rank)));
    all.push(figure("above noise", spectrum.noise_edge_rank.to_string()));
    all.extend(row.alpha.map(|alpha| figure("power law alpha", format!("{alpha:.2}"))));
    all.push(figure("50/90/99% of energy at rank", format!("{half}/{ninety}/{most}")));
    all
}

/// What a scan found out, and what it was made with where that is not the plan.
fn damaged(damage: &Damage) -> Vec<Figure> {
    let label = match damage.mode {
        Mode::Only => "KLD alone",
        Mode::Without => "KLD once restored",
    };
    let notation = Notation::of([Some(damage.kld), damage.kld_iso].into_iter().flatten());
    let mut all = vec![(format!("{label} "), notation.inline(damage.kld), Role::Text)];
    let noise = damage.kld_iso.map(|kld| ("noise of that size ".to_owned(), notation.inline(kld), Role::Text));
    all.extend(noise);
    if let Some(ratio) = damage.over_noise {
        let (word, role) = if damage.is_pillar() { (": pillar", Role::Bad) } else { ("", Role::Text) };
        all.push(("KLD over noise ".to_owned(), format!("{ratio:.1}x{word}"), role));
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

/// The figures in `most` lines of so many columns; those for which there is no room are counted at the end.
fn flow(parts: &[Figure], room: u16, most: usize) -> Vec<Vec<Figure>> {
    let all = laid_out(parts, room);
    if all.len() <= most {
        return all;
    }
    let fewer = |kept: &usize| {
        let rest = (String::new(), format!("… {} more", parts.len() - kept), Role::Dim);
        let shown: Vec<Figure> = parts.iter().take(*kept).cloned().chain([rest]).collect();
        laid_out(&shown, room)
    };
    (0..parts.len()).rev().map(|kept| fewer(&kept)).find(|lines| lines.len() <= most).unwrap_or_default()
}

fn laid_out(parts: &[Figure], room: u16) -> Vec<Vec<Figure>> {
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
