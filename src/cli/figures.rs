//! A spectrum's figures as JSON has them.

use serde::Serialize;

use crate::measure::Spectrum;

/// The figures that `inspect --spectrum` and `spectrum` share.
#[derive(Debug, Serialize)]
pub struct Figures {
    spectral_norm: f64,
    frobenius_norm: f64,
    stable_rank: f64,
    effective_rank: f64,
    energy_rank: EnergyRank,
    noise_edge_rank: usize,
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
        Self {
            spectral_norm: spectrum.spectral_norm,
            frobenius_norm: spectrum.frobenius_norm,
            stable_rank: spectrum.stable_rank,
            effective_rank: spectrum.effective_rank,
            energy_rank: EnergyRank { half, most, nearly_all },
            noise_edge_rank: spectrum.noise_edge_rank,
        }
    }
}

impl Figures {
    /// For a table: stable rank, effective rank, ranks of 90 and 99 % of the energy, values above the noise edge.
    pub fn cells(&self) -> [String; 5] {
        [
            format!("{:.1}", self.stable_rank),
            format!("{:.1}", self.effective_rank),
            self.energy_rank.most.to_string(),
            self.energy_rank.nearly_all.to_string(),
            self.noise_edge_rank.to_string(),
        ]
    }
}
