//! No key does nothing: every action is seen, said or handed over, in each place where it counts.

use std::thread;
use std::time::{Duration, Instant};

use rankscope::tui::action::Action;
use rankscope::tui::context::Context;
use rankscope::workbench::JobState;

use crate::support::Desk;

const SIZE: (u16, u16) = (80, 24);

/// What leads from the layers into the midst of a place.
fn way(context: Context) -> &'static str {
    match context {
        Context::Layers => "",
        Context::Spectrum => "s>",
        Context::Text => "<tab><right><right>",
        Context::List => "?<down><down>",
        Context::Explain => "wjjj",
        Context::History => "U<home>j",
        Context::Columns => ",jjlllll",
        Context::Copy => "Y",
        Context::Jobs => "Jj",
        Context::Log => "!<up><up>",
        Context::Export => "x",
        Context::Review => "Vjj<space>",
        Context::Frontier => "Fjj",
        Context::Probes => "Qj",
        Context::Comparison => "v",
        Context::Confirm => "q",
        Context::Input => "/kin",
    }
}

/// What only counts in a state that would have to be made for it alone, and is told there: an end of what runs, of what failed.
fn waits(action: Action) -> bool {
    // Writing is left to the tests that have a folder for it.
    matches!(action, Action::Stop | Action::CancelJob | Action::RetryJob | Action::Write)
}

/// Much to do everything with: plans of several steps, texts, and all that can be measured.
fn busy() -> Desk {
    let mut desk = Desk::demo();
    desk.keys("jKr24<enter><esc>jjjjjjjr20<enter>Wsmall<enter>Wother<enter>t40<enter>");
    desk.settle();
    desk.keys("g");
    desk.settle();
    desk.scan();
    desk.propose();
    desk.keys("<esc>");
    desk.chart();
    desk.compare();
    desk.answer();
    desk.log();
    // A column that is not the first, and something to let go.
    desk.screen(SIZE.0, SIZE.1);
    desk.keys("lll<space>");
    desk.app.ui.toast = None;
    desk
}

/// Ends what an action began.
fn calm(desk: &mut Desk) {
    loop {
        let jobs = desk.app.workbench.jobs();
        let running: Vec<_> = jobs.iter().filter(|job| job.state == JobState::Running).map(|job| job.id).collect();
        running.iter().for_each(|job| desk.app.workbench.cancel(*job));
        // What begins when another has ended is cancelled too.
        if !desk.app.drain(Instant::now()) && running.is_empty() {
            return desk.app.follow(Instant::now());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn every_action_is_seen_in_every_place_where_it_counts() {
    let mut silent = Vec::new();
    for context in Context::ALL {
        let mut desk = busy();
        desk.screen(SIZE.0, SIZE.1);
        desk.keys(way(context));
        if context == Context::Comparison {
            // How far it can be scrolled is known once it was drawn.
            desk.screen(SIZE.0, SIZE.1);
            desk.keys("jj");
        }
        assert_eq!(desk.app.ui.context(), context);
        let (ui, steps) = (desk.app.ui.clone(), desk.app.workbench.history().done.len());
        let keymap = ui.keymap.clone();
        let mut infos: Vec<_> = keymap.in_context(context).filter(|info| !waits(info.action)).collect();
        // What writes anew and is ended leaves no text to do anything with.
        infos.sort_by_key(|info| matches!(info.action, Action::Generate | Action::Branch | Action::EditPrompt));
        for info in infos {
            calm(&mut desk);
            desk.app.workbench.go_to_edit(steps);
            calm(&mut desk);
            desk.app.ui = ui.clone();
            desk.app.take_effects();
            let before = desk.buffer(SIZE.0, SIZE.1);
            let key = keymap.keys(info.action, context).first().map_or("", String::as_str);
            desk.keys(&match key {
                "<" => "<lt>".to_owned(),
                character if character.chars().count() == 1 => character.to_owned(),
                name => format!("<{name}>"),
            });
            if desk.effects().is_empty() && desk.buffer(SIZE.0, SIZE.1) == before {
                silent.push(format!("{} in {}", info.title, context.name()));
            }
        }
        calm(&mut desk);
    }
    assert!(silent.is_empty(), "{silent:#?}");
}
