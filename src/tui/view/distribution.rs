//! What both models thought likely at one token: the likeliest tokens with both probabilities as bars.

use ratatui::layout::Rect;

use super::paint::{View, fit, width};
use super::texts::policy_name;
use super::wrap::is_unsafe;
use crate::measure::LikelyToken;
use crate::tui::format;
use crate::tui::theme::Role;
use crate::workbench::LiveView;

/// What a probability takes: `<0.01%`.
const PERCENT: u16 = 6;
const MARK: u16 = 2;
const LONGEST_TOKEN: u16 = 16;
const LONGEST_BAR: u16 = 14;
/// The panel is so wide where the text beside it keeps the least that it needs.
const ENOUGH: u16 = 36;
const LEAST_TEXT: u16 = 20;
const CHOSEN: &str = "▸";

/// One line of the panel.
struct Row {
    token: LikelyToken,
    chosen: bool,
}

/// Where the columns stand.
struct Slots {
    token: u16,
    bar: u16,
}

/// The width of the panel in a pane of `room` columns.
pub fn panel_width(room: u16) -> u16 {
    let widest = MARK + LONGEST_TOKEN + 2 * (LONGEST_BAR + PERCENT + 2) + 2;
    let enough = ENOUGH.min(room.saturating_sub(LEAST_TEXT));
    (room / 2).min(widest).max(enough)
}

/// Draws the panel for the token at `cursor` of the original's text.
pub fn render(view: &mut View<'_>, area: Rect, cursor: usize) {
    let live = view.scene.live;
    title(view, area, cursor);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let rows = rows(live, cursor);
    if rows.is_empty() {
        let text = if live.running { "not compared yet" } else { "it was stopped before this was compared" };
        view.put(body.x + 1, body.y, body.right(), text, Role::Dim);
        return;
    }
    let slots = slots(body.width);
    heads(view, body, &slots);
    let room = usize::from(body.height.saturating_sub(1));
    let shown = if rows.len() > room { room.saturating_sub(1) } else { rows.len() };
    let full = rows.iter().map(|row| row.token.original.max(row.token.compressed)).fold(0.0, f32::max);
    for (y, row) in (body.y + 1..body.bottom()).zip(rows.iter().take(shown)) {
        line(view, Rect { y, height: 1, ..body }, &slots, row, full);
    }
    if rows.len() > room {
        let text = format!("… {} more", rows.len() - shown);
        view.put(body.x + 1, body.bottom().saturating_sub(1), body.right(), &text, Role::Dim);
    }
}

fn title(view: &mut View<'_>, area: Rect, cursor: usize) {
    let live = view.scene.live;
    let before = live.earlier.len();
    let name = format!("token {} of {}", before + cursor + 1, before + live.original.tokens.len());
    let after = view.put(area.x + 1, area.y, area.right(), &name, Role::Title);
    let Some(stats) = live.stats.get(cursor) else { return };
    let (kld, rank) = (format::figure(stats.kld), stats.rank_of_best + 1);
    let forms = [
        format!("KLD {kld} nats  original's best ranks {rank}"),
        format!("KLD {kld} nats  rank {rank}"),
        format!("KLD {kld}  rank {rank}"),
    ];
    let end = area.right().saturating_sub(1);
    if let Some(text) = forms.iter().find(|text| after + 2 + width(text) <= end) {
        view.put_right(after + 1, area.y, end, text, Role::Dim);
    }
}

/// The likeliest tokens, the chosen one among them or below them.
fn rows(live: &LiveView, cursor: usize) -> Vec<Row> {
    let (Some(likeliest), Some(stats)) = (live.likeliest.get(cursor), live.stats.get(cursor)) else {
        return Vec::new();
    };
    let chosen = live.original.tokens.get(cursor).map(|token| token.id);
    let row = |token: &LikelyToken| Row { token: *token, chosen: Some(token.id) == chosen };
    let mut rows: Vec<Row> = likeliest.iter().map(row).collect();
    if let (Some(id), Some((original, compressed)), false) = (chosen, stats.nll, rows.iter().any(|row| row.chosen)) {
        let token = LikelyToken { id, original: (-original).exp() as f32, compressed: (-compressed).exp() as f32 };
        rows.push(Row { token, chosen: true });
    }
    rows
}

fn slots(room: u16) -> Slots {
    let fixed = MARK + 2 * (PERCENT + 2) + 1;
    let free = room.saturating_sub(fixed);
    let token = (free / 2).clamp(6, LONGEST_TOKEN).min(free);
    Slots { token, bar: (free.saturating_sub(token) / 2).min(LONGEST_BAR) }
}

/// Where a model's bar begins: 0 the original's, 1 the compressed one's.
fn bar_start(area: Rect, slots: &Slots, model: u16) -> u16 {
    area.x + MARK + slots.token + 1 + model * (slots.bar + PERCENT + 2)
}

