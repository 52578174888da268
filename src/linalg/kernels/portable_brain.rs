//! Products of bfloat16 in plain Rust: slower than to widen, and there for tests alone. As the instruction of AVX-512 they add
//! the second of two products first, and take what is too small for a normal number for 0.

use half::bf16;

use super::brain::{BrainKernel, BrainSimd};
use super::portable::Portable;
use super::simd::{MOST_LANES, Simd};

const LANES: usize = <Portable as Simd>::LANES;

#[inline(always)]
fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0 } else { x }
}

#[inline(always)]
fn rounded(low: f32, high: f32) -> u32 {
    let [low, high] = [low, high].map(|x| u32::from(bf16::from_f32(flushed(x)).to_bits()));
    high << 16 | low
}

/// The numbers of a pair.
#[inline(always)]
fn widened(pair: u32) -> [f32; 2] {
    [pair << 16, pair & 0xffff_0000].map(|bits| flushed(f32::from_bits(bits)))
}

impl BrainSimd for Portable {
    type Wide = Self;
    type P = [u32; LANES];

    fn execute<K: BrainKernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn wide(self) -> Self {
        self
    }

    #[inline(always)]
    fn round(self, first: [f32; LANES], second: [f32; LANES]) -> Self::P {
        let number = |i: usize| if i < LANES { first[i] } else { second[i - LANES] };
        std::array::from_fn(|i| rounded(number(2 * i), number(2 * i + 1)))
    }

    #[inline(always)]
    fn pair(self, even: [f32; LANES], odd: [f32; LANES]) -> Self::P {
        std::array::from_fn(|i| rounded(even[i], odd[i]))
    }

    #[inline(always)]
    fn turn(self, rows: [Self::P; MOST_LANES]) -> [Self::P; MOST_LANES] {
        std::array::from_fn(|i| std::array::from_fn(|j| if i < LANES { rows[j][i] } else { 0 }))
    }

    // The product of two numbers of eight bits is exact in f32: this rounds as a fused operation does.
    #[inline(always)]
    fn dot(self, sum: [f32; LANES], w: Self::P, x: Self::P) -> [f32; LANES] {
        std::array::from_fn(|i| {
            let (w, x) = (widened(w[i]), widened(x[i]));
            flushed(flushed(sum[i] + w[1] * x[1]) + w[0] * x[0])
        })
    }

    #[inline(always)]
    fn splat(self, pair: u32) -> Self::P {
        [pair; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const u32) -> Self::P {
        // SAFETY: the caller vouches for LANES pairs.
        unsafe { from.cast::<Self::P>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u32, pairs: Self::P) {
        // SAFETY: the caller vouches for LANES pairs.
        unsafe { to.cast::<Self::P>().write_unaligned(pairs) };
    }
}
