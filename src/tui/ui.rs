//! The state of the screen: all that is not the workbench's.

use std::collections::BTreeMap;
use std::sync::Arc;

use frizbee::Matcher;
use ratatui::layout::{Position, Rect};
use tui_input::Input;

use super::action::{Action, Info};
use super::column::Column;
use super::context::Context;
use super::export_form::ExportForm;
use super::figure::Figure;
use super::history::HistoryView;
use super::keymap::Keymap;
use super::listing::Listing;
use super::log::LogView;
use super::scene::Scene;
use super::theme::Theme;
use super::view::Alignment;
use super::widths::Widths;
use crate::compress::Plan;
use crate::model::Sampling;
use crate::workbench::{JobId, LiveView, Severity};

/// So many commands stand first in the palette.
const RECENT: usize = 6;

/// A pane that can have the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pane {
    /// The layers.
    #[default]
    Layers,
    /// The spectrum of the layer under the cursor.
    Spectrum,
    /// The two texts.
    Text,
}

impl Pane {
    /// All, in the order of Tab.
    pub const ALL: [Self; 3] = [Self::Layers, Self::Text, Self::Spectrum];

    /// Its context.
    pub const fn context(self) -> Context {
        match self {
            Self::Layers => Context::Layers,
            Self::Spectrum => Context::Spectrum,
            Self::Text => Context::Text,
        }
    }
}

/// What the map shows of each layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric(usize);

impl Default for Metric {
    fn default() -> Self {
        Self::of(Figure::Error)
    }
}

impl Metric {
    /// The figures that the map can show, in the order in which they come.
    pub const FIGURES: [Figure; 11] = [
        Figure::Error,
        Figure::Output,
        Figure::Rank,
        Figure::RankShare,
        Figure::After,
        Figure::Kld,
        Figure::OverNoise,
        Figure::EffectiveRank,
        Figure::StableRank,
        Figure::NoiseRank,
        Figure::Alpha,
    ];

    /// The one that shows a figure; the first, where none does.
    pub fn of(figure: Figure) -> Self {
        Self(Self::FIGURES.iter().position(|one| *one == figure).unwrap_or_default())
    }

    /// What it shows.
    pub fn figure(self) -> Figure {
        Self::FIGURES.get(self.0).copied().unwrap_or(Figure::Error)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.figure().title()
    }

    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self((self.0 + 1) % Self::FIGURES.len())
    }
}

/// What is drawn with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Glyphs {
    /// Lines, bars, braille, arrows.
    #[default]
    Full,
    /// ASCII alone.
    Ascii,
}

/// How spectra are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpectrumView {
    /// By value, not by order of magnitude.
    pub linear: bool,
    /// How often the range of ranks was halved.
    pub zoom: u8,
    /// With the other layers of the kind behind.
    pub overlay: bool,
}

/// How the prompt is put to the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// As text to go on with.
    #[default]
    Text,
    /// As what a user says, by the chat template.
    Chat,
}

impl Manner {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Chat => "chat",
        }
    }
}

/// What a line of text is typed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The filter; counts as one types.
    Filter,
    /// A rank for so many layers.
    Rank,
    /// A share of energy.
    Energy,
    /// The prompt.
    Prompt,
    /// The most new tokens.
    MaxTokens,
    /// Temperature and seed.
    Sampling,
    /// Another model.
    Open,
    /// A budget to plan within.
    Budget,
    /// Where to write the frontier.
    Frontier,
    /// Where probes lie.
    Probes,
    /// Where a text to compare over lies.
    Text,
    /// A name for the plans as they are.
    Snapshot,
    /// Words of the log's entries; counts as one types.
    Log,
}

/// A line that is being typed.
#[derive(Debug, Clone)]
pub struct Field {
    /// What for.
    pub purpose: Purpose,
    /// The text and its cursor.
    pub input: Input,
    /// Why the last Enter was refused.
    pub error: Option<String>,
}

