//! Which columns of the table have room, and where they lie.

use ratatui::layout::Rect;

use super::paint::{View, width};
use crate::compress::Wording;
use crate::measure::Notation;
use crate::tui::column::Column;
use crate::tui::columns::Columns;

/// What is left out first where the table is too narrow.
const EXPENDABLE: [Column; 9] = [
    Column::Name,
    Column::Type,
    // The plan names the rank, and the shape what is most.
    Column::Rank,
    Column::Before,
    Column::Predicted,
    Column::Shape,
    Column::Spectrum,
    Column::After,
    Column::Output,
];
const SPARK_WIDTH: u16 = 8;
const WIDE_SPARK_WIDTH: u16 = 16;
const MIN_NAME_WIDTH: u16 = 20;
/// Columns for cursor and mark.
pub const MARGIN: u16 = 3;

/// A column with its place.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// The column.
    pub column: Column,
    /// Where it begins.
    pub x: u16,
    /// How wide it is.
    pub width: u16,
    /// How its figures are written.
    pub notation: Notation,
    /// In how many words its plans are told.
    pub wording: Wording,
}

/// The columns of the table as laid out.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    /// From left to right.
    pub shown: Vec<Slot>,
    /// Every column that there is, in order.
    pub all: Vec<Column>,
    /// Whether some are hidden on the left, and on the right.
    pub more: (bool, bool),
}

/// The columns that are wanted and that there is something to show in.
fn wanted(view: &View<'_>) -> Vec<(Column, u16)> {
    let there = |column: &&Column| match column {
        Column::Output => view.scene.rows.iter().any(|row| row.output_error.is_some()),
        Column::Damage => view.scene.rows.iter().any(|row| row.damage.is_some()),
        _ => true,
    };
    let columns = Column::ALL.iter().filter(there).filter(|column| view.ui.listing.columns.shows(**column));
    columns.map(|column| (*column, natural_width(view, *column))).collect()
}

/// Lays the columns out: those that matter most where not all have room, or, where the column cursor goes beyond them, those
/// around it beside the frozen one.
pub fn lay_out(view: &View<'_>, area: Rect) -> Slots {
    let wanted = wanted(view);
    let all: Vec<Column> = wanted.iter().map(|(column, _)| *column).collect();
    // A list that goes on has a bar beside it.
    let bar = u16::from(view.ui.listing.lines() >= usize::from(area.height));
    let room = area.width.saturating_sub(MARGIN + 1 + bar) + 1;
    let mut chosen = wanted.clone();
    for column in EXPENDABLE {
        if total(&chosen) <= room {
            break;
        }
        chosen.retain(|(kept, _)| *kept != column);
    }
    let cursor = view.ui.listing.column;
    let mut more = (false, chosen.len() < wanted.len());
    if chosen.iter().all(|(column, _)| *column != cursor) && all.contains(&cursor) {
        (chosen, more) = around(&wanted, cursor, room);
    } else {
        spread(view, &mut chosen, room);
    }
    let mut x = area.x + MARGIN;
    let place = |(column, width)| {
        let (notation, wording) = (view.facts.widths.notation(column), wording(view, width));
        let slot = Slot { column, x, width, notation, wording };
        x += width + 1;
        slot
    };
    Slots { shown: chosen.into_iter().map(place).collect(), all, more }
}

/// The most words that all plans have room for in so many columns.
fn wording(view: &View<'_>, width: u16) -> Wording {
    let fits = |wording: &Wording| view.facts.widths.of_plans(*wording) <= width;
    Wording::ALL.into_iter().rev().find(fits).unwrap_or_default()
}

fn total(chosen: &[(Column, u16)]) -> u16 {
    chosen.iter().map(|(_, width)| width.saturating_add(1)).fold(0, u16::saturating_add)
}

