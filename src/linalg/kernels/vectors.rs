//! Dot products and sums of vectors, for attention.

use super::simd::{Element, Kernel, Simd};

/// A query against rows as long as it is: out[i] = query . rows[i]. Four vectors of partial sums each, always in the same
/// order.
#[derive(Debug)]
pub struct RowDots<'a> {
    query: &'a [f32],
    rows: &'a [f32],
    out: &'a mut [f32],
}

impl<'a> RowDots<'a> {
    /// `None` where `rows` is too short: after this, every access of the kernel is inside.
    pub fn new(query: &'a [f32], rows: &'a [f32], out: &'a mut [f32]) -> Option<Self> {
        holds(rows, query.len(), out.len()).then_some(Self { query, rows, out })
    }
}

impl Kernel for RowDots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (query, len) = (self.query.as_ptr(), self.query.len());
        for (i, out) in self.out.iter_mut().enumerate() {
            // SAFETY: `new` has seen that every row has as many elements as the query.
            *out = unsafe { dot(s, query, self.rows.as_ptr().add(i * len), len) };
        }
    }
}

/// a . b of `len` elements.
///
/// # Safety
/// Both are valid for reads of `len` elements.
#[inline(always)]
unsafe fn dot<S: Simd>(s: S, a: *const f32, b: *const f32, len: usize) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let mut k = 0;
    while k + 4 * S::LANES <= len {
        for (i, sum) in sums.iter_mut().enumerate() {
            let at = k + i * S::LANES;
            // SAFETY: at + LANES <= len.
            *sum = unsafe { s.fma(f32::load(s, a.add(at)), f32::load(s, b.add(at)), *sum) };
        }
        k += 4 * S::LANES;
    }
    while k + S::LANES <= len {
        // SAFETY: k + LANES <= len.
        sums[0] = unsafe { s.fma(f32::load(s, a.add(k)), f32::load(s, b.add(k)), sums[0]) };
        k += S::LANES;
    }
    if k < len {
        // SAFETY: k + (len - k) = len, and len - k < LANES.
        sums[1] = unsafe { s.fma(f32::load_tail(s, a.add(k), len - k), f32::load_tail(s, b.add(k), len - k), sums[1]) };
    }
    s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// Adds the weighted sum of rows as long as `out`: out += sum over i of weights[i] rows[i], in the order of i.
#[derive(Debug)]
pub struct AddRows<'a> {
    weights: &'a [f32],
    rows: &'a [f32],
    out: &'a mut [f32],
}

impl<'a> AddRows<'a> {
    /// `out` again where `rows` is too short: after this, every access of the kernel is inside.
    pub fn new(weights: &'a [f32], rows: &'a [f32], out: &'a mut [f32]) -> Result<Self, &'a mut [f32]> {
        if holds(rows, out.len(), weights.len()) { Ok(Self { weights, rows, out }) } else { Err(out) }
    }
}

impl Kernel for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let len = self.out.len();
        let mut k = 0;
        while k + 8 * S::LANES <= len {
            self.add::<S, 8>(s, k);
            k += 8 * S::LANES;
        }
        while k + 2 * S::LANES <= len {
            self.add::<S, 2>(s, k);
            k += 2 * S::LANES;
        }
        while k + S::LANES <= len {
            self.add::<S, 1>(s, k);
            k += S::LANES;
        }
        for (k, out) in self.out.iter_mut().enumerate().skip(k) {
            let elements = self.weights.iter().zip(self.rows.iter().skip(k).step_by(len));
            *out = elements.fold(*out, |sum, (weight, x)| s.fma_one(*weight, *x, sum));
        }
    }
}

impl AddRows<'_> {
    /// Adds to C vectors from element `k` on, which do not wait for one another. `k + C * LANES <= out.len()`.
    #[inline(always)]
    fn add<S: Simd, const C: usize>(&mut self, s: S, k: usize) {
        let (len, out) = (self.out.len(), self.out.as_mut_ptr().wrapping_add(k));
        let mut sums = [s.splat(0.0); C];
        for (c, sum) in sums.iter_mut().enumerate() {
            // SAFETY: k + C * LANES <= len.
            *sum = unsafe { f32::load(s, out.add(c * S::LANES)) };
        }
        for (i, weight) in self.weights.iter().enumerate() {
            let (weight, row) = (s.splat(*weight), self.rows.as_ptr().wrapping_add(i * len + k));
            for (c, sum) in sums.iter_mut().enumerate() {
                // SAFETY: k + C * LANES <= len, and `new` has seen that every row has len elements.
                *sum = s.fma(weight, unsafe { f32::load(s, row.add(c * S::LANES)) }, *sum);
            }
        }
        for (c, sum) in sums.into_iter().enumerate() {
            // SAFETY: as they were read.
            unsafe { s.store(out.add(c * S::LANES), sum) };
        }
    }
}

/// Whether `rows` has `count` rows of `len` elements.
fn holds(rows: &[f32], len: usize, count: usize) -> bool {
    count.checked_mul(len).is_some_and(|numbers| numbers <= rows.len())
}

/// y += alpha x, over the shorter length.
#[derive(Debug)]
pub struct Axpy<'a>(pub f32, pub &'a [f32], pub &'a mut [f32]);

impl Kernel for Axpy<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self(alpha, x, y) = self;
        let len = x.len().min(y.len());
        let factor = s.splat(alpha);
        let mut k = 0;
        while k + S::LANES <= len {
            // SAFETY: k + LANES <= len, the shorter of both.
            unsafe {
                let sum = s.fma(factor, f32::load(s, x.as_ptr().add(k)), f32::load(s, y.as_ptr().add(k)));
                s.store(y.as_mut_ptr().add(k), sum);
            }
            k += S::LANES;
        }
        for (x, y) in x.iter().zip(y).skip(k) {
            *y = s.fma_one(alpha, *x, *y);
        }
    }
}
