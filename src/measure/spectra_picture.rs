//! Spectra as SVG: singular values on a log scale over their index.

use super::{Drawing, Spectrum};
use crate::checkpoint::escaped;

/// Smallest value drawn, as a share of the largest.
const FLOOR: f64 = 1e-6;
/// Longest name in the key, in characters.
const LONGEST_NAME: usize = 200;
/// Most layers that are named.
const NAMED: usize = 12;

/// A spectrum to draw.
#[derive(Debug, Clone, Copy)]
pub struct SpectrumLine<'a> {
    /// The layer's name.
    pub name: &'a str,
    /// Its singular values.
    pub spectrum: &'a Spectrum,
    /// The rank that is kept, where some is.
    pub rank: Option<usize>,
}

/// Draws these spectra into one diagram; the dot on each line is the noise edge, the ring the rank that is kept.
pub fn spectra_svg(title: &str, lines: &[SpectrumLine<'_>]) -> String {
    let values = || lines.iter().flat_map(|line| &line.spectrum.values).map(|s| f64::from(*s));
    let high = values().filter(|s| s.is_finite()).fold(0.0, f64::max);
    let high = if high > 0.0 { high } else { 1.0 };
    let low = values().filter(|s| *s >= high * FLOOR).fold(high, f64::min);
    let last = lines.iter().map(|line| line.spectrum.values.len()).max().unwrap_or(1).max(2) - 1;
    let mut drawing = Drawing::new(title, low, high);
    for quarter in 0..=4 {
        drawing.tick(f64::from(quarter as u8) / 4.0, &(last * quarter / 4 + 1).to_string());
    }
    drawing.across("index of the singular value");
    let count = lines.len();
    for (number, line) in lines.iter().enumerate() {
        let colour = Drawing::shade(number, count);
        draw(&mut drawing, last, line, &colour);
        if let Some(place) = named(number, count) {
            drawing.key(place, &colour, &escaped(line.name, LONGEST_NAME));
        }
    }
    drawing.finish()
}

/// The place in the key of a line among so many: all of a few, else some from the first to the last.
fn named(number: usize, count: usize) -> Option<usize> {
    let of = |place: usize| if count <= NAMED { place } else { place * (count - 1) / (NAMED - 1) };
    (0..NAMED.min(count)).find(|place| of(*place) == number)
}

fn draw(drawing: &mut Drawing, last: usize, line: &SpectrumLine<'_>, colour: &str) {
    let SpectrumLine { spectrum, rank, .. } = line;
    let place = |(index, s): (usize, &f32)| (index as f64 / last as f64, f64::from(*s));
    drawing.line(spectrum.values.iter().enumerate().map(place), colour);
    let value = |rank: usize| Some(rank.checked_sub(1)?).and_then(|index| Some((index, spectrum.values.get(index)?)));
    if let Some(edge) = value(spectrum.noise_edge_rank) {
        drawing.dot(place(edge), colour, "noise edge");
    }
    if let Some((rank, kept)) = rank.and_then(|rank| Some((rank, value(rank)?))) {
        drawing.ring(place(kept), colour, &format!("rank {rank} is kept"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_of_many_are_named() {
        let names = |count: usize| (0..count).filter_map(|number| named(number, count)).collect::<Vec<_>>();
        assert_eq!(names(3), [0, 1, 2]);
        assert_eq!(names(48), (0..NAMED).collect::<Vec<_>>());
        assert_eq!((named(0, 48), named(47, 48)), (Some(0), Some(NAMED - 1)));
        let one = Spectrum::new(vec![2.0, 1.0], 2, 2);
        let svg = spectra_svg("s", &[SpectrumLine { name: "w", spectrum: &one, rank: None }; 24]);
        assert!(svg.contains("hsl(240, 75%, 42%)") && svg.contains("hsl(0, 75%, 42%)"));
    }

    #[test]
    fn every_spectrum_is_a_line_and_names_are_escaped() {
        let one = Spectrum::new(vec![10.0, 1.0, 0.1], 3, 3);
        let zero = Spectrum::new(vec![0.0; 3], 3, 3);
        let line = |name, spectrum, rank| SpectrumLine { name, spectrum, rank };
        let svg = spectra_svg("s", &[line("a<b>", &one, Some(2)), line("zero", &zero, None)]);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("rank 2 is kept").count()), (2, 1));
        assert!(svg.contains("a&lt;b&gt;") && !svg.contains("NaN") && !svg.contains("inf"));
        assert!(spectra_svg("none", &[]).ends_with("</svg>\n"));
    }
}
