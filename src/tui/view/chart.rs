//! Curves in braille: two by four dots a cell.

use ratatui::layout::Rect;

use super::paint::{View, fit, width};
use crate::tui::theme::Role;

const GUTTER: u16 = 7;

/// A curve: its height, 0 to 1, at a rank.
pub type Curve<'a> = (&'a dyn Fn(usize) -> f64, Role);

/// What a chart shows: curves over a range of ranks, heights 0 to 1.
pub struct Chart<'a> {
    /// What it is.
    pub title: &'a str,
    /// Whether the title stands at the lower left, under the curve, and not at the upper right, above it.
    pub under: bool,
    /// Label of height 1 and of height 0.
    pub labels: (String, String),
    /// First and last rank shown.
    pub ranks: (usize, usize),
    /// Curves that lie behind, the hindmost first.
    pub behind: &'a [Curve<'a>],
    /// The height at a rank.
    pub height: &'a dyn Fn(usize) -> f64,
    /// Single points with their glyph, before the curves: (rank, height, style).
    pub points: &'a [(usize, f64, Role)],
    /// The rank of the cut, if there is one.
    pub cut: Option<usize>,
    /// A level to mark with its name.
    pub level: Option<(f64, &'a str)>,
    /// The curve's style up to the cut.
    pub role: Role,
}

/// The part of a chart's area in which its curve lies.
pub fn plot_area(area: Rect) -> Rect {
    let gutter = GUTTER.min(area.width);
    Rect {
        x: area.x + gutter,
        width: (area.width - gutter).saturating_sub(1),
        height: area.height.saturating_sub(1),
        ..area
    }
}

/// The rank at a column of a plot of these ranks.
pub fn rank_at(plot: Rect, column: u16, (first, last): (usize, usize)) -> usize {
    let share = f64::from(column.saturating_sub(plot.x)) / f64::from(plot.width.saturating_sub(1).max(1));
    let rank = (first as f64 + share * last.saturating_sub(first) as f64).round();
    rank.clamp(first.max(1) as f64, last.max(1) as f64) as usize
}

/// The column of a rank, where it is shown.
fn column_of(plot: Rect, rank: usize, (first, last): (usize, usize)) -> Option<u16> {
    let share = rank.checked_sub(first)? as f64 / last.saturating_sub(first).max(1) as f64;
    (rank <= last).then(|| plot.x + (share * f64::from(plot.width.saturating_sub(1))).round() as u16)
}

/// Draws a chart with its labels.
pub fn render(view: &mut View<'_>, area: Rect, chart: &Chart<'_>) {
    let plot = plot_area(area);
    if plot.width < 4 || plot.height < 2 {
        return;
    }
    level(view, plot, chart);
    let cut = chart.cut.and_then(|rank| column_of(plot, rank, chart.ranks));
    if let Some(x) = cut {
        (plot.y..plot.bottom()).for_each(|y| {
            view.put(x, y, plot.right(), "┊", Role::Cut);
        });
    }
    for behind in chart.behind {
        curve(view, plot, chart.ranks, *behind, None);
    }
    // All of it is kept where the cut lies beyond what is shown, and nothing where it lies before.
    let kept = match chart.cut {
        Some(rank) if rank < chart.ranks.0 => Some(plot.x.saturating_sub(1)),
        _ => cut,
    };
    curve(view, plot, chart.ranks, (chart.height, chart.role), kept);
    points(view, plot, chart);
    view.put_right(area.x, plot.y, plot.x - 1, &chart.labels.0, Role::Dim);
    view.put_right(area.x, plot.bottom() - 1, plot.x - 1, &chart.labels.1, Role::Dim);
    level_name(view, plot, chart);
    if chart.under {
        let after = cut.map_or(plot.x + 1, |cut| cut + 2);
        let x = if after + width(chart.title) < plot.right() { after } else { plot.x + 1 };
        let title = fit(chart.title, usize::from(plot.right().saturating_sub(x)));
        view.put(x, plot.bottom() - 1, plot.right(), &title, Role::Dim);
    } else {
        view.put_right(plot.x, plot.y, plot.right(), &fit(chart.title, usize::from(plot.width)), Role::Dim);
    }
    axis(view, plot, chart, cut);
}

