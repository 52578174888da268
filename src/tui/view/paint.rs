//! What every region draws with.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::wrap::wrap;
use crate::tui::action::Action;
use crate::tui::colour;
use crate::tui::scene::Scene;
use crate::tui::theme::Role;
use crate::tui::ui::{Facts, Pane, Target, Ui};
use crate::workbench::LayerRow;

/// One frame being drawn: what is shown, where to, and what the frame leaves behind.
#[derive(Debug)]
pub struct View<'a> {
    /// The workbench.
    pub scene: &'a Scene<'a>,
    /// The screen's state.
    pub ui: &'a Ui,
    /// The cells.
    pub buffer: &'a mut Buffer,
    /// What the frame leaves behind.
    pub facts: &'a mut Facts,
}

impl View<'_> {
    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.ui.theme.style(role)
    }

    /// Writes `text` from `x` on, up to `end` (exclusive); where the next text may begin.
    pub fn put(&mut self, x: u16, y: u16, end: u16, text: &str, role: Role) -> u16 {
        self.put_styled(x, y, end, text, self.style(role))
    }

    /// As [`View::put`], in a style.
    pub fn put_styled(&mut self, x: u16, y: u16, end: u16, text: &str, style: Style) -> u16 {
        let area = *self.buffer.area();
        let end = end.min(area.right());
        if x < area.left() || x >= end || y < area.top() || y >= area.bottom() {
            return x.min(end);
        }
        // What lay there before must not shine through: styles only add up otherwise.
        let style = Style::reset().patch(style);
        self.buffer.set_stringn(x, y, text, usize::from(end - x), style).0
    }

    /// Writes `text` so that it ends before `end`, and not before `start`; where it begins.
    pub fn put_right(&mut self, start: u16, y: u16, end: u16, text: &str, role: Role) -> u16 {
        let width = width(text).min(end.saturating_sub(start));
        let x = end.saturating_sub(width);
        self.put(x, y, end, text, role);
        x
    }

    /// Fills a line with a glyph.
    pub fn rule(&mut self, x: u16, y: u16, end: u16, glyph: &str, role: Role) {
        self.put(x, y, end, &glyph.repeat(usize::from(end.saturating_sub(x))), role);
    }

    /// Changes the style of an area.
    pub fn tint(&mut self, area: Rect, role: Role) {
        let style = self.style(role);
        // Terminals dim the ground of what is reversed: a line of both would be patchwork.
        let reversed = style.add_modifier.contains(Modifier::REVERSED);
        let style = if reversed { style.remove_modifier(Modifier::DIM) } else { style };
        self.buffer.set_style(area.intersection(*self.buffer.area()), style);
    }

    /// Sets off what lies under the cursor. In a pane without the focus that is other paper alone, wherever what stands there can be
    /// read on it: what is worst stays red.
    pub fn under_cursor(&mut self, area: Rect, focused: bool) {
        let style = self.style(Role::CursorAway);
        let Some(paper) = style.bg.filter(|_| !focused) else {
            return self.tint(area, if focused { Role::Cursor } else { Role::CursorAway });
        };
        for position in area.intersection(*self.buffer.area()).positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                // Bars are no text, and tell by their ink what is cut off.
                let bar = cell.fg != Color::Reset && cell.symbol().chars().all(|glyph| ('▁'..='█').contains(&glyph));
                let keeps = bar || colour::is_readable(cell.fg, paper);
                cell.set_style(if keeps { Style { fg: None, ..style } } else { style });
            }
        }
    }

    /// Empties an area.
    pub fn clear(&mut self, area: Rect) {
        let area = area.intersection(*self.buffer.area());
        for position in area.positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.reset();
            }
        }
    }

    /// Gives the theme's ink and paper to every cell that has none of its own.
    pub fn paint_ground(&mut self) {
        let ground = self.style(Role::Ground);
        for cell in &mut self.buffer.content {
            if cell.fg == Color::Reset {
                cell.fg = ground.fg.unwrap_or(Color::Reset);
            }
            if cell.bg == Color::Reset {
                cell.bg = ground.bg.unwrap_or(Color::Reset);
            }
        }
    }

    /// Writes a text wrapped by words, with `…` where the area is too low for all of it; the lines that it took.
    pub fn paragraph(&mut self, area: Rect, text: &str, role: Role) -> u16 {
        let lines = wrap(&[(text.to_owned(), role)], usize::from(area.width));
        let room = usize::from(area.height);
        for (y, (at, line)) in (area.y..area.bottom()).zip(lines.iter().enumerate()) {
            let end = line.iter().fold(area.x, |x, (text, role)| self.put(x, y, area.right(), text, *role));
            if at + 1 == room && lines.len() > room {
                self.put(end.min(area.right().saturating_sub(1)), y, area.right(), "…", role);
            }
        }
        u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height)
    }

    /// The key of an action in the focused pane, as the screen shows keys.
    pub fn key(&self, action: Action) -> String {
        self.ui.keymap.shown(action, self.ui.pane.context())
    }

    /// Whether keys go to the table. On a large screen the map stands beside it, and one of them has the focus.
    pub fn on_table(&self) -> bool {
        self.ui.pane == Pane::Layers && !self.ui.map
    }

    /// Whether keys go to the map.
    pub fn on_map(&self) -> bool {
        self.ui.pane == Pane::Layers && self.ui.map
    }

    /// Says what a click into `area` meets, as far as it is on the screen.
    pub fn hit(&mut self, area: Rect, target: Target) {
        let area = area.intersection(*self.buffer.area());
        if !area.is_empty() {
            self.facts.hits.push((area, target));
        }
    }

    /// Draws a pane's head, `━ Title ━━━━━ info ━`: heavy where it has the focus; the area below it.
    pub fn heading(&mut self, area: Rect, title: &str, focused: bool, info: &str) -> Rect {
        let (glyph, line, name) =
            if focused { ("━", Role::Accent, Role::Accent) } else { ("─", Role::Dim, Role::Title) };
        self.rule(area.x, area.y, area.right(), glyph, line);
        let after = self.put(area.x + 1, area.y, area.right(), &format!(" {title} "), name);
        let room = usize::from(area.right().saturating_sub(after + 3));
        if !info.is_empty() && room > 8 {
            let info = format!(" {} ", fit(info, room.saturating_sub(2)));
            self.put_right(after, area.y, area.right().saturating_sub(1), &info, Role::Dim);
        }
        Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area }
    }
}

