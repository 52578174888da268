//! NEON: 8 lanes in two registers, of which there are 32. Sums run in the order of AVX2, so that both give the same bits.

use std::arch::aarch64::{
    float32x4_t, uint8x16x2_t, uint16x8_t, vadd_f32, vaddq_f32, vaddq_u8, vcvtq_f32_s32, vdupq_n_f32, vdupq_n_s32,
    vdupq_n_u8, vdupq_n_u16, vfmaq_f32, vget_high_f32, vget_low_f32, vget_low_s16, vget_low_u16, vld1_s8, vld1q_f32,
    vld1q_s32, vld1q_u8, vld1q_u16, vmaxnmq_f32, vminnmq_f32, vmovl_high_s16, vmovl_s8, vmovl_s16, vmulq_f32,
    vpadds_f32, vqtbl2q_u8, vreinterpretq_f32_u8, vreinterpretq_f32_u32, vreinterpretq_u8_f32, vshll_high_n_u16,
    vshll_n_u16, vshlq_s32, vshrq_n_s32, vst1q_f32,
};
use std::arch::{asm, is_aarch64_feature_detected};

use half::{bf16, f16};

use super::simd::{Kernel, Simd};

/// NEON. Only [`Neon::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Neon(());

impl Neon {
    /// The unit, where this machine has it.
    pub fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

/// The first four halves widened. (Rust has no stable intrinsic for it yet.)
#[inline(always)]
pub fn first_halves(_proof: Neon, halves: uint16x8_t) -> float32x4_t {
    let wide;
    // SAFETY: the proof is that the machine has the instruction, which touches registers alone.
    unsafe {
        asm!("fcvtl {0:v}.4s, {1:v}.4h", lateout(vreg) wide, in(vreg) halves,
            options(pure, nomem, nostack, preserves_flags));
    }
    wide
}

/// The last four.
#[inline(always)]
fn last_halves(_proof: Neon, halves: uint16x8_t) -> float32x4_t {
    let wide;
    // SAFETY: as above.
    unsafe {
        asm!("fcvtl2 {0:v}.4s, {1:v}.8h", lateout(vreg) wide, in(vreg) halves,
            options(pure, nomem, nostack, preserves_flags));
    }
    wide
}

impl Simd for Neon {
    const LANES: usize = 8;
    // Vectors of one register would double the steps along a row, which count where each weight is used once.
    const MANY_REGISTERS: bool = false;
    type V = [float32x4_t; 2];

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: `self` proves the features.
        [unsafe { vdupq_n_f32(value) }; 2]
    }

    #[inline(always)]
    fn splat_f16(self, value: f16) -> Self::V {
        // SAFETY: `self` proves the features.
        [first_halves(self, unsafe { vdupq_n_u16(value.to_bits()) }); 2]
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { [vmulq_f32(a[0], b[0]), vmulq_f32(a[1], b[1])] }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { [vaddq_f32(a[0], b[0]), vaddq_f32(a[1], b[1])] }
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { [vminnmq_f32(a[0], b[0]), vminnmq_f32(a[1], b[1])] }
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { [vmaxnmq_f32(a[0], b[0]), vmaxnmq_f32(a[1], b[1])] }
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { [vfmaq_f32(c[0], a[0], b[0]), vfmaq_f32(c[1], a[1], b[1])] }
    }

    #[inline(always)]
    fn fma_one(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a count of lanes")]
    fn last(self, v: Self::V, count: usize) -> Self::V {
        const PLACES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        // SAFETY: `self` proves the features.
        unsafe {
            let all = uint8x16x2_t(vreinterpretq_u8_f32(v[0]), vreinterpretq_u8_f32(v[1]));
            let first = vaddq_u8(vld1q_u8(PLACES.as_ptr()), vdupq_n_u8(4 * (8 - count as u8)));
            // What is beyond the 32 bytes reads as 0.
            let places = [first, vaddq_u8(first, vdupq_n_u8(16))];
            [vreinterpretq_f32_u8(vqtbl2q_u8(all, places[0])), vreinterpretq_f32_u8(vqtbl2q_u8(all, places[1]))]
        }
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves the features.
        unsafe {
            let four = vaddq_f32(v[0], v[1]);
            vpadds_f32(vadd_f32(vget_low_f32(four), vget_high_f32(four)))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements.
        unsafe {
            vst1q_f32(to, v[0]);
            vst1q_f32(to.add(4), v[1]);
        }
    }

    #[inline(always)]
    unsafe fn load_f32(self, from: *const f32) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements.
        unsafe { [vld1q_f32(from), vld1q_f32(from.add(4))] }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements of 2 bytes.
        let halves = unsafe { vld1q_u16(from.cast()) };
        [first_halves(self, halves), last_halves(self, halves)]
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements of 2 bytes.
        unsafe {
            let halves = vld1q_u16(from.cast());
            let wide = [vshll_n_u16::<16>(vget_low_u16(halves)), vshll_high_n_u16::<16>(halves)];
            [vreinterpretq_f32_u32(wide[0]), vreinterpretq_f32_u32(wide[1])]
        }
    }

    #[inline(always)]
    unsafe fn load_i8(self, from: *const i8) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements of 1 byte.
        unsafe {
            let wide = vmovl_s8(vld1_s8(from));
            [vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide))), vcvtq_f32_s32(vmovl_high_s16(wide))]
        }
    }

    #[inline(always)]
    unsafe fn load_i4(self, from: *const u8) -> Self::V {
        const TO_TOP: [[i32; 4]; 2] = [[28, 24, 20, 16], [12, 8, 4, 0]];
        // SAFETY: `self` proves the features, the caller vouches for 4 bytes.
        unsafe {
            let all = vdupq_n_s32(from.cast::<i32>().read_unaligned());
            // Each number to the top of its lane; the way down repeats its sign.
            let tops = [vshlq_s32(all, vld1q_s32(TO_TOP[0].as_ptr())), vshlq_s32(all, vld1q_s32(TO_TOP[1].as_ptr()))];
            [vcvtq_f32_s32(vshrq_n_s32::<28>(tops[0])), vcvtq_f32_s32(vshrq_n_s32::<28>(tops[1]))]
        }
    }
}
