//! INT4 in groups, each with the scale that errs least.
//!
//! The largest number of a group, with its sign, goes to -8, the level that stands alone (as llama.cpp's `Q4_0` has it), or to
//! a little more or less than that; of these scales the best is taken, and improved by least squares. Scales are tried as
//! the f16 that they are stored as. The same bytes on every machine.

#![expect(clippy::inline_always, reason = "everything must be inlined into the function compiled for the vector unit")]

use half::f16;

use super::kernels::{Across, BestScales, Family, Kernel, ROUND, SIDE_BY_SIDE, Simd};
use super::{Matrix, NumericError, Order, Values};
use crate::checkpoint::View;

/// Largest magnitude held: level -8 of the largest scale.
const MOST: f32 = 8.0 * 65504.0;

/// The INT4 matrix of w [rows, cols], row-major, with a scale per `group` columns of a row (a last group may be short; 0 is
/// taken as 1) that makes the sum of `weights[column] (w - q scale)^2` least; `None`: all columns count the same. A group of
/// zeros has scale 1. NaN becomes 0, and numbers beyond 8 x 65504 are cut off.
///
/// # Errors
/// [`NumericError::Size`] where `w` has not rows * cols elements or the weights are not `cols`.
pub fn quantize4(
    w: &[f32],
    rows: usize,
    cols: usize,
    group: usize,
    weights: Option<&[f32]>,
) -> Result<Matrix, NumericError> {
    let needed = rows.saturating_mul(cols);
    if needed != w.len() {
        return Err(NumericError::Size { rows, cols, needed, found: w.len() });
    }
    if let Some(weights) = weights.filter(|weights| weights.len() != cols) {
        return Err(NumericError::Size { rows: 1, cols, needed: cols, found: weights.len() });
    }
    let group = group.clamp(1, cols.max(1));
    let (quant, scales) = Family::best().run(Quantize { w, cols, group, weights });
    let values = Values::I4 { quant: View::copied(&quant), scales: View::copied(&scales), group };
    Matrix::new(rows, cols, Order::RowMajor, values)
}

/// All rows. Compiled for the vector unit, in plain arithmetic, so that every unit gives the same.
struct Quantize<'a> {
    w: &'a [f32],
    cols: usize,
    group: usize,
    weights: Option<&'a [f32]>,
}

impl Kernel for Quantize<'_> {
    type Output = (Vec<u8>, Vec<f16>);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let mut scales = Vec::with_capacity(self.w.len().div_ceil(self.group));
        let mut groups = Groups::new(self.group);
        for row in self.w.chunks_exact(self.cols.max(1)) {
            for (index, part) in row.chunks(self.group).enumerate() {
                groups.put(part, self.weights.and_then(|weights| weights.chunks(self.group).nth(index)));
                if groups.count == SIDE_BY_SIDE {
                    scales.extend(groups.search().run(s));
                    groups.clear();
                }
            }
        }
        let left = groups.count;
        scales.extend(groups.search().run(s).into_iter().take(left));
        (self.levels(&scales), scales)
    }
}

impl Quantize<'_> {
    /// The numbers, two a byte.
    #[inline(always)]
    fn levels(&self, scales: &[f16]) -> Vec<u8> {
        let cols = self.cols.max(1);
        let mut quant = Vec::with_capacity(self.w.len() / cols * cols.div_ceil(2));
        let mut levels = vec![0; cols];
        for (row, scales) in self.w.chunks_exact(cols).zip(scales.chunks(cols.div_ceil(self.group).max(1))) {
            for ((part, levels), scale) in row.chunks(self.group).zip(levels.chunks_mut(self.group)).zip(scales) {
                let per_scale = scale.to_f32().recip();
                levels.iter_mut().zip(part).for_each(|(to, x)| *to = level(finite(*x), per_scale));
            }
            let (pairs, last) = levels.as_chunks();
            quant.extend(pairs.iter().map(|[low, high]| low | high << 4));
            quant.extend(last);
        }
        quant
    }
}

/// The level of x, in -8..=7, as four bits.
#[inline(always)]
fn level(x: f32, per_scale: f32) -> u8 {
    ((x * per_scale).clamp(-8.0, 7.0) + ROUND).to_bits() as u8 & 15
}

