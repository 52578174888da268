//! Whole screens at every rung of the ladder. Accept a wanted change with `INSTA_UPDATE=always cargo test --test tui`, and look at it.

use std::time::Instant;

use rankscope::tui::action::keys_page;
use rankscope::tui::colour::Depth;
use rankscope::tui::svg::buffer_to_svg;
use rankscope::tui::theme::{Theme, names};
use rankscope::tui::ui::Glyphs;
use rankscope::workbench::Damage;
use ratatui::buffer::Cell;
use ratatui::style::Color;

use crate::support::Desk;

/// Work in the middle: the k projections at rank 24, both models having written.
fn at_work() -> Desk {
    let mut desk = Desk::demo();
    desk.keys("jKr24<enter><esc>t60<enter>");
    desk.settle();
    desk.keys("g");
    desk.settle();
    desk.keys("<esc><esc>");
    desk
}

macro_rules! snapshot {
    ($name:literal, $screen:expr) => {
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $screen);
        });
    };
}

#[test]
fn four_sizes_of_the_same_work() {
    let mut desk = at_work();
    snapshot!("work-60x16", desk.screen(60, 16));
    snapshot!("work-80x24", desk.screen(80, 24));
    snapshot!("work-120x36", desk.screen(120, 36));
    snapshot!("work-200x50", desk.screen(200, 50));
}

#[test]
fn panes_and_dialogs() {
    let mut desk = at_work();
    desk.keys("s");
    snapshot!("spectrum-80x24", desk.screen(80, 24));
    desk.keys("m");
    snapshot!("map-80x24", desk.screen(80, 24));
    desk.keys("m?sel");
    snapshot!("help-80x24", desk.screen(80, 24));
    desk.keys("<esc>x");
    snapshot!("save-80x24", desk.screen(80, 24));
    desk.keys("<esc>q");
    snapshot!("quit-60x16", desk.screen(60, 16));
}

#[test]
fn groups_and_columns_beyond_the_edge() {
    let mut desk = at_work();
    desk.keys("<esc>Olllllll");
    snapshot!("groups-120x36", desk.screen(120, 36));
    desk.keys("O");
    desk.screen(80, 24);
    desk.keys("<end>lllllllllllll");
    snapshot!("columns-80x24", desk.screen(80, 24));
    desk.keys(",");
    snapshot!("choose-columns-80x24", desk.screen(80, 24));
}

#[test]
fn figures_explained_and_what_follows_a_prefix() {
    let mut desk = at_work();
    desk.screen(80, 24);
    desk.keys("llllllllw");
    snapshot!("explain-80x24", desk.screen(80, 24));
    desk.keys("<esc>Y");
    snapshot!("copy-80x24", desk.screen(80, 24));
}

#[test]
fn steps_and_snapshots() {
    let mut desk = at_work();
    desk.keys("Wrank 24<enter>d");
    desk.settle();
    desk.keys("uU<up><up>");
    snapshot!("history-120x36", desk.screen(120, 36));
    snapshot!("history-60x16", desk.screen(60, 16));
}

#[test]
fn a_chat() {
    let mut desk = Desk::chatting();
    desk.app.ui.prompt = "Where did Wren find the button?".to_owned();
    desk.keys("It24<enter><esc>g");
    desk.settle();
    desk.keys("<esc><esc>");
    snapshot!("chat-80x24", desk.screen(80, 24));
}

#[test]
fn a_proposal_under_review() {
    let mut desk = at_work();
    desk.propose();
    desk.keys("jja<space>");
    snapshot!("review-60x16", desk.screen(60, 16));
    snapshot!("review-80x24", desk.screen(80, 24));
    snapshot!("review-100x30", desk.screen(100, 30));
    snapshot!("review-120x36", desk.screen(120, 36));
    desk.keys("<esc>P40<enter>");
    snapshot!("budget-80x24", desk.screen(80, 24));
}

#[test]
fn the_frontier() {
    let mut desk = at_work();
    desk.chart();
    desk.keys("Fjjj");
    snapshot!("frontier-60x16", desk.screen(60, 16));
    snapshot!("frontier-80x24", desk.screen(80, 24));
    snapshot!("frontier-120x36", desk.screen(120, 36));
}

