//! The view of the probes.

use super::action::Action;
use super::app::App;
use super::dialogs::stepped;
use super::ui::{Dialog, Purpose};
use crate::workbench::{DEMO, Severity};

impl App {
    /// Opens the view; asks where nothing was answered yet.
    pub(super) fn open_probes(&mut self) {
        let probes = self.workbench.probes();
        if probes.answers.is_some() || probes.job.is_some() {
            self.ui.dialog = Some(Dialog::Probes(0));
        } else if self.workbench.has_own_probes() {
            self.ask_or_say(DEMO.name);
        } else if let Some(reason) = self.workbench.opened().and_then(|opened| opened.cannot_generate.clone()) {
            self.say(Severity::Warning, reason);
        } else if self.workbench.opened().is_none() {
            self.say(Severity::Warning, "no model is open yet");
        } else {
            self.begin(Purpose::Probes);
        }
    }

    /// Asks the probes of a file, and shows what comes of it.
    pub(super) fn ask_probes(&mut self, file: &str) -> Result<(), String> {
        self.workbench.ask_probes(file)?;
        self.ui.dialog = Some(Dialog::Probes(0));
        Ok(())
    }

    fn ask_or_say(&mut self, file: &str) {
        if let Err(reason) = self.ask_probes(file) {
            self.say(Severity::Warning, reason);
        }
    }

    /// Keeps the cursor within the cases.
    pub(super) fn notice_answers(&mut self) {
        let last = self.last_case();
        if let Some(Dialog::Probes(chosen)) = &mut self.ui.dialog {
            *chosen = (*chosen).min(last);
        }
    }

    fn last_case(&self) -> usize {
        let answers = self.workbench.probes().answers.as_ref();
        answers.map_or(0, |answers| answers.report.changed.len().saturating_sub(1))
    }

    pub(super) fn act_on_probes(&mut self, action: Action) {
        let Some(Dialog::Probes(chosen)) = self.ui.dialog else { return };
        match action {
            Action::AskAgain => match self.workbench.probes().answers.as_ref().map(|answers| answers.label.clone()) {
                Some(file) => self.ask_or_say(&file),
                None => self.open_probes(),
            },
            Action::OtherProbes => self.begin(Purpose::Probes),
            Action::CancelJob => self.cancel_measuring(self.workbench.probes().job),
            Action::Close => self.ui.dialog = None,
            _ => self.ui.dialog = Some(Dialog::Probes(stepped(chosen, action, self.last_case()))),
        }
    }
}