/// x, where it is no number 0, and else cut off at what is held.
#[inline(always)]
fn finite(x: f32) -> f32 {
    if x.is_nan() { 0.0 } else { x.clamp(-MOST, MOST) }
}

/// Groups side by side, each padded with zeros.
struct Groups {
    x: Vec<Across>,
    weights: Vec<Across>,
    largest: Across,
    count: usize,
}

impl Groups {
    fn new(group: usize) -> Self {
        let zeros = vec![[0.0; SIDE_BY_SIDE]; group];
        Self { x: zeros.clone(), weights: zeros, largest: [0.0; SIDE_BY_SIDE], count: 0 }
    }

    /// Adds a group, without `weights` each number counting 1.
    #[inline(always)]
    fn put(&mut self, part: &[f32], weights: Option<&[f32]>) {
        let at = self.count % SIDE_BY_SIDE;
        let mut most = 0.0_f32;
        for (place, x) in self.x.iter_mut().zip(part) {
            let x = finite(*x);
            place[at] = x;
            most = if x.abs() > most.abs() { x } else { most };
        }
        for (index, place) in self.weights.iter_mut().take(part.len()).enumerate() {
            place[at] = weights.map_or(1.0, |weights| weights.get(index).copied().unwrap_or_default());
        }
        self.largest[at] = most;
        self.count += 1;
    }

