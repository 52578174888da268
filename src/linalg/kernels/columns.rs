//! y = x W^T for W stored column by column, as GPT-2's Conv1D is: [cols, rows] in memory.
//!
//! A tile holds the sums of neighbouring outputs in registers and walks along the inputs; each y is summed in the order of
//! the inputs, whatever tile computes it.

use std::ops::Range;

use super::output::Output;
use super::simd::{Element, Kernel, MOST_LANES, Simd};

/// What is multiplied: x [tokens, cols], w [cols, rows].
#[derive(Debug, Clone, Copy)]
pub struct ColumnProduct<'a, E> {
    /// Stored elements.
    pub w: &'a [E],
    /// Number of outputs.
    pub rows: usize,
    /// Number of inputs.
    pub cols: usize,
    /// Inputs.
    pub x: &'a [f32],
    /// Number of tokens.
    pub tokens: usize,
    /// Where y goes: [tokens, rows].
    pub y: Output<'a>,
}

/// A range of outputs, for all tokens.
#[derive(Debug, Clone)]
pub struct ColumnKernel<'a, E> {
    product: ColumnProduct<'a, E>,
    outputs: Range<usize>,
}

/// Outputs that a thread's share is a multiple of: the widest tile of the widest unit.
pub const OUTPUT_GRANULE: usize = 8 * MOST_LANES;

impl<'a, E: Element> ColumnKernel<'a, E> {
    /// `None` where a slice is too short for the sizes: after this, every access of the kernel is inside.
    pub fn new(product: ColumnProduct<'a, E>, outputs: Range<usize>) -> Option<Self> {
        let fits = product.w.len() >= product.rows.checked_mul(product.cols)?
            && product.x.len() >= product.tokens.checked_mul(product.cols)?
            && outputs.end <= product.rows
            && product.y.holds(product.tokens, outputs.end);
        fits.then_some(Self { product, outputs })
    }
}

impl<E: Element> Kernel for ColumnKernel<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut token = 0;
        while token + 6 <= self.product.tokens {
            if S::MANY_REGISTERS {
                self.strip::<S, 4, 6>(s, token);
            } else {
                self.strip::<S, 2, 6>(s, token);
            }
            token += 6;
        }
        while token < self.product.tokens {
            self.strip::<S, 8, 1>(s, token);
            token += 1;
        }
    }
}

impl<E: Element> ColumnKernel<'_, E> {
    /// All outputs for T tokens, C vectors at a time.
    #[inline(always)]
    fn strip<S: Simd, const C: usize, const T: usize>(&self, s: S, token: usize) {
        let mut output = self.outputs.start;
        while output + C * S::LANES <= self.outputs.end {
            self.tile::<S, C, T, false>(s, output, token, S::LANES);
            output += C * S::LANES;
        }
        while output + S::LANES <= self.outputs.end {
            self.tile::<S, 1, T, false>(s, output, token, S::LANES);
            output += S::LANES;
        }
        if output < self.outputs.end {
            self.tile::<S, 1, T, true>(s, output, token, self.outputs.end - output);
        }
    }

    /// C vectors of outputs for T tokens; with `TAIL` the vector has only `lanes` of them.
    /// `output + C * lanes <= outputs.end` and `token + T <= tokens`.
    #[inline(always)]
    fn tile<S: Simd, const C: usize, const T: usize, const TAIL: bool>(
        &self,
        s: S,
        output: usize,
        token: usize,
        lanes: usize,
    ) {
        let ColumnProduct { rows, cols, w, x, y, .. } = self.product;
        let (w, x) = (w.as_ptr().wrapping_add(output), x.as_ptr().wrapping_add(token * cols));
        let mut sums = [[s.splat(0.0); C]; T];
        for k in 0..cols {
            let mut weights = [s.splat(0.0); C];
            for (c, weight) in weights.iter_mut().enumerate() {
                let from = w.wrapping_add(k * rows + c * S::LANES);
                // SAFETY: output + c * LANES + lanes <= rows and k < cols, and `new` has seen rows * cols elements.
                *weight = unsafe { if TAIL { E::load_tail(s, from, lanes) } else { E::load(s, from) } };
            }
            for (t, sums) in sums.iter_mut().enumerate() {
                // SAFETY: token + t < tokens and k < cols, and `new` has seen tokens * cols inputs.
                let input = s.splat(unsafe { *x.add(t * cols + k) });
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum = s.fma(weight, input, *sum);
                }
            }
        }
        for (t, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                let mut values = [0.0; MOST_LANES];
                // SAFETY: the buffer holds MOST_LANES >= LANES elements.
                unsafe { s.store(values.as_mut_ptr(), *sum) };
                for (lane, value) in values.iter().enumerate().take(lanes) {
                    // SAFETY: `new` has seen that y holds tokens x outputs.end, and no other kernel has these outputs.
                    unsafe { y.put(token + t, output + c * S::LANES + lane, *value) };
                }
            }
        }
    }
}
