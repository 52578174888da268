//! What an error of a weight costs in the layer's output: second moments of its inputs as a quadratic form, in f64.

use faer::{ColRef, Mat, MatRef};

use super::gram::add_product;
use super::{InputStatistics, Moments, NumericError};
use crate::control::Control;

/// What is added to the diagonal of G, as a share of its mean: G may be singular (fewer tokens than inputs), and what was
/// not seen shall not count for nothing.
pub const DAMPING: f64 = 0.01;
/// Columns of G that are widened at a time.
const PANEL: usize = 256;
/// Rows of G that are widened side by side: a cache line of each column.
const LINE: usize = 8;

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

    /// (G + d I) X for X [n, p], on the calling thread.
    ///
    /// # Errors
    /// Cancelled.
    pub fn times(self, x: MatRef<'_, f64>, control: &Control) -> Result<Mat<f64>, NumericError> {
        self.image(x, true, control)
    }

    /// T^T X for X [n, p], where G + d I = T + T^T, on the calling thread: half of the work of [`Metric::times`], and
    /// `X^T (G + d I) X` is `X^T T^T X` and its transpose.
    ///
    /// # Errors
    /// Cancelled.
    pub fn half_times(self, x: MatRef<'_, f64>, control: &Control) -> Result<Mat<f64>, NumericError> {
        self.image(x, false, control)
    }

    /// T^T X, and with it T X where that is asked for.
    fn image(self, x: MatRef<'_, f64>, whole: bool, control: &Control) -> Result<Mat<f64>, NumericError> {
        if let Some(diagonal) = self.diagonal() {
            let share = if whole { 1.0 } else { 0.5 };
            return Ok(Mat::from_fn(x.nrows(), x.ncols(), |i, j| share * diagonal[i] * x[(i, j)]));
        }
        let mut image = Mat::zeros(x.nrows(), x.ncols());
        for first in (0..self.width).step_by(PANEL) {
            let half = self.half(first);
            let (rest, count) = half.shape();
            let (to, from_here) = (image.as_mut().subrows_mut(first, count), x.subrows(first, rest));
            add_product(to, half.transpose(), from_here, 1.0, control)?;
            if whole {
                let (to, here) = (image.as_mut().subrows_mut(first, rest), x.subrows(first, count));
                add_product(to, half.as_ref(), here, 1.0, control)?;
            }
        }
        Ok(image)
    }

    /// `x^T (G + d I) x` for each column x of X [n, p], on the calling thread.
    ///
    /// # Errors
    /// Cancelled.
    pub fn energies(self, x: MatRef<'_, f64>, control: &Control) -> Result<Vec<f64>, NumericError> {
        let images = self.half_times(x, control)?;
        let dot = |(image, x): (ColRef<'_, f64>, ColRef<'_, f64>)| image.iter().zip(x.iter()).map(|(a, b)| a * b).sum();
        Ok(images.col_iter().zip(x.col_iter()).map(dot).map(|half: f64| 2.0 * half).collect())
    }

    /// Columns first.. of T, at most [`PANEL`], without the rows above them: the lower triangle of G + d I with half the
    /// diagonal.
    fn half(self, first: usize) -> Mat<f64> {
        let Some(Moments::Gram(packed)) = self.moments else { return Mat::new() };
        let (rest, count) = (self.width - first, PANEL.min(self.width - first));
        let mut half = Mat::zeros(rest, count);
        for top in (0..rest).step_by(LINE) {
            let rows: [&[f32]; LINE] = std::array::from_fn(|i| triangle_row(packed, first + top + i, first));
            for j in 0..count {
                for (to, row) in half.col_as_slice_mut(j).iter_mut().skip(top).zip(rows) {
                    *to = row.get(j).map_or(0.0, |g| f64::from(*g));
                }
            }
        }
        (0..count).for_each(|j| half[(j, j)] = 0.5 * (half[(j, j)] + self.damping));
        half
    }
}

/// Row `i` of a packed lower triangle from column `first` on; nothing beyond its end.
fn triangle_row(packed: &[f32], i: usize, first: usize) -> &[f32] {
    let begin = i * (i + 1) / 2;
    packed.get(begin + first..=begin + i).unwrap_or_default()
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
            energies.extend(Metric::bare(self).energies(x.as_ref(), control)?);
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
                let x = Mat::from_fn(width, 3, |i, j| ((j * 31 + i * 17) % 23) as f64 - 11.0);
                let wanted = &whole * &x;
                let found = metric.times(x.as_ref(), &Control::new()).unwrap();
                let half = x.transpose() * metric.half_times(x.as_ref(), &Control::new()).unwrap();
                let energies = metric.energies(x.as_ref(), &Control::new()).unwrap();
                for j in 0..3 {
                    assert!((0..width).all(|i| (found[(i, j)] - wanted[(i, j)]).abs() < 1e-9));
                    let form = |i: usize| (0..width).map(|k| x[(k, i)] * wanted[(k, j)]).sum::<f64>();
                    assert!((0..3).all(|i| (half[(i, j)] + half[(j, i)] - form(i)).abs() < 1e-6));
                    assert!((energies[j] - form(j)).abs() < 1e-6, "{} {}", energies[j], form(j));
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
