//! Spectra as an SVG drawing: singular values on a log scale over their index.

use std::fmt::Write as _;

use super::output;
use crate::measure::Spectrum;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 540.0;
/// Room for labels: left, right, top, bottom.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
/// Smallest value drawn, as a share of the largest.
const FLOOR: f64 = 1e-6;
/// Layers that are named beside their line.
const NAMED: usize = 12;
/// Colours that stay apart for most eyes (Okabe and Ito).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];

/// Draws these spectra into one diagram; the dot on each line is the noise edge.
pub fn spectra(spectra: &[(&str, Spectrum)]) -> String {
    let axes = Axes::of(spectra);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Singular values</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    axes.draw(&mut svg);
    for (index, (name, spectrum)) in spectra.iter().enumerate() {
        let colour = COLOURS.get(index % COLOURS.len()).copied().unwrap_or("black");
        line(&mut svg, &axes, spectrum, colour);
        if index < NAMED {
            let y = TOP + 16.0 * (index + 1) as f64;
            let name = xml(&output::name(name));
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{y}\" fill=\"{colour}\" text-anchor=\"end\">{name}</text>",
                WIDTH - RIGHT - 6.0
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where values lie on the drawing.
struct Axes {
    longest: usize,
    low: f64,
    high: f64,
}

impl Axes {
    fn of(spectra: &[(&str, Spectrum)]) -> Self {
        let values = || spectra.iter().flat_map(|(_, spectrum)| &spectrum.values).map(|s| f64::from(*s));
        let high = values().filter(|s| s.is_finite()).fold(0.0, f64::max);
        let high = if high > 0.0 { high } else { 1.0 };
        let low = values().filter(|s| *s >= high * FLOOR).fold(high, f64::min);
        let longest = spectra.iter().map(|(_, spectrum)| spectrum.values.len()).max().unwrap_or(1);
        Self { longest: longest.max(2), low: low.log10().floor(), high: high.log10().floor() + 1.0 }
    }

    fn x(&self, index: usize) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * index as f64 / (self.longest - 1) as f64
    }

    fn y(&self, value: f64) -> f64 {
        let log = value.max(10_f64.powf(self.low)).log10();
        TOP + (HEIGHT - TOP - BOTTOM) * (self.high - log) / (self.high - self.low)
    }

    fn draw(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for decade in self.low as i32..=self.high as i32 {
            let y = self.y(10_f64.powi(decade));
            let _ = writeln!(svg, "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>");
            let _ =
                writeln!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">1e{decade}</text>", LEFT - 6.0, y + 4.0);
        }
        for quarter in 0..=4 {
            let index = (self.longest - 1) * quarter / 4;
            let x = self.x(index);
            let _ =
                writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", bottom + 18.0, index + 1);
        }
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">index of the singular value</text>",
            WIDTH / 2.0,
            HEIGHT - 10.0
        );
    }
}

fn line(svg: &mut String, axes: &Axes, spectrum: &Spectrum, colour: &str) {
    let points = spectrum.values.iter().enumerate();
    let points: Vec<String> =
        points.map(|(index, s)| format!("{:.1},{:.1}", axes.x(index), axes.y(f64::from(*s)))).collect();
    let _ = writeln!(
        svg,
        "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>",
        points.join(" ")
    );
    if let Some(value) = spectrum.noise_edge_rank.checked_sub(1).and_then(|index| spectrum.values.get(index)) {
        let (x, y) = (axes.x(spectrum.noise_edge_rank - 1), axes.y(f64::from(*value)));
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"><title>noise edge</title></circle>"
        );
    }
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spectrum_is_a_line_and_names_are_escaped() {
        let one = Spectrum::new(vec![10.0, 1.0, 0.1], 3, 3);
        let zero = Spectrum::new(vec![0.0; 3], 3, 3);
        let svg = spectra(&[("a<b>", one), ("zero", zero)]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a&lt;b&gt;") && !svg.contains("NaN") && !svg.contains("inf"));
        assert!(spectra(&[]).ends_with("</svg>\n"));
    }
}
