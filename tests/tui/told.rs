//! What heads, footer and dialogs tell where there is little room for it, or little to tell.

use rankscope::compress::{ExportKind, Layout};
use rankscope::measure::{FrontierKind, FrontierPoint};
use rankscope::tui::action::Action;
use rankscope::tui::keymap::{Keymap, Rebinding};
use rankscope::tui::theme::Role;
use rankscope::workbench::Source;

use crate::support::Desk;

#[test]
fn of_what_is_selected_words_go_before_figures() {
    let mut desk = Desk::demo();
    desk.keys("jKr12<enter>");
    desk.settle();
    for (width, height) in [(48, 16), (60, 16), (80, 24)] {
        let screen = desk.screen(width, height);
        let head = screen.lines().nth(2).unwrap();
        assert!(head.contains("● 6") && head.contains("kB →") && head.contains('%') && !head.contains('…'), "{head}");
    }
    assert!(desk.screen(220, 60).contains("● 6 selected, "), "words come back");
    desk.keys("<esc>/kind:k<enter>");
    assert!(desk.screen(60, 16).contains("6 of 36 layers · filter: kind:k"));
}

#[test]
fn unsaved_plans_bring_saving_and_undoing_to_the_footer() {
    let mut desk = Desk::demo();
    let footer = |desk: &mut Desk, width| desk.screen(width, 24).lines().last().unwrap().to_owned();
    assert!(!footer(&mut desk, 60).contains("x export"));
    desk.keys("c");
    desk.settle();
    for width in [60, 80, 120] {
        let told = footer(&mut desk, width);
        assert!(told.contains("x export  u undo") && told.contains("? help"), "{told}");
        assert!(told.starts_with(" space select"), "in the usual order: {told}");
    }
}

#[test]
fn a_report_names_the_keys_that_measure_what_it_lacks() {
    let mut desk = Desk::demo();
    let change = |action, keys: &str| Rebinding { action, context: None, keys: keys.into() };
    let changes = [change(Action::Frontier, "f6"), change(Action::TryAlone, "f7"), change(Action::Write, "f8")];
    desk.app.ui.keymap = Keymap::default().with(&changes).unwrap().into();
    desk.keys("x<ctrl-n><ctrl-n><ctrl-n><ctrl-n>");
    let screen = desk.screen(120, 36);
    for told in ["no frontier: f6 measures it first", "no damage of single layers: f7 measures it first", " f8 write "]
    {
        assert!(screen.contains(told), "{told}\n{screen}");
    }
}

#[test]
fn a_checkpoint_that_is_compressed_already_says_how_to_see_what_it_came_from() {
    let room = tempfile::tempdir().unwrap();
    let mut desk = Desk::demo();
    assert!(desk.screen(120, 36).contains(" 2.77 MB as stored · 16.00 bits/weight"));
    desk.keys("jr12<enter>");
    desk.settle();
    let folder = room.path().join("exported");
    desk.app.workbench.export(ExportKind::Compressed(Layout::Native), &folder, false);
    desk.settle();
    desk.app.workbench.open(Source::Path(folder), None, None);
    desk.settle();
    desk.keys("<esc>");
    for (width, height) in [(60, 16), (80, 24), (120, 36)] {
        desk.keys("<tab>");
        let screen = desk.screen(width, height);
        assert!(screen.contains("--original MODEL") && screen.contains("the same"), "{screen}");
        assert!(!screen.contains("1.00x") && !screen.contains("changed"), "{screen}");
        desk.keys("<backtab>");
    }
}

#[test]
fn one_point_of_a_frontier_has_one_size() {
    let mut desk = Desk::demo();
    let point = FrontierPoint {
        kind: FrontierKind::Current,
        label: String::new(),
        bytes: 3_610_000,
        bits_per_weight: 30.8,
        kld: 0.002,
    };
    desk.app.workbench.take_frontier(vec![point]);
    desk.keys("F");
    let screen = desk.screen(80, 24);
    assert_eq!(screen.matches("3.61 MB").count(), 2, "at the axis and in the table:\n{screen}");
}

#[test]
fn even_decades_leave_no_empty_lines_in_the_frontier() {
    let mut desk = Desk::demo();
    desk.chart();
    desk.keys("F");
    for (width, height) in [(60, 16), (80, 24), (120, 36), (220, 60)] {
        let screen = desk.screen(width, height);
        let dialog: Vec<&str> = screen.lines().skip_while(|line| !line.contains('╭')).collect();
        let end = dialog.iter().position(|line| line.contains('╰')).unwrap();
        let empty =
            dialog[..end].iter().rev().take_while(|line| line.trim_matches(|c| "│ ".contains(c)).is_empty()).count();
        assert!(empty == 0, "{empty} at {width}x{height}:\n{screen}");
    }
}

#[test]
fn what_warns_stays_red_under_the_cursor_of_a_pane_without_the_focus() {
    let mut desk = Desk::demo();
    desk.keys("jr8<enter>");
    desk.settle();
    desk.keys("<tab>");
    let buffer = desk.buffer(120, 36);
    let style = |role| desk.app.ui.theme.style(role);
    let line = buffer.content().chunks(120).find(|line| line[0].symbol() == "▸").unwrap();
    assert!(
        line.iter().any(|cell| Some(cell.fg) == style(Role::Bad).fg && Some(cell.bg) == style(Role::CursorAway).bg)
    );
    assert!(
        line.iter().all(|cell| Some(cell.fg) != style(Role::Dim).fg
            || cell.symbol().trim().is_empty()
            || "▁▂▃▄▅▆▇█".contains(cell.symbol())),
        "what could hardly be read"
    );
}
