//! Plain Rust for any machine; the compiler vectorizes it as the target allows.

use half::{bf16, f16};

use super::simd::{Kernel, Simd};

/// The unit that every machine has. Products are rounded before they are added, except where the target always fuses.
#[derive(Debug, Clone, Copy)]
pub struct Portable;

const LANES: usize = 8;

#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> [f32; LANES] {
    std::array::from_fn(f)
}

#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    // Elsewhere `mul_add` would be a call into the C library.
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
}

/// IEEE half to single without branches, so that it vectorizes, and without a look at what the machine has: the exponent's bias differs
/// by 112, subnormals included.
#[inline(always)]
pub fn widened(half: f16) -> f32 {
    let bits = u32::from(half.to_bits());
    let magnitude = (bits & 0x7fff) << 13;
    let scaled = f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23);
    let not_finite = if magnitude >= 0x7c00 << 13 { 0x7f80_0000 } else { 0 };
    f32::from_bits(scaled.to_bits() | not_finite | (bits & 0x8000) << 16)
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
    fn splat_f16(self, value: f16) -> Self::V {
        [widened(value); LANES]
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
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i].min(b[i]))
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        each(|i| a[i].max(b[i]))
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        each(|i| fused(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn fma_one(self, a: f32, b: f32, c: f32) -> f32 {
        fused(a, b, c)
    }

    #[inline(always)]
    fn last(self, v: Self::V, count: usize) -> Self::V {
        each(|i| if i < count { v[LANES - count + i] } else { 0.0 })
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
        each(|i| widened(stored[i]))
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

    #[inline(always)]
    unsafe fn load_i4(self, from: *const u8) -> Self::V {
        // SAFETY: the caller vouches for LANES / 2 bytes.
        let stored = unsafe { from.cast::<[u8; LANES / 2]>().read_unaligned() };
        // The wanted half goes to the top, and back down with its sign.
        each(|i| f32::from((stored[i / 2] << (4 * (1 - i % 2))).cast_signed() >> 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_widened_as_it_should() {
        for half in (0..=u16::MAX).map(f16::from_bits) {
            let (ours, theirs) = (widened(half), half.to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{:#x}", half.to_bits());
        }
    }
}
