//! What each action does.

use super::action::Action;
use super::app::{App, Effect};
use super::column::Column;
use super::context::Context;
use super::export_form::{ExportForm, Format};
use super::figure::Figure;
use super::theme::Theme;
use super::ui::{Dialog, Manner, Menu, Metric, Pane, Purpose, Question, Then};
use super::view::map;
use crate::measure::Mode;
use crate::workbench::{PROMPTS, Severity};

/// A chart of ranks is halved at most so often.
const MOST_ZOOMED: u8 = 12;

impl App {
    /// Performs an action in the state that the screen is in.
    pub fn perform(&mut self, action: Action) {
        match action {
            Action::Help => return self.open_menu(true),
            Action::Explain => return self.open_explanation(),
            _ => {}
        }
        match self.ui.context() {
            Context::List => self.act_on_menu(action),
            Context::Explain => self.act_on_explanation(action),
            Context::History if action == Action::TakeSnapshot => self.name_snapshot(),
            Context::History => self.act_on_history(action),
            Context::Columns => self.act_on_columns(action),
            Context::Copy => self.act_on_prefix(action),
            Context::Jobs => self.act_on_jobs(action),
            Context::Log => self.act_on_log(action),
            Context::Export => self.act_on_export(action),
            Context::Review => self.act_on_review(action),
            Context::Frontier => self.act_on_frontier(action),
            Context::Probes => self.act_on_probes(action),
            Context::Comparison => self.act_on_comparison(action),
            Context::Confirm => self.act_on_question(action),
            Context::Input => self.act_on_field(action),
            Context::Layers | Context::Spectrum | Context::Text => {
                if !self.move_about(action) && !self.select(action) && !self.change_plans(action) {
                    self.act(action);
                }
            }
        }
        if action == Action::Interrupt {
            self.effects.push(Effect::Interrupt);
        }
    }

    fn move_about(&mut self, action: Action) -> bool {
        let page = match self.ui.pane {
            Pane::Text => self.facts.text_page.max(1).cast_signed(),
            Pane::Layers | Pane::Spectrum => self.facts.page.max(2).cast_signed() - 1,
        };
        let lines = match action {
            Action::MoveUp => -1,
            Action::MoveDown => 1,
            Action::PageUp => -page,
            Action::PageDown => page,
            Action::Home => isize::MIN / 2,
            Action::End => isize::MAX / 2,
            Action::MapLeft | Action::MapRight => {
                let by = if action == Action::MapLeft { -1 } else { 1 };
                if self.ui.map {
                    self.step_map(by, 0);
                } else {
                    self.ui.listing.step_column(&self.facts.columns, by);
                }
                return true;
            }
            Action::TokenBefore | Action::TokenNext => {
                self.step_token(if action == Action::TokenBefore { -1 } else { 1 });
                return true;
            }
            _ => return false,
        };
        self.move_by(lines);
        true
    }

    /// Moves within the focused pane.
    pub(super) fn move_by(&mut self, lines: isize) {
        match self.ui.pane {
            Pane::Text => {
                if self.cursor().is_some() {
                    return self.step_lines(lines);
                }
                let limit = self.facts.text_overflow;
                self.ui.text_scroll = self.ui.text_scroll.saturating_add_signed(lines.saturating_neg()).min(limit);
            }
            Pane::Layers if self.ui.map => self.step_map(0, lines),
            Pane::Layers | Pane::Spectrum => self.step_cursor(lines),
        }
    }

    fn step_cursor(&mut self, lines: isize) {
        self.ui.listing.step(lines);
        self.look_at_cursor();
    }

    fn step_map(&mut self, across: isize, down: isize) {
        if !self.ui.map {
            return;
        }
        let listing = &self.ui.listing;
        if let Some(layer) = map::step(self.workbench.rows(), &listing.order, listing.cursor, across, down) {
            self.ui.listing.go_to(layer);
            self.look_at_cursor();
        }
    }

    /// The layer that is looked at is decomposed first.
    pub(super) fn look_at_cursor(&mut self) {
        self.workbench.focus(self.ui.listing.cursor);
    }

    fn select(&mut self, action: Action) -> bool {
        let here = self.workbench.rows().get(self.ui.listing.cursor).map(|row| (row.layer.kind, row.layer.block));
        match (action, here) {
            (Action::Mark, _) => {
                let cursor = self.ui.listing.cursor;
                self.ui.listing.toggle_mark(cursor);
                self.move_by(1);
            }
            (Action::MarkAll, _) => self.ui.listing.mark_all(),
            (Action::MarkInvert, _) => self.ui.listing.mark_inverse(),
            (Action::MarkKind, Some((wanted, _))) => {
                self.ui.listing.mark_where(self.workbench.rows(), |kind, _| kind == wanted);
            }
            (Action::MarkBlock, Some((_, wanted))) => {
                self.ui.listing.mark_where(self.workbench.rows(), |_, block| block == wanted);
            }
            (Action::SortNext, _) => self.sort_stepped(1),
            (Action::SortPrevious, _) => self.sort_stepped(-1),
            (Action::SortHere, _) => {
                self.sort_by(self.ui.listing.column);
            }
            (Action::SortReverse, _) => self.ui.listing.falling = !self.ui.listing.falling,
            _ => return false,
        }
        true
    }

