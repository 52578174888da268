//! AVX2 with FMA and F16C: 8 lanes, 16 registers.
#![expect(clippy::cast_ptr_alignment, reason = "all loads are of the unaligned kind")]

use std::arch::x86_64::{
    __m128i, __m256, __m256i, _MM_HINT_T0, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_loadl_epi64, _mm_loadu_si128,
    _mm_movehdup_ps, _mm_movehl_ps, _mm_prefetch, _mm_set1_epi16, _mm256_add_ps, _mm256_and_ps, _mm256_castps256_ps128,
    _mm256_castsi256_ps, _mm256_cmpgt_epi32, _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtepu16_epi32,
    _mm256_cvtph_ps, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps,
    _mm256_mul_ps, _mm256_permute2f128_ps, _mm256_permutevar8x32_ps, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setr_epi32, _mm256_shuffle_ps, _mm256_slli_epi32, _mm256_sllv_epi32, _mm256_srai_epi32, _mm256_storeu_ps,
    _mm256_sub_epi32, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

use half::{bf16, f16};

use super::avx2_outer::add_outer;
use super::simd::{Kernel, OuterSums, Simd};

/// AVX2 with FMA and F16C. Only [`Avx2::detect`] makes one.
#[derive(Debug, Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// The unit, where this machine has it.
    pub fn detect() -> Option<Self> {
        let has =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        has.then_some(Self(()))
    }
}

/// The sum of 8 lanes, halves first.
///
/// # Safety
/// The machine has AVX2.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn sum8(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

/// The columns of a square of 8 rows.
///
/// # Safety
/// The machine has AVX2.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn transposed(r: [__m256; 8]) -> [__m256; 8] {
    // Pairs of rows, then fours, then halves.
    let pair = |i: usize| [_mm256_unpacklo_ps(r[i], r[i + 1]), _mm256_unpackhi_ps(r[i], r[i + 1])];
    let four = |[a, b]: [__m256; 2], [c, d]: [__m256; 2]| {
        [
            _mm256_shuffle_ps::<0x44>(a, c),
            _mm256_shuffle_ps::<0xee>(a, c),
            _mm256_shuffle_ps::<0x44>(b, d),
            _mm256_shuffle_ps::<0xee>(b, d),
        ]
    };
    let (upper, lower) = (four(pair(0), pair(2)), four(pair(4), pair(6)));
    std::array::from_fn(|i| match i {
        0..4 => _mm256_permute2f128_ps::<0x20>(upper[i], lower[i]),
        _ => _mm256_permute2f128_ps::<0x31>(upper[i - 4], lower[i - 4]),
    })
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    const MANY_REGISTERS: bool = false;
    type V = __m256;

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn compiled<K: Kernel>(unit: Avx2, kernel: K) -> K::Output {
            kernel.run(unit)
        }
        // SAFETY: `self` proves the features.
        unsafe { compiled(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn splat_f16(self, value: f16) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_cvtph_ps(_mm_set1_epi16(value.to_bits().cast_signed())) }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn fma_one(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "a count of lanes")]
    fn last(self, v: Self::V, count: usize) -> Self::V {
        // SAFETY: `self` proves the features.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let count = _mm256_set1_epi32(count as i32);
            // Lanes are taken modulo 8.
            let moved = _mm256_permutevar8x32_ps(v, _mm256_sub_epi32(lanes, count));
            _mm256_and_ps(moved, _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, lanes)))
        }
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        // SAFETY: `self` proves the features.
        unsafe { sum8(v) }
    }

    #[inline(always)]
    fn transpose(self, vectors: &mut [Self::V]) {
        if let Some(square) = vectors.first_chunk_mut::<8>() {
            // SAFETY: `self` proves the features.
            *square = unsafe { transposed(*square) };
        }
    }

    #[inline(always)]
    unsafe fn add_outer(
        self,
        steps: usize,
        weights: *const f32,
        inputs: *const f32,
        ahead: *const f32,
        sums: &mut OuterSums<Self::V>,
    ) {
        // SAFETY: `self` proves the features, the caller vouches for what is read.
        unsafe { add_outer(steps, weights, inputs, ahead, sums) }
    }

    #[inline(always)]
    fn prefetch<E>(self, from: *const E) {
        // SAFETY: `self` proves the feature; it is a hint, whatever lies there.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements.
        unsafe { _mm256_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn load_f32(self, from: *const f32) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements of 2 bytes.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast::<__m128i>())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements of 2 bytes.
        unsafe {
            let wide: __m256i = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast::<__m128i>()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn load_i8(self, from: *const i8) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 8 elements of 1 byte.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast::<__m128i>()))) }
    }

    #[inline(always)]
    unsafe fn load_i4(self, from: *const u8) -> Self::V {
        // SAFETY: `self` proves the features, the caller vouches for 4 bytes.
        unsafe {
            let all = _mm256_set1_epi32(from.cast::<i32>().read_unaligned());
            // Each number to the top of its lane; the way down repeats its sign.
            let tops = _mm256_sllv_epi32(all, _mm256_setr_epi32(28, 24, 20, 16, 12, 8, 4, 0));
            _mm256_cvtepi32_ps(_mm256_srai_epi32::<28>(tops))
        }
    }
}
