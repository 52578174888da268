//! Products of many tokens in bfloat16.

use std::cell::Cell;
use std::ops::Range;

use super::kernels::{BRAIN_BLOCK, BrainFamily, BrainInput, BrainPanel, BrainTiles, Element, Layout, Line, Output};
use super::matrix::{Matrix, Order, Values};
use super::threads::{ROW_SHARES, Task};

/// From so many tokens on it pays to round and turn weights: at 16 it costs what it saves, at 32 a quarter is saved.
const MANY_TOKENS: usize = 32;
/// Bytes of rounded weights that stay in the second-level cache while all tokens pass by.
const PANEL_BYTES: usize = 512 << 10;

thread_local! {
    /// A thread's panel, kept for its next share: new memory would be cleared each time.
    static PANEL: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// y = x W^T or y += x W^T with both rounded to bfloat16 and sums in f32, where there are many tokens, and the matrix is of
/// f32, f16 or bfloat16.
pub fn task<'a>(family: BrainFamily, matrix: &'a Matrix, x: &[f32], y: Output<'a>) -> Option<Task<'a>> {
    (y.tokens() >= MANY_TOKENS).then(|| task_of_any(family, matrix, x, y)).flatten()
}

/// The same for any number of tokens.
fn task_of_any<'a>(family: BrainFamily, matrix: &'a Matrix, x: &[f32], y: Output<'a>) -> Option<Task<'a>> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let sized = rows > 0 && cols > 0 && x.len() == y.tokens() * cols;
    let values = Some(matrix.values()).filter(|_| sized)?;
    let call = |x| Call { family, matrix, x, y };
    let input = || BrainInput::new(family, x, cols);
    match values {
        Values::F32(w) => Some(call(input()).task(w)),
        Values::F16(w) => Some(call(input()).task(w)),
        Values::Bf16(w) => Some(call(input()).task(w)),
        _ => None,
    }
}

struct Call<'a> {
    family: BrainFamily,
    matrix: &'a Matrix,
    x: BrainInput,
    y: Output<'a>,
}

impl<'a> Call<'a> {
    fn task<E: Element>(self, w: &'a [E]) -> Task<'a> {
        let (units, pairs) = (self.matrix.rows(), self.x.pairs());
        let work = units.saturating_mul(4 * pairs).saturating_mul(self.x.tokens());
        let height = (PANEL_BYTES / (4 * pairs) / BRAIN_BLOCK * BRAIN_BLOCK).max(BRAIN_BLOCK);
        let part = move |share: Range<usize>| {
            let most = Line::of_panel(height.min(share.len()), pairs).unwrap_or_default();
            let mut panel = PANEL.take();
            panel.resize(most.max(panel.len()), Line::ZERO);
            for first in share.clone().step_by(height) {
                self.run_panel(w, first..share.end.min(first + height), &mut panel);
            }
            PANEL.set(panel);
        };
        Task { units, granule: BRAIN_BLOCK, each: ROW_SHARES, work, part: Box::new(part) }
    }

    /// The outputs of some rows.
    fn run_panel<E: Element>(&self, w: &[E], rows: Range<usize>, panel: &mut [Line]) {
        let layout = match self.matrix.order() {
            Order::RowMajor => Layout::Rows,
            Order::ColumnMajor => Layout::Columns(self.matrix.stored_rows()),
        };
        let (first, selection) = (rows.start, self.matrix.selection());
        let stored: Vec<usize> = rows.map(|row| selection.stored(row)).collect();
        let Some(turn) = BrainPanel::new(w, layout, &stored, self.matrix.cols(), panel) else { return };
        self.family.run(turn);
        let tiles = BrainTiles::new(panel, stored.len(), &self.x, self.y.starting_at(first));
        tiles.into_iter().for_each(|tiles| self.family.run(tiles));
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::super::RowSelection;
    use super::super::testing::random;
    use super::super::threads::share_out;
    use super::*;
    use crate::checkpoint::View;

    /// The same numbers in every format that is taken, row by row and column by column.
    fn matrices(rows: usize, cols: usize) -> Vec<Matrix> {
        let w = random(rows * cols, 1);
        let halves: Vec<f16> = w.iter().map(|x| f16::from_f32(*x)).collect();
        let brain: Vec<bf16> = w.iter().map(|x| bf16::from_f32(*x)).collect();
        let of_order = |order| {
            [Values::F32(View::copied(&w)), Values::F16(View::copied(&halves)), Values::Bf16(View::copied(&brain))]
                .map(|values| Matrix::new(rows, cols, order, values).unwrap())
        };
        [Order::RowMajor, Order::ColumnMajor].into_iter().flat_map(of_order).collect()
    }

    fn product(family: BrainFamily, matrix: &Matrix, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len() / matrix.cols() * matrix.rows()];
        share_out(&[task_of_any(family, matrix, x, Output::new(&mut y, matrix.rows(), false)).unwrap()]);
        y
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|x| x.to_bits()).collect()
    }

