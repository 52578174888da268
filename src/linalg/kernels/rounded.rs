//! Inputs rounded to INT8 in groups of 32, one scale each, as llama.cpp's `q8_0` has them.

use rayon::prelude::*;

use super::Family;
use super::simd::{Kernel, ROUND, Simd};

/// Numbers of an input that share a scale.
pub const INPUT_GROUP: usize = 32;

/// Inputs x [tokens, cols] ~ scale * q, with scale = max |x| / 127 of each group.
#[derive(Debug)]
pub struct RoundedInput {
    /// INT8 [tokens, cols].
    pub quants: Vec<i8>,
    /// One for each 32 numbers; NaN where they are not all finite.
    pub scales: Vec<f32>,
    /// Length of an input.
    pub cols: usize,
}

impl RoundedInput {
    /// Rounds x [tokens, cols], `cols` being a multiple of 32. With `halved` the numbers of even places of each `block`, of which
    /// `cols` is a multiple, come before those of odd places, as INT4 has them in the halves of its bytes.
    pub fn new(x: &[f32], cols: usize, halved: Option<usize>) -> Self {
        let mut quants = vec![0; x.len()];
        let mut scales = vec![0.0; x.len() / INPUT_GROUP];
        let family = Family::best();
        let round =
            |(x, (quants, scales)): (&[f32], (&mut [i8], &mut [f32]))| family.run(Round { x, quants, scales, halved });
        if x.len() <= cols {
            round((x, (&mut quants[..], &mut scales[..])));
        } else {
            let length = cols.max(INPUT_GROUP);
            let outputs = quants.par_chunks_mut(length).zip(scales.par_chunks_mut(length / INPUT_GROUP));
            x.par_chunks(length).zip(outputs).for_each(round);
        }
        Self { quants, scales, cols }
    }
}

/// Rounds one input.
struct Round<'a> {
    x: &'a [f32],
    quants: &'a mut [i8],
    scales: &'a mut [f32],
    halved: Option<usize>,
}

impl Kernel for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _s: S) {
        let Self { x, quants, scales, halved } = self;
        let groups = x.chunks_exact(INPUT_GROUP).zip(quants.chunks_exact_mut(INPUT_GROUP));
        for ((x, quants), scale) in groups.zip(scales) {
            *scale = round_group(x, quants);
        }
        let Some(block) = halved else { return };
        let mut whole = vec![0; block];
        for quants in quants.chunks_exact_mut(block) {
            whole.copy_from_slice(quants);
            let (even, odd) = quants.split_at_mut(block / 2);
            for ((pair, even), odd) in whole.chunks_exact(2).zip(even).zip(odd) {
                (*even, *odd) = (pair[0], pair[1]);
            }
        }
    }
}

/// Rounds a group; its scale.
#[inline(always)]
fn round_group(x: &[f32], quants: &mut [i8]) -> f32 {
    // Sizes compare as their bits do, and what is not finite is larger than all that is.
    let most = x.iter().map(|x| x.to_bits() & 0x7fff_ffff).fold(0, u32::max);
    let most = f32::from_bits(most);
    if !most.is_finite() {
        return f32::NAN;
    }
    let inverse = if most > 0.0 { 127.0 / most } else { 0.0 };
    // So small that its inverse is beyond all numbers.
    let inverse = if inverse.is_finite() { inverse } else { 0.0 };
    for (quant, x) in quants.iter_mut().zip(x) {
        *quant = (x * inverse + ROUND).to_bits() as i8;
    }
    most / 127.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_rounded_to_the_nearest_of_255_steps() {
        let x: Vec<f32> = (0..64).map(|i| if i < 32 { i as f32 - 15.5 } else { 0.0 }).collect();
        let rounded = RoundedInput::new(&x, 64, None);
        assert_eq!((rounded.scales[0], rounded.scales[1]), (15.5 / 127.0, 0.0));
        for (x, quant) in x.iter().zip(&rounded.quants) {
            assert_eq!(i32::from(*quant), (x * 127.0 / 15.5).round_ties_even() as i32);
        }
        let halved = RoundedInput::new(&x, 64, Some(64)).quants;
        assert!((0..32).all(|i| halved[i] == rounded.quants[2 * i] && halved[32 + i] == rounded.quants[2 * i + 1]));
    }

    #[test]
    fn what_is_not_finite_or_hardly_there_is_told_by_the_scale() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = [1.0; 64];
            x[40] = wrong;
            let rounded = RoundedInput::new(&x, 32, None);
            assert!(rounded.scales[0].is_finite() && rounded.scales[1].is_nan());
        }
        let rounded = RoundedInput::new(&[1e-41; 32], 32, None);
        assert!(rounded.scales[0] >= 0.0 && rounded.quants.iter().all(|quant| *quant == 0));
    }
}
