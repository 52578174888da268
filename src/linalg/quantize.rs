//! Symmetric INT8: scale = max|x| / 127, q = round half to even, in -127..=127; all zeros: scale 1.
//!
//! All arithmetic is f32. NaN becomes 0 and takes no part in the scale; beside an infinity all else becomes 0.
#![expect(clippy::inline_always, reason = "everything must be inlined into the function compiled for the vector unit")]

use super::kernels::{Family, Kernel, ROUND, Simd};

/// One scale a row: (quant [rows, cols], scales [rows]). Computes the whole rows that `w` has, up to `rows`.
pub fn quantize_rows(w: &[f32], rows: usize, cols: usize) -> (Vec<i8>, Vec<f32>) {
    quantize_groups(w, rows, cols, cols)
}

/// One scale per `group` columns: (quant [rows, cols], scales [rows, ceil(cols / group)]); a last group may be short.
/// A group of 0 is taken as 1. Computes the whole rows that `w` has, up to `rows`.
pub fn quantize_groups(w: &[f32], rows: usize, cols: usize, group: usize) -> (Vec<i8>, Vec<f32>) {
    let rows = w.len().checked_div(cols.max(1)).unwrap_or_default().min(rows);
    let (w, group) = (w.get(..rows * cols.max(1)).unwrap_or_default(), group.max(1));
    Family::best().run(Quantize { w, cols: cols.max(1), group })
}

/// One scale for everything (the classic layout).
pub fn quantize_whole(w: &[f32]) -> (Vec<i8>, f32) {
    let (quant, scales) = quantize_groups(w, 1, w.len(), w.len());
    (quant, scales.first().copied().unwrap_or(1.0))
}

/// Whole rows. Compiled for the vector unit, in plain arithmetic, so that every unit gives the same.
struct Quantize<'a> {
    w: &'a [f32],
    cols: usize,
    group: usize,
}

impl Kernel for Quantize<'_> {
    type Output = (Vec<i8>, Vec<f32>);

    #[inline(always)]
    fn run<S: Simd>(self, _s: S) -> Self::Output {
        let (mut quant, mut scales) = (vec![0; self.w.len()], Vec::new());
        for (row, quant) in self.w.chunks_exact(self.cols).zip(quant.chunks_exact_mut(self.cols)) {
            for (part, quant) in row.chunks(self.group).zip(quant.chunks_mut(self.group)) {
                let scale = scale_of(part);
                quant.iter_mut().zip(part).for_each(|(quant, x)| *quant = nearest(x / scale));
                scales.push(scale);
            }
        }
        (quant, scales)
    }
}

/// The nearest whole number in -127..=127, half to even; 0 for NaN.
#[inline(always)]
fn nearest(x: f32) -> i8 {
    (x.clamp(-127.0, 127.0) + ROUND - ROUND) as i8
}

/// max|x| / 127, or 1 where that is 0 (zeros, or numbers too small for a scale).
#[inline(always)]
fn scale_of(x: &[f32]) -> f32 {
    // Sizes compare as their bits do, and NaN is larger than all: it takes no part.
    let sizes = x.iter().map(|x| x.to_bits() & 0x7fff_ffff);
    let most = sizes.map(|size| if size > f32::INFINITY.to_bits() { 0 } else { size }).fold(0, u32::max);
    let scale = f32::from_bits(most) / 127.0;
    if scale > 0.0 { scale } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn halves_go_to_the_even_neighbour() {
        let (quant, scale) = quantize_whole(&[127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -127.0]);
        assert_eq!(scale.to_bits(), 1.0_f32.to_bits());
        assert_eq!(quant, [127, 0, 2, 2, 0, -2, -127]);
    }

    #[test]
    fn zeros_have_scale_one() {
        assert_eq!(quantize_rows(&[0.0, 0.0, 2.54, -1.0], 2, 2), (vec![0, 0, 127, -50], vec![1.0, 2.54 / 127.0]));
    }

    #[test]
    fn a_last_group_may_be_short() {
        let (quant, scales) = quantize_groups(&[1.0, 2.0, 127.0, 4.0, 8.0, 254.0], 2, 3, 2);
        assert_eq!(quant, [64, 127, 127, 64, 127, 127]);
        assert_eq!(scales, [2.0 / 127.0, 1.0, 8.0 / 127.0, 2.0]);
    }

    #[test]
    fn what_is_not_finite_becomes_zero() {
        let (quant, scales) = quantize_groups(&[f32::NAN, 127.0, f32::INFINITY, 1.0, f32::NAN, f32::NAN], 1, 6, 2);
        assert_eq!(quant, [0, 127, 0, 0, 0, 0]);
        assert_eq!(scales, [1.0, f32::INFINITY, 1.0]);
    }

    #[test]
    fn sizes_that_do_not_fit_give_the_whole_rows() {
        assert_eq!(quantize_rows(&[1.0; 5], 9, 2).1.len(), 2);
        assert_eq!(quantize_rows(&[1.0; 5], 2, 0).1.len(), 2);
        assert_eq!(quantize_groups(&[1.0; 4], 2, 2, 0).1.len(), 4);
    }

    #[test]
    fn agrees_with_numpy() {
        let file = include_bytes!("../../tests/data/svd_int8/quant_cases.safetensors");
        let cases = SafeTensors::deserialize(file).unwrap();
        let data = |name: String| cases.tensor(&name).unwrap().data().to_vec();
        let names = cases.names();
        let names: Vec<_> = names.iter().filter_map(|name| name.strip_prefix("x_")).collect();
        assert_eq!(names.len(), 8);
        for name in names {
            let x: Vec<f32> = bytemuck::pod_collect_to_vec(&data(format!("x_{name}")));
            let expected: Vec<i8> = bytemuck::pod_collect_to_vec(&data(format!("q_{name}")));
            let expected_scale: Vec<f64> = bytemuck::pod_collect_to_vec(&data(format!("scale_{name}")));
            let (quant, scale) = quantize_whole(&x);
            assert_eq!(quant, expected, "{name}");
            // One rounding to f32 apart.
            assert!((f64::from(scale) / expected_scale[0] - 1.0).abs() < 1e-7, "{name}: {scale}");
        }
    }

    proptest! {
        #[test]
        fn a_round_trip_errs_by_half_a_step_at_most(
            w in proptest::collection::vec(-1e3_f32..1e3, 1..200), group in 1_usize..40,
        ) {
            let (quant, scales) = quantize_groups(&w, 1, w.len(), group);
            for (i, (x, q)) in w.iter().zip(&quant).enumerate() {
                let scale = f64::from(scales[i / group]);
                let error = (f64::from(*q) * scale - f64::from(*x)).abs();
                prop_assert!(error <= scale * 0.50001, "{x} -> {q} * {scale}");
            }
        }
    }
}
