//! The mouse: whatever acts can be clicked.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::action::Action;
use super::app::App;
use super::edit::PlanEdit;
use super::ui::{Dialog, Pane, Target};
use super::view::rank_at;
use crate::workbench::Severity;

const WHEEL_LINES: isize = 3;

impl App {
    pub(super) fn mouse(&mut self, event: MouseEvent) {
        let position = Position { x: event.column, y: event.row };
        let found = self.facts.at(position);
        match event.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                if let Some((area, target)) = found {
                    self.click(area, target, event.column);
                }
            }
            MouseEventKind::Drag(MouseButton::Left) => {
                if let (Some((area, Target::Chart(first, last))), Some(_)) = (found, self.ui.dragged_rank) {
                    self.ui.dragged_rank = Some(rank_at(area, event.column, (first, last)));
                }
            }
            MouseEventKind::Up(MouseButton::Left) => self.drop_cut(),
            MouseEventKind::ScrollUp => self.wheel(position, -WHEEL_LINES),
            MouseEventKind::ScrollDown => self.wheel(position, WHEEL_LINES),
            _ => {}
        }
    }

    fn drop_cut(&mut self) {
        if let Some(rank) = self.ui.dragged_rank.take()
            && let Err(reason) = self.edit(PlanEdit::Rank(rank))
        {
            self.say(Severity::Warning, reason);
        }
    }

    fn wheel(&mut self, position: Position, lines: isize) {
        if let Some(dialog) = &self.ui.dialog {
            if !matches!(dialog, Dialog::Export(_) | Dialog::Confirm(_)) {
                self.perform(if lines < 0 { Action::MoveUp } else { Action::MoveDown });
            }
            return;
        }
        let pane = self.facts.hits.iter().rev().find_map(|(area, target)| match target {
            Target::Pane(pane) if area.contains(position) => Some(*pane),
            _ => None,
        });
        match pane {
            Some(Pane::Text) if self.cursor().is_some() => self.step_lines(lines),
            Some(Pane::Text) => {
                let scroll = self.ui.text_scroll.saturating_add_signed(-lines);
                self.ui.text_scroll = scroll.min(self.facts.text_overflow);
            }
            Some(Pane::Layers | Pane::Spectrum) => {
                self.ui.listing.step(lines);
                self.look_at_cursor();
            }
            None => {}
        }
    }

    fn click(&mut self, area: Rect, target: Target, column: u16) {
        match target {
            Target::Layer(index) => {
                self.ui.focus(Pane::Layers);
                self.ui.listing.go_to(index);
                self.look_at_cursor();
            }
            Target::Column(column) => {
                self.ui.listing.column = column;
                self.sort_by(column);
            }
            Target::Pane(pane) => self.ui.focus(pane),
            Target::Token(token) => self.go_to_token(token),
            Target::Policy(policy) => {
                self.ui.focus(Pane::Text);
                self.ui.policy = policy;
            }
            Target::Text(place) => {
                self.ui.focus(Pane::Text);
                self.show_text(place);
            }
            Target::Action(action) => self.perform(action),
            Target::Chart(first, last) => {
                self.ui.focus(Pane::Spectrum);
                self.ui.dragged_rank = Some(rank_at(area, column, (first, last)));
            }
            _ => self.click_in_dialog(target),
        }
    }

    fn click_in_dialog(&mut self, target: Target) {
        match (target, &mut self.ui.dialog) {
            (Target::MenuLine(line), Some(Dialog::Menu(menu))) => {
                menu.chosen = line;
                self.perform(Action::Accept);
            }
            (Target::Line(line), Some(Dialog::Columns(chosen))) if *chosen == line => {
                self.perform(Action::ToggleColumn);
            }
            (Target::Line(line), Some(Dialog::Log(log))) => {
                log.chosen = log.shown(&self.log_seen).get(line).map(|(number, _)| *number);
            }
            (Target::Line(line), Some(Dialog::History(history))) => history.choose(line, &self.workbench),
            (Target::Line(line), Some(Dialog::Explain(chosen) | Dialog::Columns(chosen)))
            | (Target::JobLine(line), Some(Dialog::Jobs(chosen)))
            | (Target::FrontierPoint(line), Some(Dialog::Frontier(chosen)))
            | (Target::ProbeCase(line), Some(Dialog::Probes(chosen)))
            | (Target::Change(line), Some(Dialog::Review(chosen))) => *chosen = line,
            (Target::ChangeMark(line), Some(Dialog::Review(chosen))) => {
                *chosen = line;
                self.toggle_change(line);
            }
            (Target::CancelJob(job), _) => self.workbench.cancel(job),
            (Target::FormField(2), Some(Dialog::Export(form))) => {
                form.field = 2;
                form.force = !form.force;
            }
            (Target::FormField(field @ 0..=1), Some(Dialog::Export(form))) => form.field = field,
            (Target::FormField(place), Some(Dialog::Export(form))) => {
                form.choose_at(place.saturating_sub(10), &self.workbench);
            }
            _ => {}
        }
    }
}