fn axis(view: &mut View<'_>, plot: Rect, chart: &Chart<'_>, cut: Option<u16>) {
    let y = plot.bottom();
    view.put(plot.x, y, plot.right(), &chart.ranks.0.to_string(), Role::Dim);
    let last = chart.ranks.1.to_string();
    view.put_right(plot.x, y, plot.right(), &last, Role::Dim);
    if let (Some(x), Some(rank)) = (cut, chart.cut) {
        let label = format!(" {rank} ");
        let wide = width(&label);
        let x = x.saturating_sub(wide / 2).clamp(plot.x, plot.right().saturating_sub(wide).max(plot.x));
        view.put(x, y, plot.right(), &label, Role::Cut);
    }
}

/// The line of the level, where it is within the chart.
fn level_line(plot: Rect, chart: &Chart<'_>) -> Option<u16> {
    let (height, _) = chart.level.filter(|(height, _)| (0.0..=1.0).contains(height))?;
    Some(plot.y + ((1.0 - height) * f64::from(plot.height - 1)).round() as u16)
}

fn level(view: &mut View<'_>, plot: Rect, chart: &Chart<'_>) {
    if let Some(y) = level_line(plot, chart) {
        view.rule(plot.x, y, plot.right(), "╌", Role::Noise);
    }
}

/// Its name, before the curves.
fn level_name(view: &mut View<'_>, plot: Rect, chart: &Chart<'_>) {
    if let (Some(y), Some((_, name))) = (level_line(plot, chart), chart.level) {
        view.put_right(plot.x, y, plot.right(), &format!(" {name}"), Role::Noise);
    }
}

fn points(view: &mut View<'_>, plot: Rect, chart: &Chart<'_>) {
    for (rank, height, role) in chart.points {
        if let Some(x) = column_of(plot, *rank, chart.ranks) {
            let y = plot.y + ((1.0 - height.clamp(0.0, 1.0)) * f64::from(plot.height - 1)).round() as u16;
            view.put(x, y, plot.right(), "●", *role);
        }
    }
}

/// Draws a curve; beyond the column `kept` it is what was cut off.
fn curve(view: &mut View<'_>, plot: Rect, (first, last): (usize, usize), (height, role): Curve<'_>, kept: Option<u16>) {
    let (columns, rows) = (usize::from(plot.width) * 2, usize::from(plot.height) * 4);
    let mut cells = vec![0_u8; usize::from(plot.width) * usize::from(plot.height)];
    let mut before: Option<usize> = None;
    for column in 0..columns {
        let share = column as f64 / (columns - 1).max(1) as f64;
        let rank = first + (share * last.saturating_sub(first) as f64).round() as usize;
        let height = height(rank).clamp(0.0, 1.0);
        let row = ((1.0 - height) * (rows - 1) as f64).round() as usize;
        let from = before.map_or(row, |before| before.min(row) + usize::from(before < row));
        let to = before.map_or(row, |before| before.max(row) - usize::from(before > row));
        for dot in from.min(row)..=to.max(row) {
            let cell = dot / 4 * usize::from(plot.width) + column / 2;
            if let Some(bits) = cells.get_mut(cell) {
                *bits |= dot_bit(column % 2, dot % 4);
            }
        }
        before = Some(row);
    }
    for (position, bits) in plot.positions().zip(cells) {
        if bits != 0 {
            let inside = kept.is_none_or(|kept| position.x <= kept);
            let glyph = char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' ').to_string();
            view.put(position.x, position.y, plot.right(), &glyph, if inside { role } else { Role::Beyond });
        }
    }
}

/// The bit of a dot in a braille cell (Unicode, "Braille Patterns").
fn dot_bit(column: usize, row: usize) -> u8 {
    const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    BITS.get(column).and_then(|rows| rows.get(row)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_and_ranks_agree_at_the_ends_and_between() {
        let plot = Rect::new(10, 0, 40, 5);
        let all = (1, 128);
        assert_eq!((rank_at(plot, 10, all), rank_at(plot, 49, all)), (1, 128));
        for rank in [1, 17, 64, 128] {
            let column = column_of(plot, rank, all).unwrap();
            assert!(rank_at(plot, column, all).abs_diff(rank) <= 2);
        }
        assert_eq!(rank_at(plot, 0, (1, 1)), 1);
        let part = (33, 64);
        assert_eq!(
            (rank_at(plot, 10, part), column_of(plot, 64, part), column_of(plot, 32, part)),
            (33, Some(49), None)
        );
    }
}