#[test]
fn a_scan_in_table_and_map() {
    let mut desk = at_work();
    desk.scan();
    desk.keys("jjj");
    snapshot!("scan-120x36", desk.screen(120, 36));
    desk.keys("r20<enter><esc>");
    desk.settle();
    desk.keys("mMMMMM");
    snapshot!("scan-map-80x24", desk.screen(80, 24));
    desk.keys("M");
    snapshot!("scan-map-60x16", desk.screen(60, 16));
}

#[test]
fn a_scan_tells_the_noise_once_it_is_known() {
    let mut desk = at_work();
    desk.scan();
    let line = "noise of that size";
    assert!(desk.screen(120, 36).contains(line));
    let layer = desk.app.ui.listing.cursor;
    let damage = desk.app.workbench.rows()[layer].damage.unwrap();
    let unknown = Damage { kld_iso: None, over_noise: None, ..damage };
    desk.app.workbench.take_damage(layer, unknown);
    desk.app.follow(Instant::now());
    let screen = desk.screen(120, 36);
    assert!(screen.contains("KLD alone") && !screen.contains(line), "{screen}");
}

#[test]
fn the_probes_that_changed() {
    let mut desk = at_work();
    desk.answer();
    desk.keys("Qj");
    snapshot!("probes-60x16", desk.screen(60, 16));
    snapshot!("probes-80x24", desk.screen(80, 24));
    desk.keys("<esc>u");
    desk.settle();
    desk.keys("Qjjj");
    snapshot!("probes-stale-60x16", desk.screen(60, 16));
    snapshot!("probes-stale-120x36", desk.screen(120, 36));
}

#[test]
fn a_comparison_over_a_text() {
    let mut desk = at_work();
    desk.compare();
    desk.keys("v");
    snapshot!("comparison-60x16", desk.screen(60, 16));
    snapshot!("comparison-120x36", desk.screen(120, 36));
    desk.keys("<esc>u");
    desk.settle();
    desk.keys("v");
    desk.screen(80, 24);
    desk.keys("<end>");
    snapshot!("comparison-stale-80x24", desk.screen(80, 24));
}

#[test]
fn the_panel_predicts_what_the_plan_is_not_what_a_plain_one_would_be() {
    let mut desk = Desk::demo();
    desk.keys("jr8<enter><esc>");
    desk.settle();
    let predicted = |desk: &mut Desk| {
        let screen = desk.screen(120, 36);
        let figure = screen.split("predicted ").nth(1).and_then(|rest| rest.split_whitespace().next());
        (figure.map(str::to_owned), screen.contains("error by rank, plain"))
    };
    let (plain, told) = predicted(&mut desk);
    assert!(plain.is_some() && !told);
    desk.keys("N");
    desk.settle();
    let (corrected, told) = predicted(&mut desk);
    assert!(corrected.is_some() && corrected != plain && !told, "its own curve is known by then");
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let mut desk = at_work();
    desk.propose();
    desk.chart();
    desk.compare();
    for opened in [
        "",
        "s",
        "m",
        "?",
        "<esc>:",
        "<esc>x",
        "<esc>J",
        "<esc>/a",
        "<esc>p",
        "<esc>q",
        "<esc>V",
        "<esc>F",
        "<esc>v",
        "<esc>P4<enter>",
    ] {
        desk.keys(opened);
        for (width, height) in [(1, 1), (20, 6), (39, 10), (40, 10), (41, 11), (60, 16), (79, 23), (110, 30), (300, 90)]
        {
            desk.screen(width, height);
        }
    }
    assert!(desk.screen(20, 6).starts_with("too small"));
}

#[test]
fn every_theme_at_every_depth_shows_the_same_text() {
    let mut desk = at_work();
    let plain = desk.screen(120, 36);
    for name in names() {
        for depth in [Depth::True, Depth::Indexed, Depth::Basic, Depth::None] {
            desk.app.ui.theme = Theme::embedded(name, depth).unwrap();
            assert_eq!(desk.screen(120, 36), plain, "{name} at {depth:?}");
        }
    }
}

