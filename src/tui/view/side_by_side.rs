//! Both models writing: what differs, what loops, and the divergence token by token.

use ratatui::layout::{Position, Rect};

use super::align;
use super::paint::{View, fit, width};
use super::strip;
use super::wrap::{Piece, wrap};
use crate::linalg::Arithmetic;
use crate::tui::action::Action;
use crate::tui::theme::Role;
use crate::tui::ui::{Purpose, Target};
use crate::workbench::{LiveView, Pane};

/// Below this height the line that explains the figures is left out.
const MIN_EXPLAINED_HEIGHT: u16 = 8;
/// From this height on the strip is two lines high.
const MIN_TALL_STRIP_HEIGHT: u16 = 16;
/// From this width on a text's head says how it is written.
const MIN_NAMED_WIDTH: u16 = 52;
const FIRST_DIFFERENCE: &str = "≠";
const LOOP: &str = "↻";
const PLAN_CHANGE: &str = "◆";

/// Draws prompt, texts, strip and explanation.
pub fn render(view: &mut View<'_>, area: Rect) {
    prompt(view, area);
    let explained = u16::from(area.height >= MIN_EXPLAINED_HEIGHT);
    let strip = if area.height >= MIN_TALL_STRIP_HEIGHT { 2 } else { 1 };
    let texts_height = area.height.saturating_sub(1 + strip + explained);
    let texts_area = Rect { y: area.y + 1, height: texts_height, ..area };
    texts(view, texts_area);
    strip::render(
        view,
        Rect { y: texts_area.bottom(), height: strip.min(area.bottom() - texts_area.bottom()), ..area },
    );
    if explained == 1 {
        explanation(view, Rect { y: area.bottom() - 1, height: 1, ..area });
    }
}

fn prompt(view: &mut View<'_>, area: Rect) {
    let label = if view.ui.chats() { "User " } else { "Prompt " };
    let start = view.put(area.x + 1, area.y, area.right(), label, Role::Dim);
    let room = usize::from(area.right().saturating_sub(start + 1));
    let field = view.ui.field.as_ref().filter(|field| field.purpose == Purpose::Prompt);
    if let Some(field) = field {
        let input = field.input.clone();
        line_input(view, start, area.y, area.right().saturating_sub(1), &input);
    } else {
        let written = (&view.scene.live.prompt, view.scene.live.chat);
        let stale = !written.0.is_empty() && written != (&view.ui.prompt, view.ui.chats());
        let text = if stale { format!("{} (g writes it)", view.ui.prompt) } else { view.ui.prompt.clone() };
        let harmless: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        view.put(start, area.y, area.right(), &fit(&harmless, room), Role::Text);
    }
    view.hit(Rect { height: 1, ..area }, Target::Action(Action::EditPrompt));
}

/// Draws a line that is being typed, scrolled so that its cursor is seen, and places the terminal's cursor.
pub fn line_input(view: &mut View<'_>, x: u16, y: u16, end: u16, input: &tui_input::Input) {
    let room = usize::from(end.saturating_sub(x)).max(1);
    let scroll = input.visual_scroll(room.saturating_sub(1));
    let shown: String = skip_columns(input.value(), scroll);
    view.rule(x, y, end, " ", Role::Input);
    view.put(x, y, end, &shown, Role::Input);
    let column = u16::try_from(input.visual_cursor().saturating_sub(scroll)).unwrap_or_default();
    view.facts.cursor = Some(Position { x: (x + column).min(end.saturating_sub(1)), y });
}

fn skip_columns(text: &str, columns: usize) -> String {
    let mut passed = 0;
    text.chars()
        .skip_while(|c| {
            let skipped = passed < columns;
            passed += usize::from(width(&c.to_string()));
            skipped
        })
        .collect()
}

fn texts(view: &mut View<'_>, area: Rect) {
    if area.height < 2 {
        return;
    }
    let half = area.width.saturating_sub(1) / 2;
    let left = Rect { width: half, ..area };
    let right = Rect { x: area.x + half + 1, width: area.width.saturating_sub(half + 1), ..area };
    for y in area.y..area.bottom() {
        view.put(area.x + half, y, area.right(), "│", Role::Dim);
    }
    let live = view.scene.live;
    head(view, left, "original", &live.original);
    let fast = view.scene.arithmetic == Arithmetic::Fast;
    head(
        view,
        right,
        if fast { "compressed, fast arithmetic" } else { "compressed, writing freely" },
        &live.compressed,
    );
    let page = usize::from(area.height - 1);
    let mut wrapped = [
        wrap(&pieces(live, false), usize::from(left.width.saturating_sub(2))),
        wrap(&pieces(live, true), usize::from(right.width.saturating_sub(2))),
    ];
    wrapped.iter_mut().for_each(|lines| {
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(used);
    });
    let longest = wrapped.iter().map(Vec::len).max().unwrap_or_default();
    view.facts.text_page = page;
    view.facts.text_overflow = longest.saturating_sub(page);
    let end = longest.saturating_sub(view.ui.text_scroll.min(view.facts.text_overflow));
    let first = end.saturating_sub(page);
    for (area, lines) in [left, right].into_iter().zip(&wrapped) {
        let first = first_line(lines.len(), first, page);
        for (y, line) in (area.y + 1..area.bottom()).zip(lines.iter().skip(first)) {
            let mut x = area.x + 1;
            for (text, role) in line {
                x = view.put(x, y, area.right(), text, *role);
            }
        }
    }
    empty_hint(view, left);
}

/// The line that a pane of `page` lines begins with, where the longer text begins with `first`: the same one, so that the
/// texts stand side by side, unless all of this text lies above it; then its last lines are shown.
fn first_line(lines: usize, first: usize, page: usize) -> usize {
    if first < lines { first } else { lines.saturating_sub(page) }
}

