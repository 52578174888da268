//! What a vector unit must offer, and how each number format is widened into it.

use half::{bf16, f16};

/// The most lanes that any unit has; a buffer of so many elements holds one vector of each.
pub const MOST_LANES: usize = 16;

/// 1.5 x 2^23. Added to a number of less than 2^22, it leaves the nearest integer (ties to even) in the low bits; taken away again,
/// that integer: rounding without a call.
pub const ROUND: f32 = 12_582_912.0;

/// Tokens of an outer product.
pub const OUTER_TOKENS: usize = 6;

/// Sums of outer products: of each token two vectors, one number of each row.
pub type OuterSums<V> = [[V; 2]; OUTER_TOKENS];

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
    /// The last `count` lanes moved to the front, 0 in the others; `count < LANES`.
    fn last(self, v: Self::V, count: usize) -> Self::V;
    /// The sum of the lanes: the upper half is added to the lower one, until one is left.
    fn sum(self, v: Self::V) -> f32;
    /// [`Simd::sum`] of four vectors.
    #[inline(always)]
    fn sum_four(self, [a, b, c, d]: [Self::V; 4]) -> [f32; 4] {
        [self.sum(a), self.sum(b), self.sum(c), self.sum(d)]
    }
    /// In each lane what [`Simd::sum`] gives of the numbers that LANES vectors have there.
    #[inline(always)]
    fn sum_across(self, mut vectors: [Self::V; MOST_LANES]) -> Self::V {
        let mut half = Self::LANES / 2;
        while half > 0 {
            for i in 0..half {
                vectors[i] = self.add(vectors[i], vectors[i + half]);
            }
            half /= 2;
        }
        vectors[0]
    }
    /// LANES vectors as rows of a square, turned into its columns.
    #[inline(always)]
    fn transpose(self, vectors: &mut [Self::V]) {
        let (mut rows, mut columns) = ([0.0_f32; MOST_LANES * MOST_LANES], [0.0_f32; MOST_LANES * MOST_LANES]);
        for (vector, row) in vectors.iter().zip(rows.chunks_exact_mut(Self::LANES)) {
            // SAFETY: a row has LANES numbers.
            unsafe { self.store(row.as_mut_ptr(), *vector) };
        }
        for (i, row) in rows.chunks_exact(Self::LANES).take(Self::LANES).enumerate() {
            for (number, column) in row.iter().zip(columns.chunks_exact_mut(Self::LANES)) {
                column[i] = *number;
            }
        }
        for (vector, column) in vectors.iter_mut().zip(columns.chunks_exact(Self::LANES)) {
            // SAFETY: a column has LANES numbers.
            *vector = unsafe { self.load_f32(column.as_ptr()) };
        }
    }
    /// Adds as many outer products as there are `steps`: in each the next two vectors of weights, times the next input of each
    /// token. Asks for what lies from `ahead` on meanwhile, where the unit has a way to.
    ///
    /// # Safety
    /// `weights` is valid for reads of 2 LANES numbers a step, `inputs` of [`OUTER_TOKENS`].
    #[inline(always)]
    unsafe fn add_outer(
        self,
        steps: usize,
        weights: *const f32,
        inputs: *const f32,
        _ahead: *const f32,
        sums: &mut OuterSums<Self::V>,
    ) {
        let mut sum = *sums;
        for step in 0..steps {
            let weights = weights.wrapping_add(2 * Self::LANES * step);
            // SAFETY: the caller vouches for both.
            let rows = unsafe { [self.load_f32(weights), self.load_f32(weights.add(Self::LANES))] };
            for (t, sum) in sum.iter_mut().enumerate() {
                // SAFETY: as above.
                let input = self.splat(unsafe { *inputs.add(OUTER_TOKENS * step + t) });
                for (sum, row) in sum.iter_mut().zip(rows) {
                    *sum = self.fma(row, input, *sum);
                }
            }
        }
        *sums = sum;
    }
    /// Asks for the cache line of `from`, which need not be there: it will be read soon. Nothing where the unit has no way to.
    #[inline(always)]
    fn prefetch<E>(self, _from: *const E) {}
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

    /// Reads and widens the numbers `first..end` of a row; the other lanes are 0, as with [`Element::load_tail`]. Where a whole vector
    /// ends there, it is read instead: what was just written to a padded buffer is waited for.
    ///
    /// # Safety
    /// `row` is valid for reads of `end` numbers, and `first` begins an element, less than `S::LANES` before `end`.
    #[inline(always)]
    unsafe fn load_end<S: Simd>(s: S, row: *const Self, first: usize, end: usize) -> S::V {
        if end >= S::LANES && end.is_multiple_of(Self::PACKED) {
            // SAFETY: the caller vouches for `end` numbers, and so for the last LANES of them, which begin an element.
            s.last(unsafe { Self::load(s, row.add((end - S::LANES) / Self::PACKED)) }, end - first)
        } else {
            // SAFETY: the caller vouches for them.
            unsafe { Self::load_tail(s, row.add(first / Self::PACKED), end - first) }
        }
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

#[cfg(test)]
mod tests {
    use super::super::Family;
    use super::*;
    use crate::linalg::testing::random;

    /// Sums of vectors one after another, and four at a time.
    struct Sums<'a>(&'a [f32; 4 * MOST_LANES]);

    impl Kernel for Sums<'_> {
        type Output = [[f32; 4]; 2];

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            // SAFETY: from each of the places on there are MOST_LANES numbers.
            let vectors = [0, 1, 2, 3].map(|i| unsafe { s.load_f32(self.0.as_ptr().add(i * MOST_LANES)) });
            [vectors.map(|vector| s.sum(vector)), s.sum_four(vectors)]
        }
    }

    #[test]
    fn four_sums_at_once_are_each_to_the_bit() {
        let numbers = random(4 * MOST_LANES, 9).try_into().unwrap();
        for family in Family::available() {
            let [each, together] = family.run(Sums(&numbers)).map(|sums| sums.map(f32::to_bits));
            assert_eq!(each, together, "{}", family.name());
        }
    }

    /// The lanes that [`Element::load_end`] and [`Element::load_tail`] read of the ends of rows of every length.
    struct Ends<'a, E>(&'a [E]);

    impl<E: Element> Kernel for Ends<'_, E> {
        type Output = Vec<[Vec<u32>; 2]>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Self::Output {
            let mut found = Vec::new();
            for end in 1..=self.0.len() * E::PACKED {
                for first in (end.saturating_sub(S::LANES - 1)..end).filter(|first| first.is_multiple_of(E::PACKED)) {
                    let row = self.0.as_ptr();
                    // SAFETY: there are `end` numbers, less than LANES from `first` on, which begins an element.
                    let (ours, padded) = unsafe {
                        (E::load_end(s, row, first, end), E::load_tail(s, row.add(first / E::PACKED), end - first))
                    };
                    let mut lanes = [[0.0_f32; MOST_LANES]; 2];
                    // SAFETY: each holds MOST_LANES >= LANES numbers.
                    unsafe {
                        s.store(lanes[0].as_mut_ptr(), ours);
                        s.store(lanes[1].as_mut_ptr(), padded);
                    }
                    found.push(lanes.map(|lanes| lanes[..S::LANES].iter().map(|x| x.to_bits()).collect()));
                }
            }
            found
        }
    }

    fn ends_are_read_alike<E: Element>(row: &[E]) {
        for family in Family::available() {
            for [ours, padded] in family.run(Ends(row)) {
                assert_eq!(ours, padded, "{}, {}", family.name(), std::any::type_name::<E>());
            }
        }
    }

    #[test]
    fn the_end_of_a_row_is_the_same_with_and_without_a_padded_copy() {
        let numbers: Vec<f32> = (0..37_i16).map(|i| f32::from(i * 37 % 101) - 50.5).collect();
        ends_are_read_alike(&numbers);
        ends_are_read_alike(&numbers.iter().map(|x| f16::from_f32(*x)).collect::<Vec<_>>());
        ends_are_read_alike(&numbers.iter().map(|x| bf16::from_f32(*x)).collect::<Vec<_>>());
        ends_are_read_alike(&(0..37_i8).map(|i| 3 * i - 55).collect::<Vec<_>>());
        ends_are_read_alike(&(0..19_u8).map(|i| i.wrapping_mul(89)).collect::<Vec<_>>());
    }
}
