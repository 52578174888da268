//! Key sequences, clicks and pastes to state.

use crossterm::event::Event;
use rankscope::compress::Base;
use rankscope::tui::app::Effect;
use rankscope::tui::colour::Depth;
use rankscope::tui::context::Context;
use rankscope::tui::log::LogLevel;
use rankscope::tui::theme::Theme;
use rankscope::tui::ui::{Dialog, Pane, Target};
use rankscope::workbench::{EVALUATION_TEXT, JobState, Locations};
use std::time::Instant;

use crate::support::{Desk, logged};

#[test]
fn a_rank_is_typed_for_the_selection_and_undone() {
    let mut desk = Desk::demo();
    desk.keys("jj<space>r48<enter>");
    assert_eq!((desk.plan(2).as_str(), desk.plan(1).as_str()), ("r48 int8", "dense"));
    desk.keys("u");
    assert_eq!(desk.plan(2), "dense");
    desk.keys("<ctrl-r>");
    assert_eq!(desk.plan(2), "r48 int8");
    desk.settle();
    assert!(desk.app.workbench.unsaved());
}

#[test]
fn plans_change_by_single_keys() {
    let mut desk = Desk::demo();
    desk.keys("c");
    assert_eq!(desk.plan(0), "r32 int8");
    desk.keys("+]");
    assert_eq!(desk.plan(0), "r41 int8");
    desk.keys("{-");
    assert_eq!(desk.plan(0), "r19 int8");
    desk.keys("f");
    assert_eq!(desk.plan(0), "r19 f16");
    desk.keys("N");
    assert_eq!(desk.plan(0), "r19 f16 nc");
    desk.keys("cc");
    assert_eq!(desk.plan(0), "r19 f16 nc");
    desk.keys("db");
    assert_eq!(desk.plan(0), "int8");
    desk.keys("by");
    assert_eq!(desk.plan(0), "int4/64");
    desk.keys("b");
    assert_eq!(desk.app.workbench.rows()[0].plan.base, Base::None);
    desk.keys("E");
    assert!(desk.app.workbench.rows()[0].plan.refit);
    desk.keys("uuuuuu");
    assert_eq!(desk.plan(0), "r19 f16 nc");
}

#[test]
fn energy_becomes_the_least_rank_that_keeps_it() {
    let mut desk = Desk::demo();
    desk.keys("e90%<enter>");
    let row = &desk.app.workbench.rows()[0];
    let spectrum = row.spectrum.as_ref().unwrap();
    assert!(spectrum.energy_at(row.plan.rank) >= 0.9 && spectrum.energy_at(row.plan.rank - 1) < 0.9);
}

#[test]
fn restoring_needs_something_that_is_compressed() {
    let mut desk = Desk::demo();
    desk.keys("R");
    assert!(desk.screen(120, 36).contains("none can be restored"));
}

#[test]
fn a_refused_number_keeps_the_line_and_says_why() {
    let mut desk = Desk::demo();
    desk.keys("r999<enter>");
    let error = desk.app.ui.field.as_ref().unwrap().error.clone().unwrap();
    assert!(error.contains("above min(m, n) = 128"), "{error}");
    desk.keys("<esc>");
    assert_eq!((desk.app.ui.context(), desk.plan(0).as_str()), (Context::Layers, "dense"));
}

#[test]
fn letters_in_a_line_are_text() {
    let mut desk = Desk::demo();
    desk.keys("/q_proj");
    assert_eq!(desk.app.ui.listing.filter_text, "q_proj");
    assert_eq!(desk.app.ui.listing.order.len(), 6);
    assert!(desk.effects().is_empty());
    desk.keys("<enter>ar16<enter>");
    assert_eq!(desk.app.workbench.rows().iter().filter(|row| row.plan.rank == 16).count(), 6);
    desk.keys("<esc><esc>");
    assert_eq!(desk.app.ui.listing.order.len(), 36);
}