    fn rounded(values: &[f32]) -> Vec<f64> {
        values.iter().map(|x| bf16::from_f32(*x).to_f64()).collect()
    }

    /// Shapes that fill blocks, tiles and vectors, and that do not; the last one is of more than one panel.
    const SHAPES: [(usize, usize, usize); 7] =
        [(1, 1, 1), (9, 5, 9), (33, 67, 13), (32, 64, 24), (70, 131, 11), (17, 96, 29), (45, 8200, 3)];

    #[test]
    fn every_family_multiplies_the_rounded_numbers() {
        for (rows, cols, tokens) in SHAPES {
            let x = random(tokens * cols, 2);
            let near = rounded(&x);
            for matrix in matrices(rows, cols) {
                let w = rounded(&matrix.to_f32());
                for family in BrainFamily::available() {
                    for (i, y) in product(family, &matrix, &x).iter().enumerate() {
                        let (w, x) = (&w[i % rows * cols..][..cols], &near[i / rows * cols..][..cols]);
                        let terms = w.iter().zip(x).map(|(w, x)| w * x);
                        let (exact, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                        // Products are exact; each of `cols` sums errs by 6e-8 of a partial one, mostly to and fro.
                        assert!(
                            (f64::from(*y) - exact).abs() <= 4e-6 * size,
                            "{family:?} {rows} x {cols}: y[{i}] = {y}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_rounding_costs_is_within_a_256th_of_each_factor() {
        for matrix in matrices(33, 200) {
            let (x, w) = (random(8 * 200, 3), matrix.to_f32());
            for family in BrainFamily::available() {
                for (i, y) in product(family, &matrix, &x).iter().enumerate() {
                    let terms = w[i % 33 * 200..][..200].iter().zip(&x[i / 33 * 200..][..200]);
                    let terms = terms.map(|(w, x)| f64::from(*w) * f64::from(*x));
                    let (exact, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                    assert!((f64::from(*y) - exact).abs() <= 2.1 / 256.0 * size, "{family:?}: y[{i}]");
                }
            }
        }
    }

    #[test]
    fn batches_and_threads_agree_to_the_bit() {
        // Large enough to be shared out.
        let (rows, cols) = (481, 333);
        let x = random(29 * cols, 3);
        for matrix in matrices(rows, cols) {
            for family in BrainFamily::available() {
                let together = bits(&product(family, &matrix, &x));
                for threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    for split in [1, 13, 21] {
                        let (first, second) = x.split_at(split * cols);
                        let parts = pool.install(|| [first, second].map(|x| product(family, &matrix, x)).concat());
                        assert_eq!(bits(&parts), together, "{family:?}, {threads} threads, {split} first");
                    }
                }
            }
        }
    }

    #[test]
    fn a_selection_gives_the_bits_of_the_whole() {
        let (rows, cols) = (192, 277);
        let x = random(9 * cols, 11);
        let kinds = [
            RowSelection::stacked(64, 64),
            RowSelection { rows: 64, offset: 16, block: 16, step: 48 },
            RowSelection { rows: 56, offset: 9, block: 8, step: 21 },
        ];
        for whole in matrices(rows, cols) {
            for family in BrainFamily::available() {
                let all = product(family, &whole, &x);
                for selection in kinds {
                    let found = product(family, &whole.select(selection).unwrap(), &x);
                    let of_token = |y: &[f32]| (0..selection.rows).map(|i| y[selection.stored(i)]).collect::<Vec<_>>();
                    let wanted: Vec<f32> = all.chunks_exact(rows).flat_map(of_token).collect();
                    assert_eq!(bits(&found), bits(&wanted), "{family:?} {selection:?}");
                }
            }
        }
    }

    #[test]
    fn sums_are_added_once() {
        for matrix in matrices(37, 29) {
            for family in BrainFamily::available() {
                let (x, before) = (random(10 * 29, 4), random(10 * 37, 5));
                let mut y = before.clone();
                share_out(&[task_of_any(family, &matrix, &x, Output::new(&mut y, matrix.rows(), true)).unwrap()]);
                let sums: Vec<f32> = product(family, &matrix, &x).iter().zip(&before).map(|(p, b)| b + p).collect();
                assert_eq!(bits(&y), bits(&sums));
            }
        }
    }

    #[test]
    fn what_is_not_finite_comes_through_where_it_belongs() {
        for matrix in matrices(3, 21) {
            for family in BrainFamily::available() {
                for wrong in [f32::NAN, f32::INFINITY, f32::MAX] {
                    let mut x = random(9 * 21, 6);
                    x[3 * 21 + 20] = wrong;
                    for (i, y) in product(family, &matrix, &x).iter().enumerate() {
                        // The largest f32 is beyond the largest bfloat16.
                        assert_eq!(y.is_finite(), i / 3 != 3, "{family:?} {wrong}: y[{i}] = {y}");
                        assert!(i / 3 != 3 || y.is_nan() == wrong.is_nan());
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_too_small_to_be_normal_count_as_nothing() {
        let tiny = f32::MIN_POSITIVE / 2.0;
        let w = Matrix::from_f32(2, 2, &[tiny, 0.5, 1.0, tiny]).unwrap();
        let x = [1e30, tiny].repeat(8);
        for family in BrainFamily::available() {
            let large = bf16::from_f32(1e30).to_f32();
            assert_eq!(product(family, &w, &x), [0.0, large].repeat(8), "{family:?}");
        }
    }

    #[test]
    fn few_tokens_and_other_formats_are_left_to_the_exact_way() {
        let refused = |matrix: &Matrix, tokens: usize| {
            let (x, mut y) = (vec![1.0; tokens * matrix.cols()], vec![0.0; tokens * matrix.rows()]);
            BrainFamily::available()
                .all(|family| task(family, matrix, &x, Output::new(&mut y, matrix.rows(), false)).is_none())
        };
        let (few, many) = (MANY_TOKENS - 1, MANY_TOKENS);
        assert!(matrices(3, 5).iter().all(|matrix| refused(matrix, few) && !refused(matrix, many)));
        let doubles = Values::F64(View::copied(&[1.0; 6]));
        assert!(refused(&Matrix::new(2, 3, Order::RowMajor, doubles).unwrap(), MANY_TOKENS));
        assert!(refused(&Matrix::from_i8(2, 3, &[1; 6], &[1.0; 2], None).unwrap(), MANY_TOKENS));
        assert!(
            refused(&Matrix::from_f32(2, 0, &[]).unwrap(), MANY_TOKENS)
                && refused(&Matrix::from_f32(0, 2, &[]).unwrap(), MANY_TOKENS)
        );
    }
}
