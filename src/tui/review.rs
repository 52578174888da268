//! The review of a policy found for a budget.

use super::action::Action;
use super::app::App;
use super::dialogs::stepped;
use super::format;
use super::ui::Dialog;
use crate::workbench::Severity;

impl App {
    /// Shows what was found for a budget once nothing else is asked of the person, and keeps the cursor within it.
    pub(super) fn notice_review(&mut self) {
        let lines = self.workbench.review().map(|review| (review.serial, review.changes.len()));
        match (&mut self.ui.dialog, lines) {
            (Some(Dialog::Review(chosen)), Some((serial, lines))) => {
                *chosen = (*chosen).min(lines.saturating_sub(1));
                self.seen_review = serial;
            }
            (Some(Dialog::Review(_)), None) => self.ui.dialog = None,
            (None, Some((serial, _))) if serial > self.seen_review && self.ui.field.is_none() => {
                self.seen_review = serial;
                self.ui.dialog = Some(Dialog::Review(0));
            }
            _ => {}
        }
    }

    pub(super) fn open_review(&mut self) {
        if self.workbench.review().is_some() {
            self.ui.dialog = Some(Dialog::Review(0));
        } else {
            self.say(Severity::Info, "there is nothing to review; P seeks a policy within a budget");
        }
    }

    pub(super) fn act_on_review(&mut self, action: Action) {
        let (Some(Dialog::Review(chosen)), Some(review)) = (&mut self.ui.dialog, self.workbench.review_mut()) else {
            return;
        };
        let last = review.changes.len().saturating_sub(1);
        match action {
            Action::ToggleChange => {
                review.toggle(*chosen);
                *chosen = (*chosen + 1).min(last);
            }
            Action::ToggleKind => review.toggle_kind(*chosen),
            Action::AcceptAll => review.set_all(true),
            Action::RejectAll => review.set_all(false),
            Action::Apply => self.apply_review(),
            Action::Close => self.ui.dialog = None,
            _ => *chosen = stepped(*chosen, action, last),
        }
    }

    pub(super) fn toggle_change(&mut self, line: usize) {
        if let Some(review) = self.workbench.review_mut() {
            review.toggle(line);
        }
    }

    fn apply_review(&mut self) {
        self.ui.dialog = None;
        match self.workbench.apply_review() {
            0 => self.say(Severity::Info, "nothing was accepted, so nothing changed"),
            count => {
                let text = format!("{} changed; {} undoes it", format::plural(count, "layer"), self.key(Action::Undo));
                self.say(Severity::Info, text);
            }
        }
    }
}
