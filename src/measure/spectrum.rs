//! Figures of a singular-value spectrum (docs/measuring.md, "Figures").

/// Shares of the energy whose ranks [`Spectrum::energy_ranks`] holds.
pub const ENERGY_SHARES: [f64; 3] = [0.5, 0.9, 0.99];

/// What the singular values of an m x n matrix say.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Singular values, descending.
    pub values: Vec<f32>,
    /// `s_1`.
    pub spectral_norm: f64,
    /// sqrt(sum s^2).
    pub frobenius_norm: f64,
    /// sum s^2 / `s_1`^2; 0 for a zero matrix.
    pub stable_rank: f64,
    /// exp(-sum p ln p), p = s^2 / sum s^2; 0 for a zero matrix.
    pub effective_rank: f64,
    /// Least ranks that keep 50, 90 and 99 % of sum s^2.
    pub energy_ranks: [usize; 3],
    /// (sqrt m + sqrt n) ||`W||_F` / sqrt(mn): the largest singular value of a random matrix of this size and norm.
    pub noise_edge: f64,
    /// How many values lie above the noise edge.
    pub noise_edge_rank: usize,
}

impl Spectrum {
    /// The figures of a matrix [rows, cols] with these singular values (descending).
    pub fn new(values: Vec<f32>, rows: usize, cols: usize) -> Self {
        let energy = energy(&values);
        let spectral_norm = values.first().map_or(0.0, |s| f64::from(*s));
        let frobenius_norm = energy.sqrt();
        let (m, n) = (rows.max(1) as f64, cols.max(1) as f64);
        let noise_edge = (m.sqrt() + n.sqrt()) * frobenius_norm / (m * n).sqrt();
        Self {
            spectral_norm,
            frobenius_norm,
            stable_rank: if spectral_norm > 0.0 { energy / spectral_norm.powi(2) } else { 0.0 },
            effective_rank: if energy > 0.0 { entropy(&values, energy).exp() } else { 0.0 },
            energy_ranks: ENERGY_SHARES.map(|share| energy_rank(&values, share)),
            noise_edge,
            noise_edge_rank: values.iter().take_while(|s| f64::from(**s) > noise_edge).count(),
            values,
        }
    }

    /// sqrt of the share of sum s^2 beyond `rank`: the predicted weight error of truncation. 0 for a zero matrix.
    pub fn error_at(&self, rank: usize) -> f64 {
        let total = energy(&self.values);
        let tail = energy(self.values.get(rank..).unwrap_or_default());
        if total > 0.0 { (tail / total).sqrt() } else { 0.0 }
    }

    /// Share of sum s^2 within `rank`; 1 for a zero matrix, of which nothing is lost.
    pub fn energy_at(&self, rank: usize) -> f64 {
        let total = energy(&self.values);
        let head = energy(self.values.get(..rank).unwrap_or(&self.values));
        if total > 0.0 { head / total } else { 1.0 }
    }
}

/// Least rank that keeps `share` of the sum of squares of `values` (descending); at least 1.
pub fn energy_rank(values: &[f32], share: f64) -> usize {
    let wanted = share * energy(values);
    let mut kept = 0.0;
    for (index, s) in values.iter().enumerate() {
        kept += f64::from(*s).powi(2);
        if kept >= wanted {
            return index + 1;
        }
    }
    values.len().max(1)
}

/// Sum of squares, in the order of the values, so that partial sums end in exactly the whole one.
fn energy(values: &[f32]) -> f64 {
    values.iter().map(|s| f64::from(*s).powi(2)).sum()
}

/// -sum p ln p of p = s^2 / `energy`.
fn entropy(values: &[f32], energy: f64) -> f64 {
    let shares = values.iter().map(|s| f64::from(*s).powi(2) / energy);
    -shares.filter(|p| *p > 0.0).map(|p| p * p.ln()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_values_have_full_stable_and_effective_rank() {
        let spectrum = Spectrum::new(vec![2.0; 8], 8, 8);
        assert!((spectrum.stable_rank - 8.0).abs() < 1e-12);
        assert!((spectrum.effective_rank - 8.0).abs() < 1e-12);
        assert_eq!(spectrum.energy_ranks, [4, 8, 8]);
        assert!((spectrum.error_at(2) - 0.75_f64.sqrt()).abs() < 1e-12);
        assert!((spectrum.energy_at(2) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn one_direction_lies_above_the_noise_edge() {
        let spectrum = Spectrum::new(vec![10.0, 1.0, 0.0, 0.0], 4, 9);
        let edge = (2.0 + 3.0) * 101.0_f64.sqrt() / 6.0;
        assert!((spectrum.noise_edge - edge).abs() < 1e-12);
        assert_eq!(spectrum.noise_edge_rank, 1);
        assert!((spectrum.stable_rank - 1.01).abs() < 1e-12);
    }

    #[test]
    fn a_zero_matrix_and_no_values_give_zeros() {
        for values in [vec![0.0; 3], Vec::new()] {
            let spectrum = Spectrum::new(values, 3, 5);
            assert_eq!((spectrum.stable_rank, spectrum.effective_rank, spectrum.noise_edge_rank), (0.0, 0.0, 0));
            assert_eq!((spectrum.error_at(0), spectrum.energy_at(0), spectrum.energy_ranks), (0.0, 1.0, [1, 1, 1]));
        }
    }

    proptest! {
        #[test]
        fn the_energy_rank_is_the_least(mut values in proptest::collection::vec(0.001_f32..100.0, 1..40), share in 0.0..1.0_f64) {
            values.sort_by(|a, b| b.total_cmp(a));
            let rank = energy_rank(&values, share);
            let spectrum = Spectrum::new(values, 40, 40);
            prop_assert!(spectrum.energy_at(rank) >= share - 1e-12);
            prop_assert!(rank == 1 || spectrum.energy_at(rank - 1) < share + 1e-12);
            prop_assert!((spectrum.error_at(rank).powi(2) + spectrum.energy_at(rank) - 1.0).abs() < 1e-9);
            prop_assert!(spectrum.stable_rank <= spectrum.effective_rank + 1e-9, "stable rank is the smaller one");
        }
    }
}
