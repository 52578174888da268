//! Integer products on NEON with dot products: four of them added to each lane by one instruction.

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int32x4_t, vandq_s8, vcvtq_f32_s32, vcvtq_n_f32_s32, vdupq_n_s8, vdupq_n_s32, vpaddq_s32,
    vshlq_n_s8,
};
use std::arch::{asm, is_aarch64_feature_detected};

use half::f16;

use super::integer::{IntegerKernel, IntegerSimd};
use super::neon::Neon;

/// NEON with dot products. Only [`NeonDot::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct NeonDot(Neon);

impl NeonDot {
    /// The unit, where this machine has it.
    pub fn detect() -> Option<Self> {
        Neon::detect().filter(|_| is_aarch64_feature_detected!("dotprod")).map(Self)
    }
}

/// The products by fours, added to `sums`. (Rust has no stable intrinsic for it yet.)
///
/// # Safety
/// The machine has dot products.
#[inline]
#[target_feature(enable = "neon,dotprod")]
unsafe fn add_dots(mut sums: int32x4_t, w: int8x16_t, q: int8x16_t) -> int32x4_t {
    // SAFETY: the instruction, which the machine has, touches registers alone.
    unsafe {
        asm!("sdot {0:v}.4s, {1:v}.16b, {2:v}.16b", inlateout(vreg) sums, in(vreg) w, in(vreg) q,
            options(pure, nomem, nostack, preserves_flags));
    }
    sums
}

impl IntegerSimd for NeonDot {
    const LANES: usize = <Neon as IntegerSimd>::LANES;
    type V = float32x4_t;
    type I = ();
    type B = [int8x16_t; 2];

    fn compute<K: IntegerKernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "neon,dotprod")]
        fn compiled<K: IntegerKernel>(unit: NeonDot, kernel: K) -> K::Output {
            kernel.run(unit)
        }
        // SAFETY: `self` proves the features.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        IntegerSimd::splat(self.0, value)
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        IntegerSimd::mul(self.0, a, b)
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        IntegerSimd::fma(self.0, a, b, c)
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        IntegerSimd::sum(self.0, v)
    }

    #[inline(always)]
    unsafe fn by_eights(self, from: *const f32) -> Self::V {
        // SAFETY: as the caller vouches, here and below.
        unsafe { self.0.by_eights(from) }
    }

    #[inline(always)]
    unsafe fn by_fours(self, from: *const f32) -> Self::V {
        // SAFETY: as above.
        unsafe { self.0.by_fours(from) }
    }

    #[inline(always)]
    unsafe fn halves_by_fours(self, from: *const f16) -> Self::V {
        // SAFETY: as above.
        unsafe { self.0.halves_by_fours(from) }
    }

    #[inline(always)]
    unsafe fn bytes(self, from: *const i8) -> Self::B {
        // SAFETY: as above.
        unsafe { self.0.bytes(from) }
    }

    #[inline(always)]
    fn start8(self, _q: Self::B) -> Self::I {}

    #[inline(always)]
    fn dot8(self, _start: Self::I, w: Self::B, q: Self::B) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { vcvtq_f32_s32(add_dots(add_dots(vdupq_n_s32(0), w[0], q[0]), w[1], q[1])) }
    }

    #[inline(always)]
    fn start4(self, _q: [Self::B; 2]) -> Self::I {}

    // Numbers stay at the top of their bytes, sixteen times as large; the conversion takes sums as counts of 2^-4.
    #[inline(always)]
    fn dot4(self, _start: Self::I, w: Self::B, q: [Self::B; 2]) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe {
            let (zero, high) = (vdupq_n_s32(0), vdupq_n_s8(-16));
            let first = add_dots(add_dots(zero, vshlq_n_s8::<4>(w[0]), q[0][0]), vandq_s8(w[0], high), q[1][0]);
            let last = add_dots(add_dots(zero, vshlq_n_s8::<4>(w[1]), q[0][1]), vandq_s8(w[1], high), q[1][1]);
            // Neighbours are added, so that the first group of 32 has the first two lanes, the second the others.
            vcvtq_n_f32_s32::<4>(vpaddq_s32(first, last))
        }
    }
}
