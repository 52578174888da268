//! What an error of a weight costs in the layer's output: second moments of its inputs as a quadratic form, in f64.

use faer::{Mat, MatRef};

use super::gram::add_product;
use super::{InputStatistics, Moments, NumericError};
use crate::control::Control;

/// What is added to the diagonal of G, as a share of its mean: G may be singular (fewer tokens than inputs), and what was
/// not seen shall not count for nothing.
pub const DAMPING: f64 = 0.01;
/// Columns of G that are widened at a time.
const PANEL: usize = 256;

/// G + d I for the moments G of a layer's inputs; d I alone without.
#[derive(Debug, Clone, Copy)]
pub struct Metric<'a> {
    width: usize,
    moments: Option<&'a Moments>,
    damping: f64,
}

impl<'a> Metric<'a> {
    /// I, of width n.
    pub fn identity(width: usize) -> Self {
        Self { width, moments: None, damping: 1.0 }
    }

    /// G alone.
    pub fn bare(statistics: &'a InputStatistics) -> Self {
        Self { width: statistics.width, moments: Some(&statistics.moments), damping: 0.0 }
    }

    /// G + d I, where d is [`DAMPING`] times the mean of the diagonal; I where all inputs were 0.
    pub fn damped(statistics: &'a InputStatistics) -> Self {
        let trace: f64 = statistics.mean_squares().iter().map(|square| f64::from(*square)).sum();
        let damping = DAMPING * trace / statistics.width.max(1) as f64;
        Self { damping: if trace > 0.0 { damping } else { 1.0 }, ..Self::bare(statistics) }
    }

    /// d.
    pub fn damping(self) -> f64 {
        self.damping
    }

    /// The diagonal of G + d I where there is nothing beside it.
    pub fn diagonal(self) -> Option<Vec<f64>> {
        match self.moments {
            None => Some(vec![self.damping; self.width]),
            Some(Moments::Diagonal(squares)) => Some(squares.iter().map(|x| f64::from(*x) + self.damping).collect()),
            Some(Moments::Gram(_)) => None,
        }
    }

    /// The lower triangle of G + d I as a matrix.
    pub fn lower(self) -> Mat<f64> {
        let mut whole = Mat::zeros(self.width, self.width);
        match (self.moments, self.diagonal()) {
            (Some(Moments::Gram(packed)), _) => {
                let mut packed = packed.iter();
                for i in 0..self.width {
                    for (j, g) in (0..=i).zip(&mut packed) {
                        whole[(i, j)] = f64::from(*g) + if i == j { self.damping } else { 0.0 };
                    }
                }
            }
            (_, diagonal) => {
                diagonal.into_iter().flatten().take(self.width).enumerate().for_each(|(i, g)| whole[(i, i)] = g);
            }
        }
        whole
    }

    /// X (G + d I) for X [p, n], on the calling thread.
    ///
    /// # Errors
    /// Cancelled.
    pub fn times(self, x: MatRef<'_, f64>, control: &Control) -> Result<Mat<f64>, NumericError> {
        if let Some(diagonal) = self.diagonal() {
            return Ok(Mat::from_fn(x.nrows(), x.ncols(), |i, j| x[(i, j)] * diagonal[j]));
        }
        let mut product = Mat::zeros(x.nrows(), x.ncols());
        for first in (0..self.width).step_by(PANEL) {
            let half = self.half(first);
            let (count, rest) = (half.nrows(), half.ncols());
            let (here, from_here) = (x.subcols(first, count), x.subcols(first, rest));
            let to = product.as_mut().subcols_mut(first, count);
            add_product(to, from_here, half.transpose(), 1.0, control)?;
            add_product(product.as_mut().subcols_mut(first, rest), here, half.as_ref(), 1.0, control)?;
        }
        Ok(product)
    }

    /// `x^T (G + d I) x` for each row x of X [p, n], on the calling thread.
    ///
    /// # Errors
    /// Cancelled.
    pub fn energies(self, x: MatRef<'_, f64>, control: &Control) -> Result<Vec<f64>, NumericError> {
        let mut sums = vec![0.0; x.nrows()];
        if let Some(diagonal) = self.diagonal() {
            for (column, g) in x.col_iter().zip(diagonal) {
                sums.iter_mut().zip(column.iter()).for_each(|(sum, x)| *sum += g * x * x);
            }
            return Ok(sums);
        }
        for first in (0..self.width).step_by(PANEL) {
            let half = self.half(first);
            let mut product = Mat::<f64>::zeros(x.nrows(), half.nrows());
            add_product(product.as_mut(), x.subcols(first, half.ncols()), half.transpose(), 2.0, control)?;
            for (product, x) in product.col_iter().zip(x.subcols(first, half.nrows()).col_iter()) {
                sums.iter_mut().zip(product.iter().zip(x.iter())).for_each(|(sum, (p, x))| *sum += p * x);
            }
        }
        Ok(sums)
    }

