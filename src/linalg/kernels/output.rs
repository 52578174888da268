//! The result of a product, which several threads fill, each its own columns.

use std::marker::PhantomData;

/// y [tokens, width], row-major, from one of its columns on, and whether results are written or added.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    start: *mut f32,
    len: usize,
    width: usize,
    first: usize,
    add: bool,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: `put` is unsafe, and its callers vouch that no two threads touch the same element.
unsafe impl Send for Output<'_> {}
// SAFETY: as above.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    /// Results of `width` outputs a token go to `y`; with `add` they are added to what is there.
    pub fn new(y: &'a mut [f32], width: usize, add: bool) -> Self {
        Self { start: y.as_mut_ptr(), len: y.len(), width, first: 0, add, borrow: PhantomData }
    }

    /// The same results with column `first` as their column 0.
    pub fn starting_at(self, first: usize) -> Self {
        Self { first: self.first.saturating_add(first), ..self }
    }

    /// Whole tokens.
    pub fn tokens(&self) -> usize {
        self.len.checked_div(self.width).unwrap_or_default()
    }

    /// Whether elements [0..tokens, 0..columns] are all inside.
    pub fn holds(&self, tokens: usize, columns: usize) -> bool {
        let inside = self.first.checked_add(columns).is_some_and(|end| end <= self.width);
        inside && tokens.checked_mul(self.width).is_some_and(|needed| needed <= self.len)
    }

    /// Writes or adds one result.
    ///
    /// # Safety
    /// [`Output::holds`] is true of (token + 1, column + 1), and no other thread touches the element meanwhile.
    #[inline(always)]
    pub unsafe fn put(&self, token: usize, column: usize, value: f32) {
        // SAFETY: token * width + first + column < tokens * width <= len, as the caller vouches.
        let element = unsafe { &mut *self.start.add(token * self.width + self.first + column) };
        *element = if self.add { *element + value } else { value };
    }

    /// Writes or adds the results of some columns that lie side by side.
    ///
    /// # Safety
    /// [`Output::holds`] is true of (token + 1, column + the number of values), and no other thread touches the elements
    /// meanwhile.
    #[inline(always)]
    pub unsafe fn put_all(&self, token: usize, column: usize, values: &[f32]) {
        // SAFETY: as in `put`, for all of them.
        let elements = unsafe {
            std::slice::from_raw_parts_mut(self.start.add(token * self.width + self.first + column), values.len())
        };
        if self.add {
            elements.iter_mut().zip(values).for_each(|(element, value)| *element += value);
        } else {
            elements.copy_from_slice(values);
        }
    }
}
