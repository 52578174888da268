//! AVX-512 with BF16: 16 sums of two products each an instruction.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh,
    _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_or_si512, _mm512_set1_epi32, _mm512_slli_epi32, _mm512_storeu_si512,
};
use std::mem::transmute;

use super::avx512::{Avx512, turn};
use super::brain::{BrainKernel, BrainSimd};
use super::simd::MOST_LANES;

/// AVX-512 with BF16. Only [`Avx512Brain::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Avx512Brain(Avx512);

impl Avx512Brain {
    /// The unit, where this machine has it.
    pub fn detect() -> Option<Self> {
        Avx512::detect().filter(|_| is_x86_feature_detected!("avx512bf16")).map(Self)
    }
}

/// Bfloat16 in the low halves of the lanes.
#[inline(always)]
fn low_halves(_proof: Avx512Brain, v: __m512) -> __m512i {
    // SAFETY: the proof of the features; both types are 256 bits of plain numbers.
    unsafe { _mm512_cvtepu16_epi32(transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v))) }
}

impl BrainSimd for Avx512Brain {
    type Wide = Avx512;
    type P = __m512i;

    fn execute<K: BrainKernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")]
        fn compiled<K: BrainKernel>(unit: Avx512Brain, kernel: K) -> K::Output {
            kernel.run(unit)
        }
        // SAFETY: `self` proves the features.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn wide(self) -> Self::Wide {
        self.0
    }

    #[inline(always)]
    fn round(self, first: __m512, second: __m512) -> Self::P {
        // SAFETY: `self` proves the features, here and below; both types are 512 bits of plain numbers.
        unsafe { transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first)) }
    }

    #[inline(always)]
    fn pair(self, even: __m512, odd: __m512) -> Self::P {
        let (even, odd) = (low_halves(self, even), low_halves(self, odd));
        // SAFETY: as above.
        unsafe { _mm512_or_si512(even, _mm512_slli_epi32::<16>(odd)) }
    }

    #[inline(always)]
    fn turn(self, rows: [Self::P; MOST_LANES]) -> [Self::P; MOST_LANES] {
        turn(self.0, rows)
    }

    #[inline(always)]
    fn dot(self, sum: __m512, w: Self::P, x: Self::P) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_dpbf16_ps(sum, transmute::<__m512i, __m512bh>(w), transmute::<__m512i, __m512bh>(x)) }
    }

    #[inline(always)]
    fn splat(self, pair: u32) -> Self::P {
        // SAFETY: as above.
        unsafe { _mm512_set1_epi32(pair.cast_signed()) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> Self::P {
        // SAFETY: the caller vouches for 16 pairs.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32, pairs: Self::P) {
        // SAFETY: the caller vouches for 16 pairs.
        unsafe { _mm512_storeu_si512(to.cast(), pairs) }
    }
}
