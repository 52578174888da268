//! y = x W^T with weights and inputs rounded to bfloat16 and sums in f32.
//!
//! A panel of weights is rounded and turned so that the outputs of a block lie side by side, pair of columns by pair; a tile
//! then holds the sums of one block and some tokens. Every y is summed in the order of the columns, whatever tile computes it.

use super::brain_input::{BrainInput, TILE, tiles};
use super::output::Output;
use super::simd::{MOST_LANES, Simd};

/// Sums of a unit.
pub type Sums<S> = <<S as BrainSimd>::Wide as Simd>::V;

/// A vector unit that multiplies bfloat16. A value of the type is the proof that this machine has it.
/// Everything is inlined into [`BrainSimd::execute`], the one function compiled for the unit.
pub trait BrainSimd: Copy + Send + Sync {
    /// The unit that widens what is stored, and that sums.
    type Wide: Simd;
    /// As many pairs of bfloat16 as `Wide` has lanes.
    type P: Copy;

    /// Runs `kernel` compiled for this unit.
    fn execute<K: BrainKernel>(self, kernel: K) -> K::Output;
    /// The unit that widens and sums.
    fn wide(self) -> Self::Wide;
    /// Numbers that follow each other, rounded to the nearest bfloat16 (ties to even) in pairs of neighbours.
    fn round(self, first: Sums<Self>, second: Sums<Self>) -> Self::P;
    /// The same of lane i of both, for each i.
    fn pair(self, even: Sums<Self>, odd: Sums<Self>) -> Self::P;
    /// Lane i of vector j becomes lane j of vector i, for as many vectors as there are lanes.
    fn turn(self, rows: [Self::P; MOST_LANES]) -> [Self::P; MOST_LANES];
    /// sum + the two products of each lane. What is too small for a normal number counts as 0.
    fn dot(self, sum: Sums<Self>, w: Self::P, x: Self::P) -> Sums<Self>;
    /// A pair in every lane.
    fn splat(self, pair: u32) -> Self::P;
    /// Reads pairs.
    ///
    /// # Safety
    /// `from` is valid for reads of as many.
    unsafe fn load(self, from: *const u32) -> Self::P;
    /// Writes pairs.
    ///
    /// # Safety
    /// `to` is valid for writes of as many.
    unsafe fn store(self, to: *mut u32, pairs: Self::P);
}

/// A computation that is compiled once for each unit. `run` and all it calls must be inlined.
pub trait BrainKernel {
    /// What it gives.
    type Output;
    /// Computes on `s`.
    fn run<S: BrainSimd>(self, s: S) -> Self::Output;
}

/// Outputs of a block on the unit that has the most: shares and panels are multiples of it.
pub const BRAIN_BLOCK: usize = 2 * MOST_LANES;

/// Pairs of a panel: a cache line of them, that begins where one does.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Line(#[expect(dead_code, reason = "read and written through pointers to its pairs")] [u32; MOST_LANES]);

impl Line {
    /// No numbers.
    pub const ZERO: Self = Self([0; MOST_LANES]);

    /// How many a panel of so many outputs and pairs of columns takes, on any unit.
    pub fn of_panel(outputs: usize, pairs: usize) -> Option<usize> {
        outputs.checked_next_multiple_of(BRAIN_BLOCK)?.checked_mul(pairs).map(|numbers| numbers / MOST_LANES)
    }
}

/// The outputs of a panel for all tokens, checked.
#[derive(Debug)]
pub struct BrainTiles<'a> {
    panel: &'a [Line],
    outputs: usize,
    x: &'a BrainInput,
    y: Output<'a>,
}

impl<'a> BrainTiles<'a> {
    /// `None` where a slice is too short for the sizes: after this, every access of the kernel is inside.
    pub fn new(panel: &'a [Line], outputs: usize, x: &'a BrainInput, y: Output<'a>) -> Option<Self> {
        let fits = panel.len() >= Line::of_panel(outputs, x.pairs())? && x.is_sound() && y.holds(x.tokens(), outputs);
        fits.then_some(Self { panel, outputs, x, y })
    }
}

impl BrainKernel for BrainTiles<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: BrainSimd>(self, s: S) {
        for (token, width) in tiles(self.x.tokens()) {
            for output in (0..self.outputs).step_by(2 * S::Wide::LANES) {
                match width {
                    TILE => self.tile::<S, TILE>(s, output, token),
                    8 => self.tile::<S, 8>(s, output, token),
                    _ => self.tile::<S, 4>(s, output, token),
                }
            }
        }
    }
}

impl BrainTiles<'_> {
    /// A block of outputs for the T tokens of a tile of inputs.
    #[inline(always)]
    fn tile<S: BrainSimd, const T: usize>(&self, s: S, output: usize, token: usize) {
        let (lanes, pairs) = (S::Wide::LANES, self.x.pairs());
        let w = self.panel.as_ptr().cast::<u32>().wrapping_add(output * pairs);
        let x = self.x.as_ptr().wrapping_add(token * pairs);
        let mut sums = [[s.wide().splat(0.0); 2]; T];
        for k in 0..pairs {
            // SAFETY: `new` has seen `pairs` times two vectors for the block, which begins at a multiple of its width.
            let weights = unsafe { [s.load(w.add(2 * k * lanes)), s.load(w.add((2 * k + 1) * lanes))] };
            for (t, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the tile has T * pairs inputs, and k < pairs.
                let input = s.splat(unsafe { *x.add(k * T + t) });
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = s.dot(*sum, weights, input);
                }
            }
        }
        // Written one after the other, each place told at compile time: else the loop above would write each sum at every step.
        let mut results = [[0.0; 2 * MOST_LANES]; T];
        for (results, sums) in results.iter_mut().zip(sums) {
            for (half, sum) in sums.into_iter().enumerate() {
                // SAFETY: the buffer holds 2 MOST_LANES >= 2 LANES numbers.
                unsafe { s.wide().store(results.as_mut_ptr().add(half * lanes), sum) };
            }
        }
        let count = (self.outputs - output).min(2 * lanes);
        for (t, results) in results.iter().enumerate().take(self.x.tokens() - token) {
            // SAFETY: token + t < tokens, and no more columns than up to `outputs`: `new` has seen that y holds them, and no
            // other kernel has these outputs.
            unsafe { self.y.put_all(token + t, output, &results[..count]) };
        }
    }
}