/// Help or palette: actions filtered by typing.
#[derive(Debug, Clone)]
pub struct Menu {
    /// Whether it is the help (with descriptions) or the palette.
    pub help: bool,
    /// Where it was opened: its actions come first, and it runs them there.
    pub from: Context,
    /// The filter.
    pub input: Input,
    /// The chosen line.
    pub chosen: usize,
}

impl Menu {
    /// Whether its commands stand below the names of their topics.
    pub fn by_topics(&self) -> bool {
        self.help && self.input.value().trim().is_empty()
    }

    /// A menu over the actions of `from`.
    pub fn new(help: bool, from: Context) -> Self {
        Self { help, from, input: Input::default(), chosen: 0 }
    }

    /// The commands to choose from. Of the help those whose words all occur in title, description or keys, without anything typed all
    /// of them by topics; of the palette those whose title is alike, the likest first, and without anything typed those used last.
    pub fn items(&self, keymap: &Keymap, recent: &[Action]) -> Vec<&'static Info> {
        let typed = self.input.value().trim().to_lowercase();
        let mut items: Vec<&'static Info> = keymap.in_context(self.from).collect();
        let shown_below = |info: &&Info| if info.footer > 0 { info.footer } else { u8::MAX };
        if typed.is_empty() {
            let used = |info: &&Info| recent.iter().position(|action| *action == info.action).unwrap_or(usize::MAX);
            if !self.help {
                items.sort_by_key(|info| (used(info), shown_below(info)));
            }
            return items;
        }
        if !self.help {
            let titles: Vec<&str> = items.iter().map(|info| info.title).collect();
            let alike = Matcher::new(&typed, &frizbee::Config::default()).match_list(&titles);
            let alike: Vec<_> = alike.iter().filter_map(|found| items.get(found.index as usize).copied()).collect();
            if !alike.is_empty() {
                return alike;
            }
        }
        let words: Vec<&str> = typed.split_whitespace().collect();
        items.retain(|info| {
            let keys = keymap.keys(info.action, self.from).join(" ");
            let haystack = format!("{} {} {keys}", info.title, info.description).to_lowercase();
            words.iter().all(|word| haystack.contains(word))
        });
        items.sort_by_key(|info| words.first().is_none_or(|first| !info.title.starts_with(first)));
        items
    }
}

/// A question before something is lost.
#[derive(Debug, Clone)]
pub struct Question {
    /// The question.
    pub title: String,
    /// What yes would lose.
    pub losses: Vec<String>,
    /// What yes does.
    pub then: Then,
}

/// What follows a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Leave.
    Quit,
    /// Open this model.
    Open(String),
}

/// What lies over the panes.
#[derive(Debug, Clone)]
pub enum Dialog {
    /// Help or palette.
    Menu(Menu),
    /// What a figure means; its place among the figures.
    Explain(usize),
    /// Edits and snapshots.
    History(Box<HistoryView>),
    /// The choice of the table's columns; the chosen line.
    Columns(usize),
    /// A key was pressed that begins several commands, which count in this context.
    Prefix(Context),
    /// Jobs and messages; the chosen line.
    Jobs(usize),
    /// The log.
    Log(LogView),
    /// Save and export.
    Export(Box<ExportForm>),
    /// A policy found for a budget; the chosen line.
    Review(usize),
    /// Bytes against KLD of several policies; the chosen one.
    Frontier(usize),
    /// Answers to probes; the chosen case.
    Probes(usize),
    /// Both models over a text; the first line shown.
    Comparison(usize),
    /// A question.
    Confirm(Question),
}

/// A message that is shown for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toast {
    /// How serious.
    pub severity: Severity,
    /// One line.
    pub text: String,
}

