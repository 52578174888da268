//! Writing text: from the prompt, from a token, and the texts that are kept.

use super::action::Action;
use super::app::App;
use super::ui::{Manner, Pane, Target};
use crate::workbench::{GenerateOptions, Severity};

impl App {
    /// Lets both models write; `afresh` from the prompt, also where the text on the screen is a branch of it.
    pub(super) fn generate(&mut self, afresh: bool) {
        let Some(options) = self.writing_options() else { return };
        if afresh {
            self.workbench.generate(options);
        } else {
            self.workbench.write_again(options);
        }
        self.look_at_text();
        let shown = |pane: Pane| self.facts.hits.iter().any(|(_, target)| *target == Target::Pane(pane));
        if self.ui.pane == Pane::Layers && shown(Pane::Layers) && !shown(Pane::Text) {
            let text = format!("the models write; {} leads to the texts", self.key(Action::NextPane));
            self.say(Severity::Info, text);
        }
    }

    /// Writes anew from the token under the cursor.
    pub(super) fn branch(&mut self) {
        let Some(options) = self.writing_options() else { return };
        let Some(token) = self.cursor() else {
            let (token, branch) = (self.key(Action::TokenNext), self.key(Action::Branch));
            return self.say(Severity::Info, format!("{token} goes to a token first; {branch} writes anew from there"));
        };
        match self.workbench.branch(token, &options) {
            Ok(()) => self.look_at_text(),
            Err(reason) => self.say(Severity::Warning, reason),
        }
    }

    /// How to write, where anything can be written.
    fn writing_options(&mut self) -> Option<GenerateOptions> {
        let reason = match self.workbench.opened() {
            None => Some("no model is open yet".to_owned()),
            Some(opened) => opened.cannot_generate.clone(),
        };
        if let Some(reason) = reason {
            self.say(Severity::Warning, reason);
            return None;
        }
        Some(GenerateOptions {
            prompt: self.ui.prompt.clone(),
            chat: self.ui.chats(),
            max_tokens: self.ui.max_tokens,
            sampling: self.ui.sampling,
        })
    }

    /// Shows another of the texts that are kept, round and round.
    pub(super) fn step_text(&mut self, by: isize) {
        let (texts, place) = self.workbench.texts();
        let count = texts.len();
        if count < 2 {
            self.say(Severity::Info, "there is no other text; another prompt or a branch is one");
            return;
        }
        self.show_text((place + count).saturating_add_signed(by) % count);
    }

    /// Shows the text at a place among those that are kept.
    pub(super) fn show_text(&mut self, place: usize) {
        if self.workbench.show_text(place) {
            self.take_prompt();
            self.look_at_text();
        }
    }

    /// Keeps the text on the screen no longer.
    pub(super) fn close_text(&mut self) {
        if self.workbench.texts().0.is_empty() {
            self.say(Severity::Info, "there is no text to close");
            return;
        }
        self.workbench.close_text();
        self.say(
            Severity::Info,
            format!("the text is closed; {} brings it back", self.key_of_text(Action::ReopenText)),
        );
        if !self.workbench.texts().0.is_empty() {
            self.take_prompt();
        }
        self.look_at_text();
    }

    /// Brings back the text that was closed last.
    pub(super) fn reopen_text(&mut self) {
        match self.workbench.reopen_text() {
            Ok(()) => {
                self.take_prompt();
                self.look_at_text();
            }
            Err(reason) => self.say(Severity::Info, reason),
        }
    }

    fn key_of_text(&self, action: Action) -> String {
        self.ui.keymap.shown(action, Pane::Text.context())
    }

    /// Lets texts end where they loop, or go on.
    pub(super) fn switch_loops(&mut self) {
        let stop = !self.workbench.stops_at_loops();
        self.workbench.set_stop_at_loops(stop);
        let text = if stop { "a text ends as soon as it loops" } else { "texts go on where they loop" };
        self.say(Severity::Info, text);
    }

    /// Pins the plans as they are.
    pub(super) fn pin(&mut self) {
        match self.workbench.pin() {
            Ok(name) => {
                let key = self.key(Action::Generate);
                self.say(Severity::Info, format!("the plans as they are now are {name}; {key} writes by them too"));
            }
            Err(reason) => self.say(Severity::Warning, reason),
        }
    }

    /// Lets the pinned plans go.
    pub(super) fn unpin(&mut self) {
        let text = if self.workbench.unpin() { "no plans are pinned any more" } else { "no plans are pinned" };
        self.say(Severity::Info, text);
    }

    /// Looks at the next policy, in the order in which they stand.
    pub(super) fn next_policy(&mut self) {
        let rivals = self.workbench.live().rivals.len();
        if rivals == 0 {
            let key = self.key(Action::Pin);
            let text = format!("one policy writes; {key} pins its plans, for others to write beside them");
            return self.say(Severity::Info, text);
        }
        self.ui.policy = (self.ui.policy_of(self.workbench.live()) + 1) % (rivals + 1);
    }

    /// The prompt is that of the text on the screen.
    fn take_prompt(&mut self) {
        let live = self.workbench.live();
        live.prompt.clone_into(&mut self.ui.prompt);
        self.ui.manner = if live.chat { Manner::Chat } else { Manner::Text };
    }

    /// Another text is on the screen: it is looked at from its end.
    fn look_at_text(&mut self) {
        (self.ui.text_scroll, self.ui.token) = (0, None);
        self.ui.lower = Pane::Text;
    }
}
