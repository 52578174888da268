//! Which layers are shown, in which order, which are selected, and where the cursor stands.

use std::collections::BTreeSet;

use super::column::Column;
use super::filter::Filter;
use crate::model::Kind;
use crate::workbench::LayerRow;

/// The table's view on the layers. The cursor is a layer, not a line: it stays where it is when rows are sorted anew.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Layer under the cursor.
    pub cursor: usize,
    /// Selected layers.
    pub marked: BTreeSet<usize>,
    /// What it is sorted by.
    pub sort: Column,
    /// Whether in falling order.
    pub falling: bool,
    /// The filter as typed.
    pub filter_text: String,
    /// Layers shown, in order.
    pub order: Vec<usize>,
}

impl Listing {
    /// Filters and sorts anew; the cursor goes to the first line where its layer is no longer shown.
    pub fn refresh(&mut self, rows: &[LayerRow]) {
        let filter = Filter::parse(&self.filter_text);
        self.order = (0..rows.len()).filter(|index| rows.get(*index).is_some_and(|row| filter.admits(row))).collect();
        let compare = |a: &usize, b: &usize| match (rows.get(*a), rows.get(*b)) {
            (Some(left), Some(right)) => self.sort.order(left, right).then(a.cmp(b)),
            _ => a.cmp(b),
        };
        if self.sort.is_text() {
            self.order.sort_by_cached_key(|index| rows.get(*index).map(|row| self.sort.cell(row)));
        } else {
            self.order.sort_by(compare);
        }
        if self.falling {
            self.order.reverse();
        }
        self.marked.retain(|index| *index < rows.len());
        if !self.order.contains(&self.cursor)
            && let Some(first) = self.order.first()
        {
            self.cursor = *first;
        }
    }

    /// The line of the cursor.
    pub fn line(&self) -> usize {
        self.order.iter().position(|index| *index == self.cursor).unwrap_or_default()
    }

    /// Moves the cursor by lines, staying within.
    pub fn step(&mut self, by: isize) {
        let line = self.line().saturating_add_signed(by).min(self.order.len().saturating_sub(1));
        if let Some(index) = self.order.get(line) {
            self.cursor = *index;
        }
    }

    /// Puts the cursor on a layer, where it is shown.
    pub fn go_to(&mut self, index: usize) {
        if self.order.contains(&index) {
            self.cursor = index;
        }
    }

    /// Sorts by `column`; a second time, in the other direction. Errors and bytes begin with the largest.
    pub fn sort_by(&mut self, column: Column) {
        let largest_first = matches!(
            column,
            Column::Rank | Column::Before | Column::After | Column::Predicted | Column::Measured | Column::Shape
        );
        self.falling = if self.sort == column { !self.falling } else { largest_first };
        self.sort = column;
    }

    /// Selects a layer, or no longer.
    pub fn toggle_mark(&mut self, index: usize) {
        if !self.marked.remove(&index) {
            self.marked.insert(index);
        }
    }

    /// Selects all that is shown; nothing, where all of it was.
    pub fn mark_all(&mut self) {
        if self.order.iter().all(|index| self.marked.contains(index)) {
            self.marked.clear();
        } else {
            self.marked.extend(&self.order);
        }
    }

    /// Turns the selection round among what is shown.
    pub fn mark_inverse(&mut self) {
        for index in self.order.clone() {
            self.toggle_mark(index);
        }
    }

    /// Adds every shown layer of this kind, or of this block, to the selection.
    pub fn mark_where(&mut self, rows: &[LayerRow], wanted: impl Fn(Kind, Option<usize>) -> bool) {
        let matching = |index: &&usize| rows.get(**index).is_some_and(|row| wanted(row.layer.kind, row.layer.block));
        self.marked.extend(self.order.iter().filter(matching));
    }

    /// The layers that an edit is for: the selection, or else the one under the cursor.
    pub fn targets(&self) -> Vec<usize> {
        if self.marked.is_empty() {
            self.order.contains(&self.cursor).then_some(self.cursor).into_iter().collect()
        } else {
            self.marked.iter().copied().collect()
        }
    }
}