#[test]
fn a_filter_counts_while_it_is_typed_and_knows_keys() {
    let mut desk = Desk::demo();
    desk.keys("/kind:k");
    assert_eq!(desk.app.ui.listing.order.len(), 6);
    desk.keys(" block:1-2");
    assert_eq!(desk.app.ui.listing.order.len(), 2);
    desk.keys("<esc>");
    assert_eq!(desk.app.ui.listing.order.len(), 36);
}

#[test]
fn kinds_and_blocks_are_selected_whole() {
    let mut desk = Desk::demo();
    desk.keys("jK");
    assert_eq!(desk.app.ui.listing.marked.len(), 6);
    desk.keys("B");
    assert_eq!(desk.app.ui.listing.marked.len(), 11);
    desk.keys("i");
    assert_eq!(desk.app.ui.listing.marked.len(), 25);
    desk.keys("a");
    assert_eq!(desk.app.ui.listing.marked.len(), 36);
    desk.keys("a");
    assert!(desk.app.ui.listing.marked.is_empty());
}

#[test]
fn what_is_selected_stays_in_sight_whatever_is_on_the_screen() {
    let mut desk = Desk::demo();
    desk.keys("jK");
    let mut told = |keys: &str, pane: &str| {
        desk.keys(keys);
        for (width, height) in [(60, 16), (80, 24), (120, 36), (220, 60)] {
            let screen = desk.screen(width, height);
            assert_eq!(screen.matches("● 6 selected, ").count(), 1, "{pane} at {width}x{height}:\n{screen}");
        }
    };
    told("", "table");
    told("z", "table alone");
    told("m", "map alone");
    told("z", "map");
    told("<tab>z", "the next pane alone");
    told("<tab>", "the one after it");
}

#[test]
fn a_mixed_selection_is_compressed_where_it_is_dense() {
    let mut desk = Desk::demo();
    desk.keys("r48<enter>jK<home><space>c");
    assert_eq!((desk.plan(0).as_str(), desk.plan(1).as_str()), ("r48 int8", "r32 int8"));
    desk.keys("c");
    assert_eq!((desk.plan(0).as_str(), desk.plan(1).as_str()), ("dense", "dense"));
}

#[test]
fn the_map_is_walked_by_block_and_kind() {
    let mut desk = Desk::demo();
    desk.keys("mllj");
    let layer = &desk.app.workbench.rows()[desk.app.ui.listing.cursor].layer;
    assert_eq!((layer.block, layer.kind.name()), (Some(1), "v"));
}

#[test]
fn where_table_and_map_are_both_seen_one_of_them_has_the_focus() {
    let mut desk = Desk::demo();
    let table = desk.buffer(220, 60);
    desk.keys("m");
    assert_ne!(desk.buffer(220, 60), table, "arrows walk on the map now");
}

#[test]
fn sorting_by_a_click_on_the_head_goes_both_ways() {
    let mut desk = Desk::demo();
    desk.screen(120, 36);
    let head = |desk: &Desk, wanted: &str| {
        let found = desk.app.facts.hits.iter().find(|(_, target)| format!("{target:?}").contains(wanted)).copied();
        found.unwrap_or_else(|| panic!("no {wanted}")).0
    };
    let place = head(&desk, "Column(Before)");
    desk.click(place.x + 1, place.y);
    let bytes = |desk: &Desk, line: usize| desk.app.workbench.rows()[desk.app.ui.listing.order[line]].layer.bytes;
    assert!(bytes(&desk, 0) > bytes(&desk, 35));
    desk.click(place.x + 1, place.y);
    assert!(bytes(&desk, 0) < bytes(&desk, 35));
}

#[test]
fn a_click_on_the_chart_sets_the_rank() {
    let mut desk = Desk::demo();
    desk.screen(120, 36);
    let chart = desk.app.facts.hits.iter().find(|(_, target)| matches!(target, Target::Chart(..))).unwrap().0;
    desk.click(chart.x + chart.width / 2, chart.y);
    assert!((56..=72).contains(&desk.app.workbench.rows()[0].plan.rank), "{}", desk.plan(0));
}

