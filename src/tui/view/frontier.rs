//! The frontier: bytes across, KLD upwards on a logarithmic axis, and the same as a table.

use ratatui::layout::{Position, Rect};

use super::header::progress;
use super::more;
use super::paint::{View, fit, width};
use super::popup;
use super::table::offset;
use crate::checkpoint::escaped;
use crate::measure::{FrontierKind, FrontierPoint, Notation, byte_range, kld_range};
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::Target;
use crate::workbench::{JobKind, JobView};

/// From this width within the frame on the table stands beside the chart.
const MIN_BESIDE_WIDTH: u16 = 96;
const TABLE_WIDTH: u16 = 51;
/// Width with the frame.
const WIDTH: u16 = 130;
/// Lines of the frame.
const FRAME: u16 = 2;
const NAME_WIDTH: u16 = 18;
const GUTTER: u16 = 7;
/// Lines about the kind of the point under the cursor, where there is room below all points.
const ABOUT: u16 = 4;

/// Draws chart and table.
pub fn render(view: &mut View<'_>, area: Rect, chosen: usize) {
    let points = &view.scene.frontier.points;
    let most = Rect { width: popup::inner_width(area, WIDTH), height: area.height.saturating_sub(FRAME), ..area };
    let height = FRAME + needed(most, points).min(most.height);
    let inner = popup::frame(view, area, (WIDTH, height), "Frontier: bytes and KLD");
    if inner.height < 4 {
        return;
    }
    status(view, inner);
    let (chart_area, table_area) = parts(inner, points);
    chart(view, chart_area, chosen);
    table(view, table_area, chosen);
}

/// Where chart and table lie below the first line.
fn parts(inner: Rect, points: &[FrontierPoint]) -> (Rect, Rect) {
    let below = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    if below.width >= MIN_BESIDE_WIDTH {
        let left = below.width - TABLE_WIDTH - 2;
        return (Rect { width: left, ..below }, Rect { x: below.x + left + 2, width: TABLE_WIDTH, ..below });
    }
    let upper = Rect { height: below.height * 55 / 100, ..below };
    // What even decades leave over is the table's, and what that leaves sets the two apart.
    let chart = drawn(upper, points).unwrap_or(upper.height);
    let apart = u16::from(usize::from(below.height.saturating_sub(chart)) > points.len() + 1);
    let upper = Rect { height: (chart + apart).min(upper.height), ..upper };
    (upper, Rect { y: upper.bottom(), height: below.height - upper.height, ..below })
}

/// The lines that are needed of those within the frame: decades of one height seldom fill all.
fn needed(most: Rect, points: &[FrontierPoint]) -> u16 {
    let (chart, _) = parts(most, points);
    let listed = u16::try_from(points.len()).unwrap_or(u16::MAX).saturating_add(2 + ABOUT);
    match drawn(chart, points) {
        Some(drawn) if most.width >= MIN_BESIDE_WIDTH => drawn.max(listed).saturating_add(1),
        _ => most.height,
    }
}

/// The lines of a chart in this area, with those of its axes.
fn drawn(area: Rect, points: &[FrontierPoint]) -> Option<u16> {
    Plot::within(area, points).map(|plot| plot.area.height + 1)
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
    /// The highest decade.
    high: f64,
    /// Decades from one line of the axis to the next.
    step: u16,
    /// Lines of the axis below the first one.
    ticks: u16,
}

impl Plot {
    /// That of a chart, where it has room and something to show.
    fn within(area: Rect, points: &[FrontierPoint]) -> Option<Self> {
        let shown = !points.is_empty() && area.height >= 4 && area.width >= GUTTER + 12;
        let plot = || Rect { x: area.x + GUTTER, width: area.width - GUTTER, height: area.height - 1, ..area };
        shown.then(|| Self::new(plot(), points))
    }

    fn new(area: Rect, points: &[FrontierPoint]) -> Self {
        let (least, most) = kld_range(points);
        let high = most.log10().floor() + 1.0;
        let (decades, rows) = ((high - least.log10().floor()).max(1.0) as u16, area.height.saturating_sub(1).max(1));
        let step = decades.div_ceil(rows);
        let ticks = decades.div_ceil(step);
        // As many lines from each tick to the next: a decade is as high as any other.
        let area = Rect { height: (rows / ticks) * ticks + 1, ..area };
        Self { area, bytes: byte_range(points), high, step, ticks }
    }

    /// The line of a tick of the axis; the last one lies at the foot.
    fn tick(&self, tick: u16) -> u16 {
        self.area.y + tick.min(self.ticks) * (self.area.height.saturating_sub(1) / self.ticks.max(1))
    }

    /// The decade of a tick.
    fn decade(&self, tick: u16) -> i32 {
        self.high as i32 - i32::from(tick * self.step)
    }

    fn x(&self, bytes: u64) -> u16 {
        let (small, large) = self.bytes;
        // What has but one size has no ends.
        let share = if large > small { bytes.saturating_sub(small) as f64 / (large - small) as f64 } else { 0.5 };
        self.area.x + 1 + (share * f64::from(self.area.width.saturating_sub(3))).round() as u16
    }

