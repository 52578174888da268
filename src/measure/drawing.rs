//! Diagrams as SVG, with a logarithmic axis upwards.

use std::fmt::Write as _;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;
/// Room for labels: left, right, top, bottom.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
/// Colours that stay apart for most eyes (Okabe and Ito).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];

/// A diagram under way: places across are shares of the width from 0 to 1, places upwards are values on the axis.
#[derive(Debug)]
pub struct Drawing {
    svg: String,
    /// Decades at the bottom and at the top.
    low: f64,
    high: f64,
}

impl Drawing {
    /// An empty diagram whose axis holds the values from `least` to `most`, both above 0, in whole decades.
    pub fn new(title: &str, least: f64, most: f64) -> Self {
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <title>{}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n",
            xml(title)
        );
        let mut drawing = Self { svg, low: least.log10().floor(), high: most.log10().floor() + 1.0 };
        for decade in drawing.low as i32..=drawing.high as i32 {
            drawing.decade(decade);
        }
        drawing
    }

    fn decade(&mut self, decade: i32) {
        let (right, y) = (WIDTH - RIGHT, self.y(10_f64.powi(decade)));
        let _ = writeln!(self.svg, "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>");
        self.write((LEFT - 6.0, y + 4.0), "end", "black", &format!("1e{decade}"));
    }

    fn x(share: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * share
    }

    /// Values below the axis lie at its foot.
    fn y(&self, value: f64) -> f64 {
        let log = value.max(10_f64.powf(self.low)).log10();
        TOP + (HEIGHT - TOP - BOTTOM) * (self.high - log) / (self.high - self.low)
    }

    /// The colour of the line of this number.
    pub fn colour(number: usize) -> &'static str {
        COLOURS.get(number % COLOURS.len()).copied().unwrap_or("black")
    }

    /// The colour of the line of this number among so many: where they are too many to tell apart, neighbours look alike, from
    /// blue for the first to red for the last.
    pub fn shade(number: usize, count: usize) -> String {
        if count <= COLOURS.len() {
            return Self::colour(number).to_owned();
        }
        let hue = 240.0 * (1.0 - number as f64 / (count - 1) as f64);
        format!("hsl({hue:.0}, 75%, 42%)")
    }

    fn write(&mut self, (x, y): (f64, f64), anchor: &str, colour: &str, text: &str) {
        let text = xml(text);
        let _ = writeln!(
            self.svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{colour}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// A label under the axis across.
    pub fn tick(&mut self, share: f64, text: &str) {
        self.write((Self::x(share), HEIGHT - BOTTOM + 18.0), "middle", "black", text);
    }

    /// What the axis across shows.
    pub fn across(&mut self, text: &str) {
        self.write((WIDTH / 2.0, HEIGHT - 10.0), "middle", "black", text);
    }

    /// A line of the key at the upper right.
    pub fn key(&mut self, number: usize, colour: &str, text: &str) {
        self.write((WIDTH - RIGHT - 6.0, TOP + 16.0 * (number + 1) as f64), "end", colour, text);
    }

    /// A line through points.
    pub fn line(&mut self, points: impl IntoIterator<Item = (f64, f64)>, colour: &str) {
        let place = |(share, value)| format!("{:.1},{:.1}", Self::x(share), self.y(value));
        let points: Vec<String> = points.into_iter().map(place).collect();
        let points = points.join(" ");
        let _ = writeln!(
            self.svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{points}\"/>"
        );
    }

    /// A dot with a title that shows under the mouse.
    pub fn dot(&mut self, (share, value): (f64, f64), colour: &str, title: &str) {
        let (x, y, title) = (Self::x(share), self.y(value), xml(title));
        let _ = writeln!(
            self.svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"><title>{title}</title></circle>"
        );
    }

    /// A ring with a title, for a place that was chosen.
    pub fn ring(&mut self, (share, value): (f64, f64), colour: &str, title: &str) {
        let (x, y, title) = (Self::x(share), self.y(value), xml(title));
        let _ = writeln!(
            self.svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"white\" stroke=\"{colour}\" stroke-width=\"2\"><title>{title}</title></circle>"
        );
    }

    /// A text beside a point: to its right, or to its left near the right edge.
    pub fn beside(&mut self, (share, value): (f64, f64), colour: &str, text: &str) {
        let (x, y) = (Self::x(share), self.y(value) - 6.0);
        let (x, anchor) = if share > 0.85 { (x - 6.0, "end") } else { (x + 6.0, "start") };
        self.write((x, y), anchor, colour, text);
    }

    /// The document.
    pub fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

/// A text as XML has it; characters that XML cannot have are replaced.
pub(super) fn xml(text: &str) -> String {
    let is_none =
        |c: char| (c.is_control() && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    let sound: String = text.chars().map(|c| if is_none(c) { char::REPLACEMENT_CHARACTER } else { c }).collect();
    sound.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_below_the_axis_lie_at_its_foot_and_texts_are_escaped() {
        let mut drawing = Drawing::new("a & b", 1e-3, 0.5);
        assert_eq!((drawing.y(0.0), drawing.y(1e-3), drawing.y(1.0)), (HEIGHT - BOTTOM, HEIGHT - BOTTOM, TOP));
        drawing.dot((0.5, 0.0), "black", "<x>");
        drawing.beside((0.9, 0.01), "black", "near the edge");
        let svg = drawing.finish();
        assert!(
            svg.contains("a &amp; b") && svg.contains("&lt;x&gt;") && !svg.contains("NaN") && svg.contains("\"end\"")
        );
        assert_eq!(svg.matches("<line").count(), 4);
        assert_eq!(xml("\u{1b}[2J\u{ffff}\n"), "\u{fffd}[2J\u{fffd}\n");
    }
}
