//! Exponentials of many numbers, without a branch, so that the compiler takes a vector of them at a time.

use super::simd::{Kernel, ROUND, Simd};

/// ln 2, its first bits and the rest: their products with an exponent lose nothing.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Beyond these e^x is told as infinite, or as 0: there it, or the power of 2 that it is made with, is no normal f32.
const RANGE: [f32; 2] = [-87.3, 88.3];

/// e^x to a relative error of 2e-7, as Cephes' `expf` has it: x = n ln 2 + r, and a polynomial in r. No fused operations, so
/// that all units give the same bits.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "as Cephes gives them")]
fn exp(x: f32) -> f32 {
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let terms = [1.398_199_9e-3, 8.333_451_9e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1];
    let series = terms.iter().fold(1.987_569_1e-4, |sum, term| sum * r + term);
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    let value = (series * r * r + r + 1.0) * f32::from_bits(power);
    // Not by min and max: they would lose what is no number.
    let value = if x < RANGE[0] { 0.0 } else { value };
    if x > RANGE[1] { f32::INFINITY } else { value }
}

/// x -> e^(x - top) in place.
#[derive(Debug)]
pub struct ExpOver<'a> {
    /// The numbers.
    pub values: &'a mut [f32],
    /// What is taken from each.
    pub top: f32,
}

impl Kernel for ExpOver<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _s: S) {
        self.values.iter_mut().for_each(|x| *x = exp(*x - self.top));
    }
}

/// x -> x / (1 + e^-z) in place, where z is a function of x.
#[derive(Debug)]
pub struct TimesSigmoid<'a, F> {
    /// The numbers.
    pub values: &'a mut [f32],
    /// z of x; small enough to be inlined.
    pub argument: F,
}

impl<F: Fn(f32) -> f32> Kernel for TimesSigmoid<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _s: S) {
        self.values.iter_mut().for_each(|x| *x /= 1.0 + exp(-(self.argument)(*x)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Family;
    use super::*;

    fn steps() -> Vec<f32> {
        (-87_000..88_000).map(|i| i as f32 / 1000.0).chain([0.0, -0.0, 1e-30, -1e-7]).collect()
    }

    #[test]
    fn exponentials_are_those_of_f64_on_every_unit() {
        for family in Family::available() {
            let mut values = steps();
            family.run(ExpOver { values: &mut values, top: 0.0 });
            for (x, found) in steps().iter().zip(&values) {
                let exact = f64::from(*x).exp();
                let wrong = (f64::from(*found) - exact).abs() / exact;
                assert!(wrong < 2e-7, "{}: e^{x} = {found}, not {exact}", family.name());
            }
        }
    }

    #[test]
    fn far_out_and_not_numbers() {
        for family in Family::available() {
            let mut values = [f32::NEG_INFINITY, -1e4, -104.0, 89.0, f32::INFINITY, f32::NAN];
            family.run(ExpOver { values: &mut values, top: 0.0 });
            assert_eq!(values[..5], [0.0, 0.0, 0.0, f32::INFINITY, f32::INFINITY], "{}", family.name());
            assert!(values[5].is_nan());
        }
    }

    #[test]
    fn the_logistic_gate_is_that_of_f64_and_the_same_on_every_unit() {
        let on = |family: Family| {
            let mut values = steps();
            family.run(TimesSigmoid { values: &mut values, argument: |x| 1.702 * x });
            values
        };
        let portable = Family::available().last().map(on).unwrap();
        for (x, found) in steps().iter().zip(&portable) {
            let x = f64::from(*x);
            let exact = x / (1.0 + (-1.702 * x).exp());
            // The argument is rounded before e^: 6e-8 of up to 88.
            assert!((f64::from(*found) - exact).abs() <= 6e-6 * exact.abs() + 1e-36, "x = {x}: {found}, not {exact}");
        }
        for family in Family::available() {
            assert_eq!(on(family), portable, "{}", family.name());
        }
    }
}
