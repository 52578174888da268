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
/// From so many tokens on, tiles are of several, and inputs are put side by side for them.
const MANY_TOKENS: usize = 6;
/// From so many on, weights are, too.
const PACKED_TOKENS: usize = 48;
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
            let mut gathered = Vec::new();
            let step = if tokens.len() == 1 { DECODE_INPUTS } else { INPUTS };
            for start in (0..self.product.cols).step_by(step) {
                let inputs = start..self.product.cols.min(start + step);
                let span = self.span(tokens.clone(), inputs, &mut gathered);
                self.add_inputs(s, &span, &mut sums);
            }
            for (t, sums) in sums.values.chunks_exact(sums.width.max(1)).enumerate() {
                let sums = &sums[..self.outputs.len()];
                // SAFETY: `new` has seen that y holds tokens x outputs.end, and no other kernel has these outputs.
                unsafe { self.product.y.put_all(tokens.start + t, self.outputs.start, sums) };
            }
        }
    }
}

/// Some inputs of some tokens: those of token t from `x + t * apart` on.
struct Span {
    inputs: Range<usize>,
    tokens: usize,
    x: *const f32,
    apart: usize,
}

/// Sums so far [tokens, width] of a range of outputs; the width is padded so that every vector is whole.
struct Sums {
    values: Vec<f32>,
    width: usize,
}

impl Sums {
    fn new(tokens: usize, outputs: usize) -> Self {
        // An odd number of cache lines: at a power of two all tokens' sums of an output would share few places in the cache.
        let width = (outputs.div_ceil(MOST_LANES) | 1) * MOST_LANES;
        Self { values: vec![0.0; tokens * width], width }
    }

    /// Where the sum of an output for a token rests, and how far from the next token's.
    fn at(&mut self, token: usize, output: usize) -> (*mut f32, usize) {
        (self.values.as_mut_ptr().wrapping_add(token * self.width + output), self.width)
    }
}

impl<E: Element> ColumnKernel<'_, E> {
    /// Where the inputs lie. Those of many tokens are put side by side in `gathered` first: as they are, they lie so far apart that
    /// they drive each other out of the cache.
    #[inline(always)]
    fn span(&self, tokens: Range<usize>, inputs: Range<usize>, gathered: &mut Vec<f32>) -> Span {
        let ColumnProduct { x, cols, .. } = self.product;
        if tokens.len() < MANY_TOKENS {
            let x = x.as_ptr().wrapping_add(tokens.start * cols + inputs.start);
            return Span { inputs, tokens: tokens.len(), x, apart: cols };
        }
        gathered.resize(tokens.len() * INPUTS, 0.0);
        let rows = x.chunks_exact(cols.max(1)).skip(tokens.start);
        for (place, row) in gathered.chunks_exact_mut(INPUTS).zip(rows) {
            place.iter_mut().zip(&row[inputs.clone()]).for_each(|(place, x)| *place = *x);
        }
        Span { inputs, tokens: tokens.len(), x: gathered.as_ptr(), apart: INPUTS }
    }

    /// Adds the products of some inputs to the sums of all outputs.
    #[inline(always)]
    fn add_inputs<S: Simd>(&self, s: S, span: &Span, sums: &mut Sums) {
        if span.tokens < MANY_TOKENS {
            self.strips::<S, 8, 1, false>(s, span, sums);
        } else if S::MANY_REGISTERS {
            self.strips::<S, 4, 6, true>(s, span, sums);
        } else {
            self.strips::<S, 2, 6, true>(s, span, sums);
        }
    }

    /// The same by tiles of C vectors of outputs and T tokens, whose inputs are `GATHERED` or as they were given.
    #[inline(always)]
    fn strips<S: Simd, const C: usize, const T: usize, const GATHERED: bool>(
        &self,
        s: S,
        span: &Span,
        sums: &mut Sums,
    ) {
        let (width, mut output) = (self.outputs.len(), 0);
        while output + C * S::LANES <= width {
            self.strip::<S, C, T, GATHERED, false>(s, output, span, sums);
            output += C * S::LANES;
        }
        while output + S::LANES <= width {
            self.strip::<S, 1, T, GATHERED, false>(s, output, span, sums);
            output += S::LANES;
        }
        if output < width {
            self.strip::<S, 1, T, GATHERED, true>(s, output, span, sums);
        }
    }

    /// C vectors of outputs for all tokens, T at a time. Where there are very many, the weights are widened and put side by side
    /// once for all of them.
    #[inline(always)]
    fn strip<S: Simd, const C: usize, const T: usize, const GATHERED: bool, const TAIL: bool>(
        &self,
        s: S,
        output: usize,
        span: &Span,
        sums: &mut Sums,
    ) {
        let stored = Stored::<E, TAIL> { kernel: self, output, first: span.inputs.start };
        if span.tokens < PACKED_TOKENS {
            tiles::<S, C, T, GATHERED>(s, output, span, &stored, sums);
            return;
        }
        let mut packed = [[s.splat(0.0); C]; INPUTS];
        for (k, packed) in packed.iter_mut().take(span.inputs.len()).enumerate() {
            *packed = stored.at(s, k);
        }
        tiles::<S, C, T, GATHERED>(s, output, span, &packed, sums);
    }
}

