//! What a vector unit must offer, and how each number format is widened into it.

use half::{bf16, f16};

/// The most lanes that any unit has; a buffer of so many elements holds one vector of each.
pub const MOST_LANES: usize = 16;

/// 1.5 x 2^23. Added to a number of less than 2^22, it leaves the nearest integer (ties to even) in the low bits; taken away again,
/// that integer: rounding without a call.
pub const ROUND: f32 = 12_582_912.0;

/// A vector unit. A value of the type is the proof that this machine has it, so that arithmetic is safe to call.
/// Everything is inlined into [`Simd::vectorize`], the one function compiled for the unit.
pub trait Simd: Copy + Send + Sync {
    /// Numbers in a vector.
    const LANES: usize;
    /// Whether there are registers for 24 sums and what feeds them (else for 12).
    const MANY_REGISTERS: bool;
    /// A vector of f32.
    type V: Copy;

    /// Runs `kernel` compiled for this unit.
    fn vectorize<K: Kernel>(self, kernel: K) -> K::Output;
    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::V;
    /// `value` widened, in every lane.
    fn splat_f16(self, value: f16) -> Self::V;
    /// a * b.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// a + b.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller of each.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// The larger of each.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// a * b + c, rounded once where the unit can.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The same on single numbers, rounded as [`Simd::fma`] does.
    fn fma_one(self, a: f32, b: f32, c: f32) -> f32;
    /// The sum of the lanes, always in the same order.
    fn sum(self, v: Self::V) -> f32;
    /// Writes the lanes to `to`.
    ///
    /// # Safety
    /// `to` is valid for writes of `LANES` elements (any alignment that f32 may have).
    unsafe fn store(self, to: *mut f32, v: Self::V);
    /// Reads f32.
    ///
    /// # Safety
    /// For this and the other loads: `from` is valid for reads of `LANES` elements.
    unsafe fn load_f32(self, from: *const f32) -> Self::V;
    /// Reads and widens IEEE half.
    ///
    /// # Safety
    /// As [`Simd::load_f32`].
    unsafe fn load_f16(self, from: *const f16) -> Self::V;
    /// Reads and widens bfloat16.
    ///
    /// # Safety
    /// As [`Simd::load_f32`].
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V;
    /// Reads and widens INT8.
    ///
    /// # Safety
    /// As [`Simd::load_f32`].
    unsafe fn load_i8(self, from: *const i8) -> Self::V;
    /// Reads and widens INT4, two a byte, the low half first.
    ///
    /// # Safety
    /// `from` is valid for reads of `LANES / 2` bytes.
    unsafe fn load_i4(self, from: *const u8) -> Self::V;
}

/// A computation that is compiled once for each unit. `run` and all it calls must be inlined.
pub trait Kernel {
    /// What it gives.
    type Output;
    /// Computes on `s`.
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Stored elements that widen to f32: one number each, or (u8) two INT4 numbers.
pub trait Element: Copy + Send + Sync {
    /// Zero, which pads tails.
    const ZERO: Self;
    /// Numbers in an element.
    const PACKED: usize;

    /// Reads and widens one vector.
    ///
    /// # Safety
    /// `from` is valid for reads of `S::LANES` numbers.
    unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::V;

    /// Reads and widens `count` numbers; the other lanes are 0, except that of what else the last element holds.
    ///
    /// # Safety
    /// `from` is valid for reads of `count` numbers, and `count <= S::LANES`.
    #[inline(always)]
    unsafe fn load_tail<S: Simd>(s: S, from: *const Self, count: usize) -> S::V {
        let mut padded = [Self::ZERO; MOST_LANES];
        // SAFETY: the caller vouches for `count <= LANES <= MOST_LANES` numbers; the buffer is another allocation.
        unsafe { std::ptr::copy_nonoverlapping(from, padded.as_mut_ptr(), count.div_ceil(Self::PACKED)) };
        // SAFETY: the buffer holds MOST_LANES >= LANES numbers.
        unsafe { Self::load(s, padded.as_ptr()) }
    }
}

macro_rules! element {
    ($type:ty, $zero:expr, $packed:expr, $load:ident) => {
        impl Element for $type {
            const ZERO: Self = $zero;
            const PACKED: usize = $packed;

            #[inline(always)]
            unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::V {
                // SAFETY: the caller vouches for LANES numbers.
                unsafe { s.$load(from) }
            }
        }
    };
}

element!(f32, 0.0, 1, load_f32);
element!(f16, f16::ZERO, 1, load_f16);
element!(bf16, bf16::ZERO, 1, load_bf16);
element!(i8, 0, 1, load_i8);
element!(u8, 0, 2, load_i4);
