//! From one session to the next: the draft of plans, the prompt, and how the screen was arranged.

use std::collections::BTreeMap;

use super::action::Action;
use super::app::App;
use super::column::Column;
use super::columns::Columns;
use super::listing::Grouping;
use super::theme::Theme;
use super::ui::{Manner, Metric, Pane};
use crate::workbench::{Draft, Severity, Workbench};

/// What a person chose goes from one terminal to the next; what suits the background of one does not.
const CHOSEN_THEME: &str = "chosen theme";

impl App {
    /// The screen's arrangement, as words.
    pub fn arrangement(&self) -> BTreeMap<String, String> {
        let ui = &self.ui;
        let pane = if ui.lower == Pane::Spectrum { "spectrum" } else { "text" };
        let chosen = self.theme_chosen.then(|| (CHOSEN_THEME.to_owned(), ui.theme.name.clone()));
        let rest = [
            ("view", if ui.map { "map" } else { "table" }.to_owned()),
            ("figure", ui.metric.name().to_owned()),
            ("lower", pane.to_owned()),
            ("sort", ui.listing.sort.title().to_owned()),
            ("group", ui.listing.grouping.name().to_owned()),
            ("recent", ui.recent.iter().map(|action| action.name()).collect::<Vec<_>>().join(" ")),
            ("columns", ui.listing.columns.to_words()),
            ("order", if ui.listing.falling { "falling" } else { "rising" }.to_owned()),
            ("tokens", ui.max_tokens.to_string()),
            ("prompt", ui.manner.name().to_owned()),
            ("loops", if self.workbench.stops_at_loops() { "end" } else { "go on" }.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        rest.into_iter().chain(chosen).collect()
    }

    /// Arranges the screen as it was; the theme too, unless one was asked for. Words that mean nothing change nothing.
    pub fn arrange_as(&mut self, words: &BTreeMap<String, String>, theme: bool) {
        let word = |key: &str| words.get(key).map(String::as_str);
        self.ui.map = word("view") == Some("map");
        self.ui.manner = if word("prompt") == Some(Manner::Chat.name()) { Manner::Chat } else { Manner::Text };
        self.ui.lower = if word("lower") == Some("spectrum") { Pane::Spectrum } else { Pane::Text };
        if let Some(figure) = Metric::FIGURES.into_iter().find(|one| Some(one.title()) == word("figure")) {
            self.ui.metric = Metric::of(figure);
        }
        if let Some(column) = Column::ALL.into_iter().find(|one| Some(one.title()) == word("sort")) {
            self.ui.listing.sort = column;
            self.ui.listing.falling = word("order") == Some("falling");
        }
        if let Some(grouping) = Grouping::ALL.into_iter().find(|one| Some(one.name()) == word("group")) {
            self.ui.listing.grouping = grouping;
        }
        let recent = word("recent").unwrap_or_default().split(' ');
        self.ui.recent = recent.filter_map(Action::named).take(8).collect();
        self.ui.listing.columns = Columns::of_words(word("columns").unwrap_or_default());
        if let Some(tokens) =
            word("tokens").and_then(|text| text.parse().ok()).filter(|tokens| (1..=100_000).contains(tokens))
        {
            self.ui.max_tokens = tokens;
        }
        self.workbench.set_stop_at_loops(word("loops") == Some("end"));
        if theme && let Some(Ok(theme)) = word(CHOSEN_THEME).map(|name| Theme::embedded(name, self.depth)) {
            self.ui.theme = theme;
            self.theme_chosen = true;
        }
    }

    /// The draft as it is now; none while no model is open, so that an earlier one is not lost.
    pub fn draft(&self) -> Option<Draft> {
        self.workbench.opened().map(|_| self.workbench.draft(&self.ui.prompt, self.arrangement()))
    }

    /// Writes the draft now; trouble with the disk is told and no more.
    pub fn keep_draft(&mut self) {
        if let Some(draft) = self.draft()
            && let Err(error) = Workbench::keep_draft(&self.locations, &draft)
        {
            self.say(Severity::Warning, error.to_string());
        }
    }

    /// Writes the draft on a thread of its own, so that a slow disk stalls nothing.
    pub(super) fn keep_draft_aside(&self) {
        if let Some(draft) = self.draft() {
            let locations = self.locations.clone();
            std::thread::spawn(move || drop(Workbench::keep_draft(&locations, &draft)));
        }
    }

    /// Notices that another model is open: its layers are looked at afresh, and the prompt of its draft is taken back.
    pub(super) fn notice_model(&mut self) {
        let Some(opened) = self.workbench.opened() else { return };
        let model = (opened.label.clone(), self.workbench.rows().len(), self.workbench.totals().bytes_original);
        if self.shown_model.as_ref() == Some(&model) {
            return;
        }
        if opened.cannot_chat.is_some() {
            self.ui.manner = Manner::Text;
        }
        self.shown_model = Some(model);
        self.ui.listing.cursor = 0;
        self.ui.listing.marked.clear();
        self.ui.last_plans.clear();
        self.ui.listing.refresh(self.workbench.rows());
        if let Some(draft) = self.pending_draft.take() {
            self.restore_prompt(&draft);
        }
    }

    /// Takes back the prompt of a draft of the opened model; its plans are the workbench's to restore.
    fn restore_prompt(&mut self, draft: &Draft) {
        let same = self.draft().is_some_and(|now| now.identity == draft.identity);
        if same && !draft.prompt.is_empty() {
            draft.prompt.clone_into(&mut self.ui.prompt);
        }
    }
}
