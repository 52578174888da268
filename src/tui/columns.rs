//! Which columns of the table are shown, and how wide.

use std::collections::{BTreeMap, BTreeSet};

use super::column::Column;

/// A column is never narrower than this, nor wider than that.
const NARROWEST: u16 = 3;
const WIDEST: u16 = 80;

/// A person's choice of columns; without one, all that there is something to show in, as wide as what stands in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    hidden: BTreeSet<Column>,
    widths: BTreeMap<Column, u16>,
}

impl Columns {
    /// The column that stays where it is while others move sideways.
    pub const FROZEN: Column = Column::Block;

    /// Whether a column is wanted.
    pub fn shows(&self, column: Column) -> bool {
        !self.hidden.contains(&column)
    }

    /// Shows a column, or no longer; the frozen one stays.
    pub fn toggle(&mut self, column: Column) {
        if column != Self::FROZEN && !self.hidden.remove(&column) {
            self.hidden.insert(column);
        }
    }

    /// The width that was asked for.
    pub fn width(&self, column: Column) -> Option<u16> {
        self.widths.get(&column).copied()
    }

    /// Makes a column that is `now` so wide wider or narrower.
    pub fn widen(&mut self, column: Column, now: u16, by: i16) {
        self.widths.insert(column, now.saturating_add_signed(by).clamp(NARROWEST, WIDEST));
    }

    /// Gives a column its own width back.
    pub fn fit(&mut self, column: Column) {
        self.widths.remove(&column);
    }

    /// As words, to keep: `-type tensor=30`.
    pub fn to_words(&self) -> String {
        let hidden = self.hidden.iter().map(|column| format!("-{}", column.title()));
        let widths = self.widths.iter().map(|(column, width)| format!("{}={width}", column.title()));
        hidden.chain(widths).collect::<Vec<_>>().join(" ")
    }

    /// Reads such words; those that mean nothing change nothing.
    pub fn of_words(words: &str) -> Self {
        let named = |title: &str| Column::ALL.into_iter().find(|column| column.title() == title);
        let mut columns = Self::default();
        for word in words.split_whitespace() {
            match (word.strip_prefix('-').and_then(named), word.split_once('=')) {
                (Some(column), _) if column != Self::FROZEN => {
                    columns.hidden.insert(column);
                }
                (None, Some((title, width))) => {
                    if let (Some(column), Ok(width)) = (named(title), width.parse::<u16>()) {
                        columns.widths.insert(column, width.clamp(NARROWEST, WIDEST));
                    }
                }
                _ => {}
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_kept_as_words_and_the_frozen_column_stays() {
        let mut columns = Columns::default();
        columns.toggle(Column::Type);
        columns.toggle(Columns::FROZEN);
        columns.widen(Column::Name, 20, 10);
        assert_eq!(columns.to_words(), "-type tensor=30");
        assert_eq!(Columns::of_words(&columns.to_words()), columns);
        assert!(!columns.shows(Column::Type) && columns.shows(Columns::FROZEN));
        columns.widen(Column::Name, 4, -10);
        assert_eq!(columns.width(Column::Name), Some(NARROWEST));
        assert_eq!(Columns::of_words("-blk -nothing x=3 tensor=y"), Columns::default());
    }
}
