//! How wide the columns of the table must be for what stands in them.

use unicode_width::UnicodeWidthStr;

use super::column::{Column, tensor};
use crate::workbench::LayerRow;

/// Up to so many layers all count at every frame; of more only those that were shown so far, since the screen cannot wait for
/// the figures of thousands to be written out.
const ALL_COUNT: usize = 512;

/// Cells' widths by column, for one model.
#[derive(Debug, Clone, Default)]
pub struct Widths {
    model: String,
    layers: usize,
    widest: [u16; Column::ALL.len()],
}

impl Widths {
    /// Takes in the rows of a model, `shown` being those on the screen now.
    pub fn take_in(&mut self, model: &str, rows: &[LayerRow], shown: &[usize]) {
        if rows.len() <= ALL_COUNT || (self.model.as_str(), self.layers) != (model, rows.len()) {
            *self = Self { model: model.to_owned(), layers: rows.len(), ..Self::default() };
        }
        if rows.len() <= ALL_COUNT {
            rows.iter().for_each(|row| self.widen(row));
        } else {
            shown.iter().filter_map(|index| rows.get(*index)).for_each(|row| self.widen(row));
        }
    }

    /// The widest cell of a column; 0 where none was seen.
    pub fn of(&self, column: Column) -> u16 {
        let place = Column::ALL.iter().position(|other| *other == column);
        place.and_then(|place| self.widest.get(place)).copied().unwrap_or_default()
    }

    fn widen(&mut self, row: &LayerRow) {
        for (widest, column) in self.widest.iter_mut().zip(Column::ALL) {
            let text = if column == Column::Name { tensor(row) } else { column.cell(row) };
            *widest = u16::try_from(text.width()).unwrap_or(u16::MAX).max(*widest);
        }
    }
}
