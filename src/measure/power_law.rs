//! The power law of a spectrum's tail.

use super::Spectrum;

/// The eigenvalues s^2 from some value on as a power law p(x) ~ x^-alpha.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    /// The exponent; about 2 to 4 in layers that are trained well, larger ones are closer to random (Martin and Mahoney 2021).
    pub alpha: f64,
    /// Largest difference between the tail's distribution and the law's (Kolmogorov and Smirnov), 0 to 1.
    pub distance: f64,
}

impl Spectrum {
    /// The law that fits the tail of the eigenvalues s^2 best: the exponent of greatest likelihood from every value on, of
    /// which the one of least Kolmogorov-Smirnov distance is taken (Clauset, Shalizi and Newman 2009, continuous). `None` where
    /// fewer than two values above zero differ.
    pub fn power_law(&self) -> Option<PowerLaw> {
        let mut logs: Vec<f64> = self.values.iter().filter(|s| **s > 0.0).map(|s| 2.0 * f64::from(*s).ln()).collect();
        logs.sort_by(f64::total_cmp);
        let starts = (0..logs.len()).filter(|start| *start == 0 || logs.get(start - 1) != logs.get(*start));
        starts.fold(None, |best: Option<PowerLaw>, start| {
            let below = best.map_or(f64::INFINITY, |best| best.distance);
            logs.get(start..).and_then(|tail| fit(tail, below)).or(best)
        })
    }
}

/// Of so many values one is looked at first: most tails are too far from their law already there.
const SAMPLED: usize = 32;

/// The law of these logarithms (ascending), from the first on, where its distance is below `below`.
fn fit(logs: &[f64], below: f64) -> Option<PowerLaw> {
    let (first, n) = (*logs.first()?, logs.len() as f64);
    let sum: f64 = logs.iter().map(|log| log - first).sum();
    if sum <= 0.0 {
        return None;
    }
    let slope = n / sum;
    let apart = |(index, log): (usize, &f64)| {
        let law = 1.0 - (-slope * (log - first)).exp();
        (law - index as f64 / n).abs()
    };
    let near = logs.iter().enumerate().skip(SAMPLED / 2).step_by(SAMPLED).all(|at| apart(at) < below);
    let distance = near.then(|| logs.iter().enumerate().map(apart).fold(0.0, f64::max))?;
    (distance < below).then_some(PowerLaw { alpha: 1.0 + slope, distance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_are_those_of_the_reference() {
        for (values, alpha, distance) in CASES {
            let law = Spectrum::new(values.to_vec(), values.len(), values.len()).power_law().unwrap();
            assert!((law.alpha / alpha - 1.0).abs() < 1e-6, "{} {alpha}", law.alpha);
            assert!((law.distance - distance).abs() < 1e-6, "{} {distance}", law.distance);
        }
    }

    #[test]
    fn a_power_law_is_found_again() {
        // Quantiles of p(x) ~ x^-3 above 1; values are the roots of eigenvalues.
        let mut values: Vec<f32> = (0..400).map(|i| (1.0 - (f64::from(i) + 0.5) / 400.0).powf(-0.25) as f32).collect();
        values.reverse();
        let law = Spectrum::new(values, 400, 400).power_law().unwrap();
        assert!((law.alpha - 3.0).abs() < 0.1 && law.distance < 0.01, "{law:?}");
    }

    #[test]
    fn tails_that_are_passed_over_are_none_that_fits_best() {
        for seed in 1..20_u32 {
            let value = |i: u32| 1.0 + (i.wrapping_mul(2_654_435_761).wrapping_mul(seed) >> 16) as f32 / 4096.0;
            let spectrum = Spectrum::new((0..300).map(value).collect(), 300, 300);
            let mut logs: Vec<f64> = spectrum.values.iter().map(|s| 2.0 * f64::from(*s).ln()).collect();
            logs.sort_by(f64::total_cmp);
            let all = (0..300).filter_map(|start| fit(&logs[start..], f64::INFINITY));
            assert_eq!(spectrum.power_law(), all.min_by(|a, b| a.distance.total_cmp(&b.distance)));
        }
    }

    #[test]
    fn where_nothing_differs_there_is_none() {
        for values in [vec![], vec![0.0; 3], vec![2.0; 5], vec![1.0, 0.0]] {
            assert_eq!(Spectrum::new(values, 5, 5).power_law(), None);
        }
    }

    /// Values, and what `plfit` of Clauset et al. says of their squares, worked out with Python.
    const CASES: [(&[f32], f64, f64); 2] = [
        (
            &[9.5, 6.0, 4.5, 3.75, 3.0, 2.5, 2.25, 2.0, 1.875, 1.75, 1.625, 1.5, 0.5, 0.25, 0.0],
            1.789_319_871_1,
            0.097_938_954_8,
        ),
        (&[12.0, 3.0, 3.0, 2.0, 1.5, 1.25, 1.25, 1.0, 0.75, 0.5], 1.642_360_740_6, 0.131_200_913_0),
    ];
}
