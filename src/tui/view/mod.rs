//! Drawing: one file per region, each a pure function of the scene and the screen's state.

mod abreast;
mod align;
mod ascii;
mod chart;
mod columns;
mod comparison;
mod comparison_lines;
mod confirm;
mod distribution;
mod explain;
mod export_dialog;
mod footer;
mod frontier;
mod group;
mod header;
mod history;
mod jobs;
mod layout;
mod log;
pub mod map;
mod menu;
mod more;
mod paint;
mod pieces;
mod popup;
mod prefix;
mod probes;
mod review;
mod run_summary;
mod side_by_side;
mod slots;
mod spark;
mod spectrum;
mod strip;
mod table;
mod tabs;
mod texts;
mod toast;
mod tour;
mod wrap;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub use align::Alignment;
pub use chart::rank_at;
pub use layout::{MIN_HEIGHT, MIN_WIDTH};

use self::layout::Regions;
use self::paint::View;
use super::scene::Scene;
use super::theme::Role;
use super::ui::{Dialog, Facts, Glyphs, Pane, Target, Ui};
use crate::workbench::Compared;

/// The names of the panes.
const LAYERS: &str = "Layers";
const SPECTRUM: &str = "Spectrum";
const MAP: &str = "Map";
const TEXTS: &str = "Side by side";

/// Draws a frame; what it leaves behind for the keys and clicks that follow goes to `facts`.
pub fn draw(scene: &Scene<'_>, ui: &Ui, buffer: &mut Buffer, facts: &mut Facts) {
    facts.hits.clear();
    facts.cursor = None;
    let screen = *buffer.area();
    let banner = if ui.tour.is_some() && screen.height >= tour::MIN_HEIGHT { tour::HEIGHT } else { 0 };
    let area = Rect { height: screen.height - banner, ..screen };
    let scene = &Scene { run: scene.live, live: ui.looked_at(scene.live), ..*scene };
    let mut view = View { scene, ui, buffer, facts };
    let Some(regions) = layout::regions(area, ui.pane, ui.lower, ui.zoomed, ui.token_cursor(scene.live).is_some())
    else {
        too_small(&mut view, area);
        view.paint_ground();
        return;
    };
    header::render(&mut view, regions.header);
    panes(&mut view, &regions);
    footer::render(&mut view, regions.footer);
    let over = Rect { height: area.height - 1, ..area };
    match &ui.dialog {
        None => {}
        Some(Dialog::Menu(menu)) => menu::render(&mut view, over, menu),
        Some(Dialog::Explain(chosen)) => explain::render(&mut view, over, *chosen),
        Some(Dialog::History(view_of)) => history::render(&mut view, over, view_of),
        Some(Dialog::Columns(chosen)) => columns::render(&mut view, over, *chosen),
        Some(Dialog::Prefix(context)) => prefix::render(&mut view, over, *context),
        Some(Dialog::Jobs(chosen)) => jobs::render(&mut view, over, *chosen),
        Some(Dialog::Log(log)) => log::render(&mut view, over, log),
        Some(Dialog::Export(form)) => export_dialog::render(&mut view, over, form),
        Some(Dialog::Review(chosen)) => review::render(&mut view, over, *chosen),
        Some(Dialog::Frontier(chosen)) => frontier::render(&mut view, over, *chosen),
        Some(Dialog::Comparison(first)) => comparison::render(&mut view, over, *first),
        Some(Dialog::Probes(chosen)) => probes::render(&mut view, over, *chosen),
        Some(Dialog::Confirm(question)) => confirm::render(&mut view, over, question),
    }
    if let Some(toast) = &ui.toast {
        toast::render(&mut view, over, toast);
    }
    if let Some(step) = ui.tour.filter(|_| banner > 0) {
        tour::render(&mut view, Rect { y: area.bottom(), height: banner, ..screen }, step);
    }
    view.paint_ground();
    if ui.glyphs == Glyphs::Ascii {
        ascii::translate(view.buffer);
    }
}

/// The page of a comparison as plain text, `width` columns wide.
pub fn comparison_page(found: &Compared, width: u16) -> String {
    let lines = comparison_lines::lines(found, width);
    lines.iter().map(|line| line.iter().map(|(text, _)| text.as_str()).collect::<String>() + "\n").collect()
}

fn too_small(view: &mut View<'_>, area: Rect) {
    let lines = ["too small".to_owned(), format!("{}×{} of {MIN_WIDTH}×{MIN_HEIGHT}", area.width, area.height)];
    for (y, text) in (area.y..area.bottom()).zip(lines) {
        view.put(area.x, y, area.right(), &text, Role::Text);
    }
}

fn panes(view: &mut View<'_>, regions: &Regions) {
    let map_alone = view.ui.map && regions.map.is_none();
    // The table's head tells what is selected; without a table, that of the first pane does.
    let mut told = regions.layers.is_some() && !map_alone;
    let mut selected = |view: &View<'_>, area: Rect, title: &str| {
        let first = !std::mem::replace(&mut told, true);
        first.then(|| table::selection(view, paint::info_room(area, title))).flatten()
    };
    if let Some(area) = regions.layers {
        view.hit(area, Target::Pane(Pane::Layers));
        if map_alone {
            let selected = selected(view, area, MAP);
            let below = map_pane(view, area, selected);
            view.facts.page = usize::from(below.height.saturating_sub(1)).max(1);
        } else {
            let summary = table::summary(view, paint::info_room(area, LAYERS));
            let below = view.heading(area, LAYERS, view.on_table(), &summary);
            table::render(view, below);
        }
    }
    if let Some(area) = regions.spectrum {
        view.hit(area, Target::Pane(Pane::Spectrum));
        let title = beside(selected(view, area, SPECTRUM), area.width, |room| spectrum::title(view, room));
        let below = view.heading(area, SPECTRUM, view.ui.pane == Pane::Spectrum, &title);
        spectrum::render(view, below);
    }
    if let Some(area) = regions.map {
        let selected = selected(view, area, MAP);
        map_pane(view, area, selected);
    }
    if let Some(area) = regions.text {
        view.hit(area, Target::Pane(Pane::Text));
        align::follow(&mut view.facts.alignments, view.scene.run);
        let summary = beside(selected(view, area, TEXTS), area.width, |room| run_summary::run_summary(view, room));
        let below = view.heading(area, TEXTS, view.ui.pane == Pane::Text, &summary);
        side_by_side::render(view, below);
    }
}

/// The map under its head; the area that it has.
fn map_pane(view: &mut View<'_>, area: Rect, selected: Option<String>) -> Rect {
    let legend = beside(selected, area.width, |room| map::legend(view, room));
    let below = view.heading(area, MAP, view.on_map(), &legend);
    map::render(view, below);
    below
}

/// What is selected, and what else a head says in the columns that are left.
fn beside(selected: Option<String>, room: u16, other: impl FnOnce(u16) -> String) -> String {
    let Some(selected) = selected else { return other(room) };
    let other = other(room.saturating_sub(paint::width(&selected) + 3));
    if other.is_empty() { selected } else { format!("{selected} · {other}") }
}
