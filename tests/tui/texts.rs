//! The two texts: keys and clicks to state, and what is drawn of them.

use std::time::Instant;

use crossterm::event::Event;
use rankscope::tui::colour::Depth;
use rankscope::tui::theme::Theme;
use rankscope::tui::ui::{Pane, Target};
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::support::Desk;

/// The k projections at rank 24, both models having written 40 tokens, the focus on the texts.
pub fn written() -> Desk {
    let mut desk = Desk::demo();
    desk.keys("jKr24<enter><esc>t40<enter>");
    desk.settle();
    desk.keys("g");
    desk.settle();
    desk.keys("<esc><esc><tab>");
    assert!(desk.app.workbench.live().first_difference.is_some());
    desk
}

fn place(desk: &Desk, wanted: Target) -> Option<Rect> {
    desk.app.facts.hits.iter().rev().find(|(_, target)| *target == wanted).map(|(area, _)| *area)
}

/// What stands in the cells that are drawn in reverse, line by line.
fn reversed(desk: &mut Desk, width: u16, height: u16) -> Vec<String> {
    let buffer = desk.buffer(width, height);
    let line = |cells: &[ratatui::buffer::Cell]| {
        let chosen = cells.iter().filter(|cell| cell.modifier.contains(Modifier::REVERSED));
        chosen.map(ratatui::buffer::Cell::symbol).collect::<String>()
    };
    buffer.content().chunks(usize::from(width)).map(line).filter(|line| !line.is_empty()).collect()
}

macro_rules! snapshot {
    ($name:literal, $screen:expr) => {
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $screen);
        });
    };
}

#[test]
fn the_cursor_begins_where_the_texts_part_and_steps_over_the_tokens() {
    let mut desk = written();
    let first = desk.app.workbench.live().first_difference.unwrap();
    desk.screen(80, 24);
    desk.keys("l");
    assert_eq!(desk.app.ui.token, Some(first));
    desk.screen(80, 24);
    desk.keys("ll<left>");
    assert_eq!(desk.app.ui.token, Some(first + 1));
    desk.keys("<home>h");
    assert_eq!(desk.app.ui.token, Some(0));
    desk.keys("<end><right>");
    assert_eq!(desk.app.ui.token, Some(39));
    desk.keys("<esc>");
    assert_eq!(desk.app.ui.token, None);
    desk.keys("hg");
    assert_eq!(desk.app.ui.token, None, "another text has other tokens");
    desk.settle();
}

#[test]
fn up_and_down_go_by_lines_of_the_text() {
    let mut desk = written();
    desk.screen(80, 24);
    desk.keys("l<home>");
    desk.screen(80, 24);
    let places = desk.app.facts.places.clone();
    let line = |token: Option<usize>| places[token.unwrap()].0;
    desk.keys("j");
    assert_eq!(line(desk.app.ui.token), line(Some(0)) + 1);
    desk.keys("jk");
    assert_eq!(line(desk.app.ui.token), line(Some(0)) + 1);
    desk.keys("kk");
    assert_eq!(line(desk.app.ui.token), line(Some(0)));
    desk.keys("<pagedown><pagedown><pagedown><pagedown>");
    assert_eq!(line(desk.app.ui.token), places.last().unwrap().0);
}

#[test]
fn a_token_is_chosen_by_a_click_on_it_or_on_its_bar_and_seen_in_both() {
    let mut desk = written();
    desk.keys("<tab>");
    desk.screen(120, 36);
    let bar = desk.app.facts.hits.iter().find(|(_, target)| *target == Target::Token(7)).unwrap().0;
    desk.click(bar.x, bar.y);
    assert_eq!((desk.app.ui.token, desk.app.ui.pane), (Some(7), Pane::Text));
    desk.screen(120, 36);
    let column = place(&desk, Target::Token(12)).unwrap();
    desk.click(column.x, column.y);
    assert_eq!(desk.app.ui.token, Some(12));
    for (width, height) in [(60, 16), (80, 24), (120, 36), (220, 60)] {
        for token in [0, 20, 39] {
            desk.app.ui.token = Some(token);
            let text = desk.app.workbench.live().original.tokens[token].text.trim().to_owned();
            let shown = reversed(&mut desk, width, height);
            assert!(shown.iter().any(|line| line.contains(&text)), "{text:?} at {width}x{height}: {shown:?}");
            assert!(shown.iter().any(|line| "·23456789+".contains(line.as_str())), "its column: {shown:?}");
        }
    }
}

