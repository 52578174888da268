//! AVX-512 with VNNI: 16 sums of four products each an instruction.
#![expect(clippy::cast_ptr_alignment, reason = "all loads are of the unaligned kind")]

use std::arch::x86_64::{
    __m128i, __m512, __m512i, _mm_castsi128_ps, _mm_cvtph_ps, _mm_loadl_epi64, _mm_loadu_ps, _mm512_and_si512,
    _mm512_castps128_ps512, _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_loadu_si512,
    _mm512_mul_ps, _mm512_permutexvar_ps, _mm512_set1_epi8, _mm512_set1_ps, _mm512_setr_epi32, _mm512_setzero_si512,
    _mm512_srli_epi16, _mm512_sub_epi32, _mm512_xor_si512,
};

use half::f16;

use super::avx512::Avx512;
use super::integer::{IntegerKernel, IntegerSimd};
use super::simd::Simd;

/// AVX-512 with VNNI. Only [`Vnni::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Vnni(Avx512);

impl Vnni {
    /// The unit, where this machine has it.
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512vnni") && is_x86_feature_detected!("avx512bw");
        Avx512::detect().filter(|_| has).map(Self)
    }
}

impl IntegerSimd for Vnni {
    const LANES: usize = 16;
    type V = __m512;
    type I = __m512i;
    type B = __m512i;

    fn compute<K: IntegerKernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx512vnni,avx2,fma,f16c")]
        fn compiled<K: IntegerKernel>(unit: Vnni, kernel: K) -> K::Output {
            kernel.run(unit)
        }
        // SAFETY: `self` proves the features.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: `self` proves the features, here and below.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        self.0.sum(v)
    }

    #[inline(always)]
    unsafe fn by_eights(self, from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for 2 numbers, which are 8 bytes.
        unsafe {
            let two = _mm_castsi128_ps(_mm_loadl_epi64(from.cast::<__m128i>()));
            let lanes = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
            _mm512_permutexvar_ps(lanes, _mm512_castps128_ps512(two))
        }
    }

    #[inline(always)]
    unsafe fn by_fours(self, from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for 4 numbers.
        unsafe {
            let lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
            _mm512_permutexvar_ps(lanes, _mm512_castps128_ps512(_mm_loadu_ps(from)))
        }
    }

    #[inline(always)]
    unsafe fn halves_by_fours(self, from: *const f16) -> Self::V {
        // SAFETY: the caller vouches for 4 numbers, which are 8 bytes.
        unsafe {
            let four = _mm_cvtph_ps(_mm_loadl_epi64(from.cast::<__m128i>()));
            let lanes = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
            _mm512_permutexvar_ps(lanes, _mm512_castps128_ps512(four))
        }
    }

    #[inline(always)]
    unsafe fn bytes(self, from: *const i8) -> Self::B {
        // SAFETY: the caller vouches for 64 bytes.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    // The instruction takes unsigned times signed: 128 is added to the weights, and 128 times the inputs is taken off.
    #[inline(always)]
    fn start8(self, q: Self::B) -> Self::I {
        // SAFETY: `self` proves the features.
        unsafe {
            let more = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(-128), q);
            _mm512_sub_epi32(_mm512_setzero_si512(), more)
        }
    }

    #[inline(always)]
    fn dot8(self, start: Self::I, w: Self::B, q: Self::B) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe {
            let unsigned = _mm512_xor_si512(w, _mm512_set1_epi8(-128));
            _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start, unsigned, q))
        }
    }

    // Likewise with 8, which turns -8..=7 into 0..=15 by one bit.
    #[inline(always)]
    fn start4(self, q: [Self::B; 2]) -> Self::I {
        // SAFETY: `self` proves the features.
        unsafe {
            let eight = _mm512_set1_epi8(8);
            let more = _mm512_dpbusd_epi32(_mm512_setzero_si512(), eight, q[0]);
            _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_dpbusd_epi32(more, eight, q[1]))
        }
    }

    #[inline(always)]
    fn dot4(self, start: Self::I, w: Self::B, q: [Self::B; 2]) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe {
            let unsigned = _mm512_xor_si512(w, _mm512_set1_epi8(-120));
            let half = _mm512_set1_epi8(15);
            let low = _mm512_and_si512(unsigned, half);
            let high = _mm512_and_si512(_mm512_srli_epi16::<4>(unsigned), half);
            _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(_mm512_dpbusd_epi32(start, low, q[0]), high, q[1]))
        }
    }
}
