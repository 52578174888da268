//! Panels of weights for products of bfloat16: blocks of outputs, [pairs of columns, outputs of the block] each.

use super::brain::{BrainKernel, BrainSimd, Line, Sums};
use super::brain_input::round_columns;
use super::simd::{Element, MOST_LANES, Simd};

/// Where the weights of an output lie.
#[derive(Debug, Clone, Copy)]
pub enum Layout {
    /// Side by side.
    Rows,
    /// So many elements apart.
    Columns(usize),
}

/// Some stored rows of floats, to be rounded to bfloat16 and written as a panel.
#[derive(Debug)]
pub struct BrainPanel<'a, E> {
    w: &'a [E],
    layout: Layout,
    rows: &'a [usize],
    cols: usize,
    panel: &'a mut [Line],
}

impl<'a, E: Element> BrainPanel<'a, E> {
    /// The stored `rows` of `cols` columns into `panel`. `None` where a slice is too short for the sizes: after this, every
    /// access of the kernel is inside.
    pub fn new(w: &'a [E], layout: Layout, rows: &'a [usize], cols: usize, panel: &'a mut [Line]) -> Option<Self> {
        let inside = |row: &usize| {
            let end = match layout {
                Layout::Rows => row.checked_add(1).and_then(|rows| rows.checked_mul(cols)),
                Layout::Columns(stride) => cols.saturating_sub(1).checked_mul(stride)?.checked_add(row.checked_add(1)?),
            };
            Some(cols == 0 || end? <= w.len())
        };
        let fits = E::PACKED == 1
            && rows.iter().all(|row| inside(row) == Some(true))
            && panel.len() >= Line::of_panel(rows.len(), cols.div_ceil(2))?;
        fits.then_some(Self { w, layout, rows, cols, panel })
    }
}

impl<E: Element> BrainKernel for BrainPanel<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: BrainSimd>(self, s: S) {
        let (lanes, pairs) = (S::Wide::LANES, self.cols.div_ceil(2));
        let panel = self.panel.as_mut_ptr().cast::<u32>();
        for first in (0..self.rows.len().next_multiple_of(2 * lanes)).step_by(lanes) {
            let rows = self.rows.get(first..self.rows.len().min(first + lanes)).unwrap_or_default();
            let block = first / (2 * lanes) * (2 * lanes);
            let to = panel.wrapping_add(block * pairs + first - block);
            match self.layout {
                Layout::Rows => self.turn_rows(s, rows, to),
                Layout::Columns(stride) => self.pair_columns(s, stride, rows, to),
            }
        }
    }
}

impl<E: Element> BrainPanel<'_, E> {
    /// A vector of outputs whose weights lie row by row; the pairs of columns go to every second vector from `to` on.
    #[inline(always)]
    fn turn_rows<S: BrainSimd>(&self, s: S, rows: &[usize], to: *mut u32) {
        let lanes = S::Wide::LANES;
        for k in (0..self.cols).step_by(2 * lanes) {
            let count = (self.cols - k).min(2 * lanes);
            let mut columns = [s.splat(0); MOST_LANES];
            for (columns, row) in columns.iter_mut().zip(rows) {
                // SAFETY: `new` has seen that all columns of the row are inside.
                *columns = unsafe { round_columns(s, self.w.as_ptr().add(row * self.cols + k), count) };
            }
            for (i, pairs) in s.turn(columns).into_iter().enumerate().take(count.div_ceil(2)) {
                // SAFETY: `new` has seen room for all pairs of columns of the block.
                unsafe { s.store(to.add((k / 2 + i) * 2 * lanes), pairs) };
            }
        }
    }

    /// The same where they lie column by column.
    #[inline(always)]
    fn pair_columns<S: BrainSimd>(&self, s: S, stride: usize, rows: &[usize], to: *mut u32) {
        for k in (0..self.cols).step_by(2) {
            let even = self.column(s, k * stride, rows);
            let odd = if k + 1 < self.cols { self.column(s, (k + 1) * stride, rows) } else { s.wide().splat(0.0) };
            // SAFETY: `new` has seen room for all pairs of columns of the block.
            unsafe { s.store(to.add(k * S::Wide::LANES), s.pair(even, odd)) };
        }
    }

    /// The weights of a column, that begins at `start`.
    #[inline(always)]
    fn column<S: BrainSimd>(&self, s: S, start: usize, rows: &[usize]) -> Sums<S> {
        let (first, last) = (rows.first().copied().unwrap_or_default(), rows.last().copied().unwrap_or_default());
        let from = self.w.as_ptr().wrapping_add(start + first);
        // SAFETY: `new` has seen each of the rows in each column; they ascend, so that these are all between the two.
        unsafe {
            if rows.len() == S::Wide::LANES && last.wrapping_sub(first) == rows.len() - 1 {
                return E::load(s.wide(), from);
            }
            let mut gathered = [E::ZERO; MOST_LANES];
            for (place, row) in gathered.iter_mut().zip(rows) {
                *place = *self.w.as_ptr().add(start + row);
            }
            E::load(s.wide(), gathered.as_ptr())
        }
    }
}
