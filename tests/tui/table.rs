//! The table: queries, columns, groups, copies, explanations; and the history of plans.

use rankscope::tui::app::Effect;
use rankscope::tui::context::Context;
use rankscope::tui::ui::Dialog;
use rankscope::workbench::{Locations, Workbench};
use std::time::Instant;

use crate::support::Desk;

fn copied(desk: &mut Desk) -> String {
    let found = desk.app.take_effects().into_iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing was copied"))
}

#[test]
fn a_query_compares_figures_and_completes() {
    let mut desk = Desk::demo();
    desk.keys("jr16<enter>/ra");
    desk.keys("<tab>");
    let field = desk.app.ui.field.as_ref().unwrap();
    assert_eq!(field.input.value(), "rank>", "the first offer");
    desk.keys("0 is:ch<enter>");
    assert_eq!(desk.app.ui.listing.order, [1]);
    desk.keys("<esc>/kind:q,k block:1..2");
    assert_eq!(desk.app.ui.listing.order.len(), 4);
}

#[test]
fn the_column_under_the_cursor_is_sorted_by_and_explained() {
    let mut desk = Desk::demo();
    desk.screen(120, 36);
    desk.keys("lll;");
    assert_eq!(desk.app.ui.listing.column, desk.app.ui.listing.sort);
    desk.keys("w");
    assert_eq!(desk.app.ui.context(), Context::Explain);
    assert!(desk.screen(120, 36).contains("What it means"));
    desk.keys("j<esc>");
    assert_eq!(desk.app.ui.context(), Context::Layers);
}

#[test]
fn sorting_by_a_column_without_figures_says_what_fills_it() {
    let mut desk = Desk::demo();
    desk.screen(120, 36);
    desk.keys("lllll;");
    let told = &desk.app.ui.toast.as_ref().unwrap().text;
    assert!(told.contains("rank share: no layer has one yet; c compresses one"), "{told}");
    desk.keys("jjc");
    desk.settle();
    let first = |desk: &Desk| desk.app.ui.listing.order.iter().copied().take(3).collect::<Vec<_>>();
    assert_eq!(first(&desk), [2, 0, 1], "those without a rank stay in the model's order");
    desk.keys("S");
    assert_eq!(first(&desk), [2, 0, 1], "and come last both ways");
}

#[test]
fn the_next_column_to_sort_by_is_one_that_is_there() {
    let mut desk = Desk::demo();
    desk.screen(220, 60);
    desk.keys(">>>>>>>>>>");
    let sorted = |desk: &Desk| (format!("{:?}", desk.app.ui.listing.sort), desk.app.ui.listing.falling);
    assert_eq!(sorted(&desk).0, "Spectrum", "nothing is known of outputs and damages");
    desk.scan();
    desk.screen(220, 60);
    desk.keys("<lt>");
    assert_eq!(sorted(&desk), ("Damage".to_owned(), true), "the worst first");
}

#[test]
fn help_over_a_dialog_gives_it_back() {
    let mut desk = Desk::demo();
    desk.keys("U?");
    assert_eq!(desk.app.ui.context(), Context::List);
    desk.keys("<esc>");
    assert_eq!(desk.app.ui.context(), Context::History);
    desk.keys("?drop<enter>");
    assert_eq!(desk.app.ui.context(), Context::History, "the command ran where the help was opened");
    desk.keys("<esc>");
    assert!(desk.app.ui.dialog.is_none());
}

#[test]
fn columns_are_hidden_and_resized_and_come_back_with_the_draft() {
    let mut desk = Desk::demo();
    desk.screen(200, 50);
    desk.keys(",jjj<space>jl+<esc>");
    let words = desk.app.arrangement();
    assert!(words["columns"].starts_with("-type plan="), "{}", words["columns"]);
    let screen = desk.screen(200, 50);
    assert!(!screen.contains(" type "), "{screen}");
    let mut next = Desk::demo();
    next.app.arrange_as(&words, false);
    assert_eq!(next.app.ui.listing.columns, desk.app.ui.listing.columns);
}

#[test]
fn layers_are_gathered_by_block_and_by_kind() {
    let mut desk = Desk::demo();
    desk.keys("O");
    assert_eq!(desk.app.ui.listing.groups.len(), 6);
    assert!(desk.screen(120, 36).contains("block 0 · 6 layers"));
    desk.keys("O");
    assert_eq!(desk.app.ui.listing.lines(), 36 + 6);
    desk.keys("jj");
    assert_eq!(desk.app.ui.listing.line(), 3, "heads are passed over");
    desk.keys("O");
    assert!(desk.app.ui.listing.groups.is_empty());
}

