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
    if let Some(area) = regions.layers {
        layers(view, area, regions.map.is_none());
    }
    if let Some(area) = regions.spectrum {
        view.hit(area, Target::Pane(Pane::Spectrum));
        let title = spectrum::title(view, area.width);
        let below = view.heading(area, "Spectrum", view.ui.pane == Pane::Spectrum, &title);
        spectrum::render(view, below);
    }
    if let Some(area) = regions.map {
        let legend = map::legend(view, area.width);
        let below = view.heading(area, "Map", view.on_map(), &legend);
        map::render(view, below);
    }
    if let Some(area) = regions.text {
        view.hit(area, Target::Pane(Pane::Text));
        align::follow(&mut view.facts.alignments, view.scene.run);
        let summary = run_summary::run_summary(view, area.width);
        let below = view.heading(area, "Side by side", view.ui.pane == Pane::Text, &summary);
        side_by_side::render(view, below);
    }
}

fn layers(view: &mut View<'_>, area: Rect, map_allowed: bool) {
    view.hit(area, Target::Pane(Pane::Layers));
    if view.ui.map && map_allowed {
        let legend = map::legend(view, area.width);
        let below = view.heading(area, "Map", view.on_map(), &legend);
        map::render(view, below);
        view.facts.page = usize::from(below.height.saturating_sub(1)).max(1);
    } else {
        let summary = table::summary(view);
        let below = view.heading(area, "Layers", view.on_table(), &summary);
        table::render(view, below);
    }
}
