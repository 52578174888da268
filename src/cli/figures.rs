//! A spectrum's figures as JSON has them.

use serde::Serialize;

use crate::measure::Spectrum;

/// The figures that `inspect --spectrum` and `spectrum` share; null where there is no decomposition, ranks also of a matrix of zeros.
#[derive(Debug, Default, Serialize)]
pub struct Figures {
    spectral_norm: Option<f64>,
    frobenius_norm: Option<f64>,
    stable_rank: Option<f64>,
    effective_rank: Option<f64>,
    energy_rank: Option<EnergyRank>,
    noise_edge_rank: Option<usize>,
    alpha: Option<f64>,
    alpha_distance: Option<f64>,
}

#[derive(Debug, Serialize)]
struct EnergyRank {
    #[serde(rename = "0.5")]
    half: usize,
    #[serde(rename = "0.9")]
    most: usize,
    #[serde(rename = "0.99")]
    nearly_all: usize,
}

impl From<&Spectrum> for Figures {
    fn from(spectrum: &Spectrum) -> Self {
        let [half, most, nearly_all] = spectrum.energy_ranks;
        let law = spectrum.power_law();
        // Shares of nothing: a matrix of zeros has no ranks.
        let some = spectrum.spectral_norm > 0.0;
        Self {
            spectral_norm: Some(spectrum.spectral_norm),
            frobenius_norm: Some(spectrum.frobenius_norm),
            stable_rank: some.then_some(spectrum.stable_rank),
            effective_rank: some.then_some(spectrum.effective_rank),
            energy_rank: some.then_some(EnergyRank { half, most, nearly_all }),
            noise_edge_rank: Some(spectrum.noise_edge_rank),
            alpha: law.map(|law| law.alpha),
            alpha_distance: law.map(|law| law.distance),
        }
    }
}

impl Figures {
    /// For a table: stable rank, effective rank, ranks of 90 and 99 % of the energy, values above the noise edge, exponent
    /// of the tail; empty where there is no figure.
    pub fn cells(&self) -> [String; 6] {
        let tenths = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.1}"));
        let whole = |value: Option<usize>| value.map_or_else(String::new, |value| value.to_string());
        let energy = self.energy_rank.as_ref();
        [
            tenths(self.stable_rank),
            tenths(self.effective_rank),
            whole(energy.map(|rank| rank.most)),
            whole(energy.map(|rank| rank.nearly_all)),
            whole(self.noise_edge_rank),
            self.alpha.map_or_else(String::new, |alpha| format!("{alpha:.2}")),
        ]
    }
}
