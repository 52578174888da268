//! Integer products on NEON, 32 columns at once. A lane holds two of their 8 sums of four products each: four lanes in all, which
//! halves the conversions and what is done with scales.

use std::arch::aarch64::{
    float32x4_t, int8x16_t, int16x8_t, vcombine_f32, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_u32, vfmaq_f32, vget_low_f32,
    vget_low_s8, vld1_f32, vld1q_s8, vmlal_high_s8, vmlal_s8, vmull_s8, vmulq_f32, vpadalq_s16, vpaddlq_s16,
    vpaddq_f32, vpaddq_s16, vpadds_f32, vreinterpretq_u16_u32, vshlq_n_s8, vshrq_n_s8, vzip1q_f32,
};

use half::f16;

use super::integer::{IntegerKernel, IntegerSimd};
use super::neon::{Neon, first_halves};

impl IntegerSimd for Neon {
    const LANES: usize = 8;
    type V = float32x4_t;
    type I = ();
    type B = [int8x16_t; 2];

    fn compute<K: IntegerKernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: `self` proves the features, here and below.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        // SAFETY: as above.
        unsafe { vpadds_f32(vget_low_f32(vpaddq_f32(v, v))) }
    }

    #[inline(always)]
    unsafe fn by_eights(self, from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for one number.
        IntegerSimd::splat(self, unsafe { *from })
    }

    #[inline(always)]
    unsafe fn by_fours(self, from: *const f32) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for two numbers.
        unsafe {
            let two = vld1_f32(from);
            let pairs = vcombine_f32(two, two);
            vzip1q_f32(pairs, pairs)
        }
    }

    #[inline(always)]
    unsafe fn halves_by_fours(self, from: *const f16) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for two numbers, which are 4 bytes.
        unsafe {
            let pairs = first_halves(self, vreinterpretq_u16_u32(vdupq_n_u32(from.cast::<u32>().read_unaligned())));
            vzip1q_f32(pairs, pairs)
        }
    }

    #[inline(always)]
    unsafe fn bytes(self, from: *const i8) -> Self::B {
        // SAFETY: `self` proves the features, the caller vouches for 32 bytes.
        unsafe { [vld1q_s8(from), vld1q_s8(from.add(16))] }
    }

    #[inline(always)]
    fn start8(self, _q: Self::B) -> Self::I {}

    // Two products of at most 128 * 127 fit into 16 bits.
    #[inline(always)]
    fn dot8(self, _start: Self::I, w: Self::B, q: Self::B) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe {
            let first = vmlal_high_s8(vmull_s8(vget_low_s8(w[0]), vget_low_s8(q[0])), w[0], q[0]);
            let last = vmlal_high_s8(vmull_s8(vget_low_s8(w[1]), vget_low_s8(q[1])), w[1], q[1]);
            vcvtq_f32_s32(vpadalq_s16(vpaddlq_s16(first), last))
        }
    }

    #[inline(always)]
    fn start4(self, _q: [Self::B; 2]) -> Self::I {}

    #[inline(always)]
    fn dot4(self, _start: Self::I, w: Self::B, q: [Self::B; 2]) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe {
            let sums = [fours(self, w[0], [q[0][0], q[1][0]]), fours(self, w[1], [q[0][1], q[1][1]])];
            // Neighbours are added, so that the first group of 32 has the first two lanes, the second the others.
            vcvtq_f32_s32(vpaddlq_s16(vpaddq_s16(sums[0], sums[1])))
        }
    }
}

/// Eight sums of four products of INT4, each at most 8 * 127.
#[inline(always)]
fn fours(_proof: Neon, w: int8x16_t, q: [int8x16_t; 2]) -> int16x8_t {
    // SAFETY: the proof is that the machine has NEON.
    unsafe {
        let (low, high) = (vshrq_n_s8::<4>(vshlq_n_s8::<4>(w)), vshrq_n_s8::<4>(w));
        let sums = vmlal_high_s8(vmull_s8(vget_low_s8(low), vget_low_s8(q[0])), low, q[0]);
        vmlal_high_s8(vmlal_s8(sums, vget_low_s8(high), vget_low_s8(q[1])), high, q[1])
    }
}
