//! Which products have a faster way than to widen, at a cost in accuracy that the faces show; that of INT8 and INT4 matrices
//! with inputs rounded to INT8: fewer instructions a weight.

use super::brain;
use super::kernels::{
    BrainFamily, INTEGER_COLUMNS, IntegerFamily, IntegerProduct, IntegerRows, IntegerWeights, Output, RoundedInput,
    Scales, takes_group,
};
use super::matrix::{Matrix, Order, Values};
use super::product::ROW_GRANULE;
use super::threads::{ROW_SHARES, Task};

/// How products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arithmetic {
    /// Stored weights are widened to f32, and so are products and sums.
    #[default]
    Exact,
    /// Where weights are INT8 or INT4, inputs are rounded to INT8 in groups of 32, each with a scale of its own, and products are
    /// those of integers (as llama.cpp's `q8_0` times `q8_0` and `q4_0`). Where weights are f32, f16 or bfloat16, and the
    /// processor multiplies bfloat16 (AVX-512 BF16), both are rounded to that where 32 tokens or more come at once, and summed
    /// in f32, numbers below 1.2e-38 counting as 0; fewer tokens, as in decoding, are exact, since there the time goes into
    /// reading weights: a prompt and its continuation then differ by these roundings. F64 and FP8 are always exact.
    Fast,
}

/// y = x W^T or y += x W^T on the best units of this machine, where `arithmetic` has another way for it than the exact one.
pub fn task_in<'a>(arithmetic: Arithmetic, matrix: &'a Matrix, x: &[f32], y: Output<'a>) -> Option<Task<'a>> {
    match arithmetic {
        Arithmetic::Exact => None,
        Arithmetic::Fast => {
            task(IntegerFamily::best(), matrix, x, y).or_else(|| brain::task(BrainFamily::best()?, matrix, x, y))
        }
    }
}

/// y = x W^T or y += x W^T by integers, where the matrix is of the kind: INT8 by rows, or INT8 or INT4 in
/// groups of 32, 64, 128 or such, and of a whole number of 128 columns.
pub fn task<'a>(family: IntegerFamily, matrix: &'a Matrix, x: &[f32], y: Output<'a>) -> Option<Task<'a>> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let (weights, scales) = match matrix.values() {
        Values::I8 { quant, scales, group: None } => (IntegerWeights::Int8(quant), Scales::Rows(scales)),
        Values::I8 { quant, scales, group: Some(group) } if takes_group(*group) => {
            (IntegerWeights::Int8(quant), Scales::Groups(scales, *group))
        }
        Values::I4 { quant, scales, group } if takes_group(*group) => {
            (IntegerWeights::Int4(quant), Scales::HalfGroups(scales, *group))
        }
        _ => return None,
    };
    let sized = rows > 0 && cols > 0 && cols.is_multiple_of(INTEGER_COLUMNS) && x.len() == y.tokens() * cols;
    if matrix.order() != Order::RowMajor || !sized {
        return None;
    }
    let halved = matches!(weights, IntegerWeights::Int4(_)).then(|| family.block());
    let x = RoundedInput::new(x, cols, halved);
    let work = weights.bytes(rows * cols) * (x.quants.len() / cols);
    let part = move |rows| {
        for (first, stored) in matrix.runs(rows) {
            let count = stored.len();
            let parts = weights.rows(stored.clone(), cols).zip(scales.of_rows(stored, cols));
            let Some((w, scales)) = parts else { return };
            let product = IntegerProduct { w, scales, rows: count, x: &x, y: y.starting_at(first) };
            if let Some(kernel) = IntegerRows::new(product) {
                family.run(kernel);
            }
        }
    };
    Some(Task { units: rows, granule: ROW_GRANULE, each: ROW_SHARES, work, part: Box::new(part) })
}

#[cfg(test)]
mod tests {
    use half::f16;
    use proptest::prelude::*;

    use super::super::kernels::{Family, INPUT_GROUP};
    use super::super::testing::random;
    use super::super::threads::share_out;
    use super::super::{RowSelection, quantize_groups, quantize_rows, quantize4};
    use super::*;
    use crate::checkpoint::View;

    /// INT8 by rows and in groups, and INT4 in groups.
    fn matrices(rows: usize, cols: usize, group: usize) -> [Matrix; 3] {
        let w = random(rows * cols, 1);
        let (quant, scales) = quantize_rows(&w, rows, cols);
        let (by_group, of_groups) = quantize_groups(&w, rows, cols, group);
        [
            Matrix::from_i8(rows, cols, &quant, &scales, None).unwrap(),
            Matrix::from_i8(rows, cols, &by_group, &of_groups, Some(group)).unwrap(),
            quantize4(&w, rows, cols, group, None).unwrap(),
        ]
    }