#[test]
fn ascii_alone_and_the_tour() {
    let mut desk = at_work();
    desk.app.ui.glyphs = Glyphs::Ascii;
    for opened in ["", "s", "m", "<esc>U", "<esc>w"] {
        desk.keys(opened);
        let screen = desk.screen(120, 36);
        let strange: String = screen.chars().filter(|glyph| !glyph.is_ascii()).collect();
        assert!(strange.is_empty(), "{opened}: {strange}\n{screen}");
    }
    let mut desk = at_work();
    desk.keys("<f2>");
    snapshot!("tour-80x24", desk.screen(80, 24));
}

/// Every view, by the keys that lead there from the one before.
fn every_view(mut look: impl FnMut(&str, &mut Desk)) {
    let mut desk = at_work();
    desk.scan();
    desk.propose();
    desk.chart();
    desk.compare();
    desk.answer();
    desk.log();
    desk.screen(220, 60);
    let views = [
        ("table", "<esc><esc>"),
        ("map", "m"),
        ("spectrum", "mz<backtab>O"),
        ("token", "Oz<backtab><right><right>"),
        ("text", "<esc>"),
        ("palette", "<backtab>:"),
        ("help", "<esc>?"),
        ("explain", "<esc>w"),
        ("history", "<esc>U"),
        ("columns", "<esc>,"),
        ("copy", "<esc>Y"),
        ("jobs", "<esc>J"),
        ("log", "<esc>!"),
        ("save", "<esc>x"),
        ("review", "<esc>V"),
        ("frontier", "<esc>F"),
        ("comparison", "<esc>v"),
        ("probes", "<esc>Q"),
        ("quit", "<esc>q"),
    ];
    for (name, keys) in views {
        desk.keys(keys);
        look(name, &mut desk);
    }
}

/// At the four sizes that the project looks at.
#[test]
fn every_view_at_every_size() {
    every_view(|name, desk| {
        let sizes = [(60, 16), (80, 24), (120, 36), (220, 60)];
        let all: Vec<String> = sizes.into_iter().map(|(width, height)| desk.screen(width, height)).collect();
        insta::with_settings!({ snapshot_path => "snapshots/sizes", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, all.join("\n\n"));
        });
    });
}

#[test]
fn the_way_out_of_a_dialog_is_told_however_narrow_the_screen() {
    every_view(|name, desk| {
        if desk.app.ui.dialog.is_some() && name != "quit" {
            for (width, height) in [(40, 10), (60, 16)] {
                let screen = desk.screen(width, height);
                assert!(screen.lines().last().is_some_and(|footer| footer.contains("esc close")), "{name}:\n{screen}");
            }
        }
    });
}

/// Without colour, weight, underline and reversal tell what colour tells elsewhere.
#[test]
fn every_view_without_colour() {
    let monochrome = Theme::embedded("dark", Depth::None).unwrap();
    every_view(|name, desk| {
        desk.app.ui.theme = monochrome.clone();
        let screen = desk.weights(80, 24);
        insta::with_settings!({ snapshot_path => "snapshots/monochrome", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, screen);
        });
    });
}