    fn y(&self, kld: f64) -> u16 {
        // Between the lines of its own two ticks, so that rounding never brings it to another decade's.
        let below = (self.high - kld.max(f64::MIN_POSITIVE).log10()) / f64::from(self.step);
        let below = below.clamp(0.0, f64::from(self.ticks));
        let (upper, lower) = (self.tick(below.floor() as u16), self.tick(below.floor() as u16 + 1));
        upper + (below.fract() * f64::from(lower - upper)).round() as u16
    }
}

fn chart(view: &mut View<'_>, area: Rect, chosen: usize) {
    let points = &view.scene.frontier.points;
    let Some(plot) = Plot::within(area, points) else { return };
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
    for tick in 0..=plot.ticks {
        let y = plot.tick(tick);
        view.rule(plot.area.x, y, plot.area.right(), "╌", Role::Dim);
        view.put_right(area.x, y, plot.area.x - 1, &format!("1e{}", plot.decade(tick)), Role::Dim);
    }
    let y = plot.area.bottom();
    let (small, large) = (format::bytes(plot.bytes.0), format::bytes(plot.bytes.1));
    if small == large {
        let gap = plot.area.width.saturating_sub(width(&small)) / 2;
        view.put(plot.area.x + gap, y, area.right(), &small, Role::Dim);
    } else {
        view.put(plot.area.x, y, area.right(), &small, Role::Dim);
        view.put_right(plot.area.x, y, area.right(), &large, Role::Dim);
    }
}

/// The name of a point beside it, where nothing else lies there.
fn label(view: &mut View<'_>, plot: &Plot, point: &FrontierPoint, chosen: bool) {
    let (x, y) = (plot.x(point.bytes), plot.y(point.kld));
    let free = |from: u16, wide: u16| {
        let place = from..from + wide;
        place.end <= plot.area.right()
            && place
                .into_iter()
                .all(|x| view.buffer.cell(Position { x, y }).is_some_and(|cell| matches!(cell.symbol(), " " | "╌")))
    };
    let place = |name: &str| {
        let wide = width(name);
        let left = x.checked_sub(wide + 1).filter(|left| *left >= plot.area.x);
        // With the gap between point and name: what stands there would take the name for its own.
        let right = free(x + 1, wide + 1).then_some(x + 2);
        right.or(left.filter(|left| free(*left, wide + 1)))
    };
    let names = [point.name(), point.label.clone()];
    let found = names.iter().filter(|name| !name.is_empty()).find_map(|name| Some((place(name)?, name)));
    if let Some((start, name)) = found {
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
    let about = points.get(chosen).map_or("", |point| point.kind.about());
    let used = u16::try_from(points.len()).unwrap_or(u16::MAX).saturating_add(1);
    let left = area.height.saturating_sub(used);
    if left > ABOUT {
        let below = Rect { x: area.x + 1, y: area.y + used + 1, width: area.width.saturating_sub(1), height: ABOUT };
        view.paragraph(below, about, Role::Dim);
    }
    row(view, Rect { height: 1, ..area }, ["", "policy", "bytes", "bits/weight", "KLD"], [Role::Dim; 2]);
    let list = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let height = usize::from(list.height);
    let notation = Notation::of(points.iter().map(|point| point.kld));
    let first = offset(chosen.saturating_sub(height / 2), chosen, height, points.len());
    more::on_frame(view, list, first, points.len());
    for (y, (index, point)) in (list.y..list.bottom()).zip(points.iter().enumerate().skip(first)) {
        let place = Rect { y, height: 1, ..list };
        let (glyph, role) = sign(point.kind);
        let bits = format!("{:.2}", point.bits_per_weight);
        let texts = [glyph, &point.name(), &format::bytes(point.bytes), &bits, &notation.write(point.kld)];
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
    view.put(x + 3, y, x + 3 + NAME_WIDTH, &fit(name, usize::from(NAME_WIDTH)), roles[1]);
    let x = x + 3 + NAME_WIDTH;
    view.put_right(x, y, x + 8, bytes, roles[1]);
    view.put_right(x + 8, y, x + 20, bits, roles[1]);
    view.put_right(x + 20, y, x + 30, kld, roles[1]);
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
            let plot = Plot::new(Rect::new(0, 3, 40, height), &points);
            let left = height + 2 - plot.tick(plot.ticks);
            assert!(plot.tick(0) == 3 && left < plot.ticks, "{height}: {left} lines are left");
            let steps: Vec<u16> = (0..plot.ticks).map(|tick| plot.tick(tick + 1) - plot.tick(tick)).collect();
            assert!(steps.windows(2).all(|two| two[0] == two[1]), "{height}: {steps:?}");
            for tick in 0..=plot.ticks {
                assert_eq!(plot.y(10_f64.powi(plot.decade(tick))), plot.tick(tick), "{height}: tick {tick}");
            }
            for point in &points {
                let below = (plot.high - point.kld.log10()) / f64::from(plot.step);
                let (upper, lower) = (plot.tick(below.floor() as u16), plot.tick(below.floor() as u16 + 1));
                let nearest = plot.tick(below.round() as u16);
                let y = plot.y(point.kld);
                assert!((upper..=lower).contains(&y), "{height}: {}", point.kld);
                assert!(y.abs_diff(nearest) <= y.abs_diff(upper + lower - nearest), "{height}: {}", point.kld);
            }
        }
    }
}
