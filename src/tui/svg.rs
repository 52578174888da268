//! A screen as an SVG picture, for documents: drawn from the very cells that a terminal would show.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

const CELL_WIDTH: f64 = 8.4;
const CELL_HEIGHT: f64 = 18.0;
const MARGIN: f64 = 14.0;
const BAR: f64 = 30.0;
const GROUND: &str = "#0d1117";
const INK: &str = "#c9d1d9";

/// The picture of a screen with a title bar. Every run of cells is given its width, so that the columns hold in any font.
pub fn buffer_to_svg(buffer: &Buffer, title: &str) -> String {
    let area = buffer.area();
    let width = f64::from(area.width) * CELL_WIDTH + 2.0 * MARGIN;
    let height = f64::from(area.height) * CELL_HEIGHT + MARGIN + BAR;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" \
         font-family=\"ui-monospace,'DejaVu Sans Mono','SF Mono',Menlo,Consolas,monospace\" font-size=\"14\">\n\
         <rect width=\"{width:.1}\" height=\"{height:.1}\" rx=\"9\" fill=\"{GROUND}\"/>\n\
         <text x=\"{:.1}\" y=\"20\" fill=\"#6e7681\" text-anchor=\"middle\" font-size=\"12\">{}</text>\n",
        width / 2.0,
        escape(title)
    );
    for y in area.top()..area.bottom() {
        row(&mut svg, buffer, y);
    }
    svg.push_str("</svg>\n");
    svg
}

fn row(svg: &mut String, buffer: &Buffer, y: u16) {
    let area = buffer.area();
    let mut x = area.left();
    while x < area.right() {
        let Some(first) = buffer.cell((x, y)) else { return };
        let mut text = first.symbol().to_owned();
        let start = x;
        x += u16::try_from(text.width().max(1)).unwrap_or(1);
        while let Some(cell) = buffer.cell((x, y)).filter(|cell| x < area.right() && joins(first, cell)) {
            text.push_str(cell.symbol());
            x += 1;
        }
        run(svg, first, &text, (start - area.left(), y - area.top()), x - start);
    }
}

/// Glyphs outside of ASCII may come from another font: they form runs of their own, and wide ones stand alone.
fn joins(first: &Cell, cell: &Cell) -> bool {
    let narrow = first.symbol().width() == 1 && cell.symbol().width() == 1;
    narrow && first.symbol().is_ascii() == cell.symbol().is_ascii() && first.style() == cell.style()
}

fn run(svg: &mut String, cell: &Cell, text: &str, (column, row): (u16, u16), columns: u16) {
    let (x, y) = (MARGIN + f64::from(column) * CELL_WIDTH, BAR + f64::from(row) * CELL_HEIGHT);
    let wide = f64::from(columns) * CELL_WIDTH;
    let reversed = cell.modifier.contains(Modifier::REVERSED);
    let (ink, ground) = (hex(cell.fg, INK), hex(cell.bg, GROUND));
    let (ink, ground) = if reversed { (ground, ink) } else { (ink, ground) };
    if ground != GROUND {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{CELL_HEIGHT}\" fill=\"{ground}\"/>"
        );
    }
    if text.trim().is_empty() && !cell.modifier.contains(Modifier::UNDERLINED) {
        return;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{:.1}\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" fill=\"{ink}\"{}>{}</text>",
        y + 13.5,
        attributes(cell.modifier),
        escape(text)
    );
}

fn attributes(modifier: Modifier) -> String {
    let known = [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::ITALIC, " font-style=\"italic\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
        (Modifier::DIM, " opacity=\"0.6\""),
    ];
    known.into_iter().filter(|(flag, _)| modifier.contains(*flag)).map(|(_, text)| text).collect()
}

fn hex(colour: Color, otherwise: &str) -> String {
    let named = match colour {
        Color::Rgb(r, g, b) => return format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Black => "#0d1117",
        Color::Red => "#c0392b",
        Color::Green => "#2e9e5b",
        Color::Yellow => "#b8860b",
        Color::Blue => "#2f6fd0",
        Color::Magenta => "#9b59b6",
        Color::Cyan => "#2aa198",
        Color::Gray => "#c9d1d9",
        Color::DarkGray => "#6e7681",
        Color::LightRed => "#ff7b72",
        Color::LightGreen => "#7ee787",
        Color::LightYellow => "#e3b341",
        Color::LightBlue => "#58a6ff",
        Color::LightMagenta => "#d2a8ff",
        Color::LightCyan => "#79c0ff",
        Color::White => "#f0f6fc",
        Color::Reset | Color::Indexed(_) => otherwise,
    };
    named.to_owned()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn cells_become_text_with_their_style_and_nothing_escapes() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 1));
        buffer.set_string(0, 0, "a<b", Style::new().fg(Color::Rgb(1, 2, 3)).add_modifier(Modifier::BOLD));
        buffer.set_string(3, 0, "█", Style::new());
        let svg = buffer_to_svg(&buffer, "x & y");
        assert!(svg.contains("x &amp; y") && svg.contains("a&lt;b") && svg.contains("█"));
        assert!(svg.contains("fill=\"#010203\" font-weight=\"bold\""));
    }
}
