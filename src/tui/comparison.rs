//! The view of the comparison.

use std::path::PathBuf;

use super::action::Action;
use super::app::App;
use super::dialogs::stepped;
use super::ui::{Dialog, Purpose};
use crate::linalg::Arithmetic;
use crate::workbench::Severity;

impl App {
    /// Opens the view; compares where nothing is known yet.
    pub(super) fn open_comparison(&mut self) {
        let comparison = self.workbench.comparison();
        if comparison.found.is_some() || comparison.job.is_some() || self.compare_or_say(None) {
            self.ui.dialog = Some(Dialog::Comparison(0));
        }
    }

    /// Compares over the text of a file, and shows what comes of it.
    pub(super) fn compare_over(&mut self, file: &str) -> Result<(), String> {
        let text = (!file.is_empty()).then(|| PathBuf::from(file));
        self.workbench.compare(text)?;
        self.ui.dialog = Some(Dialog::Comparison(0));
        Ok(())
    }

    /// Whether it is on its way.
    fn compare_or_say(&mut self, text: Option<PathBuf>) -> bool {
        let begun = self.workbench.compare(text);
        if let Err(reason) = &begun {
            self.say(Severity::Warning, reason.clone());
        }
        begun.is_ok()
    }

    pub(super) fn switch_arithmetic(&mut self) {
        let (other, told) = match self.workbench.arithmetic() {
            Arithmetic::Exact => (Arithmetic::Fast, "fast arithmetic; v tells what it costs"),
            Arithmetic::Fast => (Arithmetic::Exact, "exact arithmetic"),
        };
        self.workbench.set_arithmetic(other);
        self.say(Severity::Info, told);
    }

    pub(super) fn act_on_comparison(&mut self, action: Action) {
        let Some(Dialog::Comparison(first)) = self.ui.dialog else { return };
        match action {
            Action::MeasureAgain => {
                let text = self.workbench.comparison().found.as_ref().and_then(|found| found.text.clone());
                self.compare_or_say(text);
            }
            Action::OtherText => self.begin(Purpose::Text),
            Action::CancelJob => self.cancel_measuring(self.workbench.comparison().job),
            Action::Close => self.ui.dialog = None,
            _ => self.ui.dialog = Some(Dialog::Comparison(stepped(first, action, self.facts.comparison_overflow))),
        }
    }
}
