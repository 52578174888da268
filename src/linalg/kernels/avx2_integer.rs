//! Integer products on AVX2: 8 sums of four products each.

use std::arch::x86_64::{
    __m128, __m256, __m256i, _mm_cvtph_ps, _mm_cvtsi32_si128, _mm_movehl_ps, _mm_movelh_ps, _mm_set1_ps,
    _mm_unpacklo_ps, _mm256_abs_epi8, _mm256_add_epi16, _mm256_and_si256, _mm256_cvtepi32_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_set_m128, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_setzero_si256, _mm256_sign_epi8, _mm256_srli_epi16, _mm256_sub_epi16, _mm256_xor_si256,
};

use half::f16;

use super::avx2::Avx2;
use super::integer::{IntegerKernel, IntegerSimd};
use super::simd::Simd;

/// The first of two numbers in the low four lanes, the second in the high ones.
///
/// # Safety
/// The machine has AVX2.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn two_by_fours(two: __m128) -> __m256 {
    let pairs = _mm_unpacklo_ps(two, two);
    _mm256_set_m128(_mm_movehl_ps(pairs, pairs), _mm_movelh_ps(pairs, pairs))
}

impl IntegerSimd for Avx2 {
    const LANES: usize = 8;
    type V = __m256;
    /// Sixteen sums of two products each.
    type I = __m256i;
    type B = __m256i;

    fn compute<K: IntegerKernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled<K: IntegerKernel>(unit: Avx2, kernel: K) -> K::Output {
            kernel.run(unit)
        }
        // SAFETY: `self` proves the features.
        unsafe { compiled(self, kernel) }
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
        Simd::splat(self, unsafe { *from })
    }

    #[inline(always)]
    unsafe fn by_fours(self, from: *const f32) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for two numbers.
        unsafe { two_by_fours(_mm_unpacklo_ps(_mm_set1_ps(*from), _mm_set1_ps(*from.add(1)))) }
    }

    #[inline(always)]
    unsafe fn halves_by_fours(self, from: *const f16) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for two numbers, which are 4 bytes.
        unsafe { two_by_fours(_mm_cvtph_ps(_mm_cvtsi32_si128(from.cast::<i32>().read_unaligned()))) }
    }

    #[inline(always)]
    unsafe fn bytes(self, from: *const i8) -> Self::B {
        // SAFETY: `self` proves the features, the caller vouches for 32 bytes.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    fn start8(self, _q: Self::B) -> Self::I {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_setzero_si256() }
    }

    // The instruction takes unsigned times signed: the sign of the weight goes to the input. Two products of at most
    // 128 * 127 fit into 16 bits.
    #[inline(always)]
    fn dot8(self, start: Self::I, w: Self::B, q: Self::B) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe {
            let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(q, w));
            let pairs = _mm256_add_epi16(start, pairs);
            _mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }

    // 8 is added to the weights, which makes them unsigned, and 8 times the inputs is taken off. All fits into 16 bits: four
    // products of at most 15 * 127.
    #[inline(always)]
    fn start4(self, q: [Self::B; 2]) -> Self::I {
        // SAFETY: `self` proves the features.
        unsafe {
            let eight = _mm256_set1_epi8(8);
            let more = _mm256_add_epi16(_mm256_maddubs_epi16(eight, q[0]), _mm256_maddubs_epi16(eight, q[1]));
            _mm256_sub_epi16(_mm256_setzero_si256(), more)
        }
    }

    #[inline(always)]
    fn dot4(self, start: Self::I, w: Self::B, q: [Self::B; 2]) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe {
            let unsigned = _mm256_xor_si256(w, _mm256_set1_epi8(-120));
            let half = _mm256_set1_epi8(15);
            let low = _mm256_and_si256(unsigned, half);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(unsigned), half);
            let pairs = _mm256_add_epi16(_mm256_maddubs_epi16(low, q[0]), _mm256_maddubs_epi16(high, q[1]));
            _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_add_epi16(start, pairs), _mm256_set1_epi16(1)))
        }
    }
}
