//! Plain Rust for any machine; the compiler vectorizes it as the target allows.

use half::{bf16, f16};

use super::simd::{Kernel, Simd};

/// The unit that every machine has. Products are rounded before they are added.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

const LANES: usize = 8;

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(f)
}

impl Simd for Portable {
    const LANES: usize = LANES;
    const MANY_REGISTERS: bool = false;
    type V = [f32; LANES];

    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; LANES]
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        each(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn fma_one(self, a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }

    #[inline(always)]
    fn sum(self, v: Self::V) -> f32 {
        ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: the caller vouches for LANES elements.
        unsafe { to.cast::<Self::V>().write_unaligned(v) };
    }

    #[inline(always)]
    unsafe fn load_f32(self, from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for LANES elements.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> Self::V {
        // SAFETY: the caller vouches for LANES elements.
        let stored = unsafe { from.cast::<[f16; LANES]>().read_unaligned() };
        each(|i| stored[i].to_f32())
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: the caller vouches for LANES elements.
        let stored = unsafe { from.cast::<[bf16; LANES]>().read_unaligned() };
        each(|i| f32::from_bits(u32::from(stored[i].to_bits()) << 16))
    }

    #[inline(always)]
    unsafe fn load_i8(self, from: *const i8) -> Self::V {
        // SAFETY: the caller vouches for LANES elements.
        let stored = unsafe { from.cast::<[i8; LANES]>().read_unaligned() };
        each(|i| f32::from(stored[i]))
    }
}