/// The columns for what a head tells beside its title.
pub fn info_room(area: Rect, title: &str) -> u16 {
    // The line and a blank on both sides of each.
    area.width.saturating_sub(width(title) + 8)
}

/// Less of a path than this says nothing.
const LEAST_PATH: usize = 12;

/// The columns that a text takes.
pub fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// A text cut to a width, with `…` where something is missing.
pub fn fit(text: &str, limit: usize) -> String {
    if text.width() <= limit {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used + 1 > limit {
            break;
        }
        cut.push_str(grapheme);
    }
    if limit > 0 {
        cut.push('…');
    }
    cut
}

/// A text cut to a width from the left: the end of a name says most.
pub fn fit_end(text: &str, limit: usize) -> String {
    if text.width() <= limit {
        return text.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut used = 1;
    for grapheme in text.graphemes(true).rev() {
        used += grapheme.width();
        if used > limit {
            break;
        }
        kept.push(grapheme);
    }
    kept.push(if limit > 0 { "…" } else { "" });
    kept.into_iter().rev().collect()
}

/// A text cut to a width; where it has a path, of which the end says most, that is cut first.
pub fn fit_path(text: &str, limit: usize) -> String {
    let over = text.width().saturating_sub(limit);
    let longest = text.split(' ').filter(|word| word.contains('/')).max_by_key(|word| word.width());
    let path = longest.and_then(|word| word.get(word.find('/')?..)).filter(|_| over > 0).unwrap_or_default();
    let room = path.width().saturating_sub(over).max(LEAST_PATH);
    if room < path.width() { fit(&text.replacen(path, &fit_end(path, room), 1), limit) } else { fit(text, limit) }
}

/// The role of an error, by how much it is.
pub fn error_role(error: f64) -> Role {
    match error {
        _ if error < 0.05 => Role::Good,
        _ if error < 0.35 => Role::Fair,
        _ => Role::Bad,
    }
}

/// Which role the KLD of a layer alone has: quiet where it tells of other plans.
pub fn damage_role(row: &LayerRow) -> Role {
    match row.damage {
        None => Role::Dim,
        Some(damage) if damage.stale => Role::Dim,
        Some(damage) if damage.is_pillar() => Role::Bad,
        Some(damage) if damage.kld < 0.001 => Role::Good,
        Some(damage) if damage.kld < 0.05 => Role::Fair,
        Some(_) => Role::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_texts_fit_and_say_so() {
        assert_eq!(
            (fit("layers", 6), fit("layers", 4), fit("層層層", 4)),
            ("layers".into(), "lay…".into(), "層…".into())
        );
        assert_eq!((fit_end("h.0.k_proj", 7), fit("abc", 0)), ("…k_proj".into(), String::new()));
    }

    #[test]
    fn of_a_text_with_a_path_the_beginning_of_the_path_goes_first() {
        let text = "open /data/models/gptneo13b is done";
        assert_eq!((fit_path(text, 35).as_str(), fit_path(text, 28).as_str()), (text, "open …dels/gptneo13b is done"));
        assert_eq!(
            (fit_path(text, 20), fit_path("no path at all", 7)),
            ("open …s/gptneo13b i…".into(), "no pat…".into())
        );
    }
}
