//! AVX-512 (F, DQ and VL): 16 lanes, 32 registers.
#![expect(clippy::cast_ptr_alignment, reason = "all loads are of the unaligned kind")]

use std::arch::x86_64::{
    __m128i, __m256i, __m512, __m512i, _mm_loadl_epi64, _mm_loadu_si128, _mm_storeu_ps, _mm256_add_ps,
    _mm256_loadu_si256, _mm256_set1_epi16, _mm512_add_ps, _mm512_castps_si512, _mm512_castps512_ps128,
    _mm512_castps512_ps256, _mm512_castsi128_si512, _mm512_castsi512_ps, _mm512_cmpgt_epi32_mask, _mm512_cvtepi8_epi32,
    _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32, _mm512_cvtph_ps, _mm512_extractf32x8_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_maskz_permutexvar_ps, _mm512_max_ps, _mm512_min_ps, _mm512_mul_ps, _mm512_permute_ps,
    _mm512_permutexvar_epi32, _mm512_permutexvar_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setr_epi32,
    _mm512_setr_ps, _mm512_setr4_epi32, _mm512_setzero_si512, _mm512_shuffle_f32x4, _mm512_shuffle_i32x4,
    _mm512_slli_epi32, _mm512_srlv_epi32, _mm512_storeu_ps, _mm512_sub_epi32, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use half::{bf16, f16};

use super::avx2::{Avx2, sum8};
use super::simd::{Kernel, MOST_LANES, Simd};

/// AVX-512 (F, DQ and VL, without which what is halved to be summed has 16 registers, not 32). Only [`Avx512::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Avx512(());

impl Avx512 {
    /// The unit, where this machine has it (and AVX2, for the last steps of a sum).
    pub fn detect() -> Option<Self> {
        Avx2::detect()?;
        let there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        there.then_some(Self(()))
    }
}

/// Lane i of vector j becomes lane j of vector i: pairs of rows, then fours, are interleaved within 128 bits, which are then brought
/// to where they belong.
#[inline(always)]
pub fn turn(_proof: Avx512, rows: [__m512i; MOST_LANES]) -> [__m512i; MOST_LANES] {
    let (mut twos, mut fours, mut eights, mut out) = (rows, rows, rows, rows);
    // SAFETY: the proof of the features.
    unsafe {
        for i in 0..8 {
            twos[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
            twos[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
        }
        for i in 0..4 {
            for half in 0..2 {
                let (a, b) = (twos[4 * i + half], twos[4 * i + 2 + half]);
                fours[4 * i + 2 * half] = _mm512_unpacklo_epi64(a, b);
                fours[4 * i + 2 * half + 1] = _mm512_unpackhi_epi64(a, b);
            }
        }
        // Now quarter q of fours[4 i + j] is column 4 q + j of rows 4 i .. 4 i + 4.
        for j in 0..4 {
            for i in 0..2 {
                let (a, b) = (fours[8 * i + j], fours[8 * i + 4 + j]);
                eights[2 * j + i] = _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b);
                eights[8 + 2 * j + i] = _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b);
            }
            for odd in 0..2 {
                let (a, b) = (eights[8 * odd + 2 * j], eights[8 * odd + 2 * j + 1]);
                out[4 * odd + j] = _mm512_shuffle_i32x4::<0b10_00_10_00>(a, b);
                out[8 + 4 * odd + j] = _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b);
            }
        }
    }
    out
}

impl Simd for Avx512 {
    const LANES: usize = 16;
    const MANY_REGISTERS: bool = true;
    type V = __m512;

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma,f16c")]
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

    #[inline(always)]
    fn transpose(self, vectors: &mut [Self::V]) {
        // SAFETY: `self` proves the features.
        let mut rows = unsafe { [_mm512_setzero_si512(); MOST_LANES] };
        for (row, vector) in rows.iter_mut().zip(vectors.iter()) {
            // SAFETY: as above.
            *row = unsafe { _mm512_castps_si512(*vector) };
        }
        for (vector, column) in vectors.iter_mut().zip(turn(self, rows)) {
            // SAFETY: as above.
            *vector = unsafe { _mm512_castsi512_ps(column) };
        }
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
    fn sum_four(self, [a, b, c, d]: [Self::V; 4]) -> [f32; 4] {
        // SAFETY: `self` proves the features.
        unsafe {
            // By fours of lanes: the two of a, of b, and likewise of c and d; then one of each.
            let ab = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
            let cd = _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(c, d), _mm512_shuffle_f32x4::<0xee>(c, d));
            let fours = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
            let twos = _mm512_add_ps(fours, _mm512_permute_ps::<0b01_00_11_10>(fours));
            let ones = _mm512_add_ps(twos, _mm512_permute_ps::<0b10_11_00_01>(twos));
            let firsts = _mm512_permutexvar_ps(_mm512_setr4_epi32(0, 4, 8, 12), ones);
            let mut sums = [0.0; 4];
            _mm_storeu_ps(sums.as_mut_ptr(), _mm512_castps512_ps128(firsts));
            sums
        }
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
