//! Stored weights as f32, those of groups times their scales: for many tokens that is done once, and the products stay the same.

use super::rows::Scales;
use super::simd::{Element, Kernel, MOST_LANES, Simd};

/// Some rows of weights without scales or with those of groups, to be written as f32.
#[derive(Debug)]
pub struct WidenRows<'a, E> {
    w: &'a [E],
    scales: Scales<'a>,
    cols: usize,
    out: &'a mut [f32],
}

impl<'a, E: Element> WidenRows<'a, E> {
    /// Rows of `cols` columns, each beginning with a whole element, into `out` [rows, cols]. `None` where a slice is too short, or
    /// groups do not begin where vectors do: after this, every access of the kernel is inside.
    pub fn new(w: &'a [E], scales: Scales<'a>, cols: usize, out: &'a mut [f32]) -> Option<Self> {
        let rows = out.len().checked_div(cols)?;
        let scaled = match scales {
            Scales::None => true,
            Scales::Groups(held, group) => {
                held.len() >= rows.checked_mul(cols.div_ceil((group > 0).then_some(group)?))?
            }
            Scales::HalfGroups(held, group) => {
                held.len() >= rows.checked_mul(cols.div_ceil((group > 0).then_some(group)?))?
            }
            Scales::Rows(_) => false,
        };
        let aligned = matches!(scales, Scales::None) || scales.align_with_lanes();
        let fits = scaled && aligned && w.len() >= rows.checked_mul(cols.div_ceil(E::PACKED))?;
        fits.then_some(Self { w, scales, cols, out })
    }
}

impl<E: Element> Kernel for WidenRows<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { w, scales, cols, out } = self;
        let group = match scales {
            Scales::Groups(_, group) | Scales::HalfGroups(_, group) => group,
            Scales::None | Scales::Rows(_) => cols,
        };
        for (row, out) in out.chunks_exact_mut(cols).enumerate() {
            let w = w.as_ptr().wrapping_add(row * cols.div_ceil(E::PACKED));
            for (g, out) in out.chunks_mut(group).enumerate() {
                // SAFETY: `new` has seen a scale for each group of each row, or that there are none.
                let scale = unsafe { scales.of_group(s, row * cols.div_ceil(group) + g) };
                let mut k = g * group;
                let mut vectors = out.chunks_exact_mut(S::LANES);
                for out in &mut vectors {
                    // SAFETY: `new` has seen all rows, and k + LANES <= cols; k is a whole number of elements.
                    let weights = unsafe { E::load(s, w.add(k / E::PACKED)) };
                    // SAFETY: `out` holds LANES numbers.
                    unsafe { s.store(out.as_mut_ptr(), s.mul(weights, scale)) };
                    k += S::LANES;
                }
                let rest = vectors.into_remainder();
                if !rest.is_empty() {
                    let mut padded = [0.0; MOST_LANES];
                    // SAFETY: as above, with rest.len() < LANES numbers left in the row.
                    let weights = unsafe { E::load_end(s, w, k, k + rest.len()) };
                    // SAFETY: the buffer holds MOST_LANES >= LANES numbers.
                    unsafe { s.store(padded.as_mut_ptr(), s.mul(weights, scale)) };
                    rest.copy_from_slice(&padded[..rest.len()]);
                }
            }
        }
    }
}
