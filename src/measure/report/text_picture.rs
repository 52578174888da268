//! Two texts side by side as SVG, with the KLD of each token below.

use std::fmt::Write as _;

use super::Writing;
use super::wrap::{Run, wrap};
use crate::measure::drawing::xml;
use crate::measure::readable::figure;

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 20.0;
const LINE: f64 = 18.0;
/// Width of a character of the font of the texts.
const ADVANCE: f64 = 7.8;
/// Columns of a text, and of the prompt over both.
const COLUMNS: usize = 57;
const WIDE: usize = 116;
/// Lines of the prompt that are shown: its last ones.
const PROMPT_LINES: usize = 4;
/// Left edge of the second text.
const SECOND: f64 = 500.0;
/// Height of the strip, and the decades that it shows at least.
const STRIP: f64 = 70.0;
const LEAST: f64 = 1e-4;
const SAME: &str = "#1f2328";
const PARTED: [&str; 2] = ["#0057a3", "#b03a00"];
const OTHER: &str = "#d55e00";
/// Grounds of tokens by their KLD: from 0.01, 0.1 and 1 on.
const HEAT: [(f64, &str); 3] = [(1.0, "#f5a97f"), (0.1, "#fbd3b9"), (0.01, "#fdeee4")];

/// How a token is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Style {
    ink: &'static str,
    ground: Option<&'static str>,
    looping: bool,
}

/// Draws the prompt, both texts and the strip.
pub(super) fn text_svg(writing: &Writing) -> String {
    let prompt = wrap(&[(writing.prompt.as_str(), ())], WIDE);
    let hidden = prompt.len().saturating_sub(PROMPT_LINES);
    let texts = [side(writing, 0), side(writing, 1)].map(|pieces| wrap(&pieces, COLUMNS));
    let rows = texts.iter().map(Vec::len).max().unwrap_or_default();
    let mut svg = String::new();
    let mut y = MARGIN + 12.0;
    label(&mut svg, (MARGIN, y), "both models go on after");
    for (index, line) in prompt.iter().skip(hidden).enumerate() {
        y += LINE;
        let begun = if index == 0 && hidden > 0 { "…" } else { "" };
        let text: String = line.iter().map(|run| run.0.as_str()).collect();
        run(&mut svg, (MARGIN, y), &format!("{begun}{text}"), &Style { ink: "#57606a", ground: None, looping: false });
    }
    y += 1.6 * LINE;
    for (x, name, of) in [(MARGIN, "original", 0), (SECOND, "compressed", 1)] {
        label(&mut svg, (x, y), &format!("{name}{}", looping(writing, of)));
    }
    for (x, lines) in [MARGIN, SECOND].into_iter().zip(&texts) {
        for (row, line) in lines.iter().enumerate() {
            draw_line(&mut svg, (x, y + LINE * (row + 1) as f64), line);
        }
    }
    y += LINE * (rows as f64 + 1.6);
    let height = strip(&mut svg, y, writing) + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<title>Both texts side by side</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height:.0}\" fill=\"white\"/>\n{svg}</svg>\n"
    )
}

/// The tokens of one side with their styles: those from the first difference on in its own colour, the original's on a ground
/// by their KLD.
fn side(writing: &Writing, side: usize) -> Vec<(&str, Style)> {
    let pieces = if side == 0 { &writing.original } else { &writing.compressed };
    let [own, parts] = [writing.loops.get(side).copied().flatten().map(|found| found.start), writing.divergence];
    let style = |index: usize| {
        let parted = parts.is_some_and(|at| index >= at);
        let ink = if parted { PARTED.get(side).copied().unwrap_or(SAME) } else { SAME };
        let kld = writing.stats.get(index).filter(|_| side == 0).map_or(0.0, |stats| stats.kld);
        let ground = HEAT.iter().find(|(from, _)| kld >= *from).map(|heat| heat.1);
        Style { ink, ground, looping: own.is_some_and(|start| index >= start) }
    };
    pieces.iter().enumerate().map(|(index, piece)| (piece.as_str(), style(index))).collect()
}

fn looping(writing: &Writing, side: usize) -> String {
    let found = writing.loops.get(side).copied().flatten();
    found.map_or_else(String::new, |found| {
        format!(" – loops: the same {} tokens {} times (underlined)", found.period, found.repeats)
    })
}

fn label(svg: &mut String, (x, y): (f64, f64), text: &str) {
    let text = xml(text);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"bold\" fill=\"#57606a\">{text}</text>");
}

fn draw_line(svg: &mut String, (x, y): (f64, f64), line: &[Run<Style>]) {
    let mut x = x;
    for (text, style) in line {
        x += run(svg, (x, y), text, style);
    }
}

/// Writes text of one style; its width. Each run is given its width, so that columns hold in any font.
fn run(svg: &mut String, (x, y): (f64, f64), text: &str, style: &Style) -> f64 {
    let wide = ADVANCE * unicode_width::UnicodeWidthStr::width(text) as f64;
    if let Some(ground) = style.ground {
        let (top, tall) = (y - 13.0, LINE - 1.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{tall}\" fill=\"{ground}\"/>"
        );
    }
    if !text.trim().is_empty() {
        let line = if style.looping { " text-decoration=\"underline\"" } else { "" };
        let (ink, text) = (style.ink, xml(text));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" \
             font-size=\"13\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" \
             fill=\"{ink}\"{line}>{text}</text>"
        );
    }
    wide
}

/// Draws the strip from `top` on; where it ends.
fn strip(svg: &mut String, top: f64, writing: &Writing) -> f64 {
    let stats = &writing.stats;
    if stats.is_empty() {
        return top;
    }
    let most = stats.iter().map(|stats| stats.kld).filter(|kld| kld.is_finite()).fold(1.0, f64::max);
    let height = |kld: f64| STRIP * ((kld.max(LEAST) / LEAST).log10() / (most / LEAST).log10()).clamp(0.0, 1.0);
    label(svg, (MARGIN, top), "KLD of each token of the original's text, in nats, on a logarithmic scale");
    let (foot, left) = (top + 12.0 + STRIP, MARGIN + 46.0);
    for (value, name) in [(LEAST, "0.0001".to_owned()), (1e-2, "0.01".to_owned()), (1.0, "1".to_owned())] {
        let y = foot - height(value);
        let (x, right) = (left - 6.0, WIDTH - MARGIN);
        let _ = writeln!(svg, "<line x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>");
        let _ =
            writeln!(svg, "<text x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#57606a\">{name}</text>", y + 4.0);
    }
    let each = (WIDTH - MARGIN - left) / stats.len() as f64;
    for (index, stats) in stats.iter().enumerate() {
        let (x, tall) = (left + each * index as f64, if stats.kld.is_finite() { height(stats.kld) } else { STRIP });
        let colour = if stats.top1 { PARTED[0] } else { OTHER };
        let title = format!("token {}: KLD {}", index + 1, figure(stats.kld));
        let (y, wide) = (foot - tall, (each - 1.0).max(0.5));
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\" fill=\"{colour}\"><title>{title}</title></rect>"
        );
    }
    let note = "orange: the compressed model would have chosen another token there; from the first token to the last";
    let y = foot + 16.0;
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{y:.1}\" fill=\"#57606a\">{}</text>", xml(note));
    y
}
