//! The frontier: bytes across, KLD upwards on a logarithmic axis, and the same as a table.

use ratatui::layout::{Position, Rect};

use super::header::progress;
use super::paint::{View, fit, width};
use super::popup;
use super::table::offset;
use crate::checkpoint::escaped;
use crate::measure::{FrontierKind, FrontierPoint, byte_range, kld_range};
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::workbench::{JobKind, JobView};

/// From this width within the frame on the table stands beside the chart.
const MIN_BESIDE_WIDTH: u16 = 96;
const TABLE_WIDTH: u16 = 43;
const GUTTER: u16 = 7;

/// Draws chart and table.
pub fn render(view: &mut View<'_>, area: Rect, chosen: usize) {
    let inner = popup::frame(view, area, (130, area.height), "Frontier: bytes and KLD");
    if inner.height < 4 {
        return;
    }
    status(view, inner);
    let below = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    let (chart_area, table_area) = if below.width >= MIN_BESIDE_WIDTH {
        let left = below.width - TABLE_WIDTH - 2;
        (Rect { width: left, ..below }, Rect { x: below.x + left + 2, width: TABLE_WIDTH, ..below })
    } else {
        let upper = below.height * 55 / 100;
        (Rect { height: upper, ..below }, Rect { y: below.y + upper, height: below.height - upper, ..below })
    };
    chart(view, chart_area, chosen);
    table(view, table_area, chosen);
}

fn status(view: &mut View<'_>, area: Rect) {
    let frontier = view.scene.frontier;
    let count = format::plural(frontier.points.len(), "policy").replace("policys", "policies");
    let text = match at_work(view) {
        Some(job) => format!("{count} measured · {}{}", escaped(&job.name, 60), progress(job)),
        None if frontier.points.is_empty() => "nothing is measured yet".to_owned(),
        None => format!("{count} measured over the evaluation text"),
    };
    view.put(area.x, area.y, area.right(), &fit(&text, usize::from(area.width)), Role::Dim);
}

/// The job that measures, or that it waits for.
pub fn at_work<'a>(view: &View<'a>) -> Option<&'a JobView> {
    view.scene.running().find(|job| matches!(job.kind, JobKind::Frontier | JobKind::Calibrate))
}

/// How a kind is drawn.
fn sign(kind: FrontierKind) -> (&'static str, Role) {
    match kind {
        FrontierKind::Current => ("◆", Role::Accent),
        FrontierKind::Int8 => ("■", Role::Curve),
        FrontierKind::Int4 => ("▲", Role::Changed),
        FrontierKind::LowRank => ("○", Role::Fair),
        FrontierKind::Planned => ("●", Role::Good),
    }
}

/// Where bytes and KLDs lie.
struct Plot {
    area: Rect,
    bytes: (u64, u64),
    /// Decades.
    low: f64,
    high: f64,
    /// Decades from one line of the axis to the next.
    step: u16,
}

impl Plot {
    fn new(area: Rect, points: &[FrontierPoint]) -> Self {
        let (least, most) = kld_range(points);
        let high = most.log10().floor() + 1.0;
        let (decades, rows) = ((high - least.log10().floor()).max(1.0) as u16, area.height.saturating_sub(1).max(1));
        // Whole lines to a decade, or whole decades to a line: so no point lies at another decade's line than its own.
        let step = decades.div_ceil(rows);
        let ticks = decades.div_ceil(step);
        let area = Rect { height: ticks * (rows / ticks) + 1, ..area };
        Self { area, bytes: byte_range(points), low: high - f64::from(ticks * step), high, step }
    }

    fn x(&self, bytes: u64) -> u16 {
        let (small, large) = self.bytes;
        let share = bytes.saturating_sub(small) as f64 / (large - small).max(1) as f64;
        self.area.x + 1 + (share * f64::from(self.area.width.saturating_sub(3))).round() as u16
    }

    fn y(&self, kld: f64) -> u16 {
        let log = kld.max(10_f64.powf(self.low)).log10();
        let share = ((self.high - log) / (self.high - self.low)).clamp(0.0, 1.0);
        self.area.y + (share * f64::from(self.area.height.saturating_sub(1))).round() as u16
    }
}

fn chart(view: &mut View<'_>, area: Rect, chosen: usize) {
    let points = &view.scene.frontier.points;
    if points.is_empty() || area.height < 4 || area.width < GUTTER + 12 {
        return;
    }
    let plot = Rect { x: area.x + GUTTER, width: area.width - GUTTER, height: area.height - 1, ..area };
    let plot = Plot::new(plot, points);
    axes(view, area, &plot);
    // The chosen one lies above the others.
    let order = (0..points.len()).filter(|index| *index != chosen).chain([chosen]);
    for (index, point) in order.filter_map(|index| Some((index, points.get(index)?))) {
        let (glyph, role) = sign(point.kind);
        let (x, y) = (plot.x(point.bytes), plot.y(point.kld));
        view.put(x, y, plot.area.right(), glyph, role);
        view.hit(Rect { x, y, width: 1, height: 1 }, Target::FrontierPoint(index));
    }
    for (index, point) in points.iter().enumerate() {
        label(view, &plot, point, index == chosen);
    }
}