    fn search(&self) -> BestScales<'_> {
        BestScales { x: &self.x, weights: &self.weights, largest: self.largest }
    }

    /// Empties all places.
    fn clear(&mut self) {
        self.x.fill([0.0; SIDE_BY_SIDE]);
        self.weights.fill([0.0; SIDE_BY_SIDE]);
        self.largest = [0.0; SIDE_BY_SIDE];
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::kernels::{FIRST, PLACES};
    use super::*;

    fn parts(matrix: &Matrix) -> (Vec<u8>, Vec<f32>) {
        match matrix.values() {
            Values::I4 { quant, scales, .. } => (quant.to_vec(), scales.iter().map(|scale| scale.to_f32()).collect()),
            _ => panic!("not INT4"),
        }
    }

    fn error(w: &[f32], found: &[f32], weights: &[f32]) -> f64 {
        let terms = w.iter().zip(found).zip(weights.iter().cycle());
        terms.map(|((w, x), weight)| f64::from(*weight) * (f64::from(*w) - f64::from(*x)).powi(2)).sum()
    }

    #[test]
    fn the_largest_with_its_sign_is_minus_eight() {
        let w = [8.0, -7.0, 3.0, 0.0, -16.0, 14.0];
        let matrix = quantize4(&w, 2, 3, 3, None).unwrap();
        assert_eq!(parts(&matrix), (vec![0x78, 0x0d, 0x80, 0x07], vec![-1.0, 2.0]));
        assert_eq!(matrix.to_f32(), w);
    }

    #[test]
    fn zeros_have_scale_one_and_a_last_group_may_be_short() {
        let matrix = quantize4(&[0.0, 0.0, -4.0], 1, 3, 2, None).unwrap();
        let (quant, scales) = parts(&matrix);
        assert_eq!((quant[0], scales[0], scales.len()), (0, 1.0, 2));
        assert_eq!(matrix.to_f32()[..2], [0.0; 2]);
        assert!((matrix.to_f32()[2] + 4.0).abs() < 2e-3);
    }

    /// A scale as stored, its error, and the scale of least error for the levels that it gives, summed as the kernel sums them:
    /// every sixteenth number first.
    fn tried(x: &[f32], weights: &[f32], scale: f32) -> (f32, f16, f32) {
        let stored = f16::from_f32(scale.clamp(-65504.0, 65504.0));
        if stored == f16::ZERO {
            return (f32::INFINITY, f16::ONE, 0.0);
        }
        let (scale, per_scale) = (stored.to_f32(), stored.to_f32().recip());
        let mut sums = [0.0_f32; 3];
        for lane in 0..16 {
            let mut part = [0.0_f32; 3];
            for (x, weight) in x.iter().zip(weights).skip(lane).step_by(16) {
                let q = (x * per_scale).round_ties_even().clamp(-8.0, 7.0);
                let (rest, counted) = (x - q * scale, weight * q);
                part[0] += weight * rest * rest;
                part[1] += counted * x;
                part[2] += counted * q;
            }
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        let better = sums[1] / sums[2];
        (sums[0], stored, if better.is_finite() { better } else { scale })
    }

    /// The scale of one group alone.
    fn alone(x: &[f32], weights: &[f32]) -> f16 {
        let largest = x.iter().fold(0.0_f32, |most, x| if x.abs() > most.abs() { *x } else { most });
        let mut best = (f32::INFINITY, f16::ONE, 1.0);
        for place in 0..PLACES {
            let found = tried(x, weights, largest / -(FIRST + 0.25 * f32::from(place)));
            best = if found.0 < best.0 { found } else { best };
        }
        for _ in 0..3 {
            let found = tried(x, weights, best.2);
            best = if found.0 < best.0 { found } else { break };
        }
        best.1
    }

    #[test]
    fn groups_side_by_side_have_the_scales_that_each_has_alone() {
        for (cols, group) in [(64, 32), (50, 19), (128, 128)] {
            let w: Vec<f32> =
                (0..7 * cols).map(|i| (i as f32 * 0.71).sin() + (i as f32 * 0.13).cos().powi(9)).collect();
            let weights: Vec<f32> = (0..cols).map(|i| 0.1 + (i % 7) as f32).collect();
            let (_, found) = parts(&quantize4(&w, 7, cols, group, Some(&weights)).unwrap());
            let rows = w.chunks(cols).flat_map(|row| row.chunks(group).zip(weights.chunks(group)));
            let wanted: Vec<f32> = rows.map(|(x, weights)| alone(x, weights).to_f32()).collect();
            assert_eq!(found, wanted, "{cols} {group}");
        }
    }

    #[test]
    fn columns_that_count_more_err_less() {
        let w: Vec<f32> = (0..64).map(|i| (i as f32 * 0.71).sin() + (i as f32 * 0.13).cos()).collect();
        let weights: Vec<f32> = (0..32).map(|i| if i % 5 == 0 { 100.0 } else { 0.01 }).collect();
        let plain = quantize4(&w, 2, 32, 32, None).unwrap().to_f32();
        let weighted = quantize4(&w, 2, 32, 32, Some(&weights)).unwrap().to_f32();
        assert!(error(&w, &weighted, &weights) < error(&w, &plain, &weights));
        assert!(error(&w, &plain, &[1.0]) < error(&w, &weighted, &[1.0]));
    }

    #[test]
    fn what_cannot_be_held_is_cut_off_or_zero() {
        let cut = quantize4(&[f32::NAN, f32::INFINITY, -1e30, 1.0], 1, 4, 2, None).unwrap().to_f32();
        assert_eq!((cut[0], cut[2]), (0.0, -8.0 * 65504.0));
        assert_eq!(quantize4(&[1e-9; 4], 1, 4, 4, None).unwrap().to_f32(), [0.0; 4]);
        assert!(quantize4(&[0.0; 3], 2, 2, 2, None).is_err());
        assert!(quantize4(&[0.0; 4], 2, 2, 2, Some(&[1.0; 3])).is_err());
        assert_eq!(quantize4(&[], 0, 5, 0, None).unwrap().bytes(), 0);
    }

    proptest! {
        #[test]
        fn no_plain_scale_is_better(
            w in proptest::collection::vec(-100.0_f32..100.0, 1..80), group in 1_usize..40, place in 0..PLACES,
        ) {
            let matrix = quantize4(&w, 1, w.len(), group, None).unwrap();
            let found = matrix.to_f32();
            for (part, found) in w.chunks(group).zip(found.chunks(group)) {
                let largest = part.iter().fold(0.0_f32, |most, x| if x.abs() > most.abs() { *x } else { most });
                for levels in [FIRST + 0.25 * f32::from(place), 8.0] {
                    let scale = f16::from_f32(largest / -levels).to_f32();
                    if scale == 0.0 {
                        continue;
                    }
                    let plain: Vec<f32> =
                        part.iter().map(|x| (x / scale).round_ties_even().clamp(-8.0, 7.0) * scale).collect();
                    let (ours, theirs) = (error(part, found, &[1.0]), error(part, &plain, &[1.0]));
                    prop_assert!(ours <= theirs * 1.001 + 1e-6 * part.len() as f64, "{ours} {theirs}");
                }
            }
        }
    }
}
