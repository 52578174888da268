//! The strip under the texts, a column a token: bars of KLD, and the rank that the original's best token has in the
//! compressed model.

use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::paint::{View, width};
use super::spark::{bar, kld_height};
use super::table::offset;
use crate::measure::PositionStats;
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::Target;

/// Tokens that are seen beside the cursor.
const MARGIN: usize = 5;

/// Draws the newest tokens, or those around the cursor; the ranks in the last line where they are `ranked`.
pub fn render(view: &mut View<'_>, area: Rect, cursor: Option<usize>, ranked: bool) {
    let bars = area.height.saturating_sub(u16::from(ranked));
    if bars == 0 {
        return;
    }
    let live = view.scene.live;
    let (base, ranks) = (area.y + bars - 1, area.y + bars);
    // Of several policies the one that is looked at.
    let label = match (ranked, live.policy) {
        (true, Some(letter)) => format!("KLD {letter} "),
        _ => "KLD  ".to_owned(),
    };
    let start = view.put(area.x + 1, base, area.right(), &label, Role::Dim);
    let end = legends(view, Rect { x: start, width: area.right().saturating_sub(start), ..area }, base, ranked);
    if ranked {
        view.put(area.x + 1, ranks, start, "rank", Role::Dim);
    }
    let room = usize::from(end.saturating_sub(start));
    let skipped = match cursor {
        Some(cursor) => around(view.facts.strip_first, cursor, room, live.stats.len()),
        None => live.stats.len().saturating_sub(room),
    };
    view.facts.strip_first = skipped;
    if skipped > 0 {
        view.put(start.saturating_sub(1), base, end, "‹", Role::Accent);
    }
    if live.stats.len() > skipped + room {
        view.put(end, base, area.right(), "›", Role::Accent);
    }
    for (x, (index, stats)) in (start..end).zip(live.stats.iter().enumerate().skip(skipped)) {
        let chosen = cursor == Some(index);
        column(view, Rect { x, y: area.y, width: 1, height: bars }, stats);
        if ranked {
            let (glyph, role) = rank(stats.rank_of_best);
            let style = view.style(role);
            let style = if chosen { style.add_modifier(Modifier::REVERSED) } else { style };
            view.put_styled(x, ranks, end, glyph, style);
        }
        view.hit(Rect { x, width: 1, ..area }, Target::Token(index));
    }
}

/// The words at both ends; where the columns end.
fn legends(view: &mut View<'_>, area: Rect, base: u16, ranked: bool) -> u16 {
    let live = view.scene.live;
    let largest = live.stats.iter().map(|stats| stats.kld).fold(0.0, f64::max);
    let most = if live.stats.is_empty() {
        "  a bar a token".to_owned()
    } else {
        format!("  max {} nats", format::figure(largest))
    };
    let forms = ["  place of the original's best: · first  + beyond 9th", "  · first  + beyond 9th"];
    let free = usize::from(area.width).saturating_sub(view.ui.max_tokens.max(live.stats.len()) + 2);
    let ranks =
        forms.iter().find(|form| usize::from(width(form)) <= free).or(forms.last()).copied().unwrap_or_default();
    let wide = if ranked { width(&most).max(width(ranks)) } else { width(&most) };
    let end = area.right().saturating_sub(1);
    let columns_end = end.saturating_sub(wide).max(area.x);
    view.put(columns_end, base, end, &most, Role::Dim);
    if ranked {
        view.put(columns_end, base + 1, end, ranks, Role::Dim);
    }
    columns_end
}

/// A bar as high as the area.
fn column(view: &mut View<'_>, area: Rect, stats: &PositionStats) {
    let eighths = (kld_height(stats.kld) * 8.0 * f64::from(area.height)).round() as usize;
    let role = match stats.kld {
        kld if kld < 0.05 => Role::Good,
        kld if kld < 0.5 => Role::Fair,
        _ => Role::Bad,
    };
    for row in 0..area.height {
        let filled = eighths.saturating_sub(8 * usize::from(row)).min(8);
        let filled = if row == 0 { filled.max(1) } else { filled };
        if filled > 0 {
            view.put(area.x, area.bottom() - 1 - row, area.right(), bar(filled), role);
        }
    }
}

/// The first of `room` columns such that the cursor is seen, and a few tokens on both sides of it.
fn around(before: usize, cursor: usize, room: usize, tokens: usize) -> usize {
    let margin = MARGIN.min(room.saturating_sub(1) / 2);
    let last = tokens.saturating_sub(1);
    let right = offset(before, (cursor + margin).min(last), room, tokens);
    offset(right, cursor.saturating_sub(margin), room, tokens)
}

/// How the rank (0 = best) is written.
fn rank(of_best: usize) -> (&'static str, Role) {
    const DIGITS: [&str; 9] = ["·", "2", "3", "4", "5", "6", "7", "8", "9"];
    match of_best {
        0 => ("·", Role::Dim),
        1..=2 => (DIGITS.get(of_best).copied().unwrap_or("+"), Role::Fair),
        _ => (DIGITS.get(of_best).copied().unwrap_or("+"), Role::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_counted_from_one() {
        let glyphs: String = [0, 1, 2, 8, 9, 4000].into_iter().map(|of_best| rank(of_best).0).collect();
        assert_eq!(glyphs, "·239++");
    }

    #[test]
    fn the_cursor_is_seen_with_its_neighbours() {
        assert_eq!((around(25, 3, 90, 120), around(0, 110, 90, 120), around(0, 119, 90, 120)), (0, 26, 30));
        assert_eq!((around(25, 60, 90, 120), around(9, 5, 90, 40), around(7, 5, 1, 40)), (25, 0, 5));
    }
}
