//! The loop of [`Simd::add_outer`](super::Simd::add_outer) for AVX2, in assembly: twelve sums, two vectors of weights and an input
//! leave one register of sixteen, and the compiler, which reads inputs ahead, moves sums to the stack and back.

use std::arch::asm;
use std::arch::x86_64::__m256;

use super::simd::{OUTER_TOKENS, OuterSums};

/// An input in every lane, times both vectors of weights.
macro_rules! token {
    ($a:literal, $b:literal, $inputs:literal, $place:literal) => {
        concat!(
            "vbroadcastss {i}, dword ptr [{x} + ",
            $inputs,
            " + ",
            $place,
            "]\nvfmadd231ps ",
            $a,
            ", {w0}, {i}\nvfmadd231ps ",
            $b,
            ", {w1}, {i}\n",
        )
    };
}

/// One step: the inputs of all tokens.
macro_rules! step {
    ($weights:literal, $inputs:literal) => {
        concat!(
            "vmovups {w0}, [{w} + ",
            $weights,
            "]\nvmovups {w1}, [{w} + ",
            $weights,
            " + 32]\n",
            token!("{a0}", "{b0}", $inputs, "0"),
            token!("{a1}", "{b1}", $inputs, "4"),
            token!("{a2}", "{b2}", $inputs, "8"),
            token!("{a3}", "{b3}", $inputs, "12"),
            token!("{a4}", "{b4}", $inputs, "16"),
            token!("{a5}", "{b5}", $inputs, "20"),
        )
    };
}

/// Adds `steps` outer products, and asks for what lies from `ahead` on meanwhile, as much as it reads of `x`.
///
/// # Safety
/// The machine has AVX2 and FMA; `w` is valid for reads of 16 numbers a step, and `x` of 6.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn add_outer(steps: usize, w: *const f32, x: *const f32, ahead: *const f32, sums: &mut OuterSums<__m256>) {
    const { assert!(OUTER_TOKENS == 6 && size_of::<OuterSums<__m256>>() == 12 * 32) };
    let [[mut a0, mut b0], [mut a1, mut b1], [mut a2, mut b2], [mut a3, mut b3], [mut a4, mut b4], [mut a5, mut b5]] =
        *sums;
    // SAFETY: the caller vouches for what is read; asking for a line is a hint, whatever lies there.
    unsafe {
        asm!(
            "sub {steps}, 4",
            "jb 3f",
            "2:",
            "prefetcht0 [{ahead}]",
            "prefetcht0 [{ahead} + 64]",
            step!("0", "0"),
            step!("64", "24"),
            step!("128", "48"),
            step!("192", "72"),
            "add {w}, 256",
            "add {x}, 96",
            "add {ahead}, 96",
            "sub {steps}, 4",
            "jae 2b",
            "3:",
            "add {steps}, 4",
            "jz 5f",
            "4:",
            step!("0", "0"),
            "add {w}, 64",
            "add {x}, 24",
            "sub {steps}, 1",
            "jnz 4b",
            "5:",
            steps = inout(reg) steps => _,
            w = inout(reg) w => _,
            x = inout(reg) x => _,
            ahead = inout(reg) ahead => _,
            a0 = inout(ymm_reg) a0,
            b0 = inout(ymm_reg) b0,
            a1 = inout(ymm_reg) a1,
            b1 = inout(ymm_reg) b1,
            a2 = inout(ymm_reg) a2,
            b2 = inout(ymm_reg) b2,
            a3 = inout(ymm_reg) a3,
            b3 = inout(ymm_reg) b3,
            a4 = inout(ymm_reg) a4,
            b4 = inout(ymm_reg) b4,
            a5 = inout(ymm_reg) a5,
            b5 = inout(ymm_reg) b5,
            w0 = out(ymm_reg) _,
            w1 = out(ymm_reg) _,
            i = out(ymm_reg) _,
            options(nostack, readonly),
        );
    }
    *sums = [[a0, b0], [a1, b1], [a2, b2], [a3, b3], [a4, b4], [a5, b5]];
}