#[test]
fn rows_hints_and_dialogs_can_be_clicked() {
    let mut desk = Desk::demo();
    desk.screen(80, 24);
    let row = desk.app.facts.hits.iter().find(|(_, target)| *target == Target::Layer(4)).unwrap().0;
    desk.click(row.x + 4, row.y);
    assert_eq!(desk.app.ui.listing.cursor, 4);
    let help = desk.app.facts.hits.iter().rev().find(|(_, target)| format!("{target:?}") == "Action(Help)").unwrap().0;
    desk.click(help.x, help.y);
    assert!(matches!(desk.app.ui.dialog, Some(Dialog::Menu(_))));
}

#[test]
fn help_and_palette_run_what_they_find() {
    let mut desk = Desk::demo();
    desk.keys(":invert<enter>");
    assert_eq!(desk.app.ui.listing.marked.len(), 36);
    desk.keys("?select block<enter>");
    assert!(desk.app.ui.dialog.is_none());
    desk.keys("?quit");
    assert!(desk.effects().is_empty(), "typing the name of a command runs nothing");
    desk.keys("<esc>");
}

#[test]
fn both_models_write_and_the_difference_is_found() {
    let mut desk = Desk::demo();
    desk.keys("Kr8<enter>t24<enter>g");
    desk.settle();
    let live = desk.app.workbench.live();
    assert!(!live.original.tokens.is_empty() && live.means.count > 0, "{:?}", live.error);
    assert_eq!(desk.app.ui.prompt, live.prompt);
    assert!(!desk.app.ui.is_stale(&desk.app.scene()));
    desk.keys("u");
    assert!(desk.screen(120, 36).contains("plans changed"));
    desk.keys("<ctrl-r>");
    assert!(!desk.screen(120, 36).contains("plans changed"));
    desk.keys("<tab><tab>p<ctrl-u>A quick brown fox<enter>");
    desk.settle();
    assert!(desk.app.workbench.live().prompt.ends_with("A quick brown fox"));
}

#[test]
fn a_paste_is_text_where_text_is_typed_and_nothing_elsewhere() {
    let mut desk = Desk::demo();
    desk.app.handle(&Event::Paste("qqq\nd".to_owned()), Instant::now());
    assert!(desk.effects().is_empty() && desk.plan(0) == "dense");
    desk.keys("p");
    desk.app.handle(&Event::Paste(" one\ntwo".to_owned()), Instant::now());
    assert!(desk.app.ui.field.as_ref().unwrap().input.value().ends_with(" one two"));
}

#[test]
fn quitting_names_what_would_be_lost_and_ctrl_c_leaves_at_once() {
    let mut desk = Desk::demo();
    desk.keys("q");
    assert_eq!(desk.effects(), [Effect::Quit]);
    desk.keys("cq");
    let Some(Dialog::Confirm(question)) = &desk.app.ui.dialog else { panic!("no question") };
    assert!(question.losses.iter().any(|loss| loss.contains("unsaved policy")), "{:?}", question.losses);
    desk.keys("n");
    assert!(desk.app.ui.dialog.is_none() && desk.effects().is_empty());
    desk.keys("qy");
    assert_eq!(desk.effects(), [Effect::Quit]);
    desk.keys("/<ctrl-c>");
    assert_eq!(desk.effects(), [Effect::Interrupt]);
}

#[test]
fn a_policy_is_saved_and_not_written_over_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    let mut desk = Desk::demo();
    let typed = format!("<ctrl-u>{}", path.display());
    desk.keys("c").keys("x").keys(&typed).keys("<enter>");
    assert!(desk.app.ui.dialog.is_none() && !desk.app.workbench.unsaved());
    std::fs::write(&path, "{}").unwrap();
    desk.keys("]").keys("x").keys(&typed).keys("<enter>");
    let Some(Dialog::Export(form)) = &desk.app.ui.dialog else { panic!("the dialog closed") };
    assert!(form.error.as_ref().is_some_and(|error| error.contains("exists")), "{:?}", form.error);
    desk.keys("<ctrl-o><enter>");
    assert!(desk.app.ui.dialog.is_none());
    assert!(std::fs::read_to_string(&path).unwrap().contains("rankscope_policy"));
}

