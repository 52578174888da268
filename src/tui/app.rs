//! The screen and the workbench together: events in, state and effects out.

use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyEvent, KeyEventKind};
use ratatui::buffer::Buffer;

use super::action::Action;
use super::colour::Depth;
use super::log::{LogBook, LogSeen};
use super::own_theme::OwnTheme;
use super::scene::Scene;
use super::ui::{Dialog, Facts, Toast, Ui};
use super::view;
use crate::workbench::{Draft, JobState, JobView, Locations, Severity, Workbench};

const INFO_STAYS: Duration = Duration::from_secs(4);
const WARNING_STAYS: Duration = Duration::from_secs(12);
/// A draft is written this long after the last change.
const DRAFT_AFTER: Duration = Duration::from_secs(2);

/// How often the progress of jobs is looked at, which wakes nobody by itself.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// What the event loop must do, beyond drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// End well.
    Quit,
    /// End as interrupted.
    Interrupt,
    /// Go back to the shell until told to continue.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Take the mouse, or give it back.
    Mouse(bool),
    /// Give a text to the clipboard.
    Copy(String),
}

/// The workbench with its screen.
#[derive(Debug)]
pub struct App {
    /// The workbench.
    pub workbench: Workbench,
    /// The state of the screen.
    pub ui: Ui,
    /// What the last frame left behind.
    pub facts: Facts,
    /// The draft of the last session, until its model is open.
    pub pending_draft: Option<Draft>,
    /// The file of the theme, where it is a person's own.
    pub own_theme: Option<OwnTheme>,
    /// Whether the theme was chosen by a key, now or in an earlier session.
    pub theme_chosen: bool,
    /// The log, where it is kept.
    pub log: LogBook,
    /// Whether copies go to the system's clipboard, not by way of the terminal.
    pub system_clipboard: bool,
    pub(super) log_seen: LogSeen,
    pub(super) jobs: Vec<JobView>,
    pub(super) effects: Vec<Effect>,
    pub(super) depth: Depth,
    pub(super) locations: Locations,
    pub(super) shown_model: Option<(String, usize, u64)>,
    pub(super) seen_review: u64,
    seen_message: u64,
    toast_until: Option<Instant>,
    draft_due: Option<Instant>,
    progress_due: Option<Instant>,
}

impl App {
    /// A screen on a workbench.
    pub fn new(workbench: Workbench, ui: Ui, depth: Depth, locations: Locations) -> Self {
        Self {
            workbench,
            ui,
            facts: Facts::default(),
            pending_draft: None,
            own_theme: None,
            theme_chosen: false,
            log: LogBook::default(),
            system_clipboard: false,
            log_seen: LogSeen::default(),
            jobs: Vec::new(),
            effects: Vec::new(),
            depth,
            locations,
            shown_model: None,
            seen_review: 0,
            seen_message: 0,
            toast_until: None,
            draft_due: None,
            progress_due: None,
        }
    }

