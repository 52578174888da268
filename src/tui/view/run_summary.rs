//! One line on the run: how far the texts differ, how far they are, how they are written.

use super::align::{Alignment, Counts};
use super::paint::{View, width};
use super::texts::policy_name;
use crate::tui::action::Action;
use crate::tui::format;
use crate::workbench::LiveView;

/// What the head of a pane takes beside it.
const HEAD: u16 = 20;

/// The longest form that has room in a pane of `room` columns.
pub fn run_summary(view: &View<'_>, room: u16) -> String {
    let joined = |parts: Vec<Option<String>>| parts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let forms: Vec<String> = forms(view).into_iter().map(joined).collect();
    let fitting = forms.iter().find(|form| width(form) + HEAD <= room);
    fitting.or(forms.last()).cloned().unwrap_or_default()
}

fn forms(view: &View<'_>) -> Vec<Vec<Option<String>>> {
    let live = view.scene.live;
    let sampling = Some(sampling(view));
    let loops = view.scene.stops_at_loops.then_some("stops at loops");
    let pins: Vec<String> = view.scene.pins.iter().map(|pin| pin.name.to_string()).collect();
    let pinned = (!pins.is_empty()).then(|| format!("pinned {}", pins.join(", ")));
    let told: Vec<&str> = loops.into_iter().chain(pinned.as_deref()).collect();
    let loops = (!told.is_empty()).then(|| told.join(" · "));
    if live.prompt.is_empty() {
        return vec![vec![sampling, loops]];
    }
    let (count, asked) = (live.original.tokens.len(), view.ui.max_tokens);
    let tokens = Some(format!("{count} of {asked} tokens"));
    let few = Some(if count == asked { format!("{count} tokens") } else { format!("{count} of {asked}") });
    let branch = (!live.earlier.is_empty()).then(|| format!("branch at token {}", live.earlier.len() + 1));
    let state = Some(state(view));
    let known = view.facts.alignments.get(view.ui.policy_of(view.scene.run));
    let whose = if view.scene.run.rivals.is_empty() { String::new() } else { format!("{}: ", policy_name(live)) };
    let words = |share| known.and_then(Alignment::counts).map(|counts| whose.clone() + &shared(live, counts, share));
    // A branch is told by the line of texts too.
    let named = branch.clone().filter(|_| view.scene.texts.0.len() < 2);
    vec![
        vec![words(true), branch.clone(), tokens.clone(), sampling.clone(), loops.clone(), state.clone()],
        vec![words(false), branch.clone(), tokens.clone(), sampling.clone(), loops.clone(), state.clone()],
        vec![words(false), branch.clone(), few.clone(), state.clone()],
        vec![words(false), named, few.clone(), state.clone()],
        vec![branch.clone(), tokens, sampling, loops, state.clone()],
        vec![branch, few, state],
    ]
}

/// How many words the texts share after they part, as a share too where there is room.
fn shared(live: &LiveView, counts: Counts, share: bool) -> String {
    let Counts { shared, words, cut } = counts;
    let first = if cut { "the first " } else { "" };
    let percent = format::percent(shared as f64 / words as f64);
    let percent = if share { format!(" ({percent})") } else { String::new() };
    let after = match live.earlier.len() + live.first_difference.unwrap_or_default() {
        0 => "the prompt".to_owned(),
        token => format!("token {token}"),
    };
    format!("{shared} of {first}{words} words shared{percent} after {after}")
}

fn sampling(view: &View<'_>) -> String {
    let sampling = match view.ui.sampling.temperature {
        Some(temperature) if temperature > 0.0 => format!("temperature {temperature}, seed {}", view.ui.sampling.seed),
        _ => "greedy".to_owned(),
    };
    if view.ui.chats() { format!("chat · {sampling}") } else { sampling }
}

fn state(view: &View<'_>) -> String {
    let live = view.scene.live;
    let ended = live.original.ended.is_some() && live.compressed.ended.is_some();
    match (live.running, ended) {
        _ if view.ui.is_stale(view.scene) => format!("plans changed: {} rewrites", view.key(Action::Generate)),
        (true, _) => "writing".to_owned(),
        (false, true) => "done".to_owned(),
        (false, false) => "stopped".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_they_differ_says_from_where_on_and_what_was_left_out() {
        let live = |first_difference| LiveView { first_difference: Some(first_difference), ..LiveView::default() };
        let counts = Counts { shared: 31, words: 40, cut: false };
        assert_eq!(shared(&live(10), counts, true), "31 of 40 words shared (77.5%) after token 10");
        let cut = Counts { shared: 1100, words: 2048, cut: true };
        assert_eq!(shared(&live(0), cut, false), "1100 of the first 2048 words shared after the prompt");
    }
}