#[test]
fn the_draft_of_a_session_comes_back_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let locations = Locations { state: Some(folder.path().to_owned()), ..Locations::default() };
    let mut desk = Desk::at(locations.clone());
    desk.keys("jr40<enter>mp<ctrl-u>Tom had a hat.<enter>");
    desk.settle();
    desk.app.keep_draft();
    let draft = rankscope::workbench::Workbench::last_draft(&locations).unwrap();
    let mut next = Desk::at(locations);
    next.app.arrange_as(&draft.layout, true);
    next.app.workbench.apply_draft(draft);
    next.app.follow(Instant::now());
    assert_eq!(next.plan(1), "r40 int8");
    assert!(next.app.ui.map && next.app.ui.toast.is_some());
    next.keys("u");
    assert_eq!(next.plan(1), "dense");
}

#[test]
fn a_theme_that_was_chosen_comes_back_and_one_that_suited_a_terminal_does_not() {
    let mut light = Desk::demo();
    light.app.ui.theme = Theme::embedded("light", Depth::True).unwrap();
    let mut next = Desk::demo();
    next.app.arrange_as(&light.app.arrangement(), true);
    assert_eq!(next.app.ui.theme.name, "dark");
    light.keys("<ctrl-t>");
    let chosen = light.app.ui.theme.name.clone();
    next.app.arrange_as(&light.app.arrangement(), false);
    assert_eq!(next.app.ui.theme.name, "dark", "another one was asked for");
    next.app.arrange_as(&light.app.arrangement(), true);
    assert_eq!(next.app.ui.theme.name, chosen);
    let mut last = Desk::demo();
    last.app.arrange_as(&next.app.arrangement(), true);
    assert_eq!(last.app.ui.theme.name, chosen, "it lasts");
}

#[test]
fn escape_stays_in_the_texts_and_only_in_the_layers_drops_filter_and_selection() {
    let mut desk = Desk::demo();
    desk.keys("/kind:k<enter>a<tab><esc>");
    assert!(desk.app.ui.pane == Pane::Text && desk.app.ui.toast.as_ref().unwrap().text.contains("nothing to leave"));
    desk.keys("<esc>]");
    assert!(desk.app.ui.pane == Pane::Text && desk.plan(1) == "dense", "brackets still take texts");
    desk.keys("<esc><tab><esc>");
    assert_eq!((desk.app.ui.pane, desk.app.ui.listing.marked.len()), (Pane::Layers, 6));
    assert_eq!(desk.app.ui.listing.order.len(), 6);
    desk.keys("<esc>");
    assert_eq!((desk.app.ui.listing.order.len(), desk.app.ui.listing.marked.len()), (36, 6));
    desk.keys("<esc>");
    assert!(desk.app.ui.listing.marked.is_empty());
}

#[test]
fn the_footer_leads_to_the_scan_until_it_is_made() {
    let mut desk = Desk::demo();
    let footer = |desk: &mut Desk, width| desk.screen(width, 24).lines().last().unwrap_or_default().to_owned();
    for width in [80, 120] {
        assert!(footer(&mut desk, width).contains("D try each layer"), "{width}");
    }
    desk.scan();
    assert!(!footer(&mut desk, 80).contains("D try"));
}

#[test]
fn the_tour_ends_with_a_policy_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    let mut desk = Desk::demo();
    desk.app.ui.tour = Some(0);
    let save = format!("<ctrl-r>x<ctrl-u>{}<enter>", path.display());
    let steps = [
        ("j", Some(1)),
        ("/kind:k<enter>a", Some(2)),
        ("r16<enter>", Some(3)),
        ("t24<enter>g", Some(3)),
        ("<tab><right>", Some(4)),
        ("u", Some(5)),
        (save.as_str(), None),
    ];
    for (keys, step) in steps {
        desk.keys(keys);
        desk.settle();
        assert_eq!(desk.app.ui.tour, step, "{keys}");
    }
    assert!(path.exists() && desk.app.ui.toast.as_ref().unwrap().text.contains("that was the tour"));
}

