//! Some rows of a stored matrix, as a fused projection holds each of its parts.

use std::ops::Range;

use super::NumericError;

/// Rows of a stored matrix: row i is the stored row `offset + (i / block) * step + i % block`. Parts that lie below one
/// another have one block; those that alternate head by head have one a head, `step` rows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowSelection {
    /// Rows selected.
    pub rows: usize,
    /// The first stored row.
    pub offset: usize,
    /// Rows that lie side by side.
    pub block: usize,
    /// Stored rows from the start of a block to that of the next; at least `block`.
    pub step: usize,
}

impl RowSelection {
    /// All of `rows` rows.
    pub fn whole(rows: usize) -> Self {
        Self { rows, offset: 0, block: rows.max(1), step: rows.max(1) }
    }

    /// Rows `offset .. offset + rows`.
    pub fn stacked(offset: usize, rows: usize) -> Self {
        Self { offset, ..Self::whole(rows) }
    }

    /// Whether these are all of `stored` rows.
    pub fn is_whole(&self, stored: usize) -> bool {
        self.rows == stored && self.offset == 0 && (self.step == self.block || self.rows <= self.block)
    }

    /// Checks that `stored` rows hold them.
    ///
    /// # Errors
    /// [`NumericError::Selection`] where they do not, and for blocks of 0 rows or that overlap.
    pub(super) fn check(&self, stored: usize) -> Result<(), NumericError> {
        if self.block == 0 || self.step < self.block {
            return Err(NumericError::Selection("has blocks that are empty or overlap"));
        }
        let end = self.rows.checked_sub(1).map_or(Some(self.offset), |last| {
            let block = (last / self.block).checked_mul(self.step)?;
            self.offset.checked_add(block)?.checked_add(last % self.block)?.checked_add(1)
        });
        match end {
            Some(end) if end <= stored => Ok(()),
            _ => Err(NumericError::Selection("reaches beyond those that are stored")),
        }
    }

    /// The stored row of row `i`.
    pub fn stored(&self, i: usize) -> usize {
        self.offset + i / self.block * self.step + i % self.block
    }

    /// The runs of stored rows that `rows` are, each with the row that it begins with.
    pub fn runs(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        let (selection, end) = (*self, rows.end.min(self.rows));
        // Blocks that touch are one.
        let block = if self.step == self.block { usize::MAX } else { self.block };
        let next =
            move |first: usize| (first < end).then(|| end.min((first / block).saturating_add(1).saturating_mul(block)));
        let mut first = rows.start;
        std::iter::from_fn(move || {
            let (start, last) = (first, next(first)?);
            first = last;
            let stored = selection.stored(start);
            Some((start, stored..stored + (last - start)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_stored_rows_in_order() {
        let heads = RowSelection { rows: 6, offset: 2, block: 2, step: 5 };
        for selection in [heads, RowSelection::stacked(3, 6), RowSelection { step: 2, ..heads }] {
            for (start, end) in [(0, 6), (1, 6), (3, 4), (2, 5), (4, 4), (0, 9)] {
                let runs = selection.runs(start..end).flat_map(|(first, stored)| (first..).zip(stored));
                let wanted = (start..end.min(6)).map(|row| (row, selection.stored(row)));
                assert_eq!(runs.collect::<Vec<_>>(), wanted.collect::<Vec<_>>(), "{selection:?} {start}..{end}");
            }
        }
        assert_eq!(heads.runs(1..6).collect::<Vec<_>>(), [(1, 3..4), (2, 7..9), (4, 12..14)]);
        assert_eq!(RowSelection { step: 2, ..heads }.runs(1..6).count(), 1);
    }

    #[test]
    fn rows_outside_are_refused() {
        let heads = RowSelection { rows: 6, offset: 2, block: 2, step: 5 };
        assert!(heads.check(14).is_ok());
        assert!(heads.check(13).is_err());
        assert!(RowSelection { rows: usize::MAX, ..heads }.check(14).is_err());
        assert!(RowSelection { block: 0, ..heads }.check(14).is_err());
        assert!(RowSelection { step: 1, ..heads }.check(14).is_err());
        assert!(RowSelection::stacked(14, 0).check(14).is_ok());
        assert!(RowSelection::whole(14).is_whole(14) && !heads.is_whole(14));
    }
}