#[test]
fn both_distributions_stand_at_the_cursor() {
    let mut desk = written();
    desk.keys("l");
    let live = desk.app.workbench.live();
    let first = live.first_difference.unwrap();
    assert_eq!((live.likeliest.len(), live.likeliest[first].len()), (live.stats.len(), 10));
    let (original, compressed) = (live.original.tokens[first].id, live.compressed.tokens[first].id);
    let likeliest = &live.likeliest[first];
    assert_eq!(likeliest[0].id, original, "a greedy text takes the likeliest");
    let most = likeliest.iter().max_by(|a, b| a.compressed.total_cmp(&b.compressed)).unwrap();
    assert_eq!(most.id, compressed);
    let piece = live.pieces[&compressed].trim().to_owned();
    for (width, height) in [(80, 24), (120, 36)] {
        let screen = desk.screen(width, height);
        let named = format!("token {} of 40", first + 1);
        assert!(screen.contains(&named) && screen.contains("▸ written") && screen.contains(&piece), "{screen}");
    }
    desk.keys("<tab>");
    assert!(!desk.screen(80, 24).contains("▸ written"), "it is of the texts, not of the layers");
}

#[test]
fn a_cursor_at_three_sizes_and_without_colour() {
    let mut desk = written();
    desk.keys("l");
    snapshot!("token-60x16", desk.screen(60, 16));
    snapshot!("token-80x24", desk.screen(80, 24));
    snapshot!("token-120x36", desk.screen(120, 36));
    desk.app.ui.theme = Theme::embedded("dark", Depth::None).unwrap();
    let shown = reversed(&mut desk, 80, 24);
    snapshot!("token-reversed-80x24", shown.join("\n"));
}

#[test]
fn a_branch_is_a_text_of_its_own_and_written_again_as_one() {
    let mut desk = written();
    desk.keys("b");
    assert!(desk.app.ui.toast.as_ref().unwrap().text.contains("goes to a token first"));
    desk.keys("<esc>lb");
    desk.settle();
    let first = desk.app.workbench.texts().0[0].first_difference.unwrap();
    let live = desk.app.workbench.live();
    assert_eq!((live.earlier.len(), desk.app.workbench.texts().1, desk.app.ui.token), (first, 1, None));
    let named = format!("branch at token {}", first + 1);
    assert!(desk.screen(120, 36).contains(&named));
    let context = desk.app.workbench.live().context.clone();
    desk.keys("ug");
    desk.settle();
    assert_eq!((desk.app.workbench.live().context.clone(), desk.app.workbench.texts().0.len()), (context, 2));
    assert_eq!(desk.app.workbench.live().first_difference, None, "the plans are dense again");
    desk.keys("p<enter>");
    desk.settle();
    assert_eq!((desk.app.workbench.texts().1, desk.app.workbench.live().earlier.len()), (0, 0));
}

#[test]
fn texts_are_kept_and_gone_through_with_their_prompts() {
    let mut desk = written();
    assert!(!desk.screen(80, 24).contains(" 1 Once"), "one text needs no line of its own");
    desk.keys("p<ctrl-u>A quick brown fox<enter>");
    desk.settle();
    assert!(desk.screen(80, 24).contains(" 2 A quick brown fox"));
    desk.keys("[");
    let kept = desk.app.workbench.live();
    assert!(kept.prompt.starts_with("Once") && kept.original.tokens.len() == 40);
    assert_eq!(desk.app.ui.prompt, kept.prompt);
    desk.keys("u");
    assert!(desk.screen(120, 36).contains("plans changed: g rewrites"), "it was written by other plans");
    desk.keys("[");
    assert_eq!(desk.app.ui.prompt, "A quick brown fox");
    desk.screen(80, 24);
    let tab = place(&desk, Target::Text(0)).unwrap();
    desk.click(tab.x + 2, tab.y);
    assert!(desk.app.ui.prompt.starts_with("Once") && desk.app.ui.pane == Pane::Text);
    desk.keys("<delete>");
    assert_eq!((desk.app.workbench.texts().0.len(), desk.app.ui.prompt.as_str()), (1, "A quick brown fox"));
    desk.keys("<esc>]");
    assert!(desk.app.ui.toast.as_ref().unwrap().text.contains("no other text"));
    desk.keys("<esc>Z");
    let back = desk.app.workbench.live();
    assert!(back.prompt.starts_with("Once") && back.original.tokens.len() == 40 && desk.app.ui.prompt == back.prompt);
    desk.keys("Z");
    assert!(desk.app.ui.toast.as_ref().unwrap().text.contains("no text was closed"));
}

