//! Dot products and sums of vectors, for attention.

use super::simd::{Element, Kernel, Simd};

/// a . b, over the shorter length: four vectors of partial sums, always in the same order.
#[derive(Debug)]
pub struct Dot<'a>(pub &'a [f32], pub &'a [f32]);

impl Kernel for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let len = self.0.len().min(self.1.len());
        let (a, b) = (self.0.as_ptr(), self.1.as_ptr());
        let mut sums = [s.splat(0.0); 4];
        let mut k = 0;
        while k + 4 * S::LANES <= len {
            for (i, sum) in sums.iter_mut().enumerate() {
                let at = k + i * S::LANES;
                // SAFETY: at + LANES <= len, the shorter of both.
                *sum = unsafe { s.fma(f32::load(s, a.add(at)), f32::load(s, b.add(at)), *sum) };
            }
            k += 4 * S::LANES;
        }
        while k < len {
            let rest = S::LANES.min(len - k);
            // SAFETY: k + rest <= len, the shorter of both, and rest <= LANES.
            sums[0] = unsafe { s.fma(f32::load_tail(s, a.add(k), rest), f32::load_tail(s, b.add(k), rest), sums[0]) };
            k += rest;
        }
        s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
    }
}

/// y += alpha x, over the shorter length.
#[derive(Debug)]
pub struct Axpy<'a>(pub f32, pub &'a [f32], pub &'a mut [f32]);

impl Kernel for Axpy<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self(alpha, x, y) = self;
        let len = x.len().min(y.len());
        let factor = s.splat(alpha);
        let mut k = 0;
        while k + S::LANES <= len {
            // SAFETY: k + LANES <= len, the shorter of both.
            unsafe {
                let sum = s.fma(factor, f32::load(s, x.as_ptr().add(k)), f32::load(s, y.as_ptr().add(k)));
                s.store(y.as_mut_ptr().add(k), sum);
            }
            k += S::LANES;
        }
        for (x, y) in x.iter().zip(y).skip(k) {
            *y = s.fma_one(alpha, *x, *y);
        }
    }
}
