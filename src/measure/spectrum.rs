//! Figures of a singular-value spectrum (INTERFACE, "Figures, defined"). STUB (room `measure`).

/// What the singular values of an m x n matrix say.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Singular values, descending.
    pub values: Vec<f32>,
    /// s_1.
    pub spectral_norm: f64,
    /// sqrt(sum s^2).
    pub frobenius_norm: f64,
    /// sum s^2 / s_1^2; 0 for a zero matrix.
    pub stable_rank: f64,
    /// exp(-sum p ln p), p = s^2 / sum s^2; 0 for a zero matrix.
    pub effective_rank: f64,
    /// Least ranks that keep 50, 90 and 99 % of sum s^2.
    pub energy_ranks: [usize; 3],
    /// (sqrt m + sqrt n) ||W||_F / sqrt(mn): the largest singular value of a random matrix of this size and norm.
    pub noise_edge: f64,
    /// How many values lie above the noise edge.
    pub noise_edge_rank: usize,
}

impl Spectrum {
    /// The figures of a matrix [rows, cols] with these singular values.
    pub fn new(_values: Vec<f32>, _rows: usize, _cols: usize) -> Self { todo!() }
    /// sqrt of the share of sum s^2 beyond `rank`: the predicted weight error of truncation.
    pub fn error_at(&self, _rank: usize) -> f64 { todo!() }
    /// Share of sum s^2 within `rank`.
    pub fn energy_at(&self, _rank: usize) -> f64 { todo!() }
}

/// Least rank that keeps `share` of the sum of squares of `values` (descending); at least 1.
pub fn energy_rank(_values: &[f32], _share: f64) -> usize { todo!() }