fn empty_hint(view: &mut View<'_>, area: Rect) {
    let live = view.scene.live;
    let Some(opened) = view.scene.opened else { return };
    if let Some(reason) = opened.cannot_generate.as_ref().or(live.error.as_ref()) {
        let text = crate::checkpoint::escaped(reason, 400);
        let lines = wrap(&[(text, Role::Warning)], usize::from(area.width.saturating_sub(2)));
        for (y, line) in (area.y + 1..area.bottom()).zip(lines) {
            line.iter().fold(area.x + 1, |x, (text, role)| view.put(x, y, area.right(), text, *role));
        }
    } else if live.prompt.is_empty() && !live.running {
        view.put(area.x + 1, area.y + 1, area.right(), "g lets both models write", Role::Dim);
    }
}

fn head(view: &mut View<'_>, area: Rect, name: &str, pane: &Pane) {
    let name = if area.width < MIN_NAMED_WIDTH { name.split(',').next().unwrap_or(name) } else { name };
    let after = view.put(area.x + 1, area.y, area.right(), name, Role::Title);
    let mut notes = Vec::new();
    if let Some(found) = pane.looping {
        notes.push((format!("{LOOP} loop of {} × {}", found.period, found.repeats), Role::Bad));
    }
    if let Some(speed) = pane.tokens_per_s {
        notes.push((format!("{speed:.0} tok/s"), Role::Dim));
    }
    if let Some(reason) = pane.ended {
        notes.push((reason.to_owned(), Role::Dim));
    }
    let mut end = area.right().saturating_sub(1);
    for (text, role) in notes.into_iter().rev() {
        if end > after + 1 + width(&text) {
            end = view.put_right(after + 1, area.y, end, &text, role).saturating_sub(2);
        }
    }
}

/// A text: the prompt, then each token by what it is.
fn pieces(live: &LiveView, compressed: bool) -> Vec<Piece> {
    let own = if compressed { &live.compressed } else { &live.original };
    let first = live.first_difference.unwrap_or(usize::MAX);
    let shared = shared_from(live, first, compressed);
    let asked = if live.chat { format!("{}\n", live.prompt) } else { live.prompt.clone() };
    let mut pieces = vec![(asked, Role::Prompt)];
    for (index, token) in own.tokens.iter().enumerate() {
        let mut markers = Vec::new();
        if index == first {
            markers.push((FIRST_DIFFERENCE.to_owned(), Role::First));
        }
        if own.looping.is_some_and(|found| found.start == index) {
            markers.push((LOOP.to_owned(), Role::Bad));
        }
        if compressed && live.plan_changes.contains(&index) {
            markers.push((PLAN_CHANGE.to_owned(), Role::Changed));
        }
        let equal = index < first || shared.get(index - first).copied().unwrap_or(true);
        let role = match own.looping {
            Some(found) if index >= found.start => Role::Looping,
            _ if equal => Role::Text,
            _ => Role::Differs,
        };
        // A marker stands at the word, not at the space before it.
        let word = token.text.trim_start_matches(' ');
        let space = token.text.len() - word.len();
        if !markers.is_empty() && space > 0 {
            pieces.push((" ".repeat(space), Role::Text));
            pieces.append(&mut markers);
            pieces.push((word.to_owned(), role));
        } else {
            pieces.append(&mut markers);
            pieces.push((token.text.clone(), role));
        }
    }
    pieces
}

/// Which tokens from the first difference on the two texts share.
fn shared_from(live: &LiveView, first: usize, compressed: bool) -> Vec<bool> {
    let ids = |pane: &Pane| pane.tokens.iter().skip(first).map(|token| token.id).collect::<Vec<_>>();
    let (original, other) = align::shared(&ids(&live.original), &ids(&live.compressed));
    if compressed { other } else { original }
}

fn explanation(view: &mut View<'_>, area: Rect) {
    let texts = [
        "Figures and strip compare both models on the original's text, token by token; the right pane shows what the compressed \
         model writes when it runs freely.  ≠ first difference  ↻ loop  ◆ plan change",
        "Figures compare both models on the original's text; the right pane runs freely.  ≠ first difference  ↻ loop  ◆ plan change",
        "Figures compare both on the original's text; the right pane runs freely.",
        "Figures: on the original's text.",
    ];
    let room = area.width.saturating_sub(2);
    let text = texts.iter().find(|text| width(text) <= room).copied().unwrap_or("");
    view.put(area.x + 1, area.y, area.right(), text, Role::Dim);
}

/// What stands on the right of the pane's head.
pub fn summary(view: &View<'_>) -> String {
    let live = view.scene.live;
    let sampling = match view.ui.sampling.temperature {
        Some(temperature) if temperature > 0.0 => format!("temperature {temperature}, seed {}", view.ui.sampling.seed),
        _ => "greedy".to_owned(),
    };
    let sampling = if view.ui.chats() { format!("chat · {sampling}") } else { sampling };
    let ended = live.original.ended.is_some() && live.compressed.ended.is_some();
    let state = match (live.running, ended) {
        _ if view.ui.is_stale(view.scene) => "plans changed: g rewrites",
        (true, _) => "writing",
        (false, true) => "done",
        (false, false) => "stopped",
    };
    if live.prompt.is_empty() {
        return sampling;
    }
    format!("{} of {} tokens · {sampling} · {state}", live.original.tokens.len(), view.ui.max_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_ended_early_stays_in_sight() {
        assert_eq!(first_line(20, 12, 6), 12);
        assert_eq!(first_line(13, 12, 6), 12);
        assert_eq!(first_line(12, 12, 6), 6);
        assert_eq!(first_line(3, 12, 6), 0);
    }
}