    /// Answers a key, a click, a paste.
    pub fn handle(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.pressed(*key),
            Event::Paste(text) => self.paste(text),
            Event::Mouse(mouse) => self.mouse(*mouse),
            _ => {}
        }
        self.reload_theme();
        self.draft_due.get_or_insert(now + DRAFT_AFTER);
        self.follow(now);
    }

    /// Takes a theme of one's own anew where its file changed: looked at when something is pressed, or the terminal is looked at
    /// again, so that nothing wakes up for it.
    fn reload_theme(&mut self) {
        let depth = self.depth;
        let Some(own) = self.own_theme.as_mut().filter(|own| own.is_stale()) else { return };
        match own.read(depth) {
            Ok(theme) => self.ui.theme = theme,
            Err(error) => self.say(Severity::Warning, format!("{error:#}; the theme stays as it was")),
        }
    }

    fn pressed(&mut self, key: KeyEvent) {
        match self.ui.keymap.action_for(self.ui.context(), key) {
            Some(action) => self.perform(action),
            None => self.type_key(key),
        }
    }

    /// Folds what the jobs have brought; whether anything changed.
    pub fn drain(&mut self, now: Instant) -> bool {
        let changed = self.workbench.drain();
        if changed {
            self.follow(now);
        }
        changed
    }

    /// Brings the screen's own state up to date with the workbench.
    pub fn follow(&mut self, now: Instant) {
        self.notice_progress(now);
        self.notice_log();
        self.notice_model();
        self.ui.listing.refresh(self.workbench.rows());
        if let Some(Dialog::Jobs(chosen)) = &mut self.ui.dialog {
            *chosen = (*chosen).min(self.jobs.len().saturating_sub(1));
        }
        self.notice_review();
        self.notice_answers();
        self.advance_tour();
        self.notice_messages(now);
    }

    /// Takes in how far the jobs are; whether that changed. While one runs, it is looked at again and again.
    fn notice_progress(&mut self, now: Instant) -> bool {
        let jobs = self.workbench.jobs();
        let progress = |jobs: &[JobView]| jobs.iter().map(|job| (job.id, job.progress)).collect::<Vec<_>>();
        let moved = progress(&jobs) != progress(&self.jobs);
        let running = jobs.iter().any(|job| job.state == JobState::Running);
        let due = self.progress_due.filter(|due| *due > now).unwrap_or(now + PROGRESS_EVERY);
        self.progress_due = running.then_some(due);
        self.jobs = jobs;
        moved
    }

    fn notice_messages(&mut self, now: Instant) {
        let Some(last) = self.workbench.messages().last().filter(|message| message.serial > self.seen_message) else {
            return;
        };
        let last = self
            .workbench
            .messages()
            .iter()
            .rev()
            .take_while(|message| message.serial > self.seen_message)
            .find(|message| message.severity != Severity::Info)
            .unwrap_or(last);
        let stays = if last.severity == Severity::Info { INFO_STAYS } else { WARNING_STAYS };
        self.ui.toast = Some(Toast { severity: last.severity, text: last.text.clone() });
        self.toast_until = Some(now + stays);
        self.seen_message = self.workbench.messages().last().map_or(self.seen_message, |message| message.serial);
    }

    /// The key of an action in the focused pane, as the screen shows keys.
    pub fn key(&self, action: Action) -> String {
        self.ui.keymap.shown(action, self.ui.pane.context())
    }

    /// Says something to the person.
    pub fn say(&mut self, severity: Severity, text: impl Into<String>) {
        self.workbench.say(severity, text.into());
    }

    /// What has come due by `now`; whether the screen changed.
    pub fn tick(&mut self, now: Instant) -> bool {
        if self.draft_due.is_some_and(|due| due <= now) {
            self.draft_due = None;
            self.keep_draft_aside();
        }
        let looked = self.progress_due.is_some_and(|due| due <= now);
        let moved = looked && (self.notice_progress(now) | self.notice_log());
        let expired = self.toast_until.is_some_and(|until| until <= now);
        if expired {
            self.toast_until = None;
            self.ui.toast = None;
        }
        expired || moved
    }

    /// When [`App::tick`] has something to do next.
    pub fn next_tick(&self) -> Option<Instant> {
        [self.toast_until, self.draft_due, self.progress_due].into_iter().flatten().min()
    }

    /// What the event loop must do now.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What a frame shows.
    pub fn scene(&self) -> Scene<'_> {
        Scene::of(&self.workbench, &self.jobs, (&self.log_seen, self.log.path()))
    }

    /// Draws a frame.
    pub fn draw(&mut self, buffer: &mut Buffer) {
        let scene = Scene::of(&self.workbench, &self.jobs, (&self.log_seen, self.log.path()));
        view::draw(&scene, &self.ui, buffer, &mut self.facts);
    }
}
