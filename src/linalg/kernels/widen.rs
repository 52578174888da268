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

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::super::Family;
    use super::*;

    fn widened<E: Element>(family: Family, w: &[E], scales: Scales) -> Vec<f32> {
        let cols = w.len() * E::PACKED;
        let mut out = vec![0.0; cols];
        family.run(WidenRows::new(w, scales, cols, &mut out).unwrap());
        out
    }

    fn check(family: Family, found: &[f32], wanted: impl Iterator<Item = f32>) {
        for (found, wanted) in found.iter().zip(wanted) {
            let same = found.to_bits() == wanted.to_bits() || found.is_nan() && wanted.is_nan();
            assert!(same, "{}: {found}, not {wanted}", family.name());
        }
    }

    #[test]
    fn every_number_of_each_format_is_what_it_should_be_on_every_unit() {
        let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let brains: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        let int8: Vec<i8> = (i8::MIN..=i8::MAX).collect();
        let int4: Vec<u8> = (0..=u8::MAX).collect();
        for family in Family::available() {
            check(family, &widened(family, &halves, Scales::None), halves.iter().map(|x| x.to_f32()));
            check(family, &widened(family, &brains, Scales::None), brains.iter().map(|x| x.to_f32()));
            check(family, &widened(family, &int8, Scales::None), int8.iter().map(|x| f32::from(*x)));
            let low_first = |byte: &u8| [(*byte << 4).cast_signed() >> 4, byte.cast_signed() >> 4];
            check(family, &widened(family, &int4, Scales::None), int4.iter().flat_map(low_first).map(f32::from));
            let by_scales = widened(family, &vec![1_i8; 16 * halves.len()], Scales::HalfGroups(&halves, 16));
            check(family, &by_scales, halves.iter().flat_map(|x| [x.to_f32(); 16]));
        }
    }
}
