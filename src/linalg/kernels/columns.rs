//! y = x W^T for W stored column by column, as GPT-2's Conv1D is: [cols, rows] in memory.
//!
//! A tile holds the sums of neighbouring outputs in registers and walks along some inputs; between them the sums rest in
//! memory, so that the weights are read in nearly the order in which they are stored. Each y is summed in the order of the
//! inputs, whatever tile computes it.

use std::ops::Range;

use super::output::Output;
use super::simd::{Element, Kernel, MOST_LANES, Simd};

/// What is multiplied: x [tokens, cols], w [cols, rows] of which neighbours of a row lie side by side.
#[derive(Debug, Clone, Copy)]
pub struct ColumnProduct<'a, E> {
    /// Stored elements.
    pub w: &'a [E],
    /// Number of outputs.
    pub rows: usize,
    /// Elements from one input's weights to the next one's.
    pub stride: usize,
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

/// Inputs that a tile walks along: so many rows of memory are read side by side.
const INPUTS: usize = 32;
/// The same for a single token, where the order of reading is all that counts.
const DECODE_INPUTS: usize = 8;
/// Tokens whose sums rest in the cache.
const TOKENS: usize = 96;

impl<'a, E: Element> ColumnKernel<'a, E> {
    /// `None` where a slice is too short for the sizes: after this, every access of the kernel is inside.
    pub fn new(product: ColumnProduct<'a, E>, outputs: Range<usize>) -> Option<Self> {
        let before_last = product.cols.saturating_sub(1).checked_mul(product.stride)?;
        let elements = if product.cols == 0 { 0 } else { before_last.checked_add(product.rows)? };
        let fits = product.w.len() >= elements
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
        for first in (0..self.product.tokens).step_by(TOKENS) {
            let tokens = first..self.product.tokens.min(first + TOKENS);
            let mut sums = Sums::new(tokens.len(), self.outputs.len());
            let step = if tokens.len() == 1 { DECODE_INPUTS } else { INPUTS };
            for start in (0..self.product.cols).step_by(step) {
                let inputs = start..self.product.cols.min(start + step);
                self.add_inputs(s, tokens.clone(), inputs, &mut sums);
            }
            for (t, sums) in sums.values.chunks_exact(sums.width.max(1)).enumerate() {
                for (column, sum) in self.outputs.clone().zip(sums) {
                    // SAFETY: `new` has seen that y holds tokens x outputs.end, and no other kernel has these outputs.
                    unsafe { self.product.y.put(tokens.start + t, column, *sum) };
                }
            }
        }
    }
}

/// Sums so far [tokens, width] of a range of outputs; the width is padded so that every vector is whole.
struct Sums {
    values: Vec<f32>,
    width: usize,
}

impl Sums {
    fn new(tokens: usize, outputs: usize) -> Self {
        let width = outputs.next_multiple_of(MOST_LANES);
        Self { values: vec![0.0; tokens * width], width }
    }
}

impl<E: Element> ColumnKernel<'_, E> {
    /// Adds the products of some inputs to the sums of all outputs.
    #[inline(always)]
    fn add_inputs<S: Simd>(&self, s: S, tokens: Range<usize>, inputs: Range<usize>, sums: &mut Sums) {
        let width = self.outputs.len();
        let step = if tokens.len() < 6 {
            8
        } else if S::MANY_REGISTERS {
            4
        } else {
            2
        } * S::LANES;
        let mut output = 0;
        while output + step <= width {
            if tokens.len() < 6 {
                self.strip::<S, 8, 1, false>(s, output, &tokens, &inputs, sums);
            } else if S::MANY_REGISTERS {
                self.strip::<S, 4, 6, false>(s, output, &tokens, &inputs, sums);
            } else {
                self.strip::<S, 2, 6, false>(s, output, &tokens, &inputs, sums);
            }
            output += step;
        }
        while output + S::LANES <= width {
            self.strip::<S, 1, 6, false>(s, output, &tokens, &inputs, sums);
            output += S::LANES;
        }
        if output < width {
            self.strip::<S, 1, 6, true>(s, output, &tokens, &inputs, sums);
        }
    }

    /// C vectors of outputs for all tokens, T at a time.
    #[inline(always)]
    fn strip<S: Simd, const C: usize, const T: usize, const TAIL: bool>(
        &self,
        s: S,
        output: usize,
        tokens: &Range<usize>,
        inputs: &Range<usize>,
        sums: &mut Sums,
    ) {
        let mut token = 0;
        while token + T <= tokens.len() {
            self.tile::<S, C, T, TAIL>(s, output, (tokens.start, token), inputs, sums);
            token += T;
        }
        while token < tokens.len() {
            self.tile::<S, C, 1, TAIL>(s, output, (tokens.start, token), inputs, sums);
            token += 1;
        }
    }

    /// C vectors of outputs for T tokens; with `TAIL` a single one of which only a part exists.
    /// `output` and `token` count from the first of the sums, the inputs' tokens from `first`.
    #[inline(always)]
    fn tile<S: Simd, const C: usize, const T: usize, const TAIL: bool>(
        &self,
        s: S,
        output: usize,
        (first, token): (usize, usize),
        inputs: &Range<usize>,
        sums: &mut Sums,
    ) {
        let ColumnProduct { stride, cols, w, x, .. } = self.product;
        let lanes = if TAIL { self.outputs.len() - output } else { S::LANES };
        let w = w.as_ptr().wrapping_add(self.outputs.start + output);
        let x = x.as_ptr().wrapping_add((first + token) * cols);
        let stored = sums.values.as_mut_ptr().wrapping_add(token * sums.width + output);
        let mut sum = [[s.splat(0.0); C]; T];
        for (t, sum) in sum.iter_mut().enumerate() {
            for (c, sum) in sum.iter_mut().enumerate() {
                // SAFETY: token + t and output + (c + 1) * LANES are within the sums, whose width is padded.
                *sum = unsafe { f32::load(s, stored.wrapping_add(t * sums.width + c * S::LANES)) };
            }
        }
        for k in inputs.clone() {
            let mut weights = [s.splat(0.0); C];
            for (c, weight) in weights.iter_mut().enumerate() {
                let from = w.wrapping_add(k * stride + c * S::LANES);
                // SAFETY: the outputs of the tile are below rows and k < cols, and `new` has seen cols - 1 strides and rows.
                *weight = unsafe { if TAIL { E::load_tail(s, from, lanes) } else { E::load(s, from) } };
            }
            for (t, sum) in sum.iter_mut().enumerate() {
                // SAFETY: first + token + t < tokens and k < cols, and `new` has seen tokens * cols inputs.
                let input = s.splat(unsafe { *x.add(t * cols + k) });
                for (sum, weight) in sum.iter_mut().zip(weights) {
                    *sum = s.fma(weight, input, *sum);
                }
            }
        }
        for (t, sum) in sum.iter().enumerate() {
            for (c, sum) in sum.iter().enumerate() {
                // SAFETY: as they were read.
                unsafe { s.store(stored.wrapping_add(t * sums.width + c * S::LANES), *sum) };
            }
        }
    }
}
