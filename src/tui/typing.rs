//! Lines of text: what is typed for what, and what Enter makes of it.

use crossterm::event::{Event, KeyCode, KeyEvent};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::action::Action;
use super::app::App;
use super::edit::{PlanEdit, parse_energy};
use super::filter::{completed, offers};
use super::ui::{Dialog, Field, Purpose, Question, Then};
use crate::workbench::{Severity, Source};

/// The most characters that a line holds.
const LONGEST: usize = 20_000;

/// Inserts pasted text at the cursor, control characters as spaces, in one piece: character by character a long one would take
/// for ever. Whether some of it had no room.
fn insert(input: &mut Input, text: &str) -> bool {
    let (value, cursor) = (input.value(), input.cursor());
    let room = LONGEST.saturating_sub(value.chars().count());
    let text = text.trim_end();
    let harmless: String = text.chars().take(room).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let inserted = harmless.chars().count();
    let whole: String = value.chars().take(cursor).chain(harmless.chars()).chain(value.chars().skip(cursor)).collect();
    *input = Input::new(whole).with_cursor(cursor + inserted);
    text.chars().nth(room).is_some()
}

impl App {
    /// Begins a line.
    pub(super) fn begin(&mut self, purpose: Purpose) {
        if matches!(purpose, Purpose::Rank | Purpose::Energy) && self.ui.listing.targets().is_empty() {
            return;
        }
        let text = match purpose {
            Purpose::Filter => self.ui.listing.filter_text.clone(),
            Purpose::Log => self.log_view().map_or_else(String::new, |view| view.filter.clone()),
            Purpose::Prompt => self.ui.prompt.clone(),
            Purpose::Open => self.ui.last_model.clone().unwrap_or_default(),
            Purpose::Frontier => self.frontier_path(),
            _ => String::new(),
        };
        self.ui.field = Some(Field { purpose, input: Input::new(text), error: None });
    }

    /// A key that is no command: text, where text is typed.
    pub(super) fn type_key(&mut self, key: KeyEvent) {
        let event = Event::Key(key);
        if let Some(field) = &mut self.ui.field {
            field.input.handle_event(&event);
            field.error = None;
            self.typed();
            return;
        }
        match &mut self.ui.dialog {
            Some(Dialog::Menu(menu)) => {
                menu.input.handle_event(&event);
                menu.chosen = 0;
            }
            Some(Dialog::Export(_)) => self.type_into_form(&event, key.code),
            _ => {}
        }
    }

    fn type_into_form(&mut self, event: &Event, code: KeyCode) {
        let Some(Dialog::Export(form)) = &mut self.ui.dialog else { return };
        match (form.field, code) {
            (0, KeyCode::Left) => form.choose(-1, &self.workbench),
            (0, KeyCode::Right | KeyCode::Char(' ')) => form.choose(1, &self.workbench),
            (2, KeyCode::Char(' ' | 'x') | KeyCode::Left | KeyCode::Right) => form.force = !form.force,
            (1, _) if form.path.handle_event(event).is_some() => {
                form.own_path = true;
                form.look(&self.workbench);
            }
            _ => {}
        }
    }

    /// Takes a paste as text, its line breaks as spaces; where nothing is typed, it is no command.
    pub(super) fn paste(&mut self, text: &str) {
        let input = match (&mut self.ui.field, &mut self.ui.dialog) {
            (Some(field), _) => &mut field.input,
            (None, Some(Dialog::Menu(menu))) => &mut menu.input,
            (None, Some(Dialog::Export(form))) if form.field == 1 => &mut form.path,
            _ => {
                let text = format!("nothing is being typed; {} edits the prompt", self.key(Action::EditPrompt));
                self.say(Severity::Info, text);
                return;
            }
        };
        let cut = insert(input, text);
        if cut {
            self.say(Severity::Warning, format!("the paste was cut: {LONGEST} characters are the most that fit"));
        }
        if let Some(Dialog::Export(form)) = &mut self.ui.dialog {
            form.own_path = true;
            form.look(&self.workbench);
        }
        self.typed();
    }

