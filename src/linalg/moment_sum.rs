//! Second moments of a layer's inputs, summed up as they stream by.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use super::{InputStatistics, Moments};

/// Inputs whose products are summed in f32 before the sum goes on in f64.
const TILE: usize = 256;
/// Columns of the triangle that one thread sums at a time.
const PANEL: usize = 128;

/// Sums of x x^T, or of x^2 alone, over inputs x of length n. The order of summation depends on how the inputs are cut into
/// calls, never on the number of threads.
#[derive(Debug)]
pub struct MomentSum {
    width: usize,
    tokens: u64,
    sums: Sums,
}

#[derive(Debug)]
enum Sums {
    /// The lower triangle by panels of columns: each column-major, from its first column's row on.
    Gram(Vec<Vec<f64>>),
    Diagonal(Vec<f64>),
}

impl MomentSum {
    /// Nothing seen yet of inputs of length `width`; of x^2 alone unless `gram`. The triangle takes 4 `width`^2 bytes.
    pub fn new(width: usize, gram: bool) -> Self {
        let panel = |first: usize| vec![0.0; (width - first) * PANEL.min(width - first)];
        let sums = if gram {
            Sums::Gram((0..width).step_by(PANEL).map(panel).collect())
        } else {
            Sums::Diagonal(vec![0.0; width])
        };
        Self { width, tokens: 0, sums }
    }

    /// Bytes of the sums over inputs of length `width`, and of the means that are made of them at the end.
    pub fn bytes(width: usize, gram: bool) -> (u64, u64) {
        let width = width as u64;
        let numbers = if gram { width.saturating_mul(width.saturating_add(1)) / 2 } else { width };
        (numbers.saturating_mul(8), numbers.saturating_mul(4))
    }

    /// Adds inputs `x` [t, n]; a last row that is not whole is left out.
    pub fn add(&mut self, x: &[f32]) {
        let width = self.width;
        if width == 0 {
            return;
        }
        for tile in x.chunks(TILE * width) {
            let rows = tile.len() / width;
            let Some(tile) = tile.get(..rows * width) else { continue };
            self.tokens += rows as u64;
            match &mut self.sums {
                Sums::Gram(panels) => {
                    let tile = MatRef::from_row_major_slice(tile, rows, width);
                    let panels = panels.par_iter_mut().enumerate();
                    panels.for_each(|(index, panel)| add_panel(panel, index * PANEL, tile));
                }
                Sums::Diagonal(squares) => {
                    for row in tile.chunks_exact(width) {
                        squares.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x).powi(2));
                    }
                }
            }
        }
    }

    /// The means, as they are stored. Inputs that were not finite leave numbers that [`InputStatistics::check`] refuses.
    pub fn finish(self) -> InputStatistics {
        let Self { width, tokens, sums } = self;
        let mean = |sum: f64| (sum / tokens.max(1) as f64) as f32;
        let moments = match sums {
            Sums::Diagonal(squares) => Moments::Diagonal(squares.into_iter().map(mean).collect()),
            Sums::Gram(panels) => {
                let at = |i: usize, j: usize| {
                    let (panel, first) = (panels.get(j / PANEL), j / PANEL * PANEL);
                    panel.and_then(|panel| panel.get((j - first) * (width - first) + i - first)).copied()
                };
                let mut packed = Vec::with_capacity(width * (width + 1) / 2);
                for i in 0..width {
                    packed.extend((0..=i).map(|j| mean(at(i, j).unwrap_or_default())));
                }
                Moments::Gram(packed.into())
            }
        };
        InputStatistics { width, tokens, moments }
    }
}

/// Adds to the panel whose first column is `first` its part of `x`^T `x`.
fn add_panel(panel: &mut [f64], first: usize, x: MatRef<'_, f32>) {
    let height = x.ncols() - first;
    let width = PANEL.min(height);
    let mut product = Mat::<f32>::zeros(height, width);
    let (left, right) = (x.subcols(first, height).transpose(), x.subcols(first, width));
    matmul(product.as_mut(), Accum::Replace, left, right, 1.0, Par::Seq);
    for (sums, column) in panel.chunks_exact_mut(height).zip(product.col_iter()) {
        sums.iter_mut().zip(column.iter()).for_each(|(sum, x)| *sum += f64::from(*x));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::random;
    use super::*;

    fn summed(width: usize, gram: bool, calls: &[&[f32]]) -> InputStatistics {
        let mut sum = MomentSum::new(width, gram);
        calls.iter().for_each(|x| sum.add(x));
        sum.finish()
    }

    fn numbers(statistics: &InputStatistics) -> &[f32] {
        match &statistics.moments {
            Moments::Gram(numbers) | Moments::Diagonal(numbers) => numbers,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn moments_are_those_of_f64(width in 1_usize..300, tokens in 1_usize..600, cut in 0_usize..600) {
            let x = random(tokens * width, 1);
            let (a, b) = x.split_at(cut.min(tokens) * width);
            let gram = summed(width, true, &[a, b]);
            prop_assert_eq!(gram.tokens, tokens as u64);
            prop_assert!(gram.check(width).is_ok());
            let mut at = numbers(&gram).iter();
            for i in 0..width {
                for j in 0..=i {
                    let sum: f64 = x.chunks(width).map(|x| f64::from(x[i]) * f64::from(x[j])).sum();
                    let found = f64::from(*at.next().unwrap());
                    prop_assert!((found - sum / tokens as f64).abs() < 1e-6, "{i} {j}");
                }
            }
            let diagonal = summed(width, false, &[a, b]).mean_squares();
            for (one, other) in diagonal.iter().zip(gram.mean_squares()) {
                prop_assert!((one - other).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let x = random(700 * 333, 2);
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| summed(333, true, &[&x]))
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn what_is_not_finite_is_refused_at_the_end() {
        let (nan, large) = ([1.0, f32::NAN], [1e30, 1.0]);
        for gram in [true, false] {
            for x in [nan, large] {
                assert!(summed(2, gram, &[&x]).check(2).is_err());
            }
            assert_eq!(summed(2, gram, &[&[1.0, 2.0, 9.0]]), summed(2, gram, &[&[1.0, 2.0]]));
        }
    }
}
