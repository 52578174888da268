//! A symmetric band made tridiagonal.
#![expect(clippy::inline_always, reason = "everything must be inlined into the function compiled for the vector unit")]

use faer::Mat;

use super::NumericError;
use super::band::WIDTH;
use super::kernels::{Family, Kernel, Simd};
use crate::control::Control;

/// Numbers kept of each column: from the diagonal down to what a reflection fills.
const DEPTH: usize = 2 * WIDTH;
/// Partial sums of a dot product.
const LANES: usize = 8;

/// The lower half of a symmetric band, column by column, with zeros beyond its end.
#[derive(Debug)]
pub struct Band {
    n: usize,
    columns: Vec<f64>,
}

impl Band {
    /// The diagonal of a symmetric matrix and [`WIDTH`] subdiagonals below it.
    pub fn of(a: &Mat<f64>) -> Self {
        let n = a.nrows();
        let mut columns = vec![0.0; (n + DEPTH) * DEPTH];
        for (j, column) in columns.chunks_exact_mut(DEPTH).take(n).enumerate() {
            for (i, x) in (j..n).zip(column.iter_mut().take(WIDTH + 1)) {
                *x = a[(i, j)];
            }
        }
        Self { n, columns }
    }

    /// Diagonal [n] and subdiagonal [n - 1] of a tridiagonal matrix with the same eigenvalues. Column after column is
    /// reflected onto its subdiagonal, and what that fills is chased down the band. In the same order on every machine.
    ///
    /// K. Murata, K. Horikoshi: A new method for the tridiagonalization of the symmetric band matrix, 1975.
    ///
    /// # Errors
    /// Cancelled.
    pub fn tridiagonal(mut self, control: &Control) -> Result<(Vec<f64>, Vec<f64>), NumericError> {
        for first in 0..self.n.saturating_sub(2) {
            control.check()?;
            Family::best().run(Sweep { band: &mut self, first });
        }
        let part = |offset: usize| self.columns.chunks_exact(DEPTH).take(self.n).map(move |column| column[offset]);
        Ok((part(0).collect(), part(1).take(self.n.saturating_sub(1)).collect()))
    }

    /// Numbers of column j from `offset` below the diagonal on.
    #[inline(always)]
    fn part(&mut self, j: usize, offset: usize) -> Option<&mut [f64; WIDTH]> {
        self.columns.get_mut(j * DEPTH + offset..(j + 1) * DEPTH)?.first_chunk_mut()
    }

    /// D <- H D H for the block on the diagonal from row `at` on.
    #[inline(always)]
    fn reflect_diagonal(&mut self, at: usize, by: &Reflection) {
        let mut image = [0.0; WIDTH];
        let columns = self.columns.chunks_exact(DEPTH).skip(at).take(WIDTH);
        for (c, column) in columns.enumerate() {
            let mut sums = [0.0; LANES];
            image[c] += column[0] * by.v[c];
            for k in 1..WIDTH - c {
                image[c + k] += column[k] * by.v[c];
                sums[k % LANES] += column[k] * by.v[c + k];
            }
            image[c] += folded(sums);
        }
        let half = 0.5 * by.tau * by.tau * dot(&image, &by.v);
        let w: [f64; WIDTH] = std::array::from_fn(|i| by.tau * image[i] - half * by.v[i]);
        let columns = self.columns.chunks_exact_mut(DEPTH).skip(at).take(WIDTH);
        for (c, column) in columns.enumerate() {
            for k in 0..WIDTH - c {
                column[k] -= by.v[c + k] * w[c] + w[c + k] * by.v[c];
            }
        }
    }

    /// B <- N B H for the block below that one, where N reflects the first column of B H.
    #[inline(always)]
    fn reflect_below(&mut self, at: usize, by: &Reflection) -> Option<Reflection> {
        let mut image = [0.0; WIDTH];
        for c in 0..WIDTH {
            let column = self.part(at + c, WIDTH - c)?;
            (0..WIDTH).for_each(|k| image[k] += column[k] * by.v[c]);
        }
        image.iter_mut().for_each(|x| *x *= by.tau);
        let first = self.part(at, WIDTH)?;
        (0..WIDTH).for_each(|k| first[k] -= image[k] * by.v[0]);
        let next = Reflection::of(first);
        for c in 1..WIDTH {
            let column = self.part(at + c, WIDTH - c)?;
            (0..WIDTH).for_each(|k| column[k] -= image[k] * by.v[c]);
            let along = next.tau * dot(column, &next.v);
            (0..WIDTH).for_each(|k| column[k] -= along * next.v[k]);
        }
        Some(next)
    }
}

/// One column reflected, and what that fills chased to the end.
struct Sweep<'a> {
    band: &'a mut Band,
    first: usize,
}

impl Kernel for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { band, first } = self;
        let Some(mut reflection) = band.part(first, 1).map(Reflection::of) else { return };
        for at in (first + 1..band.n).step_by(WIDTH) {
            band.reflect_diagonal(at, &reflection);
            let Some(next) = band.reflect_below(at, &reflection) else { return };
            reflection = next;
        }
    }
}

/// H = I - tau v v^T.
#[derive(Debug)]
struct Reflection {
    v: [f64; WIDTH],
    tau: f64,
}

impl Reflection {
    /// The one that leaves of `x` its first number alone, and does so.
    #[inline(always)]
    fn of(x: &mut [f64; WIDTH]) -> Self {
        let head = x[0];
        let mut v = std::mem::replace(x, [0.0; WIDTH]);
        v[0] = 0.0;
        let tail = dot(&v, &v);
        x[0] = if tail > 0.0 { -(head * head + tail).sqrt().copysign(head) } else { head };
        let factor = if tail > 0.0 { (head - x[0]).recip() } else { 0.0 };
        v.iter_mut().for_each(|v| *v *= factor);
        v[0] = 1.0;
        Self { v, tau: if tail > 0.0 { (x[0] - head) / x[0] } else { 0.0 } }
    }
}

#[inline(always)]
fn dot(a: &[f64; WIDTH], b: &[f64; WIDTH]) -> f64 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        (0..LANES).for_each(|k| sums[k] += a[k] * b[k]);
    }
    folded(sums)
}

#[inline(always)]
fn folded(s: [f64; LANES]) -> f64 {
    ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}