/// What a person must see is told apart by the glyphs and weights of its own line, whatever the colours.
#[test]
fn without_colour_selection_focus_changes_heat_and_pillars_are_told() {
    let mut desk = at_work();
    desk.scan();
    desk.app.ui.theme = Theme::embedded("dark", Depth::None).unwrap();
    desk.screen(120, 36);
    desk.keys("<esc><esc><esc><home>");
    // A line of the screen with its weights; the cursor is elsewhere.
    let line = |desk: &mut Desk, of: &str| -> String {
        let screen = desk.weights(120, 36);
        let mut lines = screen.lines().skip_while(|line| !line.contains(of));
        format!(
            "{}\n{}",
            lines.next().unwrap_or_else(|| panic!("{of} is not in\n{screen}")),
            lines.next().unwrap_or_default()
        )
    };
    let differ = |one: String, other: String, what: &str| assert_ne!(one, other, "{what} is not told");
    let plain = line(&mut desk, " 1 k ");
    desk.keys("<home>jK<home>");
    differ(line(&mut desk, " 1 k "), plain, "a selected layer");
    let (focused, heading) = (line(&mut desk, "Layers "), "Side by side");
    let away = line(&mut desk, heading);
    desk.keys("<tab>");
    differ(line(&mut desk, "Layers "), focused, "the pane that lost the focus");
    differ(line(&mut desk, heading), away, "the pane that got it");
    desk.keys("<backtab><esc><home>");
    let (changed, dense) = (line(&mut desk, " 1 k "), line(&mut desk, " 1 v "));
    differ(changed.replace(" k ", " v "), dense, "a changed layer");
    assert!(line(&mut desk, " 0 o ").contains('!'), "a pillar is not told");
    desk.keys("mMMMMM");
    let map = desk.weights(120, 36);
    let bars: std::collections::BTreeSet<char> = map.chars().filter(|glyph| "▁▂▃▄▅▆▇█".contains(*glyph)).collect();
    assert!(bars.len() >= 4, "heat is not told: {bars:?}\n{map}");
    assert!(map.contains('!'), "a pillar of the map is not told\n{map}");
}

/// Whatever the theme, no text is drawn in the colour of its ground. What a theme leaves to the terminal is taken for black on white
/// where it is a light one, else for white on black.
#[test]
fn sixteen_colours_never_hide_a_text() {
    let themes: Vec<Theme> = names().map(|name| Theme::embedded(name, Depth::Basic).unwrap()).collect();
    every_view(|view, desk| {
        for theme in &themes {
            desk.app.ui.theme = theme.clone();
            let (ink, paper) =
                if theme.name.ends_with("light") { (Color::Black, Color::White) } else { (Color::White, Color::Black) };
            let usual = |colour, own| if colour == Color::Reset { own } else { colour };
            let buffer = desk.buffer(120, 36);
            let hidden = |cell: &Cell| usual(cell.fg, ink) == usual(cell.bg, paper) && cell.symbol().trim() != "";
            let found: Vec<&Cell> = buffer.content().iter().filter(|cell| hidden(cell)).take(3).collect();
            assert!(found.is_empty(), "{view} in {}: {found:?}", theme.name);
        }
        desk.app.ui.theme = Theme::embedded("dark", Depth::True).unwrap();
    });
}

/// What the README shows is what the program makes. `UPDATE_SCREEN=1 cargo test --test tui` makes it anew.
fn is_current(name: &str, made: &str) {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_SCREEN").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{name} is not current; UPDATE_SCREEN=1 cargo test --test tui makes it anew");
}

#[test]
fn the_picture_in_the_readme_is_this_screen() {
    let mut desk = at_work();
    is_current("assets/screen.svg", &buffer_to_svg(&desk.buffer(120, 36), "rankscope"));
}

/// Those of `docs/workbench.md`.
#[test]
fn the_pictures_of_the_workbench_are_its_screens() {
    let mut desk = at_work();
    desk.scan();
    let shot = |desk: &mut Desk, name: &str, keys: &str, (width, height)| {
        desk.keys(keys);
        is_current(&format!("assets/{name}.svg"), &buffer_to_svg(&desk.buffer(width, height), name));
    };
    shot(&mut desk, "table", "<esc><esc>OKz", (110, 26));
    shot(&mut desk, "map", "<esc>OOmMMMMM", (90, 14));
    shot(&mut desk, "spectrum", "msO", (110, 20));
    shot(&mut desk, "side-by-side", "z<backtab>z", (110, 20));
    shot(&mut desk, "help", "z?", (110, 26));
    desk.keys("<esc>");
    // It opens by itself.
    desk.propose();
    shot(&mut desk, "review", "jjj", (120, 24));
    desk.chart();
    shot(&mut desk, "frontier", "<esc>F", (110, 26));
}

#[test]
fn the_page_of_keys_is_that_of_the_program() {
    is_current("docs/keys.md", &keys_page());
}
