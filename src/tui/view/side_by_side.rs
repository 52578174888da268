//! Both models writing: prompt, texts, the divergence token by token, and both distributions at the cursor.

use ratatui::layout::{Position, Rect};

use super::paint::{View, fit, width};
use super::{distribution, strip, tabs, texts};
use crate::tui::action::Action;
use crate::tui::theme::Role;
use crate::tui::ui::{Purpose, Target};

/// Below this height the line that explains the figures is left out.
const MIN_EXPLAINED_HEIGHT: u16 = 8;
/// From this height on the strip is two lines high.
const MIN_TALL_STRIP_HEIGHT: u16 = 16;
/// From this height on the texts that are kept have a line.
const MIN_TABBED_HEIGHT: u16 = 7;
/// From this height on the ranks stand below the bars.
const MIN_RANKED_HEIGHT: u16 = 12;
/// With a cursor a pane must be so much higher for what may be left out.
const CURSOR_LINES: u16 = 5;
/// From this width on both texts stand beside the panel at the cursor.
const MIN_THREE_WIDTH: u16 = 110;

/// Draws prompt, texts, strip and explanation; with a cursor, what both models thought there.
pub fn render(view: &mut View<'_>, area: Rect) {
    let cursor = view.ui.token_cursor(view.scene.live);
    let tabs = u16::from(view.scene.texts.0.len() > 1 && area.height >= MIN_TABBED_HEIGHT);
    if tabs == 1 {
        tabs::render(view, Rect { height: 1, ..area });
    }
    let asked = Rect { y: area.y + tabs, height: 1, ..area };
    prompt(view, asked);
    let rows = Rows::of(area.height, cursor.is_some());
    let strip = rows.bars + u16::from(rows.ranked);
    let texts_height = area.height.saturating_sub(1 + tabs + strip + rows.explained);
    let texts_area = Rect { y: asked.bottom(), height: texts_height, ..area };
    match cursor {
        Some(cursor) => inspected(view, texts_area, cursor),
        None => texts::render(view, texts_area, area.right().saturating_sub(1), None, false),
    }
    let strip_area = Rect { y: texts_area.bottom(), height: strip.min(area.bottom() - texts_area.bottom()), ..area };
    strip::render(view, strip_area, cursor, rows.ranked);
    if rows.explained == 1 {
        explanation(view, Rect { y: area.bottom() - 1, height: 1, ..area });
    }
}

/// What stands below the texts.
struct Rows {
    bars: u16,
    ranked: bool,
    explained: u16,
}

impl Rows {
    fn of(height: u16, cursor: bool) -> Self {
        // The panel at the cursor needs the lines.
        let spare = if cursor { CURSOR_LINES } else { 0 };
        Self {
            bars: if height >= MIN_TALL_STRIP_HEIGHT + spare { 2 } else { 1 },
            ranked: cursor || height >= MIN_RANKED_HEIGHT,
            explained: u16::from(height >= MIN_EXPLAINED_HEIGHT + 2 * spare),
        }
    }
}

/// The text with its cursor, and both distributions there; the other text too, where there is room for three.
fn inspected(view: &mut View<'_>, area: Rect, cursor: usize) {
    let width = distribution::panel_width(area.width);
    let panel = Rect { x: area.right() - width, width, ..area };
    let rest = Rect { width: area.width.saturating_sub(width + 1), ..area };
    let divider = panel.x.saturating_sub(1);
    for y in area.y..area.bottom() {
        view.put(divider, y, area.right(), "│", Role::Dim);
    }
    // The bar lies on the line, as that of a dialog does on its frame: beside it they would look like two lines.
    texts::render(view, rest, divider, Some(cursor), area.width < MIN_THREE_WIDTH);
    distribution::render(view, panel, cursor);
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
        let text = if stale {
            format!("{} ({} writes it)", view.ui.prompt, view.key(Action::Generate))
        } else {
            view.ui.prompt.clone()
        };
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

fn explanation(view: &mut View<'_>, area: Rect) {
    let fixed = view.scene.opened.is_some_and(|opened| opened.fixed);
    let forms = if fixed && view.scene.totals.changed == 0 { of_an_export() } else { of_figures(view) };
    let room = area.width.saturating_sub(2);
    let text = forms.iter().find(|text| width(text) <= room).map_or("", String::as_str);
    view.put(area.x + 1, area.y, area.right(), text, Role::Dim);
}

/// Why both texts are alike where the model itself is a compressed one.
fn of_an_export() -> Vec<String> {
    let forms = [
        "This checkpoint is compressed already, so both texts are alike: opened with --original MODEL it stands beside the \
         model that it came from.",
        "Compressed already, so both are alike: --original MODEL shows its origin.",
        "Compressed already: --original MODEL compares it.",
        "--original MODEL compares it.",
    ];
    forms.map(str::to_owned).into()
}

/// What the figures compare, and the signs in the texts.
fn of_figures(view: &View<'_>) -> Vec<String> {
    let (pane, runs) =
        if view.scene.run.rivals.is_empty() { ("the right pane", "runs") } else { ("the others", "run") };
    vec![
        "Figures and strip compare both models on the original's text, token by token; the right pane shows what the compressed \
         model writes when it runs freely.  ≠ first difference  ↻ loop  ◆ plan change  ↳ branch  underlined: words of one text alone"
            .to_owned(),
        format!("Figures compare both on the original's text; {pane} {runs} freely.  ≠ parts  ↻ loop  ◆ new plans  ↳ branch"),
        format!("Figures compare both on the original's text; {pane} {runs} freely."),
        "Figures: on the original's text.".to_owned(),
    ]
}