#[test]
fn tab_goes_round_the_panes() {
    let mut desk = Desk::demo();
    let mut seen = Vec::new();
    for _ in 0..3 {
        desk.keys("<tab>");
        seen.push(desk.app.ui.pane);
    }
    assert_eq!(seen, [Pane::Text, Pane::Spectrum, Pane::Layers]);
    desk.keys("s");
    assert_eq!(desk.app.ui.pane, Pane::Spectrum);
    desk.keys("r20<enter>ll");
    assert_eq!(desk.plan(0), "r22 int8");
}

#[test]
fn a_budget_is_typed_and_a_wrong_one_is_told_at_once() {
    let mut desk = Desk::demo();
    desk.keys("P40<enter>");
    let error = desk.app.ui.field.as_ref().unwrap().error.clone().unwrap();
    assert!(error.contains("a share (40%)"), "{error}");
    let screen = desk.screen(80, 24);
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines[21].contains("40") && lines[22].contains("is no budget; write a share (40%)"), "{screen}");
    assert!(lines[23].contains("weight (4.5bpw)"), "the whole reason is told\n{screen}");
    desk.keys("<ctrl-u>0.2bpw<enter>");
    assert!(desk.app.ui.field.as_ref().unwrap().error.as_ref().unwrap().contains("plans tried take"));
    desk.app.workbench.measure_on(24);
    desk.keys("<ctrl-u>5bpw<enter>");
    assert!(desk.app.ui.field.is_none() && desk.app.ui.dialog.is_none());
    desk.settle();
    assert_eq!(desk.app.ui.context(), Context::Review);
}

#[test]
fn a_proposal_is_reviewed_applied_and_undone_as_one_step() {
    let mut desk = Desk::demo();
    desk.keys("r48<enter>");
    desk.propose();
    assert_eq!(desk.app.ui.context(), Context::Review);
    let accepted = |desk: &Desk| desk.app.workbench.review().unwrap().totals().accepted;
    assert_eq!(accepted(&desk), 36);
    desk.keys("n");
    assert_eq!(accepted(&desk), 0);
    desk.keys("ja");
    assert_eq!(accepted(&desk), 6);
    desk.keys("<space><space>k<space>");
    assert_eq!(accepted(&desk), 5);
    desk.keys("<esc>");
    assert_eq!(
        (desk.app.ui.context(), desk.plan(0).as_str(), desk.plan(1).as_str()),
        (Context::Layers, "r48 int8", "dense")
    );
    desk.keys("V");
    assert_eq!(accepted(&desk), 5);
    desk.keys("<enter>");
    assert_eq!(desk.app.workbench.history().done.last().unwrap().name, "plan within 5bpw: 5 of 36 layers");
    assert_eq!(desk.app.workbench.rows().iter().filter(|row| row.plan.base == Base::Int4).count(), 5);
    desk.keys("u");
    assert_eq!((desk.plan(0).as_str(), desk.plan(1).as_str()), ("r48 int8", "dense"));
    desk.keys("V");
    assert!(desk.app.ui.dialog.is_none(), "what was applied is reviewed no more");
}

#[test]
fn a_review_waits_for_what_is_being_typed_and_can_be_clicked() {
    let mut desk = Desk::demo();
    desk.keys("/k_p");
    desk.propose();
    desk.keys("roj");
    assert_eq!(desk.app.ui.listing.filter_text, "k_proj");
    desk.keys("<enter>");
    assert_eq!(desk.app.ui.context(), Context::Review);
    desk.screen(80, 24);
    let place =
        |desk: &Desk, wanted: Target| desk.app.facts.hits.iter().find(|(_, target)| *target == wanted).unwrap().0;
    let mark = place(&desk, Target::ChangeMark(3));
    desk.click(mark.x + 1, mark.y);
    let accepted: Vec<bool> =
        desk.app.workbench.review().unwrap().changes.iter().map(|change| change.accepted).take(5).collect();
    assert_eq!(accepted, [true, true, true, false, true]);
    let line = place(&desk, Target::Change(5));
    desk.click(line.x + 10, line.y);
    desk.keys("<space>");
    let review = desk.app.workbench.review().unwrap();
    assert!(!review.changes[5].accepted && review.totals().accepted == 34);
}

