//! The strip of KLD, a bar a token.

use ratatui::layout::Rect;

use super::paint::View;
use super::spark::{bar, kld_height};
use crate::tui::format;
use crate::tui::theme::Role;

/// Draws the newest tokens' divergence, and its largest value so far.
pub fn render(view: &mut View<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let base = area.bottom() - 1;
    let start = view.put(area.x + 1, base, area.right(), "KLD ", Role::Dim);
    let live = view.scene.live;
    let largest = live.stats.iter().map(|stats| stats.kld).fold(0.0, f64::max);
    let label = if live.stats.is_empty() {
        " a bar a token".to_owned()
    } else {
        format!(" max {} nats", format::figure(largest))
    };
    let end = view.put_right(start, base, area.right().saturating_sub(1), &label, Role::Dim);
    let room = usize::from(end.saturating_sub(start));
    let skipped = live.stats.len().saturating_sub(room);
    for (x, stats) in (start..end).zip(live.stats.iter().skip(skipped)) {
        let height = kld_height(stats.kld);
        let eighths = (height * 8.0 * f64::from(area.height)).round() as usize;
        let role = match stats.kld {
            kld if kld < 0.05 => Role::Good,
            kld if kld < 0.5 => Role::Fair,
            _ => Role::Bad,
        };
        for row in 0..area.height {
            let filled = eighths.saturating_sub(8 * usize::from(row)).min(8);
            let filled = if row == 0 { filled.max(1) } else { filled };
            if filled > 0 {
                view.put(x, base - row, end, bar(filled), role);
            }
        }
    }
}
