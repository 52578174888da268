//! Dot products and sums of vectors, for attention; sums of squares, for errors.

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
        // SAFETY: both have len elements, and len - k < LANES.
        sums[1] = unsafe { s.fma(f32::load_end(s, a, k, len), f32::load_end(s, b, k, len), sums[1]) };
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

/// ||w - x||^2 and ||w||^2 in f64, over the shorter length: eight sums side by side, in plain arithmetic, so that all units give
/// the same bits.
#[derive(Debug)]
pub struct DifferenceSquares<'a>(pub &'a [f32], pub &'a [f32]);

impl Kernel for DifferenceSquares<'_> {
    type Output = (f64, f64);

    #[inline(always)]
    fn run<S: Simd>(self, _s: S) -> Self::Output {
        let len = self.0.len().min(self.1.len());
        let (w, x) = (&self.0[..len], &self.1[..len]);
        let (mut errors, mut energies) = ([0.0_f64; 8], [0.0_f64; 8]);
        for (w, x) in w.chunks(8).zip(x.chunks(8)) {
            for ((w, x), (error, energy)) in w.iter().zip(x).zip(errors.iter_mut().zip(&mut energies)) {
                let (w, x) = (f64::from(*w), f64::from(*x));
                *error += (w - x) * (w - x);
                *energy += w * w;
            }
        }
        (errors.iter().sum(), energies.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Family;
    use super::*;

    #[test]
    fn every_family_sums_squares_in_the_same_order() {
        let numbers = |seed| (0..1003_u32).map(move |i| (i * seed % 1009) as f32 / 7.0).collect::<Vec<_>>();
        let (w, x) = (numbers(611), numbers(431));
        let terms = || w.iter().zip(&x).map(|(w, x)| (f64::from(*w), f64::from(*x)));
        let (error, energy) = Family::best().run(DifferenceSquares(&w, &x));
        let exact: f64 = terms().map(|(w, x)| (w - x).powi(2)).sum();
        // A thousand roundings of 1e-16 each.
        assert!((error / exact - 1.0).abs() < 1e-13);
        assert!((energy / terms().map(|(w, _)| w * w).sum::<f64>() - 1.0).abs() < 1e-13);
        for family in Family::available() {
            let found = family.run(DifferenceSquares(&w, &x));
            assert_eq!((found.0.to_bits(), found.1.to_bits()), (error.to_bits(), energy.to_bits()));
        }
        assert_eq!(Family::best().run(DifferenceSquares(&w[..3], &w)), (0.0, energy_of(&w[..3])));
    }

    fn energy_of(w: &[f32]) -> f64 {
        w.iter().map(|w| f64::from(*w).powi(2)).sum()
    }
}