#[test]
fn the_frontier_is_measured_when_first_looked_at_until_cancelled() {
    let mut desk = Desk::demo();
    desk.app.workbench.measure_on(24);
    desk.keys("F");
    assert_eq!(desk.app.ui.context(), Context::Frontier);
    desk.until(|workbench| !workbench.frontier().points.is_empty());
    assert!(desk.screen(80, 24).contains("c cancel job"));
    desk.keys("c");
    desk.settle();
    assert!(!desk.app.workbench.frontier().points.is_empty() && desk.app.workbench.frontier().job.is_none());
    assert!(!desk.screen(80, 24).contains("c cancel job"));
    desk.keys("<esc>");
    assert_eq!(desk.app.ui.context(), Context::Layers);
}

#[test]
fn the_frontier_is_written_where_told_and_over_a_file_only_when_told_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frontier.json");
    let mut desk = Desk::demo();
    desk.chart();
    desk.keys("Fx");
    assert_eq!(desk.app.ui.field.as_ref().unwrap().input.value(), "demo-frontier.svg");
    let typed = format!("<ctrl-u>{}", path.display());
    desk.keys(&typed).keys("<enter>");
    assert!(desk.app.ui.field.is_none() && std::fs::read_to_string(&path).unwrap().contains("\"planned\""));
    std::fs::write(&path, "mine").unwrap();
    desk.keys("x").keys(&typed).keys("<enter>");
    assert!(desk.app.ui.field.as_ref().unwrap().error.as_ref().unwrap().contains("Enter once more"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    desk.keys("<enter>");
    assert!(desk.app.ui.field.is_none() && std::fs::read_to_string(&path).unwrap().contains("\"planned\""));
    desk.screen(80, 24);
    let row = desk.app.facts.hits.iter().rev().find(|(_, target)| *target == Target::FrontierPoint(4)).unwrap().0;
    desk.click(row.x + 4, row.y);
    assert!(matches!(desk.app.ui.dialog, Some(Dialog::Frontier(4))));
}

#[test]
fn progress_is_looked_at_while_a_job_runs_and_not_afterwards() {
    let mut desk = Desk::demo();
    desk.app.workbench.measure_on(24);
    desk.keys("F");
    desk.until(|workbench| workbench.frontier().job.is_some());
    desk.app.follow(Instant::now());
    let shown = |desk: &Desk| desk.app.scene().running().map(|job| job.progress).collect::<Vec<_>>();
    let before = shown(&desk);
    let (mut now, end) = (Instant::now(), Instant::now() + std::time::Duration::from_secs(120));
    // Nothing is drained: the jobs alone move what is shown.
    while shown(&desk) == before {
        now = desk.app.next_tick().unwrap().max(now);
        desk.app.tick(now);
        assert!(Instant::now() < end, "the progress stands still");
        std::thread::yield_now();
    }
    desk.keys("c");
    desk.settle();
    let later = Instant::now() + std::time::Duration::from_secs(1000);
    desk.app.follow(later);
    while desk.app.next_tick().is_some() {
        desk.app.tick(later + std::time::Duration::from_secs(1000));
    }
}

#[test]
fn probes_of_the_demo_are_asked_at_once_shown_and_cancelled() {
    let mut desk = Desk::demo();
    desk.keys("Q");
    assert_eq!(desk.app.ui.context(), Context::Probes);
    let job = desk.app.workbench.probes().job.unwrap();
    assert!(desk.screen(80, 24).contains("ask the probes of demo") && desk.screen(80, 24).contains("c cancel job"));
    desk.keys("c");
    desk.settle();
    let state = desk.app.workbench.jobs().into_iter().find(|one| one.id == job).unwrap().state;
    assert_eq!(state, JobState::Cancelled);
    assert!(desk.app.workbench.probes().answers.is_none() && !desk.screen(80, 24).contains("c cancel job"));
    assert!(desk.screen(80, 24).contains("nothing is answered yet"));
    desk.keys("r");
    assert!(desk.app.workbench.probes().job.is_some_and(|again| again != job));
    desk.keys("c");
    desk.settle();
    desk.answer();
    desk.keys("jjjj");
    assert!(matches!(desk.app.ui.dialog, Some(Dialog::Probes(2))));
    desk.screen(80, 24);
    let case = desk.app.facts.hits.iter().find(|(_, target)| *target == Target::ProbeCase(1)).unwrap().0;
    desk.click(case.x + 1, case.y + 1);
    assert!(matches!(desk.app.ui.dialog, Some(Dialog::Probes(1))));
    desk.keys("<esc>");
    assert_eq!(desk.app.ui.context(), Context::Layers);
}

#[test]
fn other_probes_are_typed_and_what_is_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probes.jsonl");
    let mut desk = Desk::demo();
    desk.answer();
    desk.keys("Qo");
    desk.app.handle(&Event::Paste(path.display().to_string()), Instant::now());
    desk.keys("<enter>");
    let error = desk.app.ui.field.as_ref().unwrap().error.clone().unwrap();
    assert!(error.contains("probes.jsonl: "), "{error}");
    std::fs::write(&path, "{\"prompt\": \"a\"}\n").unwrap();
    desk.keys("<enter>");
    assert_eq!(desk.app.ui.context(), Context::Probes);
    desk.settle();
    assert!(desk.app.workbench.messages().iter().any(|message| message.text.contains("line 1: ")));
    std::fs::write(&path, "{\"prompt\": \"a\", \"expected\": \"neither this nor that\"}\n").unwrap();
    desk.keys("o");
    desk.app.handle(&Event::Paste(path.display().to_string()), Instant::now());
    desk.keys("<enter>");
    desk.settle();
    let answers = desk.app.workbench.probes().answers.as_ref().unwrap();
    assert_eq!((answers.report.count, answers.report.original, answers.report.changed.len()), (1, 0.0, 0));
    desk.keys("r");
    assert!(desk.app.workbench.probes().job.is_some(), "the same file once more");
    desk.settle();
}

