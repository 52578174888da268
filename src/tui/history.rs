//! The list of edits and of named plans: going back to one, and comparing two.

use super::action::Action;
use super::app::App;
use super::dialogs::stepped;
use super::ui::{Dialog, Purpose};
use crate::compress::{Plan, diff};
use crate::workbench::{Severity, Workbench};

/// The list as it stands: snapshots first, then the steps, the newest last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistoryView {
    /// The line under the cursor.
    pub chosen: usize,
    /// The line that others are compared with; the plans as they are without one.
    pub with: Option<usize>,
    /// What would change from there to the chosen line: (layer, from, to).
    pub changes: Vec<(usize, Plan, Plan)>,
}

/// What a line of the list stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A snapshot, by its place.
    Snapshot(usize),
    /// The plans after so many edits.
    Step(usize),
}

impl HistoryView {
    /// What stands on a line.
    pub fn entry(snapshots: usize, line: usize) -> Entry {
        line.checked_sub(snapshots).map_or(Entry::Snapshot(line), Entry::Step)
    }

    /// The list with the cursor on the step that counts now.
    pub fn open(workbench: &Workbench) -> Self {
        let mut view = Self { chosen: workbench.snapshots().len() + workbench.history().done.len(), ..Self::default() };
        view.compare(workbench);
        view
    }

    /// Puts the cursor on a line.
    pub fn choose(&mut self, line: usize, workbench: &Workbench) {
        self.chosen = line;
        self.compare(workbench);
    }

    fn plans(workbench: &Workbench, line: usize) -> Vec<Plan> {
        match Self::entry(workbench.snapshots().len(), line) {
            Entry::Snapshot(index) => workbench.snapshots().get(index).map_or_else(Vec::new, |one| one.plans.clone()),
            Entry::Step(edits) => workbench.plans_after(edits),
        }
    }

    fn compare(&mut self, workbench: &Workbench) {
        let from = self.with.map_or_else(|| workbench.plans(), |line| Self::plans(workbench, line));
        self.changes = diff(&from, &Self::plans(workbench, self.chosen));
    }
}

impl App {
    pub(super) fn open_history(&mut self) {
        self.ui.dialog = Some(Dialog::History(Box::new(HistoryView::open(&self.workbench))));
    }

    pub(super) fn act_on_history(&mut self, action: Action) {
        let Some(Dialog::History(mut view)) = self.ui.dialog.take() else { return };
        let (snapshots, history) = (self.workbench.snapshots().len(), self.workbench.history());
        let last = snapshots + history.done.len() + history.undone.len();
        match (action, HistoryView::entry(snapshots, view.chosen)) {
            (Action::Close, _) => return self.ui.close(),
            (Action::GoThere, Entry::Snapshot(index)) => {
                self.restore(index);
                view = Box::new(HistoryView { with: view.with, ..HistoryView::open(&self.workbench) });
            }
            (Action::GoThere, Entry::Step(edits)) => self.workbench.go_to_edit(edits),
            (Action::CompareWith, _) => {
                view.with = if view.with == Some(view.chosen) { None } else { Some(view.chosen) }
            }
            (Action::DropSnapshot, Entry::Snapshot(index)) => {
                self.workbench.drop_snapshot(index);
                view.with = None;
            }
            (Action::DropSnapshot, Entry::Step(_)) => self.say(Severity::Info, "only snapshots can be dropped"),
            _ => view.chosen = stepped(view.chosen, action, last),
        }
        view.compare(&self.workbench);
        self.ui.dialog = Some(Dialog::History(view));
    }

    /// Takes the plans of a snapshot.
    fn restore(&mut self, index: usize) {
        let name = self.workbench.snapshots().get(index).map(|snapshot| snapshot.name.clone()).unwrap_or_default();
        let before = self.workbench.history().done.len();
        self.workbench.restore_snapshot(index);
        let taken = self.workbench.history().done.len() > before;
        let key = self.key(Action::Undo);
        let text = if taken {
            format!("the plans are those of {name}; {key} undoes it")
        } else {
            format!("the plans are those of {name} already")
        };
        self.say(Severity::Info, text);
    }

    /// Keeps the plans as they are under the name that was typed.
    pub(super) fn take_snapshot(&mut self, name: &str) -> Result<(), String> {
        self.workbench.take_snapshot(name)?;
        self.say(Severity::Info, format!("snapshot {} taken", name.trim()));
        if matches!(self.ui.dialog, Some(Dialog::History(_))) {
            self.open_history();
        }
        Ok(())
    }

    pub(super) fn name_snapshot(&mut self) {
        if self.workbench.opened().is_none() {
            self.say(Severity::Warning, "no model is open yet");
        } else {
            self.begin(Purpose::Snapshot);
        }
    }
}
