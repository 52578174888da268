//! Six steps from the first look at a layer to a policy of one's own.

use super::action::Action;
use super::app::App;
use super::ui::Ui;
use crate::checkpoint::escaped;
use crate::workbench::{Severity, Workbench};

/// One step: what to do, why, the actions that do it, and when it is done.
pub struct Step {
    /// What it is about.
    pub title: &'static str,
    /// What to do; `{}` stands for the key of each action in turn.
    pub text: &'static str,
    /// The actions whose keys the text names.
    pub actions: &'static [Action],
    done: fn(&Ui, &Workbench) -> bool,
}

/// The steps in order.
pub const STEPS: [Step; 6] = [
    Step {
        title: "look",
        text: "Every line is a layer. {} and {} move; {} shows the spectrum of the layer under the cursor, or hides it.",
        actions: &[Action::MoveDown, Action::MoveUp, Action::ShowSpectrum],
        done: |ui, _| ui.listing.line() > 0,
    },
    Step {
        title: "choose",
        text: "{} shows some layers alone: type kind:k and Enter for the keys of attention. Then {} selects them all.",
        actions: &[Action::Filter, Action::MarkAll],
        done: |ui, _| ui.listing.marked.len() > 1,
    },
    Step {
        title: "compress",
        text: "{}, a number and Enter cut them to that rank: try 16. The error that this makes stands in the table at once.",
        actions: &[Action::Rank],
        done: |_, workbench| workbench.totals().changed > 0,
    },
    Step {
        title: "watch",
        text: "{} lets the original and the compressed model write; the strip below is the KLD. {} leads to the texts, {} to the ≠ where they part.",
        actions: &[Action::Generate, Action::NextPane, Action::TokenNext],
        done: |ui, workbench| ui.token_cursor(workbench.live()).is_some(),
    },
    Step {
        title: "take back",
        text: "{} undoes, {} does it again, and {} lists every step to go back to.",
        actions: &[Action::Undo, Action::Redo, Action::History],
        done: |_, workbench| !workbench.history().undone.is_empty() || workbench.history().done.len() > 1,
    },
    Step {
        title: "leave with a policy",
        text: "{} brings back what was undone. {} and Enter write the plans as a policy file: rankscope compress --policy makes the checkpoint of it.",
        actions: &[Action::Redo, Action::Export],
        done: |_, workbench| workbench.policy_file().is_some(),
    },
];

impl App {
    /// Begins the tour, or ends it.
    pub(super) fn toggle_tour(&mut self) {
        self.ui.tour = if self.ui.tour.is_some() { None } else { Some(0) };
    }

    /// Goes on where a step is done; whoever did something before it was asked for need not do it twice.
    pub(super) fn advance_tour(&mut self) {
        let Some(step) = self.ui.tour else { return };
        if STEPS.get(step).is_none_or(|at| !(at.done)(&self.ui, &self.workbench)) {
            return;
        }
        self.ui.tour = Some(step + 1).filter(|next| *next < STEPS.len());
        if self.ui.tour.is_none() {
            let file = self.workbench.policy_file().map(|path| escaped(&path.display().to_string(), 200));
            let written = file.map_or_else(String::new, |file| format!(", and {file} is your policy"));
            let text = format!("that was the tour{written}; {} begins it again", self.key(Action::Tour));
            self.say(Severity::Info, text);
        }
    }
}