#[test]
fn a_comparison_comes_part_by_part_is_scrolled_and_made_over_another_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt");
    std::fs::write(&path, EVALUATION_TEXT.split_at(900).0).unwrap();
    let mut desk = Desk::demo();
    desk.app.workbench.measure_on(48);
    desk.keys("v");
    assert_eq!(desk.app.ui.context(), Context::Comparison);
    assert!(
        desk.screen(80, 24).contains("compare over the evaluation text")
            && desk.screen(80, 24).contains("c cancel job")
    );
    desk.until(|workbench| workbench.comparison().found.is_some());
    assert!(desk.screen(80, 24).contains("KLD                0 ± 0 nats"), "nothing is changed yet");
    desk.keys("c");
    desk.settle();
    assert!(desk.app.workbench.comparison().job.is_none() && desk.app.workbench.comparison().found.is_some());
    desk.keys("o");
    desk.app.handle(&Event::Paste("no/such.txt".to_owned()), Instant::now());
    desk.keys("<enter>");
    assert!(desk.app.ui.field.as_ref().unwrap().error.as_ref().unwrap().contains("no/such.txt: "));
    desk.keys("<esc>o");
    desk.app.handle(&Event::Paste(path.display().to_string()), Instant::now());
    desk.keys("<enter>");
    let job = desk.app.workbench.comparison().job.unwrap();
    desk.until(|workbench| workbench.comparison().found.as_ref().is_some_and(|found| found.text.is_some()));
    desk.keys("r");
    assert!(desk.app.workbench.comparison().job.is_some_and(|again| again != job), "the same text once more");
    desk.keys("c");
    desk.settle();
    assert_eq!(desk.app.workbench.comparison().found.as_ref().unwrap().text, Some(path));
    desk.screen(60, 16);
    desk.keys("<end>");
    let last = desk.app.facts.comparison_overflow;
    assert!(last > 0 && matches!(desk.app.ui.dialog, Some(Dialog::Comparison(first)) if first == last));
    desk.keys("v");
    assert_eq!(desk.app.ui.context(), Context::Layers);
}

