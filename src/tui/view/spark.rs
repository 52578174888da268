//! Small bars of eighths.

use crate::measure::Spectrum;

const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// A bar of so many eighths, 0 to 8.
pub fn bar(eighths: usize) -> &'static str {
    BARS.get(eighths.min(8)).copied().unwrap_or(" ")
}

/// The spectrum in `width` bars: `s_i / s_1`; never quite as high as a line, so that lines do not run together.
pub fn spectrum(spectrum: &Spectrum, width: usize) -> String {
    let values = &spectrum.values;
    let first = f64::from(values.first().copied().unwrap_or_default());
    let level = |column: usize| {
        let index = column * values.len().saturating_sub(1) / width.saturating_sub(1).max(1);
        let share = f64::from(values.get(index).copied().unwrap_or_default()) / first;
        if share.is_finite() { (1.0 + 6.0 * share.clamp(0.0, 1.0)).round() as usize } else { 0 }
    };
    (0..width).map(|column| bar(level(column))).collect()
}

/// How high a token's KLD stands, 0 to 1: a log scale from 0.001 to 3 nats.
pub fn kld_height(kld: f64) -> f64 {
    if kld.is_nan() { 1.0 } else { ((kld.max(1e-9).log10() + 3.0) / 3.5).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_spectrum_falls() {
        let known = Spectrum::new(vec![10.0, 5.0, 1.0, 0.01], 4, 4);
        assert_eq!(spectrum(&known, 4), "▇▄▂▁");
    }

    #[test]
    fn heights_grow_with_the_divergence() {
        assert!(kld_height(0.0) < f64::EPSILON && kld_height(0.1) < kld_height(1.0));
        assert!((kld_height(f64::NAN) - 1.0).abs() < f64::EPSILON);
    }
}
