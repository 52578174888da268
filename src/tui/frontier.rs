//! The view of the frontier.

use std::path::Path;

use super::action::Action;
use super::app::App;
use super::dialogs::stepped;
use super::ui::{Dialog, Purpose};
use crate::workbench::{JobId, JobKind, Severity};

impl App {
    /// Opens the view; measures where nothing is known yet.
    pub(super) fn open_frontier(&mut self) {
        let frontier = self.workbench.frontier();
        if frontier.points.is_empty() && frontier.job.is_none() && !self.measure_frontier() {
            return;
        }
        self.ui.dialog = Some(Dialog::Frontier(0));
    }

    /// Whether it is on its way.
    fn measure_frontier(&mut self) -> bool {
        let begun = self.workbench.measure_frontier();
        if let Err(reason) = &begun {
            self.say(Severity::Warning, reason.clone());
        }
        begun.is_ok()
    }

    pub(super) fn act_on_frontier(&mut self, action: Action) {
        let Some(Dialog::Frontier(chosen)) = self.ui.dialog else { return };
        let last = self.workbench.frontier().points.len().saturating_sub(1);
        match action {
            Action::MeasureAgain => {
                self.measure_frontier();
            }
            Action::ExportFrontier => self.begin(Purpose::Frontier),
            Action::CancelJob => self.cancel_measuring(self.workbench.frontier().job),
            Action::Close => self.ui.dialog = None,
            _ => self.ui.dialog = Some(Dialog::Frontier(stepped(chosen, action, last))),
        }
    }

    /// Cancels a job that measures, or what it waits for.
    pub(super) fn cancel_measuring(&mut self, job: Option<JobId>) {
        let calibrating = self.jobs.iter().find(|job| job.kind == JobKind::Calibrate).map(|job| job.id);
        if let Some(job) = job.or(calibrating) {
            self.workbench.cancel(job);
        }
    }

    /// Where to write it unless told.
    pub(super) fn frontier_path(&self) -> String {
        let safe = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let label: String = self.workbench.opened().map_or("model", |opened| &opened.label).chars().map(safe).collect();
        format!("{label}-frontier.svg")
    }

    /// Writes it; over what is there only when told so `again`.
    pub(super) fn save_frontier(&mut self, text: &str, again: bool) -> Result<(), String> {
        let path = Path::new(text);
        if path.exists() && !again {
            return Err(format!("{text} exists; Enter once more writes over it"));
        }
        self.workbench.save_frontier(path, again)
    }
}
