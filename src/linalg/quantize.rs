//! Symmetric INT8: scale = max|x| / 127, q = round half to even, in -127..=127; all zeros: scale 1.
//!
//! All arithmetic is f32. NaN becomes 0 and takes no part in the scale; beside an infinity all else becomes 0.

/// One scale a row: (quant [rows, cols], scales [rows]). Computes the whole rows that `w` has, up to `rows`.
pub fn quantize_rows(w: &[f32], rows: usize, cols: usize) -> (Vec<i8>, Vec<f32>) {
    quantize_groups(w, rows, cols, cols)
}

/// One scale per `group` columns: (quant [rows, cols], scales [rows, ceil(cols / group)]); a last group may be short.
/// A group of 0 is taken as 1. Computes the whole rows that `w` has, up to `rows`.
pub fn quantize_groups(w: &[f32], rows: usize, cols: usize, group: usize) -> (Vec<i8>, Vec<f32>) {
    let mut quant = Vec::with_capacity(w.len());
    let mut scales = Vec::new();
    for row in w.chunks_exact(cols.max(1)).take(rows) {
        for part in row.chunks(group.max(1)) {
            scales.push(quantize_into(part, &mut quant));
        }
    }
    (quant, scales)
}

/// One scale for everything (the classic layout).
pub fn quantize_whole(w: &[f32]) -> (Vec<i8>, f32) {
    let mut quant = Vec::with_capacity(w.len());
    let scale = quantize_into(w, &mut quant);
    (quant, scale)
}

fn quantize_into(x: &[f32], quant: &mut Vec<i8>) -> f32 {
    let scale = scale_of(x);
    quant.extend(x.iter().map(|x| (x / scale).round_ties_even().clamp(-127.0, 127.0) as i8));
    scale
}

/// max|x| / 127, or 1 where that is 0 (zeros, or numbers too small for a scale).
fn scale_of(x: &[f32]) -> f32 {
    let scale = x.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0;
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
