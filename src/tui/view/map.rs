//! The map: blocks down, kinds across, every layer at once.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::paint::{View, damage_role, error_role, fit};
use super::table::offset;
use crate::compress::Base;
use crate::model::Kind;
use crate::tui::column::{damage, error};
use crate::tui::format;
use crate::tui::theme::Role;
use crate::tui::ui::{Metric, Pane, Target};
use crate::workbench::{Damage, LayerRow};

const GUTTER: u16 = 5;
const CELL: u16 = 11;
const MIN_CELL: u16 = 6;

/// The layers of one cell: a block and a kind. Layers outside of blocks share the last line.
pub type Cells = BTreeMap<(usize, Kind), Vec<usize>>;

/// Which layers lie where, among those that the filter shows.
pub fn cells(rows: &[LayerRow], order: &[usize]) -> Cells {
    let mut cells = Cells::new();
    for index in order {
        if let Some(row) = rows.get(*index) {
            cells.entry((row.layer.block.unwrap_or(usize::MAX), row.layer.kind)).or_default().push(*index);
        }
    }
    cells.values_mut().for_each(|layers| layers.sort_unstable());
    cells
}

/// The layer that lies `across` kinds and `down` blocks from `from`: the nearest one that is there.
pub fn step(rows: &[LayerRow], order: &[usize], from: usize, across: isize, down: isize) -> Option<usize> {
    let cells = cells(rows, order);
    let row = rows.get(from)?;
    let here = (row.layer.block.unwrap_or(usize::MAX), row.layer.kind);
    let mut blocks: Vec<usize> = cells.keys().map(|(block, _)| *block).collect();
    blocks.dedup();
    let mut kinds: Vec<Kind> = cells.keys().map(|(_, kind)| *kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let block = moved(&blocks, &here.0, down)?;
    let kind = moved(&kinds, &here.1, across)?;
    let place = kinds.iter().position(|other| *other == kind)?;
    let distance = |(_, other): &&(usize, Kind)| kinds.iter().position(|k| k == other).map(|p| p.abs_diff(place));
    let nearest = cells.keys().filter(|(other, _)| *other == block).min_by_key(distance)?;
    cells.get(nearest)?.first().copied()
}

fn moved<T: PartialEq + Copy>(all: &[T], here: &T, by: isize) -> Option<T> {
    let index = all.iter().position(|one| one == here)?.saturating_add_signed(by);
    all.get(index.min(all.len().saturating_sub(1))).copied()
}

/// Draws the map.
pub fn render(view: &mut View<'_>, area: Rect) {
    let cells = cells(view.scene.rows, &view.ui.listing.order);
    let mut kinds: Vec<Kind> = cells.keys().map(|(_, kind)| *kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut blocks: Vec<usize> = cells.keys().map(|(block, _)| *block).collect();
    blocks.dedup();
    let columns = u16::try_from(kinds.len()).unwrap_or(u16::MAX).max(1);
    let width = (area.width.saturating_sub(GUTTER) / columns).clamp(MIN_CELL, CELL);
    for (x, kind) in (area.x + GUTTER..).step_by(usize::from(width)).zip(&kinds) {
        view.put(x, area.y, (x + width).min(area.right()), &fit(kind.name(), usize::from(width - 1)), Role::Dim);
    }
    let here = view.scene.rows.get(view.ui.listing.cursor).and_then(|row| row.layer.block).unwrap_or(usize::MAX);
    let line = blocks.iter().position(|block| *block == here).unwrap_or_default();
    let height = usize::from(area.height.saturating_sub(1));
    let first = offset(view.facts.map_offset, line, height, blocks.len());
    view.facts.map_offset = first;
    for (y, block) in (area.y + 1..area.bottom()).zip(blocks.iter().skip(first)) {
        let name = if *block == usize::MAX { "·".to_owned() } else { block.to_string() };
        view.put_right(area.x, y, area.x + GUTTER - 2, &name, Role::Dim);
        for (x, kind) in (area.x + GUTTER..).step_by(usize::from(width)).zip(&kinds) {
            if let Some(layers) = cells.get(&(*block, *kind)) {
                let place = Rect { x, y, width: width.min(area.right().saturating_sub(x)), height: 1 };
                cell(view, place, layers);
            }
        }
    }
}

fn cell(view: &mut View<'_>, area: Rect, layers: &[usize]) {
    let rows = view.scene.rows;
    let members: Vec<&LayerRow> = layers.iter().filter_map(|index| rows.get(*index)).collect();
    let metric = view.ui.metric;
    let Some(worst) = members.iter().copied().max_by(|a, b| level(metric, a).total_cmp(&level(metric, b))) else {
        return;
    };
    let marked = layers.iter().any(|index| view.ui.listing.marked.contains(index));
    let many = if members.len() > 1 { "*" } else { "" };
    let room = usize::from(area.width.saturating_sub(3));
    let value = match value(metric, worst) {
        long if metric == Metric::Damage && long.chars().count() > room => fit(&brief(worst), room),
        value => fit(&value, room),
    };
    let text = format!("{}{} {value}{many}", if marked { "●" } else { " " }, letter(worst));
    let role = role(view.ui.metric, worst);
    view.put(area.x.saturating_sub(1), area.y, area.right(), &text, role);
    let place = Rect { x: area.x.saturating_sub(1), ..area };
    if layers.contains(&view.ui.listing.cursor) {
        let role = if view.ui.pane == Pane::Layers { Role::Cursor } else { Role::CursorAway };
        view.tint(Rect { width: place.width.saturating_sub(1), ..place }, role);
    }
    if let Some(first) = layers.first() {
        view.hit(place, Target::Layer(*first));
    }
}

fn level(metric: Metric, row: &LayerRow) -> f64 {
    let level = match metric {
        Metric::Damage => row.damage.map(|damage| damage.kld),
        Metric::OverNoise => over_noise(row),
        Metric::Output => row.output_error,
        Metric::Error | Metric::Rank | Metric::Bytes => error(row),
    };
    level.unwrap_or_default()
}

/// How a layer is stored, as one letter.
fn letter(row: &LayerRow) -> char {
    match (row.plan.base, row.plan.rank) {
        (Base::Dense, 0) => 'd',
        (Base::None, _) => 'r',
        (Base::Int8, 0) => '8',
        (Base::Int4, 0) => '4',
        _ => '+',
    }
}

fn value(metric: Metric, row: &LayerRow) -> String {
    match metric {
        Metric::Bytes => format::bytes(row.bytes_after).replace(' ', ""),
        Metric::Damage => row.damage.as_ref().map_or_else(|| "·".to_owned(), damage),
        Metric::OverNoise => over_noise(row).map_or_else(|| "·".to_owned(), |ratio| format!("{ratio:.1}x")),
        _ if row.plan.is_dense() => "·".to_owned(),
        Metric::Output => row.output_error.map_or_else(|| "…".to_owned(), format::percent),
        Metric::Error => error(row).map_or_else(|| "…".to_owned(), format::percent),
        Metric::Rank if row.plan.rank == 0 => "·".to_owned(),
        Metric::Rank => row.plan.rank.to_string(),
    }
}

/// The KLD of a layer alone in few columns.
fn brief(row: &LayerRow) -> String {
    let mark = |damage: Damage| if damage.is_pillar() { "!" } else { "" };
    let number = |kld: f64| if kld >= 0.0995 { format!("{kld:.1}") } else { format!("{kld:.0e}") };
    row.damage.map_or_else(String::new, |damage| format!("{}{}", mark(damage), number(damage.kld)))
}

fn over_noise(row: &LayerRow) -> Option<f64> {
    row.damage.and_then(|damage| damage.over_noise)
}

fn role(metric: Metric, row: &LayerRow) -> Role {
    let share = match metric {
        Metric::Damage | Metric::OverNoise => return damage_role(row),
        _ if row.plan.is_dense() => return Role::Dim,
        Metric::Output => return row.output_error.map_or(Role::Dim, error_role),
        Metric::Error => return error(row).map_or(Role::Dim, error_role),
        Metric::Rank => 1.0 - row.plan.rank as f64 / row.layer.max_rank().max(1) as f64,
        Metric::Bytes => row.bytes_after as f64 / row.layer.bytes.max(1) as f64,
    };
    match (metric, share) {
        (Metric::Bytes, share) if share > 1.0 => Role::Bad,
        (_, share) if share > 0.75 => Role::Fair,
        _ => Role::Good,
    }
}

/// What stands on the right of the map's head.
pub fn legend(view: &View<'_>) -> String {
    let more = match view.ui.metric {
        Metric::Damage => "! pillar  ~ other plans",
        Metric::OverNoise => "above 10x: pillar",
        _ => "d dense  r low-rank  8 int8  4 int4  + both",
    };
    format!("{} · {more}", view.ui.metric.name())
}
