//! The inner loops, one source for every vector unit, and the choice among the units at run time.
//!
//! Stored elements are widened in registers. Results do not depend on the number of threads or of tokens; between families
//! of processors the last bits may differ, since they add in other orders.
#![expect(clippy::inline_always, reason = "everything must be inlined into the function compiled for the vector unit")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod columns;
mod output;
mod portable;
mod rows;
mod simd;
mod vectors;

use std::sync::OnceLock;

pub use columns::{ColumnKernel, ColumnProduct, OUTPUT_GRANULE};
pub use output::Output;
pub use rows::{RowKernel, RowProduct, Scales};
pub use simd::{Element, Kernel, Simd};

#[cfg(target_arch = "x86_64")]
use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use avx512::Avx512;
use portable::Portable;
use vectors::{Axpy, RowDots, RowSum};

/// A vector unit of this machine.
#[derive(Debug, Clone, Copy)]
pub enum Family {
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// AVX2 with FMA and F16C.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// Plain Rust: any other machine, those with NEON included.
    Portable(Portable),
}

impl Family {
    /// The units of this machine, the best first; the last is always the portable one.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let special = Avx512::detect().map(Self::Avx512).into_iter().chain(Avx2::detect().map(Self::Avx2));
        #[cfg(not(target_arch = "x86_64"))]
        let special = std::iter::empty();
        special.chain([Self::Portable(Portable)])
    }

    /// The best unit of this machine.
    pub fn best() -> Self {
        static BEST: OnceLock<Family> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().next().unwrap_or(Self::Portable(Portable)))
    }

    /// A short lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
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
            Self::Portable(unit) => unit.vectorize(kernel),
        }
    }
}

/// The vector unit that products run on: `avx512`, `avx2` or `portable`.
/// Results agree to the bit within a family; between families the last bits may differ.
pub fn kernel_family() -> &'static str {
    Family::best().name()
}

/// The dot products of a query with rows that lie `stride` apart, out[i] = query . rows[i * stride..], in f32, always summed in
/// the same order; NaN where `rows` is too short for that.
pub fn row_dots(query: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    out.fill(f32::NAN);
    if let Some(kernel) = RowDots::new(query, rows, stride, out) {
        Family::best().run(kernel);
    }
}

/// The weighted sum of rows that lie `stride` apart, out = sum over i of weights[i] rows[i * stride..], in f32, in the order of
/// i; NaN where `rows` is too short for that.
pub fn row_sum(weights: &[f32], rows: &[f32], stride: usize, out: &mut [f32]) {
    out.fill(f32::NAN);
    if let Some(kernel) = RowSum::new(weights, rows, stride, out) {
        Family::best().run(kernel);
    }
}

/// y += alpha x over the shorter length, in f32.
pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    Family::best().run(Axpy(alpha, x, y));
}