#[test]
fn the_prompt_is_put_into_a_chat() {
    let mut desk = Desk::chatting();
    desk.keys("t8<enter>");
    desk.app.ui.prompt = "Who found it?".to_owned();
    desk.keys("I");
    assert!(desk.app.ui.chats() && desk.screen(120, 36).contains("User Who found it?"));
    desk.keys("g");
    desk.settle();
    let live = desk.app.workbench.live();
    let answer = live.original.tokens.clone();
    assert!(live.chat && answer.len() == 8, "{:?}", live.error);
    desk.keys("Ip<ctrl-u><lt>user> Who found it? <lt>assistant><enter>");
    desk.settle();
    let live = desk.app.workbench.live();
    assert!(!live.chat && live.prompt == "<user> Who found it? <assistant>");
    assert_eq!(live.original.tokens, answer);
}

#[test]
fn without_a_template_there_is_no_chat() {
    let mut desk = Desk::demo();
    desk.keys("I");
    assert!(!desk.app.ui.chats());
    assert!(desk.app.ui.toast.as_ref().unwrap().text.contains("no chat template"), "{:?}", desk.app.ui.toast);
    let mut desk = Desk::chatting();
    desk.keys("I");
    let kept = desk.app.arrangement();
    let mut other = Desk::chatting();
    other.app.arrange_as(&kept, false);
    assert!(other.app.ui.chats());
    other.keys("o<ctrl-u>demo<enter>");
    other.settle();
    assert!(!other.app.ui.chats(), "the model opened now has no template");
}

#[test]
fn fast_arithmetic_is_switched_shown_and_told_in_the_comparison() {
    let mut desk = Desk::demo();
    desk.app.workbench.measure_on(48);
    desk.keys("abb");
    desk.settle();
    assert_eq!(desk.plan(0), "int4");
    desk.keys("X");
    assert!(desk.screen(120, 36).contains("compressed, fast arithmetic"));
    desk.keys("v");
    desk.until(|workbench| workbench.comparison().found.as_ref().is_some_and(|found| found.fast.is_some()));
    assert!(desk.screen(80, 24).contains("fast arithmetic"));
    let fast = desk.app.workbench.comparison().found.as_ref().unwrap().fast.clone().unwrap();
    assert!(fast.kld.mean > 0.0 && fast.kld.mean < 0.1, "{fast:?}");
    desk.keys("c<esc>X");
    desk.settle();
    assert!(!desk.screen(120, 36).contains("compressed, fast arithmetic"));
}

#[test]
fn the_log_is_read_filtered_and_copied() {
    let mut desk = Desk::demo();
    desk.app.log.push(logged(1, LogLevel::Info, "workbench::jobs", "open demo begins"));
    desk.app.log.push(logged(2, LogLevel::Error, "workbench::messages", "export to /x: no room"));
    desk.app.log.push(logged(3, LogLevel::Info, "workbench::jobs", "export to /x failed after 1.00 s"));
    desk.keys("!c");
    let copied = |desk: &mut Desk| match desk.effects().pop() {
        Some(Effect::Copy(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(copied(&mut desk).contains("export to /x failed"), "the newest is under the cursor");
    desk.keys("kkc");
    assert!(copied(&mut desk).contains("open demo"));
    desk.keys("/export<enter>Y");
    assert_eq!(copied(&mut desk).lines().count(), 2);
    desk.keys("lY");
    let left = copied(&mut desk);
    assert!(left.lines().count() == 1 && left.contains("no room"), "{left}");
    desk.keys("/<esc>ll<home>c");
    assert!(copied(&mut desk).contains("open demo"));
    desk.app.log.push(logged(4, LogLevel::Info, "cli", "more"));
    desk.app.follow(Instant::now());
    desk.keys("<end>c");
    assert!(copied(&mut desk).contains("more"), "what comes while it is looked at is taken in");
    desk.keys("<esc>Jl<esc>");
    assert_eq!(desk.app.ui.context(), Context::Jobs);
}
