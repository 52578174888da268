//! The inner loops, one source for every vector unit, and the choice among the units at run time.
//!
//! Stored elements are widened in registers. Results do not depend on the number of threads or of tokens; between families
//! of processors the last bits may differ, since they add in other orders.
#![expect(clippy::inline_always, reason = "everything must be inlined into the function compiled for the vector unit")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_integer;
#[cfg(target_arch = "x86_64")]
mod avx2_outer;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_brain;
mod brain;
mod brain_input;
mod brain_panel;
mod columns;
mod exponential;
mod integer;
mod lined_input;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_dot;
#[cfg(target_arch = "aarch64")]
mod neon_integer;
mod output;
mod packed;
mod packed_input;
mod portable;
mod portable_brain;
mod portable_integer;
mod rounded;
mod rows;
mod scales4;
mod simd;
mod vectors;
#[cfg(target_arch = "x86_64")]
mod vnni;
mod widen;

use std::sync::OnceLock;

use brain::BrainSimd;
pub use brain::{BRAIN_BLOCK, BrainKernel, BrainTiles, Line};
pub use brain_input::BrainInput;
pub use brain_panel::{BrainPanel, Layout};
pub use columns::{ColumnKernel, ColumnProduct, OUTPUT_GRANULE};
pub use integer::{
    INTEGER_COLUMNS, IntegerKernel, IntegerProduct, IntegerRows, IntegerSimd, IntegerWeights, takes_group,
};
pub use lined_input::LinedInput;
pub use output::Output;
pub use packed::{PACKED_GRANULE, PackedRows};
pub use packed_input::PackedInput;
#[cfg(test)]
pub use rounded::INPUT_GROUP;
pub use rounded::RoundedInput;
pub use rows::{PANEL_BYTES, RowKernel, RowProduct, Scales};
pub use scales4::{Across, BestScales, SIDE_BY_SIDE};
#[cfg(test)]
pub use scales4::{FIRST, PLACES};
pub use simd::{Element, Kernel, ROUND, Simd};
pub use widen::WidenRows;

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;
#[cfg(target_arch = "x86_64")]
use avx512_brain::Avx512Brain;
use exponential::{ExpOver, TimesSigmoid};
#[cfg(target_arch = "aarch64")]
use neon::Neon;
#[cfg(target_arch = "aarch64")]
use neon_dot::NeonDot;
use portable::Portable;
use vectors::{AddRows, Axpy, DifferenceSquares, RowDots};
#[cfg(target_arch = "x86_64")]
use vnni::Vnni;

/// A vector unit of this machine.
#[derive(Debug, Clone, Copy)]
pub enum Family {
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    /// Plain Rust: any other machine.
    Portable(Portable),
}

impl Family {
    /// The units of this machine, the best first; the last is always the portable one.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let special = Avx512::detect().map(Self::Avx512).into_iter().chain(Avx2::detect().map(Self::Avx2));
        #[cfg(target_arch = "aarch64")]
        let special = Neon::detect().map(Self::Neon).into_iter();
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let special = std::iter::empty();
        special.chain([Self::Portable(Portable)])
    }

    /// The best unit of this machine.
    pub fn best() -> Self {
        static BEST: OnceLock<Family> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().next().unwrap_or(Self::Portable(Portable)))
    }

    /// Whether products of many tokens are faster with weights and inputs laid out for outer products. Where a tile has 24 sums, it
    /// reads so little that rows in place, of [`LinedInput`], come to nine tenths of what the unit does.
    pub fn packs(self) -> bool {
        let many_registers = match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Avx512::MANY_REGISTERS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Avx2::MANY_REGISTERS,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => Neon::MANY_REGISTERS,
            Self::Portable(_) => Portable::MANY_REGISTERS,
        };
        !many_registers
    }

    /// A short lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
            Self::Portable(_) => "portable",
        }
    }

    /// Runs `kernel` on this unit.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(unit) => unit.vectorize(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(unit) => unit.vectorize(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(unit) => unit.vectorize(kernel),
            Self::Portable(unit) => unit.vectorize(kernel),
        }
    }
}

/// A unit of this machine that multiplies integers.
#[derive(Debug, Clone, Copy)]
pub enum IntegerFamily {
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni(Vnni),
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// NEON with dot products.
    #[cfg(target_arch = "aarch64")]
    NeonDot(NeonDot),
    /// NEON.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    /// Plain Rust.
    Portable(Portable),
}

