//! What actions do while something lies over the panes.

use std::path::Path;

use super::action::Action;
use super::app::{App, Effect};
use super::context::Context;
use super::export_form::{FIELDS, Format};
use super::ui::{Dialog, Then};
use crate::workbench::{JobState, Source};

impl App {
    pub(super) fn act_on_menu(&mut self, action: Action) {
        let Some(Dialog::Menu(menu)) = &mut self.ui.dialog else { return };
        let items = menu.items(&self.ui.keymap, &self.ui.recent);
        let last = items.len().saturating_sub(1);
        match action {
            Action::Accept => {
                let chosen = items.get(menu.chosen).map(|info| info.action);
                let palette = !menu.help;
                self.ui.close();
                if let Some(action) = chosen {
                    if palette {
                        self.ui.used(action);
                    }
                    self.perform(action);
                }
            }
            Action::Close => self.ui.close(),
            _ => menu.chosen = stepped(menu.chosen, action, last),
        }
    }

    pub(super) fn act_on_jobs(&mut self, action: Action) {
        let Some(Dialog::Jobs(chosen)) = self.ui.dialog else { return };
        match action {
            Action::Close => self.ui.dialog = None,
            Action::CancelJob => {
                if let Some(job) = self.jobs.get(chosen).filter(|job| job.state == JobState::Running) {
                    self.workbench.cancel(job.id);
                }
            }
            Action::Log => self.open_log(),
            Action::RetryJob => {
                if let Some(job) = self.jobs.get(chosen).filter(|job| job.retryable) {
                    self.workbench.retry(job.id);
                }
            }
            _ => self.ui.dialog = Some(Dialog::Jobs(stepped(chosen, action, self.jobs.len().saturating_sub(1)))),
        }
    }

    pub(super) fn act_on_question(&mut self, action: Action) {
        let Some(Dialog::Confirm(question)) = &self.ui.dialog else { return };
        let then = question.then.clone();
        match (action, then) {
            (Action::Yes, Then::Quit) => self.effects.push(Effect::Quit),
            (Action::Yes, Then::Open(model)) => self.workbench.open(Source::parse(&model), None, None),
            (Action::No, _) => {}
            _ => return,
        }
        self.ui.dialog = None;
    }

    pub(super) fn act_on_export(&mut self, action: Action) {
        let Some(Dialog::Export(form)) = &mut self.ui.dialog else { return };
        match action {
            Action::NextField | Action::MoveDown => form.field = (form.field + 1) % FIELDS,
            Action::PreviousField | Action::MoveUp => form.field = (form.field + FIELDS - 1) % FIELDS,
            Action::NextChoice => form.choose(1, &self.workbench),
            Action::PreviousChoice => form.choose(-1, &self.workbench),
            Action::Overwrite => form.force = !form.force,
            Action::Close => self.ui.dialog = None,
            Action::Write => self.write_form(),
            _ => {}
        }
    }

    fn write_form(&mut self) {
        let overwrite = self.ui.keymap.shown(Action::Overwrite, Context::Export);
        let Some(Dialog::Export(form)) = &mut self.ui.dialog else { return };
        form.look(&self.workbench);
        if form.forecast.is_err() {
            return;
        }
        let (target, force) = (form.target(), form.force);
        if target.exists() && !force {
            form.error = Some(format!("{} exists; {overwrite} allows to write over it", target.display()));
            return;
        }
        let format = form.format;
        match (self.write(format, &target, force), &mut self.ui.dialog) {
            (Ok(()), dialog) => *dialog = None,
            (Err(reason), Some(Dialog::Export(form))) => form.error = Some(reason),
            (Err(_), _) => {}
        }
    }

    /// Writes the work in a format, or begins to.
    ///
    /// # Errors
    /// The message for the person.
    pub(super) fn write(&mut self, format: Format, target: &Path, force: bool) -> Result<(), String> {
        match format.kind() {
            None if format == Format::Report => self.workbench.report(target, force),
            None if format == Format::Session => self.workbench.save_session(target, force),
            None => self.workbench.save_policy(target, force),
            Some(kind) => {
                self.workbench.export(kind, target, force);
                Ok(())
            }
        }
    }
}

pub(super) fn stepped(chosen: usize, action: Action, last: usize) -> usize {
    match action {
        Action::MoveUp => chosen.saturating_sub(1),
        Action::MoveDown => (chosen + 1).min(last),
        Action::PageUp => chosen.saturating_sub(10),
        Action::PageDown => (chosen + 10).min(last),
        Action::Home => 0,
        Action::End => last,
        _ => chosen.min(last),
    }
}
