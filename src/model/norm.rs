//! Normalisation of the residual stream; sums in f64.

use super::family::NormKind;

/// A norm's parameters.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    pub kind: NormKind,
    pub weight: Vec<f32>,
    /// Empty for RMS norms.
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl Norm {
    /// Normalises each row of `x` [t, width] into `out` [t, width].
    pub(super) fn apply(&self, x: &[f32], out: &mut [f32]) {
        let width = self.weight.len().max(1);
        for (row, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            match self.kind {
                NormKind::Layer => self.layer(row, out),
                NormKind::Rms => self.rms(row, out),
            }
        }
    }

    fn layer(&self, row: &[f32], out: &mut [f32]) {
        let count = row.len() as f64;
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
        let scale = (variance + f64::from(self.epsilon)).sqrt().recip() as f32;
        let mean = mean as f32;
        for (((out, x), w), b) in out.iter_mut().zip(row).zip(&self.weight).zip(&self.bias) {
            *out = (x - mean) * scale * w + b;
        }
    }

    fn rms(&self, row: &[f32], out: &mut [f32]) {
        let square = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / row.len() as f64;
        let scale = (square + f64::from(self.epsilon)).sqrt().recip() as f32;
        for ((out, x), w) in out.iter_mut().zip(row).zip(&self.weight) {
            *out = x * scale * w;
        }
    }
}
