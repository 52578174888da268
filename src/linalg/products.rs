//! Products that do not need each other, done side by side: threads meet once for all of them instead of once for each.

use super::fast::{self, Arithmetic};
use super::kernels::{Family, Output};
use super::matrix::Matrix;
use super::product::{self, LaidOut};
use super::threads::{Task, share_out};

/// Products that are still to be done.
#[derive(Default)]
pub struct Products<'a> {
    tasks: Vec<Task<'a>>,
    laid_out: LaidOut<'a>,
}

impl<'a> Products<'a> {
    /// y = x W^T, as [`Matrix::apply`] in `arithmetic`.
    pub fn set(&mut self, arithmetic: Arithmetic, matrix: &'a Matrix, x: &'a [f32], y: &'a mut [f32]) {
        self.push(arithmetic, matrix, x, Output::new(y, matrix.rows(), false));
    }

    /// y += x W^T, as [`Matrix::apply_add`] in `arithmetic`.
    pub fn add(&mut self, arithmetic: Arithmetic, matrix: &'a Matrix, x: &'a [f32], y: &'a mut [f32]) {
        self.push(arithmetic, matrix, x, Output::new(y, matrix.rows(), true));
    }

    /// Does all of them, to the same bits as one after another.
    pub fn run(self) {
        share_out(&self.tasks);
    }

    /// On a given vector unit.
    #[cfg(test)]
    pub(super) fn on(family: Family, matrix: &'a Matrix, x: &'a [f32], y: Output<'a>) -> Self {
        let mut alone = Self::default();
        alone.push_on(family, matrix, x, y);
        alone
    }

    fn push(&mut self, arithmetic: Arithmetic, matrix: &'a Matrix, x: &'a [f32], y: Output<'a>) {
        match fast::task_in(arithmetic, matrix, x, y) {
            Some(task) => self.tasks.push(task),
            None => self.push_on(Family::best(), matrix, x, y),
        }
    }

    fn push_on(&mut self, family: Family, matrix: &'a Matrix, x: &'a [f32], y: Output<'a>) {
        debug_assert!(
            x.len() == y.tokens() * matrix.cols() || matrix.rows() == 0,
            "lengths of x and y are those of the same number of tokens"
        );
        self.tasks.push(product::task(family, matrix, x, y, &mut self.laid_out));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::random;
    use super::super::{quantize_rows, quantize4};
    use super::*;

    #[test]
    fn side_by_side_is_one_after_another_to_the_bit() {
        let shapes = [(700, 384), (3, 384), (1024, 384)];
        let w: Vec<Vec<f32>> = shapes.iter().map(|(rows, cols)| random(rows * cols, *rows as u64)).collect();
        let (quant, scales) = quantize_rows(&w[1], 3, 384);
        let matrices = [
            Matrix::from_f32(700, 384, &w[0]).unwrap(),
            Matrix::from_i8(3, 384, &quant, &scales, None).unwrap(),
            quantize4(&w[2], 1024, 384, 32, None).unwrap(),
        ];
        let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        for (tokens, arithmetic) in
            [1, 40, 130].into_iter().flat_map(|t| [(t, Arithmetic::Exact), (t, Arithmetic::Fast)])
        {
            let x = random(tokens * 384, 5);
            let before = |matrix: &Matrix| random(tokens * matrix.rows(), 6);
            let alone = matrices.each_ref().map(|matrix| {
                let (mut set, mut added) = (before(matrix), before(matrix));
                matrix.apply_in(arithmetic, &x, &mut set);
                matrix.apply_add_in(arithmetic, &x, &mut added);
                [set, added]
            });
            for threads in 1..=3 {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut together = matrices.each_ref().map(|matrix| [before(matrix), before(matrix)]);
                let mut products = Products::default();
                for (matrix, [set, added]) in matrices.iter().zip(&mut together) {
                    products.set(arithmetic, matrix, &x, set);
                    products.add(arithmetic, matrix, &x, added);
                }
                pool.install(|| products.run());
                for (alone, together) in alone.iter().flatten().zip(together.iter().flatten()) {
                    assert_eq!(bits(together), bits(alone), "{tokens} tokens, {threads} threads, {arithmetic:?}");
                }
            }
        }
    }
}
