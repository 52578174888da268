//! The head of a group of layers in the table, with its sums.

use std::ops::Range;

use ratatui::layout::Rect;

use super::paint::{View, fit};
use super::slots::Slot;
use crate::measure::Notation;
use crate::tui::column::{self, Column};
use crate::tui::format;
use crate::tui::listing::Grouping;
use crate::tui::theme::Role;
use crate::workbench::LayerRow;

/// Sums and means over some layers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sums {
    /// Bytes in the checkpoint.
    pub before: u64,
    /// Bytes under the plans.
    pub after: u64,
    /// Mean predicted weight error, of the layers where it is known.
    pub predicted: Option<f64>,
    /// Mean weight error, likewise.
    pub error: Option<f64>,
    /// Mean output error, likewise.
    pub output: Option<f64>,
    /// Sum of the KLDs of single layers.
    pub kld: Option<f64>,
}

impl Sums {
    /// Over these layers.
    pub fn of(rows: &[&LayerRow]) -> Self {
        let known =
            |value: &dyn Fn(&LayerRow) -> Option<f64>| rows.iter().filter_map(|row| value(row)).collect::<Vec<_>>();
        let mean = |values: Vec<f64>| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let klds = known(&|row| row.damage.map(|damage| damage.kld));
        Self {
            before: rows.iter().map(|row| row.layer.bytes).sum(),
            after: rows.iter().map(|row| row.bytes_after).sum(),
            predicted: mean(known(&|row| row.predicted)),
            error: mean(known(&column::error)),
            output: mean(known(&|row| row.output_error)),
            kld: (!klds.is_empty()).then(|| klds.iter().sum()),
        }
    }

    fn cell(&self, column: Column, notation: Notation) -> Option<String> {
        match column {
            Column::Before => Some(format::bytes(self.before)),
            Column::After => Some(format::bytes(self.after)),
            Column::Predicted => self.predicted.map(|mean| notation.write(mean)),
            Column::Measured => self.error.map(|mean| notation.write(mean)),
            Column::Output => self.output.map(|mean| notation.write(mean)),
            Column::Damage => self.kld.map(|sum| notation.write(sum)),
            _ => None,
        }
    }
}

/// Draws the head of the layers at these places of the order: what they share on the left, sums (bytes, KLD) and means (errors)
/// under their columns.
pub fn render(view: &mut View<'_>, area: Rect, slots: &[Slot], members: Range<usize>) {
    let listing = &view.ui.listing;
    let indices = listing.order.get(members).unwrap_or_default();
    let rows: Vec<&LayerRow> = indices.iter().filter_map(|index| view.scene.rows.get(*index)).collect();
    let Some(first) = rows.first() else { return };
    let name = match (listing.grouping, first.layer.block) {
        (Grouping::Kind, _) => first.layer.kind.name().to_owned(),
        (_, Some(block)) => format!("block {block}"),
        (_, None) => "outside of blocks".to_owned(),
    };
    let sums = Sums::of(&rows);
    let figures: Vec<(Slot, String)> =
        slots.iter().filter_map(|slot| Some((*slot, sums.cell(slot.column, slot.notation)?))).collect();
    let end = figures.first().map_or(area.right(), |(slot, _)| slot.x);
    let title = format!("{name} · {}", format::plural(rows.len(), "layer"));
    let room = usize::from(end.saturating_sub(area.x + 2));
    view.put(area.x + 1, area.y, end, &fit(&title, room), Role::Title);
    for (slot, text) in figures {
        view.put_right(slot.x, area.y, slot.x + slot.width, &text, Role::Title);
    }
}