    fn product(family: IntegerFamily, matrix: &Matrix, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len() / matrix.cols() * matrix.rows()];
        share_out(&[task(family, matrix, x, Output::new(&mut y, matrix.rows(), false)).unwrap()]);
        y
    }

    /// What the rounding to q * scale leaves of x.
    fn rounded(x: &[f32], cols: usize) -> Vec<f32> {
        let rounded = RoundedInput::new(x, cols, None);
        rounded.quants.iter().enumerate().map(|(i, q)| f32::from(*q) * rounded.scales[i / INPUT_GROUP]).collect()
    }

    #[test]
    fn every_family_multiplies_the_rounded_inputs() {
        for (rows, cols, group) in [(1, 128, 32), (9, 256, 64), (37, 384, 128), (70, 640, 192)] {
            let x = random(7 * cols, 2);
            let near = rounded(&x, cols);
            for matrix in matrices(rows, cols, group) {
                let w = matrix.to_f32();
                for family in IntegerFamily::available() {
                    for (i, y) in product(family, &matrix, &x).iter().enumerate() {
                        let (w, x) = (&w[i % rows * cols..][..cols], &near[i / rows * cols..][..cols]);
                        let terms = w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
                        let (exact, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                        // The integers are exact; some 100 roundings err by 6e-8 of a partial sum each.
                        assert!((f64::from(*y) - exact).abs() <= 1e-5 * size, "{family:?} {rows} x {cols}: y[{i}]");
                    }
                }
            }
        }
    }

    #[test]
    fn prefill_decode_selections_and_threads_agree_to_the_bit() {
        // Large enough to be shared out.
        let (rows, cols) = (960, 1152);
        let x = random(9 * cols, 3);
        let bits = |y: &[f32]| y.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        let part = RowSelection { rows: 320, offset: 64, block: 64, step: 192 };
        for matrix in matrices(rows, cols, 32) {
            for family in IntegerFamily::available() {
                let alone: Vec<f32> = x.chunks_exact(cols).flat_map(|x| product(family, &matrix, x)).collect();
                for threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let together = pool.install(|| product(family, &matrix, &x));
                    assert_eq!(bits(&together), bits(&alone));
                    let selected = pool.install(|| product(family, &matrix.select(part).unwrap(), &x));
                    let wanted = |y: &[f32]| (0..part.rows).map(|i| y[part.stored(i)]).collect::<Vec<_>>();
                    assert_eq!(bits(&selected), bits(&alone.chunks_exact(rows).flat_map(wanted).collect::<Vec<_>>()));
                }
            }
        }
    }

    #[test]
    fn other_matrices_are_left_to_the_exact_way() {
        let family = IntegerFamily::best();
        let refused = |matrix: &Matrix| {
            task(
                family,
                matrix,
                &vec![1.0; matrix.cols()],
                Output::new(&mut vec![0.0; matrix.rows()], matrix.rows(), false),
            )
            .is_none()
        };
        assert!(refused(&Matrix::from_f32(2, 128, &[1.0; 256]).unwrap()));
        assert!(matrices(3, 96, 32).iter().all(refused));
        assert!([16, 96].iter().all(|group| matrices(3, 384, *group)[1..].iter().all(refused)));
        for matrix in matrices(5, 192, 32) {
            let (x, mut y) = (random(192, 4), vec![0.0; 5]);
            matrix.apply_in(Arithmetic::Fast, &x, &mut y);
            let mut exact = vec![0.0; 5];
            matrix.apply_on(Family::best(), &x, &mut exact, false);
            assert_eq!(y, exact);
        }
    }

    #[test]
    fn the_largest_products_are_exact_on_every_unit() {
        let (rows, cols) = (5, 384);
        let int8 = |group: Option<usize>| {
            let scales = vec![1.0; group.map_or(rows, |group| rows * cols / group)];
            Matrix::from_i8(rows, cols, &vec![i8::MIN; rows * cols], &scales, group).unwrap()
        };
        let (quant, scales) =
            (View::copied(&vec![0x88; rows * cols / 2]), View::copied(&vec![f16::ONE; rows * cols / 32]));
        let int4 = Matrix::new(rows, cols, Order::RowMajor, Values::I4 { quant, scales, group: 32 }).unwrap();
        for (matrix, weight) in [(int8(None), -128.0), (int8(Some(32)), -128.0), (int4, -8.0)] {
            for (family, input) in IntegerFamily::available().flat_map(|family| [(family, 127.0), (family, -127.0)]) {
                // Inputs are rounded to themselves with the scale 1, and all sums are below 2^24.
                let y = product(family, &matrix, &vec![input; 5 * cols]);
                assert_eq!(y, vec![weight * input * cols as f32; 5 * rows], "{family:?}");
            }
        }
    }

    #[test]
    fn not_a_number_comes_through() {
        for matrix in matrices(3, 128, 32) {
            for family in IntegerFamily::available() {
                for wrong in [f32::NAN, f32::INFINITY] {
                    let mut x = random(128, 6);
                    x[127] = wrong;
                    assert!(product(family, &matrix, &x).iter().all(|y| y.is_nan()));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn sums_are_added_once(rows in 1_usize..20, tokens in 1_usize..6, seed: u64) {
            for matrix in matrices(rows, 256, 32) {
                let (x, before) = (random(tokens * 256, seed), random(tokens * rows, 5));
                let mut y = before.clone();
                share_out(&[task(IntegerFamily::best(), &matrix, &x, Output::new(&mut y, matrix.rows(), true)).unwrap()]);
                let alone = product(IntegerFamily::best(), &matrix, &x);
                let sums = alone.iter().zip(&before).map(|(p, b)| (b + p).to_bits());
                prop_assert!(y.iter().map(|y| y.to_bits()).eq(sums));
            }
        }
    }
}