    fn sort_stepped(&mut self, by: isize) {
        let there = if self.facts.columns.is_empty() { &Column::ALL[..] } else { &self.facts.columns };
        self.sort_by(self.ui.listing.sort.stepped(there, by));
    }

    /// Sorts by a column; where no layer has such a figure yet, says what fills it.
    pub(super) fn sort_by(&mut self, column: Column) {
        self.ui.listing.sort_by(column);
        if let Some((action, does)) = column.filled_by()
            && !self.workbench.rows().iter().any(|row| column.knows(row))
        {
            let text = format!("{}: no layer has one yet; {} {does}", column.words(), self.key(action));
            self.say(Severity::Info, text);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Filter => self.begin(Purpose::Filter),
            Action::Rank => self.begin(Purpose::Rank),
            Action::Energy => self.begin(Purpose::Energy),
            Action::Budget => self.begin(Purpose::Budget),
            Action::Frontier => self.open_frontier(),
            Action::Probes => self.open_probes(),
            Action::Arithmetic => self.switch_arithmetic(),
            Action::Compare => self.open_comparison(),
            Action::Review => self.open_review(),
            Action::MaxTokens => self.begin(Purpose::MaxTokens),
            Action::Sampling => self.begin(Purpose::Sampling),
            Action::OpenModel => self.begin(Purpose::Open),
            Action::EditPrompt => {
                self.ui.focus(Pane::Text);
                self.begin(Purpose::Prompt);
            }
            Action::NextPrompt => self.next_prompt(),
            Action::Chat => self.switch_chat(),
            Action::Generate => self.generate(false),
            Action::Branch => self.branch(),
            Action::StopLoops => self.switch_loops(),
            Action::Pin => self.pin(),
            Action::Unpin => self.unpin(),
            Action::NextPolicy => self.next_policy(),
            Action::NextText => self.step_text(1),
            Action::PreviousText => self.step_text(-1),
            Action::CloseText => self.close_text(),
            Action::ReopenText => self.reopen_text(),
            Action::Stop => self.workbench.stop(),
            Action::Calibrate => self.calibrate(),
            Action::TryAlone => self.scan(Mode::Only),
            Action::RestoreAlone => self.scan(Mode::Without),
            Action::Undo => self.undo(),
            Action::Redo => self.redo(),
            Action::History => self.open_history(),
            Action::TakeSnapshot => self.name_snapshot(),
            Action::Export => self.open_form(),
            Action::Jobs => self.ui.dialog = Some(Dialog::Jobs(0)),
            Action::Log => self.open_log(),
            Action::Palette => self.open_menu(false),
            Action::Quit => self.quit(),
            _ => self.arrange(action),
        }
    }

    fn arrange(&mut self, action: Action) {
        match action {
            Action::NextPane => self.step_pane(1),
            Action::PreviousPane => self.step_pane(2),
            Action::ShowSpectrum => {
                let next = if self.ui.pane == Pane::Spectrum { Pane::Layers } else { Pane::Spectrum };
                self.ui.focus(next);
                self.look_at_cursor();
            }
            Action::ToggleMap => {
                self.ui.map = !self.ui.map;
                self.ui.focus(Pane::Layers);
            }
            Action::Group => self.ui.listing.grouping = self.ui.listing.grouping.next(),
            Action::ChooseColumns => self.choose_columns(),
            Action::Copy => self.ui.dialog = Some(Dialog::Prefix(Context::Copy)),
            Action::Overlay => self.ui.spectrum.overlay = !self.ui.spectrum.overlay,
            Action::ZoomIn => self.ui.spectrum.zoom = (self.ui.spectrum.zoom + 1).min(MOST_ZOOMED),
            Action::ZoomOut => self.ui.spectrum.zoom = self.ui.spectrum.zoom.saturating_sub(1),
            Action::Linear => self.ui.spectrum.linear = !self.ui.spectrum.linear,
            Action::MapMetric => self.next_metric(),
            Action::Tour => self.toggle_tour(),
            Action::Zoom => self.ui.zoomed = !self.ui.zoomed,
            Action::NextTheme => self.next_theme(),
            Action::ReleaseMouse => self.release_mouse(),
            Action::Redraw => self.effects.push(Effect::Redraw),
            Action::Suspend => self.effects.push(Effect::Suspend),
            Action::Dismiss => self.dismiss(),
            _ => {}
        }
    }

    fn step_pane(&mut self, by: usize) {
        let here = Pane::ALL.iter().position(|pane| *pane == self.ui.pane).unwrap_or_default();
        let next = Pane::ALL.get((here + by) % Pane::ALL.len()).copied().unwrap_or_default();
        self.ui.focus(next);
    }