#[test]
fn cells_rows_and_the_table_are_copied() {
    let mut desk = Desk::demo();
    desk.screen(120, 36);
    desk.keys("lYc");
    assert_eq!(copied(&mut desk), "q");
    desk.keys("Yr");
    assert!(copied(&mut desk).starts_with("0\tq\t128×128\t"));
    desk.keys("<space><space>Yt");
    let table = copied(&mut desk);
    assert_eq!((table.lines().count(), table.lines().next().unwrap().split('\t').next()), (3, Some("model order")));
    desk.keys("YT");
    let json: serde_json::Value = serde_json::from_str(&copied(&mut desk)).unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[1]["kind"], &json[1]["block"]), (2, &"k".into(), &0.into()));
    desk.keys("YR");
    assert!(copied(&mut desk).contains("\"effective\""));
    desk.keys("Yx");
    assert!(copied(&mut desk).lines().all(|line| !line.contains('\t')));
    desk.keys("Y<esc>");
    assert!(desk.app.ui.dialog.is_none() && desk.app.take_effects().is_empty());
}

#[test]
fn any_step_of_the_history_can_be_gone_to() {
    let mut desk = Desk::demo();
    desk.keys("r16<enter>jr24<enter>jr32<enter>U");
    let now = |desk: &Desk| [0, 1, 2].map(|layer| desk.plan(layer));
    desk.keys("<up><up><enter>");
    assert_eq!(now(&desk), ["r16 int8", "dense", "dense"]);
    desk.keys("<end><enter>");
    assert_eq!(now(&desk), ["r16 int8", "r24 int8", "r32 int8"]);
    desk.keys("<home><enter><esc>");
    assert_eq!(now(&desk), ["dense", "dense", "dense"]);
    assert_eq!(desk.app.workbench.history().undone.len(), 3);
}

#[test]
fn snapshots_are_compared_restored_kept_and_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let locations = Locations { state: Some(folder.path().to_owned()), ..Locations::default() };
    let mut desk = Desk::at(locations.clone());
    desk.keys("r16<enter>Wsmall<enter>r64<enter>U<home>");
    let Some(Dialog::History(view)) = &desk.app.ui.dialog else { panic!("no history") };
    let shown: Vec<_> =
        view.changes.iter().map(|(layer, from, to)| (*layer, from.to_string(), to.to_string())).collect();
    assert_eq!(shown, [(0, "r64 int8".to_owned(), "r16 int8".to_owned())]);
    desk.keys("<space><end>");
    let Some(Dialog::History(view)) = &desk.app.ui.dialog else { panic!("no history") };
    assert_eq!(view.changes.len(), 1, "compared with the snapshot");
    desk.keys("<home><enter>");
    assert_eq!(desk.plan(0), "r16 int8");
    desk.keys("<esc>u");
    assert_eq!(desk.plan(0), "r64 int8", "one step takes it back");
    desk.app.keep_draft();
    let draft = Workbench::last_draft(&locations).unwrap();
    let mut next = Desk::at(locations);
    next.app.workbench.apply_draft(draft);
    next.app.follow(Instant::now());
    assert_eq!(next.app.workbench.snapshots().len(), 1);
    let told = |desk: &Desk| desk.app.ui.toast.as_ref().map(|toast| toast.text.clone()).unwrap_or_default();
    let name = next.app.workbench.snapshots()[0].name.clone();
    next.keys("jr12<enter>U<home><enter>");
    assert_eq!(told(&next), format!("the plans are those of {name}; u undoes it"));
    next.keys("<home><enter>");
    assert_eq!(told(&next), format!("the plans are those of {name} already"));
    next.keys("<esc>U<home><backspace>");
    assert!(next.app.workbench.snapshots().is_empty());
}

#[test]
fn the_palette_forgives_typing_errors_and_remembers() {
    let mut desk = Desk::demo();
    desk.keys(":invsel<enter>");
    assert_eq!(desk.app.ui.listing.marked.len(), 36);
    desk.keys(":");
    let Some(Dialog::Menu(menu)) = &desk.app.ui.dialog else { panic!("no palette") };
    let first = menu.items(&desk.app.ui.keymap, &desk.app.ui.recent)[0].title;
    assert_eq!(first, "invert selection");
}
