//! Which layers are shown, in which order, which are selected, and where the cursor stands.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Range;

use super::column::Column;
use super::columns::Columns;
use super::filter::Filter;
use crate::model::Kind;
use crate::workbench::LayerRow;

/// What the layers are gathered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grouping {
    /// Nothing: one list.
    #[default]
    None,
    /// Their block.
    Block,
    /// What they do.
    Kind,
}

impl Grouping {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Block, Self::Kind];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Block => "block",
            Self::Kind => "kind",
        }
    }

    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::None => Self::Block,
            Self::Block => Self::Kind,
            Self::Kind => Self::None,
        }
    }

    /// What tells a layer's group, in the order of groups; layers outside of blocks come last.
    fn key(self, row: &LayerRow) -> (usize, Option<Kind>) {
        match self {
            Self::None => (0, None),
            Self::Block => (row.layer.block.unwrap_or(usize::MAX), None),
            Self::Kind => (0, Some(row.layer.kind)),
        }
    }
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The head of a group: the places in the order that belong to it.
    Group(Range<usize>),
    /// A layer, by its index.
    Layer(usize),
}

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
    /// What they are gathered by.
    pub grouping: Grouping,
    /// Where in the order groups begin; empty without grouping.
    pub groups: Vec<usize>,
    /// The column under the cursor.
    pub column: Column,
    /// Which columns are shown.
    pub columns: Columns,
}

impl Listing {
    /// Filters and sorts anew; the cursor goes to the first line where its layer is no longer shown.
    pub fn refresh(&mut self, rows: &[LayerRow]) {
        let filter = Filter::parse(&self.filter_text);
        self.order = (0..rows.len()).filter(|index| rows.get(*index).is_some_and(|row| filter.admits(row))).collect();
        self.arrange(rows);
        self.gather(rows);
        self.marked.retain(|index| *index < rows.len());
        if !self.order.contains(&self.cursor)
            && let Some(first) = self.order.first()
        {
            self.cursor = *first;
        }
    }

    /// Sorts what is in the model's order: what is alike stays in it, and layers without such a figure come last.
    fn arrange(&mut self, rows: &[LayerRow]) {
        let compare = |a: &usize, b: &usize| match (rows.get(*a), rows.get(*b)) {
            (Some(left), Some(right)) => self.sort.order(left, right),
            _ => Ordering::Equal,
        };
        if self.falling {
            self.order.reverse();
        }
        match self.sort {
            Column::Block => return,
            text if text.is_text() => {
                self.order.sort_by_cached_key(|index| rows.get(*index).map(|row| text.plain_cell(row)));
            }
            _ => self.order.sort_by(compare),
        }
        // Turned round before and after, so that what is alike is not.
        if self.falling {
            self.order.reverse();
        }
        self.order.sort_by_key(|index| rows.get(*index).is_none_or(|row| !self.sort.knows(row)));
    }

    fn gather(&mut self, rows: &[LayerRow]) {
        self.groups.clear();
        if self.grouping == Grouping::None {
            return;
        }
        let key = |index: &usize| rows.get(*index).map(|row| self.grouping.key(row));
        self.order.sort_by_key(key);
        let starts = self.order.iter().enumerate().filter(|(at, index)| {
            let before = at.checked_sub(1).and_then(|before| self.order.get(before));
            before.is_none_or(|before| key(before) != key(index))
        });
        self.groups = starts.map(|(at, _)| at).collect();
    }

    /// How many lines the table has, heads of groups among them.
    pub fn lines(&self) -> usize {
        self.order.len() + self.groups.len()
    }

    /// What stands on a line of the table.
    pub fn at_line(&self, line: usize) -> Option<Line> {
        let (mut low, mut high) = (0, self.groups.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.groups.get(middle).is_some_and(|start| start + middle <= line) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if let Some(start) =
            low.checked_sub(1).and_then(|last| self.groups.get(last)).filter(|start| *start + low == line + 1)
        {
            return Some(Line::Group(*start..self.groups.get(low).copied().unwrap_or(self.order.len())));
        }
        self.order.get(line - low).copied().map(Line::Layer)
    }

    /// The line of the cursor.
    pub fn line(&self) -> usize {
        let place = self.place();
        place + self.groups.partition_point(|start| *start <= place)
    }

    fn place(&self) -> usize {
        self.order.iter().position(|index| *index == self.cursor).unwrap_or_default()
    }

    /// Moves the column cursor among the columns that there are, staying within.
    pub fn step_column(&mut self, columns: &[Column], by: isize) {
        let here = columns.iter().position(|column| *column == self.column).unwrap_or_default();
        if let Some(column) = columns.get(here.saturating_add_signed(by).min(columns.len().saturating_sub(1))) {
            self.column = *column;
        }
    }

    /// Moves the cursor by layers, staying within.
    pub fn step(&mut self, by: isize) {
        let line = self.place().saturating_add_signed(by).min(self.order.len().saturating_sub(1));
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
            Column::Rank
                | Column::Before
                | Column::After
                | Column::Predicted
                | Column::Measured
                | Column::Output
                | Column::Damage
                | Column::Shape
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_groups_stand_before_their_layers() {
        let listing = Listing {
            order: vec![7, 3, 5, 1],
            groups: vec![0, 1, 3],
            cursor: 5,
            grouping: Grouping::Block,
            ..Listing::default()
        };
        let lines: Vec<Line> = (0..listing.lines()).map_while(|line| listing.at_line(line)).collect();
        let (group, layer) = (Line::Group, Line::Layer);
        assert_eq!(lines, [group(0..1), layer(7), group(1..3), layer(3), layer(5), group(3..4), layer(1)]);
        assert_eq!(listing.line(), 4);
        assert_eq!(listing.at_line(7), None);
        let flat = Listing { order: vec![7, 3], cursor: 3, ..Listing::default() };
        assert_eq!((flat.line(), flat.at_line(1), flat.at_line(2)), (1, Some(layer(3)), None));
    }

    #[test]
    fn the_column_cursor_stays_within_the_columns() {
        let columns = [Column::Block, Column::Rank, Column::Name];
        let mut listing = Listing::default();
        listing.step_column(&columns, 1);
        assert_eq!(listing.column, Column::Rank);
        listing.step_column(&columns, 9);
        assert_eq!(listing.column, Column::Name);
        listing.step_column(&columns, -9);
        assert_eq!(listing.column, Column::Block);
    }
}
