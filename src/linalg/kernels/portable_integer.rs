//! Integer products in plain Rust.

use half::f16;

use super::integer::{IntegerKernel, IntegerSimd};
use super::portable::Portable;
use super::simd::Simd;

const LANES: usize = 8;

/// Sums of four products each; the numbers of a lane lie side by side.
#[inline(always)]
fn fours(product: impl Fn(usize) -> i32) -> [i32; LANES] {
    std::array::from_fn(|lane| (4 * lane..4 * lane + 4).map(&product).sum())
}

#[inline(always)]
fn as_f32(sums: [i32; LANES]) -> [f32; LANES] {
    sums.map(|sum| sum as f32)
}

/// One half of a byte with its sign.
#[inline(always)]
fn nibble(byte: i8, high: bool) -> i32 {
    i32::from(if high { byte } else { byte << 4 } >> 4)
}

impl IntegerSimd for Portable {
    const LANES: usize = LANES;
    type V = [f32; LANES];
    type I = ();
    type B = [i8; 4 * LANES];

    fn compute<K: IntegerKernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        Simd::splat(self, value)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        Simd::mul(self, a, b)
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        Simd::fma(self, a, b, c)
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        Simd::sum(self, v)
    }

    #[inline(always)]
    unsafe fn by_eights(self, from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for one number.
        [unsafe { *from }; LANES]
    }

    #[inline(always)]
    unsafe fn by_fours(self, from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for two numbers.
        let two = unsafe { from.cast::<[f32; 2]>().read_unaligned() };
        std::array::from_fn(|lane| two[lane / 4])
    }

    #[inline(always)]
    unsafe fn halves_by_fours(self, from: *const f16) -> Self::V {
        // SAFETY: the caller vouches for two numbers.
        let two = unsafe { from.cast::<[f16; 2]>().read_unaligned() };
        std::array::from_fn(|lane| two[lane / 4].to_f32())
    }

    #[inline(always)]
    unsafe fn bytes(self, from: *const i8) -> Self::B {
        // SAFETY: the caller vouches for 32 bytes.
        unsafe { from.cast::<Self::B>().read_unaligned() }
    }

    #[inline(always)]
    fn start8(self, _q: Self::B) -> Self::I {}

    #[inline(always)]
    fn dot8(self, _start: Self::I, w: Self::B, q: Self::B) -> Self::V {
        as_f32(fours(|i| i32::from(w[i]) * i32::from(q[i])))
    }

    #[inline(always)]
    fn start4(self, _q: [Self::B; 2]) -> Self::I {}

    #[inline(always)]
    fn dot4(self, _start: Self::I, w: Self::B, q: [Self::B; 2]) -> Self::V {
        let [low, high] = q;
        as_f32(fours(|i| nibble(w[i], false) * i32::from(low[i]) + nibble(w[i], true) * i32::from(high[i])))
    }
}