/// The state of the screen.
#[derive(Debug, Clone)]
pub struct Ui {
    /// The layers' cursor, order, filter and selection.
    pub listing: Listing,
    /// The pane that has the focus.
    pub pane: Pane,
    /// Spectrum or text: which of them was there last, where only one has room.
    pub lower: Pane,
    /// The map in place of the table.
    pub map: bool,
    /// What the map shows.
    pub metric: Metric,
    /// How spectra are shown.
    pub spectrum: SpectrumView,
    /// The focused pane alone.
    pub zoomed: bool,
    /// What lies over the panes.
    pub dialog: Option<Dialog>,
    /// The dialog that help or an explanation was opened over, and that comes back when it closes.
    pub below: Option<Box<Dialog>>,
    /// The line that is being typed.
    pub field: Option<Field>,
    /// The prompt.
    pub prompt: String,
    /// How the prompt is put to the models.
    pub manner: Manner,
    /// The most new tokens.
    pub max_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Lines that the texts are scrolled up from their end.
    pub text_scroll: usize,
    /// The policy that is looked at: 0 the plans as they are, then those pinned.
    pub policy: usize,
    /// The token of the original's text that is looked at.
    pub token: Option<usize>,
    /// Colours and weights.
    pub theme: Theme,
    /// What keys do.
    pub keymap: Arc<Keymap>,
    /// Commands that the palette ran, the last one first.
    pub recent: Vec<Action>,
    /// The message on the screen.
    pub toast: Option<Toast>,
    /// The last plan of each layer that was not dense.
    pub last_plans: BTreeMap<usize, Plan>,
    /// The model of the last session, to open again.
    pub last_model: Option<String>,
    /// The rank under the mouse while it drags the cut.
    pub dragged_rank: Option<usize>,
    /// Whether the mouse is ours.
    pub mouse: bool,
    /// What is drawn with.
    pub glyphs: Glyphs,
    /// The step of the tour.
    pub tour: Option<usize>,
}

impl Ui {
    /// A fresh screen.
    pub fn new(theme: Theme, prompt: &str) -> Self {
        Self {
            listing: Listing::default(),
            pane: Pane::Layers,
            lower: Pane::Text,
            map: false,
            metric: Metric::default(),
            spectrum: SpectrumView::default(),
            zoomed: false,
            dialog: None,
            below: None,
            field: None,
            prompt: prompt.to_owned(),
            manner: Manner::Text,
            max_tokens: 120,
            sampling: Sampling::default(),
            text_scroll: 0,
            policy: 0,
            token: None,
            theme,
            keymap: Arc::default(),
            recent: Vec::new(),
            toast: None,
            last_plans: BTreeMap::new(),
            last_model: None,
            dragged_rank: None,
            mouse: true,
            glyphs: Glyphs::Full,
            tour: None,
        }
    }

    /// What receives the next key.
    pub fn context(&self) -> Context {
        match (&self.field, &self.dialog) {
            (Some(_), _) => Context::Input,
            (None, Some(Dialog::Menu(_))) => Context::List,
            (None, Some(Dialog::Explain(_))) => Context::Explain,
            (None, Some(Dialog::History(_))) => Context::History,
            (None, Some(Dialog::Columns(_))) => Context::Columns,
            (None, Some(Dialog::Prefix(context))) => *context,
            (None, Some(Dialog::Jobs(_))) => Context::Jobs,
            (None, Some(Dialog::Log(_))) => Context::Log,
            (None, Some(Dialog::Export(_))) => Context::Export,
            (None, Some(Dialog::Review(_))) => Context::Review,
            (None, Some(Dialog::Frontier(_))) => Context::Frontier,
            (None, Some(Dialog::Probes(_))) => Context::Probes,
            (None, Some(Dialog::Comparison(_))) => Context::Comparison,
            (None, Some(Dialog::Confirm(_))) => Context::Confirm,
            (None, None) => self.pane.context(),
        }
    }

    /// Notes that the palette ran a command.
    pub fn used(&mut self, action: Action) {
        self.recent.retain(|one| *one != action);
        self.recent.insert(0, action);
        self.recent.truncate(RECENT);
    }

    /// Puts a dialog over the one that is open, if one is.
    pub fn lay_over(&mut self, dialog: Dialog) {
        self.below = self.dialog.replace(dialog).map(Box::new);
    }