    /// Columns first.. of T, transposed, without the rows above them, where G + d I = T + T^T: its lower triangle with half
    /// the diagonal.
    fn half(self, first: usize) -> Mat<f64> {
        let Some(Moments::Gram(packed)) = self.moments else { return Mat::new() };
        let at = |i: usize, j: usize| packed.get(i * (i + 1) / 2 + j).map_or(0.0, |g| f64::from(*g));
        // Column by column of this, the numbers follow each other in the packed triangle.
        Mat::from_fn(PANEL.min(self.width - first), self.width - first, |j, i| match j.cmp(&i) {
            std::cmp::Ordering::Less => at(first + i, first + j),
            std::cmp::Ordering::Equal => 0.5 * (at(first + i, first + j) + self.damping),
            std::cmp::Ordering::Greater => 0.0,
        })
    }
}

impl InputStatistics {
    /// `x^T G x` for each row x of `rows` [p, n]: the mean square of what the row gives as a layer's output. In f64, on the
    /// calling thread; rows that are not whole are left out.
    ///
    /// # Errors
    /// Statistics of another width or with NaN; cancelled.
    pub fn energies(&self, rows: &[f32], control: &Control) -> Result<Vec<f64>, NumericError> {
        let mut energies = Vec::with_capacity(rows.len() / self.width.max(1));
        for rows in rows.chunks(PANEL * self.width.max(1)) {
            let x = widened(rows, rows.len() / self.width.max(1), self.width, control)?;
            energies.extend(Metric::bare(self).energies(x.transpose(), control)?);
        }
        Ok(energies)
    }
}

/// w [rows, cols], row-major, as the matrix [cols, rows], column by column: its transpose.
///
/// # Errors
/// Cancelled.
pub fn widened(w: &[f32], rows: usize, cols: usize, control: &Control) -> Result<Mat<f64>, NumericError> {
    let mut wide = Mat::zeros(cols, rows);
    for (column, row) in wide.col_iter_mut().zip(w.chunks_exact(cols.max(1))) {
        control.check()?;
        column.iter_mut().zip(row).for_each(|(wide, w)| *wide = f64::from(*w));
    }
    Ok(wide)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn statistics(width: usize, gram: bool) -> InputStatistics {
        let number = |i: usize| ((i * 7919 + 13) % 101) as f32 / 101.0;
        let count = if gram { width * (width + 1) / 2 } else { width };
        let numbers: Arc<[f32]> = (0..count).map(number).collect();
        let moments = if gram { Moments::Gram(numbers) } else { Moments::Diagonal(numbers) };
        InputStatistics { width, tokens: 9, moments }
    }

    #[test]
    fn products_and_energies_are_those_of_the_whole_matrix() {
        // More than one panel.
        for (width, gram) in [(1, true), (5, false), (300, true), (300, false)] {
            let statistics = statistics(width, gram);
            for metric in [Metric::damped(&statistics), Metric::bare(&statistics), Metric::identity(width)] {
                let lower = metric.lower();
                let whole = Mat::from_fn(width, width, |i, j| lower[(i.max(j), i.min(j))]);
                let x = Mat::from_fn(3, width, |i, j| ((i * 31 + j * 17) % 23) as f64 - 11.0);
                let wanted = &x * &whole;
                let found = metric.times(x.as_ref(), &Control::new()).unwrap();
                let energies = metric.energies(x.as_ref(), &Control::new()).unwrap();
                for i in 0..3 {
                    assert!((0..width).all(|j| (found[(i, j)] - wanted[(i, j)]).abs() < 1e-9));
                    let energy: f64 = (0..width).map(|j| wanted[(i, j)] * x[(i, j)]).sum();
                    assert!((energies[i] - energy).abs() < 1e-6, "{} {energy}", energies[i]);
                }
            }
        }
    }

    #[test]
    fn inputs_that_were_all_zero_count_the_same() {
        let zeros = InputStatistics { width: 3, tokens: 0, moments: Moments::Diagonal(Arc::from([0.0; 3])) };
        assert_eq!(Metric::damped(&zeros).diagonal(), Some(vec![1.0; 3]));
        let some = InputStatistics { moments: Moments::Diagonal(Arc::from([3.0, 0.0, 3.0])), ..zeros };
        assert_eq!(Metric::damped(&some).diagonal(), Some(vec![3.02, 0.02, 3.02]));
    }
}
