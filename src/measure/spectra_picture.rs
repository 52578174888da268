//! Spectra as SVG: singular values on a log scale over their index.

use super::{Drawing, Spectrum};
use crate::checkpoint::escaped;

/// Smallest value drawn, as a share of the largest.
const FLOOR: f64 = 1e-6;
/// Longest name in the key, in characters.
const LONGEST_NAME: usize = 200;
/// Most layers that are named.
const NAMED: usize = 12;

/// Draws these spectra into one diagram; the dot on each line is the noise edge.
pub fn spectra_svg(spectra: &[(&str, &Spectrum)]) -> String {
    let values = || spectra.iter().flat_map(|(_, spectrum)| &spectrum.values).map(|s| f64::from(*s));
    let high = values().filter(|s| s.is_finite()).fold(0.0, f64::max);
    let high = if high > 0.0 { high } else { 1.0 };
    let low = values().filter(|s| *s >= high * FLOOR).fold(high, f64::min);
    let last = spectra.iter().map(|(_, spectrum)| spectrum.values.len()).max().unwrap_or(1).max(2) - 1;
    let mut drawing = Drawing::new("Singular values", low, high);
    for quarter in 0..=4 {
        drawing.tick(f64::from(quarter as u8) / 4.0, &(last * quarter / 4 + 1).to_string());
    }
    drawing.across("index of the singular value");
    let count = spectra.len();
    for (number, (name, spectrum)) in spectra.iter().enumerate() {
        let colour = Drawing::shade(number, count);
        line(&mut drawing, last, spectrum, &colour);
        if let Some(place) = named(number, count) {
            drawing.key(place, &colour, &escaped(name, LONGEST_NAME));
        }
    }
    drawing.finish()
}

/// The place in the key of a line among so many: all of a few, else some from the first to the last.
fn named(number: usize, count: usize) -> Option<usize> {
    let of = |place: usize| if count <= NAMED { place } else { place * (count - 1) / (NAMED - 1) };
    (0..NAMED.min(count)).find(|place| of(*place) == number)
}

fn line(drawing: &mut Drawing, last: usize, spectrum: &Spectrum, colour: &str) {
    let place = |(index, s): (usize, &f32)| (index as f64 / last as f64, f64::from(*s));
    drawing.line(spectrum.values.iter().enumerate().map(place), colour);
    let edge = spectrum.noise_edge_rank.checked_sub(1);
    if let Some((index, value)) = edge.and_then(|index| Some((index, spectrum.values.get(index)?))) {
        drawing.dot(place((index, value)), colour, "noise edge");
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
        let svg = spectra_svg(&[("w", &one); 24]);
        assert!(svg.contains("hsl(240, 75%, 42%)") && svg.contains("hsl(0, 75%, 42%)"));
    }

    #[test]
    fn every_spectrum_is_a_line_and_names_are_escaped() {
        let one = Spectrum::new(vec![10.0, 1.0, 0.1], 3, 3);
        let zero = Spectrum::new(vec![0.0; 3], 3, 3);
        let svg = spectra_svg(&[("a<b>", &one), ("zero", &zero)]);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a&lt;b&gt;") && !svg.contains("NaN") && !svg.contains("inf"));
        assert!(spectra_svg(&[]).ends_with("</svg>\n"));
    }
}