fn axes(view: &mut View<'_>, area: Rect, plot: &Plot) {
    for decade in (plot.low as i32..=plot.high as i32).rev().step_by(usize::from(plot.step)) {
        let y = plot.y(10_f64.powi(decade));
        view.rule(plot.area.x, y, plot.area.right(), "╌", Role::Dim);
        view.put_right(area.x, y, plot.area.x - 1, &format!("1e{decade}"), Role::Dim);
    }
    let y = plot.area.bottom();
    view.put(plot.area.x, y, area.right(), &format::bytes(plot.bytes.0), Role::Dim);
    view.put_right(plot.area.x, y, area.right(), &format::bytes(plot.bytes.1), Role::Dim);
}

/// The name of a point beside it, where nothing else lies there.
fn label(view: &mut View<'_>, plot: &Plot, point: &FrontierPoint, chosen: bool) {
    let name = if point.label.is_empty() { point.kind.name() } else { &point.label };
    let (x, y, wide) = (plot.x(point.bytes), plot.y(point.kld), width(name));
    let free = |from: u16| {
        let place = from..from + wide;
        place.end <= plot.area.right()
            && place
                .into_iter()
                .all(|x| view.buffer.cell(Position { x, y }).is_some_and(|cell| matches!(cell.symbol(), " " | "╌")))
    };
    let places = [Some(x + 2), x.checked_sub(wide + 1).filter(|left| *left >= plot.area.x)];
    if let Some(start) = places.into_iter().flatten().find(|from| free(*from)) {
        view.put(start, y, plot.area.right(), name, if chosen { Role::Title } else { Role::Dim });
    }
    if chosen {
        view.tint(Rect { x, y, width: 1, height: 1 }, Role::Cursor);
    }
}

fn table(view: &mut View<'_>, area: Rect, chosen: usize) {
    let points = &view.scene.frontier.points;
    if points.is_empty() || area.height < 2 {
        return;
    }
    row(view, Rect { height: 1, ..area }, ["", "policy", "bytes", "bpw", "KLD"], [Role::Dim; 2]);
    let list = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let height = usize::from(list.height);
    let first = offset(chosen.saturating_sub(height / 2), chosen, height, points.len());
    for (y, (index, point)) in (list.y..list.bottom()).zip(points.iter().enumerate().skip(first)) {
        let place = Rect { y, height: 1, ..list };
        let (glyph, role) = sign(point.kind);
        let name = format!("{} {}", point.kind.name(), point.label);
        let bits = format!("{:.2}", point.bits_per_weight);
        let texts = [glyph, &name, &format::bytes(point.bytes), &bits, &format::figure(point.kld)];
        row(view, place, texts, [role, Role::Text]);
        view.hit(place, Target::FrontierPoint(index));
        if index == chosen {
            view.put(place.x, y, place.right(), "▸", Role::Accent);
            view.tint(place, Role::Cursor);
        }
    }
}

fn row(view: &mut View<'_>, area: Rect, texts: [&str; 5], roles: [Role; 2]) {
    let [glyph, name, bytes, bits, kld] = texts;
    let (x, y) = (area.x, area.y);
    view.put(x + 1, y, area.right(), glyph, roles[0]);
    view.put(x + 3, y, x + 18, &fit(name, 15), roles[1]);
    view.put_right(x + 18, y, x + 27, bytes, roles[1]);
    view.put_right(x + 27, y, x + 34, bits, roles[1]);
    view.put_right(x + 34, y, x + TABLE_WIDTH, kld, roles[1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_lies_at_the_line_of_the_decade_that_is_nearest() {
        let point =
            |kld| FrontierPoint { kind: FrontierKind::Int8, label: String::new(), bytes: 1, bits_per_weight: 8.0, kld };
        let points = [point(6.13), point(3e-4), point(4.6e-7)];
        for height in 2..60 {
            let plot = Plot::new(Rect::new(0, 0, 40, height), &points);
            let lines = |kld: f64| (plot.high - kld.log10()) * f64::from(plot.area.height - 1) / (plot.high - plot.low);
            assert!(plot.area.height <= height && plot.low <= -7.0);
            for point in &points {
                assert!((f64::from(plot.y(point.kld)) - lines(point.kld)).abs() <= 0.5, "{height}: {}", point.kld);
            }
            for decade in (plot.low as i32..=plot.high as i32).rev().step_by(usize::from(plot.step)) {
                let exact = lines(10_f64.powi(decade));
                assert!((f64::from(plot.y(10_f64.powi(decade))) - exact).abs() < 1e-9, "{height}: 1e{decade}");
            }
        }
    }
}