/// The frozen column and as many as there is room for, the one under the cursor the last of them.
fn around(wanted: &[(Column, u16)], cursor: Column, room: u16) -> (Vec<(Column, u16)>, (bool, bool)) {
    let (frozen, others): (Vec<_>, Vec<_>) = wanted.iter().partition(|(column, _)| *column == Columns::FROZEN);
    let at = others.iter().position(|(column, _)| *column == cursor).unwrap_or_default();
    let fits = |from: usize, to: usize| {
        let window = others.get(from..to).unwrap_or_default();
        total(&frozen).saturating_add(total(window)) <= room
    };
    let first = (0..=at).find(|first| fits(*first, at + 1)).unwrap_or(at);
    let end = (at + 1..=others.len()).rev().find(|end| fits(first, *end)).unwrap_or(at + 1);
    let window = others.get(first..end).unwrap_or_default();
    let mut chosen: Vec<_> = frozen.into_iter().chain(window.iter().copied()).collect();
    // A column wider than the table is cut rather than left out.
    let over = total(&chosen).saturating_sub(room);
    if let Some((_, width)) = chosen.last_mut() {
        *width = width.saturating_sub(over).max(1);
    }
    (chosen, (first > 0, end < others.len()))
}

/// Gives plans, names, heads and sparklines what room is left: first what is cut, or needs a key to be read, last what is only
/// smaller.
fn spread(view: &View<'_>, chosen: &mut [(Column, u16)], room: u16) {
    let widths = &view.facts.widths;
    let mut spare = room.saturating_sub(total(chosen));
    let own = |column: Column| view.ui.listing.columns.width(column).is_some();
    for step in STEPS {
        for (column, width) in chosen.iter_mut().filter(|(column, _)| !own(*column)) {
            let wanted = match (step, *column) {
                (Step::Words(wording), Column::Plan) => widths.of_plans(wording),
                (Step::Names, Column::Name) => widths.of(Column::Name).min(*width + spare),
                (Step::Heads, column) if column != Column::Name => head_width(view, column, column.long_title()),
                (Step::Sparks, Column::Spectrum) => WIDE_SPARK_WIDTH.min(*width + spare),
                _ => 0,
            };
            // Half of a longer text is no better than the short one.
            let more = Some(wanted.saturating_sub(*width)).filter(|more| *more <= spare).unwrap_or_default();
            *width += more;
            spare -= more;
        }
    }
}

/// In this order.
const STEPS: [Step; 5] =
    [Step::Words(Wording::Short), Step::Words(Wording::Plain), Step::Names, Step::Heads, Step::Sparks];

/// What room is given to.
#[derive(Clone, Copy)]
enum Step {
    Words(Wording),
    Names,
    Heads,
    Sparks,
}

fn natural_width(view: &View<'_>, column: Column) -> u16 {
    if let Some(width) = view.ui.listing.columns.width(column) {
        return width;
    }
    match column {
        Column::Spectrum => SPARK_WIDTH,
        Column::Name => MIN_NAME_WIDTH,
        _ => {
            let least = match column {
                Column::Plan => 8,
                Column::Predicted | Column::Measured => 6,
                _ => 0,
            };
            let head = head_width(view, column, column.title());
            view.facts.widths.of(column).max(head).max(least).min(24)
        }
    }
}

/// What a head takes, with the arrow of the order.
pub fn head_width(view: &View<'_>, column: Column, title: &str) -> u16 {
    width(title) + u16::from(view.ui.listing.sort == column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_keeps_the_frozen_column_and_ends_where_the_cursor_is() {
        let wanted: Vec<(Column, u16)> = Column::ALL.into_iter().map(|column| (column, 9)).collect();
        let (chosen, more) = around(&wanted, Column::Name, 45);
        let columns: Vec<Column> = chosen.iter().map(|(column, _)| *column).collect();
        assert_eq!(columns, [Column::Block, Column::Damage, Column::Spectrum, Column::Name]);
        assert_eq!(more, (true, false));
        let (narrow, _) = around(&wanted, Column::Name, 15);
        assert_eq!(total(&narrow), 15);
    }
}