#[test]
fn loops_are_stopped_if_that_is_asked_for_and_it_is_remembered() {
    let mut desk = written();
    desk.keys("L");
    assert!(desk.app.workbench.stops_at_loops() && desk.screen(220, 60).contains("stops at loops"));
    let kept = desk.app.arrangement();
    let mut next = Desk::demo();
    next.app.arrange_as(&kept, false);
    assert!(next.app.workbench.stops_at_loops());
    desk.keys("L");
    assert!(!desk.app.workbench.stops_at_loops());
}

#[test]
fn how_far_the_texts_differ_is_told_by_words() {
    let mut desk = written();
    let first = desk.app.workbench.live().first_difference.unwrap();
    for (width, height) in [(80, 24), (120, 36)] {
        let told = format!("after token {first}");
        let screen = desk.screen(width, height);
        assert!(screen.contains("words shared") && screen.contains(&told), "{screen}");
    }
    assert!(desk.screen(220, 60).contains("%) after token"));
}

#[test]
fn tokens_for_which_the_strip_has_no_room_are_told() {
    let mut desk = written();
    assert!(desk.screen(60, 16).contains("KLD ‹"), "the newest are seen");
    desk.keys("l<home>");
    let screen = desk.screen(60, 16);
    assert!(screen.contains("› max") && !screen.contains("KLD ‹"), "{screen}");
    assert!(!desk.screen(120, 36).contains("› max"), "all have room");
}

#[test]
fn no_script_shifts_what_stands_beside_it() {
    let mut desk = written();
    let dividers = |desk: &mut Desk| -> Vec<Vec<usize>> {
        let buffer = desk.buffer(80, 24);
        let lines = buffer.content().chunks(80).skip(16).take(4);
        let places = |cells: &[ratatui::buffer::Cell]| {
            cells.iter().enumerate().filter(|(_, cell)| cell.symbol() == "│").map(|(x, _)| x).collect()
        };
        lines.map(places).collect()
    };
    let plain = dividers(&mut desk);
    assert!(plain.iter().all(|line| !line.is_empty()), "{plain:?}");
    for prompt in
        ["שלום עולם וכולם", "مرحبا بالعالم", "木木木木木木木木", "e\u{301}a\u{308}o\u{302} g\u{330}", "👩‍👩‍👧 👍🏽 🇮🇱 ok"]
    {
        desk.keys("p<ctrl-u>");
        desk.app.handle(&Event::Paste(prompt.repeat(9)), Instant::now());
        desk.keys("<enter>");
        desk.settle();
        assert_eq!(dividers(&mut desk), plain, "{prompt}");
    }
}

#[test]
fn texts_that_are_kept_have_a_line() {
    let mut desk = written();
    desk.keys("lb");
    desk.settle();
    desk.keys("n<enter><enter>");
    desk.settle();
    desk.app.ui.toast = None;
    desk.keys("[");
    snapshot!("tabs-80x24", desk.screen(80, 24));
    snapshot!("tabs-120x36", desk.screen(120, 36));
}

#[test]
fn pinned_plans_write_beside_those_that_follow_and_each_is_looked_at() {
    let mut desk = written();
    desk.keys("c");
    assert!(desk.app.ui.toast.as_ref().unwrap().text.contains("a pins its plans"));
    desk.keys("<esc>aa");
    assert!(desk.app.ui.toast.as_ref().unwrap().text.contains("pinned as A already"));
    desk.keys("<esc><backtab>jKr12<enter><esc>");
    desk.settle();
    desk.keys("g<tab>");
    desk.settle();
    let live = desk.app.workbench.live();
    let (a, now) = (live.rivals[0].means.kld, live.means.kld);
    assert!(live.rivals[0].policy == Some('A') && a < now);
    desk.app.ui.toast = None;
    snapshot!("policies-80x24", desk.screen(80, 24));
    snapshot!("policies-120x36", desk.screen(120, 36));
    let named = |kld: f64| format!("KLD {kld:.4}");
    let screen = desk.screen(80, 24);
    assert!(screen.contains(&format!("now · {}", named(now))) && !screen.contains(&format!("A · {}", named(a))));
    desk.keys("c");
    let screen = desk.screen(80, 24);
    assert!(screen.contains(&format!("A · {}", named(a))) && !screen.contains(&format!("now · {}", named(now))));
    desk.screen(120, 36);
    let head = place(&desk, Target::Policy(0)).unwrap();
    desk.click(head.x + 2, head.y);
    assert_eq!(desk.app.ui.policy, 0);
    desk.keys("lcA");
    assert!(desk.screen(120, 36).contains("token") && desk.app.workbench.pins().is_empty());
    desk.keys("<esc><esc>g");
    desk.settle();
    assert_eq!((desk.app.workbench.live().rivals.len(), desk.app.ui.policy_of(desk.app.workbench.live())), (0, 0));
}