fn heads(view: &mut View<'_>, area: Rect, slots: &Slots) {
    view.put(
        area.x,
        area.y,
        area.right(),
        &fit(&format!("{CHOSEN} written"), usize::from(MARK + slots.token)),
        Role::Dim,
    );
    let several = !view.scene.run.rivals.is_empty();
    let compressed = if several { policy_name(view.scene.live) } else { "compressed".to_owned() };
    for (model, name) in [(0, "original"), (1, compressed.as_str())] {
        let start = bar_start(area, slots, model);
        let name = fit(name, usize::from(slots.bar + PERCENT + 1));
        view.put_right(start, area.y, start + slots.bar + PERCENT + 1, &name, Role::Dim);
    }
}

/// A token with both probabilities; a bar of the whole width is `full`.
fn line(view: &mut View<'_>, area: Rect, slots: &Slots, row: &Row, full: f32) {
    let text = view.scene.live.pieces.get(&row.token.id).map_or_else(String::new, |piece| shown(piece));
    let role = if row.chosen { Role::Title } else { Role::Text };
    view.put(area.x, area.y, area.right(), if row.chosen { CHOSEN } else { " " }, Role::Accent);
    view.put(area.x + MARK, area.y, area.right(), &fit(&text, usize::from(slots.token)), role);
    for (model, share, ink) in [(0, row.token.original, Role::Curve), (1, row.token.compressed, Role::ErrorCurve)] {
        let start = bar_start(area, slots, model);
        view.put(start, area.y, area.right(), &bar(share / full, slots.bar), ink);
        let end = start + slots.bar + PERCENT + 1;
        view.put_right(start + slots.bar, area.y, end, &format::percent(f64::from(share)), role);
    }
}

/// A bar from the left of up to `width` columns, in eighths.
fn bar(share: f32, width: u16) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    let eighths = (f64::from(share) * 8.0 * f64::from(width)).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), PARTS.get(eighths % 8).copied().unwrap_or_default())
}

/// A token by itself: blanks at its ends and breaks can be seen.
fn shown(piece: &str) -> String {
    let (start, end) = (piece.len() - piece.trim_start_matches(' ').len(), piece.trim_end_matches(' ').len());
    let visible = |(place, c): (usize, char)| match c {
        ' ' if place < start || place >= end => '␣',
        '\n' => '↵',
        '\t' => '⇥',
        _ if is_unsafe(c) => '\u{fffd}',
        _ => c,
    };
    piece.char_indices().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::inspect_position;
    use crate::workbench::{LiveToken, Pane};

    /// A run of one token, which was chosen though nine others are likelier in both models.
    fn unlikely() -> LiveView {
        let logits: Vec<f32> = (0..12_u8).map(|id| -f32::from(id)).collect();
        let (stats, likeliest) = inspect_position(&logits, &logits, Some(11), 10);
        let tokens = vec![LiveToken { id: 11, text: "x".into() }];
        let original = Pane { tokens, ..Pane::default() };
        LiveView { original, stats: vec![stats], likeliest: vec![likeliest], ..LiveView::default() }
    }

    #[test]
    fn the_chosen_token_is_shown_also_where_it_is_none_of_the_likeliest() {
        let live = unlikely();
        let rows = rows(&live, 0);
        assert_eq!(rows.iter().filter(|row| row.chosen).count(), 1);
        let last = rows.last().unwrap();
        assert!(rows.len() == 11 && last.chosen && last.token.id == 11);
        let first = f64::from(rows[0].token.original);
        assert!((f64::from(last.token.original) - first * (-11.0_f64).exp()).abs() < 1e-7);
        assert!(super::rows(&live, 1).is_empty());
    }

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!((bar(0.5, 3), bar(1.0, 2), bar(0.0, 9)), ("█▌".into(), "██".into(), String::new()));
        assert_eq!((bar(0.03, 4), bar(1e-6, 4), bar(f32::NAN, 4)), ("▏".into(), String::new(), String::new()));
    }

    #[test]
    fn blanks_of_a_token_can_be_seen_and_nothing_reaches_the_terminal() {
        assert_eq!((shown(" the"), shown("a b "), shown("  ")), ("␣the".into(), "a b␣".into(), "␣␣".into()));
        assert_eq!((shown("\n\t"), shown("\u{1b}[2J")), ("↵⇥".into(), "\u{fffd}[2J".into()));
    }

    #[test]
    fn the_columns_fit_into_the_panel() {
        for room in 20..200 {
            let slots = slots(panel_width(room));
            let needed = MARK + slots.token + 1 + 2 * (slots.bar + PERCENT + 2);
            assert!(needed <= panel_width(room).max(MARK + 1 + 2 * (PERCENT + 2)), "{room}");
        }
    }
}