/// Where a tile has its weights from. (A closure would not be inlined.)
trait Weights<S: Simd, const C: usize> {
    /// Those of the `k`-th input of the span for C vectors of outputs.
    fn at(&self, s: S, k: usize) -> [S::V; C];
}

/// As they are stored, from an output and an input on; with `TAIL` a single vector of which only a part exists.
struct Stored<'a, E, const TAIL: bool> {
    kernel: &'a ColumnKernel<'a, E>,
    output: usize,
    first: usize,
}

impl<S: Simd, E: Element, const C: usize, const TAIL: bool> Weights<S, C> for Stored<'_, E, TAIL> {
    #[inline(always)]
    fn at(&self, s: S, k: usize) -> [S::V; C] {
        let ColumnKernel { product: ColumnProduct { w, stride, .. }, outputs } = self.kernel;
        let lanes = if TAIL { outputs.len() - self.output } else { S::LANES };
        let from = w.as_ptr().wrapping_add(outputs.start + self.output + (self.first + k) * stride);
        let mut weights = [s.splat(0.0); C];
        for (c, weight) in weights.iter_mut().enumerate() {
            let from = from.wrapping_add(c * S::LANES);
            // SAFETY: the outputs of the tile are below rows and its inputs below cols, and `new` has seen cols - 1 strides and
            // rows.
            *weight = unsafe { if TAIL { E::load_tail(s, from, lanes) } else { E::load(s, from) } };
        }
        weights
    }
}

impl<S: Simd, const C: usize> Weights<S, C> for [[S::V; C]; INPUTS] {
    #[inline(always)]
    fn at(&self, _: S, k: usize) -> [S::V; C] {
        self[k % INPUTS]
    }
}

/// All tokens, T at a time.
#[inline(always)]
fn tiles<S: Simd, const C: usize, const T: usize, const GATHERED: bool>(
    s: S,
    output: usize,
    span: &Span,
    weights: &impl Weights<S, C>,
    sums: &mut Sums,
) {
    let mut token = 0;
    while token + T <= span.tokens {
        tile::<S, C, T, GATHERED>(s, token, span, weights, sums.at(token, output));
        token += T;
    }
    while token < span.tokens {
        tile::<S, C, 1, GATHERED>(s, token, span, weights, sums.at(token, output));
        token += 1;
    }
}

/// C vectors of outputs for T tokens, added to the sums at `stored`, which lie `width` apart token by token.
#[inline(always)]
fn tile<S: Simd, const C: usize, const T: usize, const GATHERED: bool>(
    s: S,
    token: usize,
    span: &Span,
    weights: &impl Weights<S, C>,
    (stored, width): (*mut f32, usize),
) {
    // Known to the compiler where it can be, so that no address is added up.
    let apart = if GATHERED { INPUTS } else { span.apart };
    let x = span.x.wrapping_add(token * apart);
    let mut sum = [[s.splat(0.0); C]; T];
    for (t, sum) in sum.iter_mut().enumerate() {
        for (c, sum) in sum.iter_mut().enumerate() {
            // SAFETY: token + t and the outputs of the tile are within the sums, whose width is padded.
            *sum = unsafe { f32::load(s, stored.wrapping_add(t * width + c * S::LANES)) };
        }
    }
    for k in 0..span.inputs.len() {
        let weights = weights.at(s, k);
        for (t, sum) in sum.iter_mut().enumerate() {
            // SAFETY: token + t is below the span's tokens and k one of its inputs.
            let input = s.splat(unsafe { *x.add(t * apart + k) });
            for (sum, weight) in sum.iter_mut().zip(weights) {
                *sum = s.fma(weight, input, *sum);
            }
        }
    }
    for (t, sum) in sum.iter().enumerate() {
        for (c, sum) in sum.iter().enumerate() {
            // SAFETY: as they were read.
            unsafe { s.store(stored.wrapping_add(t * width + c * S::LANES), *sum) };
        }
    }
}