    /// What counts while it is typed.
    fn typed(&mut self) {
        if let Some(field) = self.ui.field.as_ref().filter(|field| field.purpose == Purpose::Filter) {
            field.input.value().clone_into(&mut self.ui.listing.filter_text);
        }
        if let Some(field) = self.ui.field.as_ref().filter(|field| field.purpose == Purpose::Log) {
            let words = field.input.value().to_owned();
            self.filter_log(words);
        }
    }

    pub(super) fn act_on_field(&mut self, action: Action) {
        let Some(field) = self.ui.field.take() else { return };
        match action {
            Action::Leave if field.purpose == Purpose::Filter => self.ui.listing.filter_text.clear(),
            Action::Leave if field.purpose == Purpose::Log => self.filter_log(String::new()),
            Action::Enter => {
                if let Err(reason) = self.take(field.purpose, field.input.value().trim(), field.error.is_some()) {
                    self.ui.field = Some(Field { error: Some(reason), ..field });
                }
            }
            Action::Complete => {
                let offers = offers(field.input.value(), self.workbench.rows());
                let completed = completed(field.input.value(), &offers).filter(|_| field.purpose == Purpose::Filter);
                let input = completed.map_or_else(|| field.input.clone(), Input::new);
                self.ui.field = Some(Field { input, ..field });
                self.typed();
            }
            Action::Interrupt => self.ui.field = Some(field),
            _ => {}
        }
    }

    /// `again`: the same text was refused before.
    fn take(&mut self, purpose: Purpose, text: &str, again: bool) -> Result<(), String> {
        match purpose {
            Purpose::Filter | Purpose::Log => Ok(()),
            Purpose::MaxTokens | Purpose::Sampling | Purpose::Open if text.is_empty() => Ok(()),
            Purpose::Rank => {
                let rank = text.parse().map_err(|_| "type a whole number".to_owned())?;
                self.edit(PlanEdit::Rank(rank))
            }
            Purpose::Energy => self.edit(PlanEdit::Energy(parse_energy(text)?)),
            Purpose::Prompt if text.is_empty() => Err("type at least a word".to_owned()),
            Purpose::Prompt => {
                text.clone_into(&mut self.ui.prompt);
                self.generate(true);
                Ok(())
            }
            Purpose::MaxTokens => {
                let count = text.parse().ok().filter(|count| (1..=100_000).contains(count));
                self.ui.max_tokens = count.ok_or("type a number of tokens from 1 to 100000")?;
                Ok(())
            }
            Purpose::Sampling => self.take_sampling(text),
            Purpose::Open => {
                self.ask_to_open(text);
                Ok(())
            }
            Purpose::Budget => self.workbench.plan_within(text),
            Purpose::Frontier => self.save_frontier(text, again),
            Purpose::Snapshot => self.take_snapshot(text),
            Purpose::Probes => self.ask_probes(text),
            Purpose::Text => self.compare_over(text),
        }
    }

    fn take_sampling(&mut self, text: &str) -> Result<(), String> {
        let mut words = text.split_whitespace();
        let temperature: f32 = words
            .next()
            .and_then(|word| word.parse().ok())
            .filter(|t| (0.0..=10.0).contains(t))
            .ok_or("type a temperature from 0 to 10, and a seed after it if you like")?;
        let seed = match words.next() {
            Some(word) => word.parse().map_err(|_| format!("{word} is no seed; type a whole number"))?,
            None => self.ui.sampling.seed,
        };
        self.ui.sampling.temperature = (temperature > 0.0).then_some(temperature);
        self.ui.sampling.seed = seed;
        Ok(())
    }

    fn ask_to_open(&mut self, model: &str) {
        let losses = self.workbench.would_lose();
        if losses.is_empty() {
            self.workbench.open(Source::parse(model), None, None);
        } else {
            let title = "Open another model?".to_owned();
            self.ui.dialog = Some(Dialog::Confirm(Question { title, losses, then: Then::Open(model.to_owned()) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paste_goes_where_the_cursor_is_and_is_cut_where_it_is_too_long() {
        let mut input = Input::new("ad".into()).with_cursor(1);
        assert!(!insert(&mut input, "b\nc\n"));
        assert_eq!((input.value(), input.cursor()), ("ab cd", 4));
        assert!(insert(&mut input, &"x".repeat(LONGEST)));
        assert_eq!(input.value().chars().count(), LONGEST);
        assert!(input.value().starts_with("ab cx") && input.value().ends_with("xd"));
    }
}
