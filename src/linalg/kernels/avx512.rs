//! AVX-512 (F and DQ): 16 lanes, 32 registers.
#![expect(clippy::cast_ptr_alignment, reason = "all loads are of the unaligned kind")]

use std::arch::x86_64::{
    __m128i, __m256i, __m512, _mm_loadl_epi64, _mm_loadu_si128, _mm256_add_ps, _mm256_loadu_si256, _mm256_set1_epi16,
    _mm512_add_ps, _mm512_castps512_ps256, _mm512_castsi128_si512, _mm512_castsi512_ps, _mm512_cmpgt_epi32_mask,
    _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32, _mm512_cvtph_ps, _mm512_extractf32x8_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_maskz_permutexvar_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps,
    _mm512_permutexvar_epi32, _mm512_permutexvar_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32,
    _mm512_setr_ps, _mm512_slli_epi32, _mm512_srlv_epi32, _mm512_storeu_ps, _mm512_sub_epi32,
};

use half::{bf16, f16};

use super::avx2::{Avx2, sum8};
use super::simd::{Kernel, Simd};

/// AVX-512 (F and DQ). Only [`Avx512::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// The unit, where this machine has it (and AVX2, for the last steps of a sum).
    pub fn detect() -> Option<Self> {
        Avx2::detect()?;
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")).then_some(Self(()))
    }
}

impl Simd for Avx512 {
    const LANES: usize = 16;
    const MANY_REGISTERS: bool = true;
    type V = __m512;

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx2,fma,f16c")]
        fn compiled<K: Kernel>(unit: Avx512, kernel: K) -> K::Output {
            kernel.run(unit)
        }
        // SAFETY: `self` proves the features.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn splat_f16(self, value: f16) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_cvtph_ps(_mm256_set1_epi16(value.to_bits().cast_signed())) }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn fma_one(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    // Not `_mm512_reduce_add_ps`, whose order is the compiler's choice.
    #[inline(always)]
    #[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "a count of lanes")]
    fn last(self, v: Self::V, count: usize) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe {
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let count = _mm512_set1_epi32(count as i32);
            // Lanes are taken modulo 16.
            _mm512_maskz_permutexvar_ps(_mm512_cmpgt_epi32_mask(count, lanes), _mm512_sub_epi32(lanes, count), v)
        }
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves the features, of AVX2 too.
        unsafe { sum8(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v))) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: `self` proves the features, the caller vouches for 16 elements.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn load_f32(self, from: *const f32) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 16 elements.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 16 elements of 2 bytes.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast::<__m256i>())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 16 elements of 2 bytes.
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast::<__m256i>()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn load_i8(self, from: *const i8) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 16 elements of 1 byte.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast::<__m128i>()))) }
    }

    // Each number's four bits are brought down by a shift of its own, and looked up: a permutation minds the low four bits alone.
    #[inline(always)]
    unsafe fn load_i4(self, from: *const u8) -> Self::V {
        // SAFETY: `self` proves the features; the caller vouches for 8 bytes.
        unsafe {
            let packed = _mm512_castsi128_si512(_mm_loadl_epi64(from.cast::<__m128i>()));
            let halves =
                _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1), packed);
            let shifts = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
            let numbers =
                _mm512_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, -8.0, -7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0);
            _mm512_permutexvar_ps(_mm512_srlv_epi32(halves, shifts), numbers)
        }
    }
}
