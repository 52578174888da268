//! Normalisation; sums in f64.

use super::architecture::NormKind;
use crate::linalg::row_by_row;

/// A norm's parameters.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    pub kind: NormKind,
    /// How many numbers are normalised together; divides the length of `weight`.
    pub width: usize,
    /// One or several groups' weights, used by turns.
    pub weight: Vec<f32>,
    /// Empty: none.
    pub bias: Vec<f32>,
    pub epsilon: f32,
}

impl Norm {
    /// Normalises each row of `x` [t, width].
    pub(super) fn apply_in_place(&self, x: &mut [f32]) {
        let width = self.weight.len().max(1);
        row_by_row(x, width, |_, x| x.chunks_exact_mut(width).for_each(|rows| self.apply_to_row(rows)));
    }

    fn apply_to_row(&self, rows: &mut [f32]) {
        for (at, row) in rows.chunks_exact_mut(self.width.max(1)).enumerate() {
            match self.kind {
                NormKind::Layer | NormKind::LayerPlain => layer(row, self.epsilon),
                NormKind::Rms | NormKind::RmsOffset => rms(row, self.epsilon),
            }
            let weight = self.weight.get(at * self.width..).unwrap_or_default();
            row.iter_mut().zip(weight).for_each(|(x, w)| *x *= w);
            let bias = self.bias.get(at * self.width..).unwrap_or_default();
            row.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
        }
    }
}

fn layer(row: &mut [f32], epsilon: f32) {
    let count = row.len() as f64;
    let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
    let scale = (variance + f64::from(epsilon)).sqrt().recip() as f32;
    let mean = mean as f32;
    row.iter_mut().for_each(|x| *x = (*x - mean) * scale);
}

fn rms(row: &mut [f32], epsilon: f32) {
    let square = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / row.len() as f64;
    let scale = (square + f64::from(epsilon)).sqrt().recip() as f32;
    row.iter_mut().for_each(|x| *x *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_groups_take_their_weights_by_turns() {
        let norm =
            Norm { kind: NormKind::Rms, width: 2, weight: vec![1.0, 1.0, 10.0, 10.0], bias: Vec::new(), epsilon: 0.0 };
        let mut x = [3.0, 3.0, 2.0, -2.0, 0.5, 0.5, 7.0, 7.0];
        norm.apply_in_place(&mut x);
        let wanted = [1.0, 1.0, 10.0, -10.0, 1.0, 1.0, 10.0, 10.0];
        assert!(x.iter().zip(wanted).all(|(x, y): (&f32, f32)| (x - y).abs() < 1e-5), "{x:?}");
    }
}