impl IntegerFamily {
    /// The units of this machine, the best first; the last is always the portable one.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let special = Vnni::detect().map(Self::Vnni).into_iter().chain(Avx2::detect().map(Self::Avx2));
        #[cfg(target_arch = "aarch64")]
        let special = NeonDot::detect().map(Self::NeonDot).into_iter().chain(Neon::detect().map(Self::Neon));
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let special = std::iter::empty();
        special.chain([Self::Portable(Portable)])
    }

    /// The best unit of this machine.
    pub fn best() -> Self {
        static BEST: OnceLock<IntegerFamily> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().next().unwrap_or(Self::Portable(Portable)))
    }

    /// Numbers of INT4 that the unit takes at once: inputs are halved by as many.
    pub fn block(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(_) => 8 * <Vnni as IntegerSimd>::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => 8 * <Avx2 as IntegerSimd>::LANES,
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot(_) => 8 * <NeonDot as IntegerSimd>::LANES,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => 8 * <Neon as IntegerSimd>::LANES,
            Self::Portable(_) => 8 * <Portable as IntegerSimd>::LANES,
        }
    }

    /// Runs `kernel` on this unit.
    pub fn run<K: IntegerKernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(unit) => unit.compute(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(unit) => unit.compute(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot(unit) => unit.compute(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(unit) => unit.compute(kernel),
            Self::Portable(unit) => unit.compute(kernel),
        }
    }
}

/// A unit of this machine that multiplies bfloat16.
#[derive(Debug, Clone, Copy)]
pub enum BrainFamily {
    /// AVX-512 with BF16.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512Brain),
    /// Plain Rust, which is slower than to widen.
    Portable(Portable),
}

impl BrainFamily {
    /// The units of this machine, the best first; the last is always the portable one.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let special = Avx512Brain::detect().map(Self::Avx512).into_iter();
        #[cfg(not(target_arch = "x86_64"))]
        let special = std::iter::empty();
        special.chain([Self::Portable(Portable)])
    }

    /// The best unit of this machine; `None` where it gains nothing over widening.
    pub fn best() -> Option<Self> {
        static BEST: OnceLock<Option<BrainFamily>> = OnceLock::new();
        let gains = |unit: &Self| !matches!(unit, Self::Portable(_));
        *BEST.get_or_init(|| Self::available().find(gains))
    }

    /// Runs `kernel` on this unit.
    pub fn run<K: BrainKernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(unit) => unit.execute(kernel),
            Self::Portable(unit) => unit.execute(kernel),
        }
    }
}

/// The vector unit that products run on: `avx512`, `avx2`, `neon` or `portable`.
/// Results agree to the bit within a family; between families the last bits may differ.
pub fn kernel_family() -> &'static str {
    Family::best().name()
}

/// x -> e^(x - top) in place, to 2e-7 of its size; 0 for x - top below -87.3.
pub fn exp_over(values: &mut [f32], top: f32) {
    Family::best().run(ExpOver { values, top });
}

/// x -> x / (1 + e^(-z)) in place: `SiLU` where z(x) = x, and what else is a number times a logistic function.
pub fn times_sigmoid(values: &mut [f32], z: impl Fn(f32) -> f32) {
    Family::best().run(TimesSigmoid { values, argument: z });
}

/// The dot products of a query with rows as long as it is, in f32, always summed in the same order; NaN where `rows` is too
/// short for that.
pub fn row_dots(query: &[f32], rows: &[f32], out: &mut [f32]) {
    out.fill(f32::NAN);
    if let Some(kernel) = RowDots::new(query, rows, out) {
        Family::best().run(kernel);
    }
}

/// Adds the weighted sum of rows as long as `out`, one row after another, in f32; NaN where `rows` is too short for that.
pub fn add_rows(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    match AddRows::new(weights, rows, out) {
        Ok(kernel) => Family::best().run(kernel),
        Err(out) => out.fill(f32::NAN),
    }
}

/// y += alpha x over the shorter length, in f32.
pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    Family::best().run(Axpy(alpha, x, y));
}

/// ||w - x||^2 and ||w||^2 over the shorter length, in f64, always summed in the same order.
pub fn difference_squares(w: &[f32], x: &[f32]) -> (f64, f64) {
    Family::best().run(DifferenceSquares(w, x))
}
