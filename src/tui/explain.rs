//! Asking what a figure means, and choosing the table's columns.

use super::action::Action;
use super::app::App;
use super::column::Column;
use super::context::Context;
use super::dialogs::stepped;
use super::figure::{FIGURES, Figure};
use super::ui::Dialog;

impl App {
    /// Explains the figure under the cursor.
    pub(super) fn open_explanation(&mut self) {
        let figure = self.figure_here();
        let place = FIGURES.iter().position(|about| about.figure == figure).unwrap_or_default();
        self.ui.lay_over(Dialog::Explain(place));
    }

    fn figure_here(&self) -> Figure {
        match self.ui.context() {
            Context::Layers if self.ui.map => self.ui.metric.figure(),
            Context::Layers => self.ui.listing.column.figure(),
            Context::Spectrum => Figure::NoiseRank,
            Context::Review => Figure::Plan,
            Context::Frontier => Figure::BitsPerWeight,
            Context::Comparison => Figure::Perplexity,
            _ => Figure::TextKld,
        }
    }

    pub(super) fn act_on_explanation(&mut self, action: Action) {
        let Some(Dialog::Explain(chosen)) = self.ui.dialog else { return };
        match action {
            Action::Close => self.ui.close(),
            _ => self.ui.dialog = Some(Dialog::Explain(stepped(chosen, action, FIGURES.len() - 1))),
        }
    }

    pub(super) fn choose_columns(&mut self) {
        let here = Column::ALL.iter().position(|column| *column == self.ui.listing.column);
        self.ui.dialog = Some(Dialog::Columns(here.unwrap_or_default()));
    }

    pub(super) fn act_on_columns(&mut self, action: Action) {
        let Some(Dialog::Columns(chosen)) = self.ui.dialog else { return };
        let Some(column) = Column::ALL.get(chosen).copied() else { return };
        let columns = &mut self.ui.listing.columns;
        let now = columns.width(column).unwrap_or_else(|| self.facts.widths.of(column));
        match action {
            Action::Close => self.ui.close(),
            Action::ToggleColumn => columns.toggle(column),
            Action::Wider => columns.widen(column, now, 1),
            Action::Narrower => columns.widen(column, now, -1),
            Action::FitColumn => columns.fit(column),
            _ => self.ui.dialog = Some(Dialog::Columns(stepped(chosen, action, Column::ALL.len() - 1))),
        }
    }
}