    /// Closes the dialog; the one below it comes back.
    pub fn close(&mut self) {
        self.dialog = self.below.take().map(|below| *below);
    }

    /// Whether the plans have changed since the texts on the screen were written.
    pub fn is_stale(&self, scene: &Scene<'_>) -> bool {
        let plans = scene.rows.iter().map(|row| row.plan);
        !scene.run.running && scene.run.means.count > 0 && !plans.eq(scene.run.plans.iter().copied())
    }

    /// The token under the cursor, while the texts have the focus.
    pub fn token_cursor(&self, live: &LiveView) -> Option<usize> {
        let last = live.original.tokens.len().checked_sub(1)?;
        self.token.filter(|_| self.pane == Pane::Text).map(|token| token.min(last))
    }

    /// The policy that is looked at among those of a run.
    pub fn policy_of(&self, run: &LiveView) -> usize {
        if self.policy <= run.rivals.len() { self.policy } else { 0 }
    }

    /// The original and that policy.
    pub fn looked_at<'a>(&self, run: &'a LiveView) -> &'a LiveView {
        self.policy_of(run).checked_sub(1).and_then(|rival| run.rivals.get(rival)).unwrap_or(run)
    }

    /// Whether the prompt is what a user says in a chat.
    pub fn chats(&self) -> bool {
        self.manner == Manner::Chat
    }

    /// Gives the focus to a pane.
    pub fn focus(&mut self, pane: Pane) {
        self.pane = pane;
        if pane != Pane::Layers {
            self.lower = pane;
        }
    }
}

/// What a click meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A layer, in table or map.
    Layer(usize),
    /// A column's head.
    Column(Column),
    /// A pane.
    Pane(Pane),
    /// A token of the original's text.
    Token(usize),
    /// One of the texts that are kept.
    Text(usize),
    /// One of the policies of a run.
    Policy(usize),
    /// A hint or button.
    Action(Action),
    /// The chart of ranks, with the first and the last rank that it shows.
    Chart(usize, usize),
    /// A line of a menu.
    MenuLine(usize),
    /// A line of any other list.
    Line(usize),
    /// A line of the jobs.
    JobLine(usize),
    /// The cancel of a job.
    CancelJob(JobId),
    /// A field of the export form.
    FormField(usize),
    /// A policy of the frontier.
    FrontierPoint(usize),
    /// A probe that only one model gets right.
    ProbeCase(usize),
    /// A change under review, and its mark.
    Change(usize),
    /// As above.
    ChangeMark(usize),
    /// A dialog's own ground, which takes clicks from what lies under it.
    Ground,
}

/// What a frame left behind for the keys and clicks that follow.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Where clicks go; later ones lie above.
    pub hits: Vec<(Rect, Target)>,
    /// Layers that the table or map shows at once.
    pub page: usize,
    /// First line of the table.
    pub table_offset: usize,
    /// How wide the table's columns are.
    pub widths: Widths,
    /// The table's columns that there are, those without room among them.
    pub columns: Vec<Column>,
    /// First line of the map.
    pub map_offset: usize,
    /// Lines of text shown at once.
    pub text_page: usize,
    /// How far the texts can be scrolled.
    pub text_overflow: usize,
    /// First line of the texts.
    pub text_first: usize,
    /// Line and column of each token of the original's text.
    pub places: Vec<(usize, u16)>,
    /// What the texts of each policy share with the original's after they part.
    pub alignments: Vec<Alignment>,
    /// First token of the strip.
    pub strip_first: usize,
    /// How far the comparison can be scrolled.
    pub comparison_overflow: usize,
    /// Where the terminal's cursor stands while text is typed.
    pub cursor: Option<Position>,
}

impl Facts {
    /// What lies at a place, with its rectangle.
    pub fn at(&self, position: Position) -> Option<(Rect, Target)> {
        self.hits.iter().rev().find(|(area, _)| area.contains(position)).copied()
    }
}
