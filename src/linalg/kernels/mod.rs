//! The inner loops, one source for every vector unit, and the choice among the units at run time.
//!
//! Stored elements are widened in registers. Results do not depend on the number of threads or of tokens; between families
//! of processors the last bits may differ, since they add in other orders.
#![expect(clippy::inline_always, reason = "everything must be inlined into the function compiled for the vector unit")]

mod columns;
mod output;
mod portable;
mod rows;
mod simd;
mod vectors;

pub use columns::{ColumnKernel, ColumnProduct, OUTPUT_GRANULE};
pub use output::Output;
pub use rows::{RowKernel, RowProduct, Scales};
pub use simd::{Element, Kernel};

use portable::Portable;
use simd::Simd;
use vectors::{Axpy, Dot};

/// A vector unit of this machine.
#[derive(Debug, Clone, Copy)]
pub enum Family {
    /// Plain Rust.
    Portable(Portable),
}

impl Family {
    /// The units of this machine, the best first; the last is always the portable one.
    pub fn available() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Portable(Portable))
    }

    /// The best unit of this machine.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::Portable(Portable))
    }

    /// A short lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable(_) => "portable",
        }
    }

    /// Runs `kernel` on this unit.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            Self::Portable(unit) => unit.vectorize(kernel),
        }
    }
}

/// The vector unit that products run on: `avx512`, `avx2` or `portable`.
/// Results agree to the bit within a family; between families the last bits may differ.
pub fn kernel_family() -> &'static str {
    Family::best().name()
}

/// a . b over the shorter length, in f32, always summed in the same order.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    Family::best().run(Dot(a, b))
}

/// y += alpha x over the shorter length, in f32.
pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    Family::best().run(Axpy(alpha, x, y));
}
