//! How the columns of the table are written, and how wide they must be for it.

use unicode_width::UnicodeWidthStr;

use super::column::{Column, plan, tensor};
use crate::compress::Wording;
use crate::measure::Notation;
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
    plans: [u16; Wording::ALL.len()],
    notations: [Notation; Column::ALL.len()],
}

impl Widths {
    /// Takes in the rows of a model, `shown` being those on the screen now.
    pub fn take_in(&mut self, model: &str, rows: &[LayerRow], shown: &[usize]) {
        if rows.len() <= ALL_COUNT || (self.model.as_str(), self.layers) != (model, rows.len()) {
            *self = Self { model: model.to_owned(), layers: rows.len(), ..Self::default() };
        }
        self.notations =
            Column::ALL.map(|column| column.notation(rows.iter().filter_map(|row| column.figure().value(row))));
        if rows.len() <= ALL_COUNT {
            rows.iter().for_each(|row| self.widen(row));
        } else {
            shown.iter().filter_map(|index| rows.get(*index)).for_each(|row| self.widen(row));
        }
    }

    /// The widest cell of a column; 0 where none was seen.
    pub fn of(&self, column: Column) -> u16 {
        place(column).and_then(|place| self.widest.get(place)).copied().unwrap_or_default()
    }

    /// The widest plan in so many words.
    pub fn of_plans(&self, wording: Wording) -> u16 {
        Wording::ALL.iter().zip(self.plans).find(|(known, _)| **known == wording).map_or(0, |(_, widest)| widest)
    }

    /// How a column is written.
    pub fn notation(&self, column: Column) -> Notation {
        place(column).and_then(|place| self.notations.get(place)).copied().unwrap_or_default()
    }

    fn widen(&mut self, row: &LayerRow) {
        for (widest, wording) in self.plans.iter_mut().zip(Wording::ALL) {
            *widest = u16::try_from(plan(row, wording).width()).unwrap_or(u16::MAX).max(*widest);
        }
        for ((widest, column), notation) in self.widest.iter_mut().zip(Column::ALL).zip(self.notations) {
            let text = if column == Column::Name { tensor(row) } else { column.cell(row, notation) };
            *widest = u16::try_from(text.width()).unwrap_or(u16::MAX).max(*widest);
        }
    }
}

fn place(column: Column) -> Option<usize> {
    Column::ALL.iter().position(|other| *other == column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;
    use crate::compress::Plan;
    use crate::model::{Kind, Layer};

    /// So many layers, the last one with a shape of nine columns, the others of three.
    fn rows(count: usize) -> Vec<LayerRow> {
        let layer = |index: usize| Layer {
            name: "w".into(),
            tensor: "w".into(),
            block: None,
            kind: Kind::Other,
            rows: if index + 1 == count { 4096 } else { 8 },
            cols: if index + 1 == count { 4096 } else { 4 },
            dtype: Dtype::F16,
            bytes: 64,
            fixed: false,
            transposed: false,
            part: None,
        };
        (0..count).map(|index| LayerRow::new(layer(index), Plan::dense())).collect()
    }

    #[test]
    fn of_few_layers_all_count_and_of_many_those_that_were_shown() {
        let mut widths = Widths::default();
        widths.take_in("few", &rows(ALL_COUNT), &[0]);
        assert_eq!(widths.of(Column::Shape), 9);
        let many = rows(ALL_COUNT + 1);
        widths.take_in("many", &many, &[0, 1]);
        assert_eq!(widths.of(Column::Shape), 3);
        widths.take_in("many", &many, &[ALL_COUNT]);
        widths.take_in("many", &many, &[0]);
        assert_eq!(widths.of(Column::Shape), 9, "a column that was wide once stays so");
        widths.take_in("another", &many, &[0]);
        assert_eq!(widths.of(Column::Shape), 3);
    }
}