    fn next_theme(&mut self) {
        let name = self.ui.theme.next_name();
        if let Ok(theme) = Theme::embedded(name, self.depth) {
            self.own_theme = None;
            self.theme_chosen = true;
            self.ui.theme = theme;
            self.say(Severity::Info, format!("theme {name}"));
        }
    }

    fn next_metric(&mut self) {
        self.ui.metric = self.ui.metric.next();
        if !self.ui.map {
            let (name, key) = (self.ui.metric.name(), self.key(Action::ToggleMap));
            self.say(Severity::Info, format!("the map shows {name}; {key} leads there"));
        }
    }

    fn release_mouse(&mut self) {
        self.ui.mouse = !self.ui.mouse;
        self.effects.push(Effect::Mouse(self.ui.mouse));
        let text = if self.ui.mouse {
            "the mouse is ours again".to_owned()
        } else {
            format!("the mouse selects text now; {} takes it back", self.key(Action::ReleaseMouse))
        };
        self.say(Severity::Info, text);
    }

    fn dismiss(&mut self) {
        if self.ui.toast.take().is_some() {
            return;
        }
        if self.cursor().is_some() {
            self.ui.token = None;
            return;
        }
        match self.ui.pane {
            Pane::Layers => {}
            Pane::Spectrum => return self.ui.focus(Pane::Layers),
            // Brackets take other texts here and other ranks there: nobody should end up there by one esc too many.
            Pane::Text => {
                let text = format!("nothing to leave here; {} goes to the next pane", self.key(Action::NextPane));
                return self.say(Severity::Info, text);
            }
        }
        if self.ui.listing.filter_text.is_empty() {
            self.ui.listing.marked.clear();
        } else {
            self.ui.listing.filter_text.clear();
        }
    }

    fn calibrate(&mut self) {
        if self.workbench.opened().is_none() {
            self.say(Severity::Warning, "no model is open yet");
        } else if self.workbench.calibrated() {
            self.say(Severity::Info, "the input statistics are known already");
        } else {
            self.workbench.calibrate();
        }
    }

    fn scan(&mut self, mode: Mode) {
        match self.workbench.scan(mode) {
            // What comes in is to be seen.
            Ok(()) => {
                self.ui.metric = Metric::of(Figure::Kld);
                let each = if mode == Mode::Only { "tried" } else { "restored" };
                self.say(Severity::Info, format!("each layer is {each} alone; table and map fill with its KLD"));
            }
            Err(reason) => self.say(Severity::Warning, reason),
        }
    }

    fn undo(&mut self) {
        match self.workbench.undo() {
            Some(name) => self.say(Severity::Info, format!("undone: {name}")),
            None => self.say(Severity::Info, "nothing to undo"),
        }
    }

    fn redo(&mut self) {
        match self.workbench.redo() {
            Some(name) => self.say(Severity::Info, format!("done again: {name}")),
            None => self.say(Severity::Info, "nothing to do again"),
        }
    }

    fn switch_chat(&mut self) {
        match self.workbench.opened().map(|opened| opened.cannot_generate.as_ref().or(opened.cannot_chat.as_ref())) {
            None => self.say(Severity::Warning, "no model is open yet"),
            Some(Some(reason)) => {
                let reason = reason.clone();
                self.say(Severity::Warning, reason);
            }
            Some(None) => {
                self.ui.manner = if self.ui.chats() { Manner::Text } else { Manner::Chat };
                self.ui.lower = Pane::Text;
                let what = if self.ui.chats() { "what a user says" } else { "text to go on with" };
                self.say(Severity::Info, format!("the prompt is {what}; {} writes", self.key(Action::Generate)));
            }
        }
    }

    fn next_prompt(&mut self) {
        let prompts: Vec<&str> = PROMPTS.lines().filter(|line| !line.trim().is_empty()).collect();
        let next = prompts.iter().position(|prompt| *prompt == self.ui.prompt).map_or(0, |here| here + 1);
        if let Some(prompt) = prompts.get(next % prompts.len().max(1)) {
            (*prompt).clone_into(&mut self.ui.prompt);
            self.ui.lower = Pane::Text;
        }
    }

    fn open_form(&mut self) {
        let Some(opened) = self.workbench.opened() else {
            self.say(Severity::Warning, "no model is open yet");
            return;
        };
        let form = ExportForm::new(Format::Policy, &opened.label, &self.workbench);
        self.ui.dialog = Some(Dialog::Export(Box::new(form)));
    }

    pub(super) fn open_menu(&mut self, help: bool) {
        let menu = Menu::new(help, self.ui.context());
        self.ui.lay_over(Dialog::Menu(menu));
    }

    fn quit(&mut self) {
        let losses = self.workbench.would_lose();
        if losses.is_empty() {
            self.effects.push(Effect::Quit);
        } else {
            let title = "Leave rankscope?".to_owned();
            self.ui.dialog = Some(Dialog::Confirm(Question { title, losses, then: Then::Quit }));
        }
    }
}
