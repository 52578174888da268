//! The workbench line by line, for screen readers, dumb terminals and pipes: the same actions by their names, no screen.
//!
//! A line is the name of an action (`rank`, `try-each-layer` ...) with what would be typed after it (`rank 16`), or one of the
//! words that show something (`layers`, `text` ...). What an action begins is waited for; meanwhile `jobs` is answered and a job can be
//! cancelled by its number.

mod tell;

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use strsim::jaro_winkler;

use super::action::{ACTIONS, Action};
use super::app::{App, Effect};
use super::column::Column;
use super::context::Context;
use super::export_form::Format;
use super::log::LogView;
use super::ui::{Dialog, Pane};
use crate::workbench::{JobKind, JobState, Severity};

/// Names at least this alike are offered in place of an unknown one.
const ALIKE: f64 = 0.75;
/// How long a job may be silent before it is looked at again.
const LOOK: Duration = Duration::from_millis(100);

/// What a line asks for beyond the actions.
const WORDS: [(&str, &str); 16] = [
    ("help", "help [WORD]: this list, or the actions that have the word in them"),
    ("layers", "layers [QUERY]: the layers that the filter, or the query, lets through"),
    ("layer", "layer N: goes to a layer by its number and tells all that is known of it"),
    ("select", "select QUERY | all | none: selects layers"),
    ("text", "text: both texts, where they part, and the figures"),
    ("proposal", "proposal [accept N | reject N | all | none | apply]: the plan found for a budget"),
    ("comparison", "comparison: both models over a text, once compare has run"),
    ("answers", "answers: the probes, once they have been asked"),
    ("points", "points: the frontier, once it has been measured"),
    ("steps", "steps [N]: every change of plans, or goes to one"),
    (
        "save",
        "save policy|compressed|classic|dense|report|session PATH [force]: writes a policy, a checkpoint, a report, the session",
    ),
    (
        "jobs",
        "jobs: what is at work and what has ended, each with its number; answered while something is at work, too",
    ),
    ("cancel", "cancel N: cancels the job of that number; taken while something is at work, too"),
    ("retry", "retry N: does a job that failed or was cancelled once more"),
    ("log", "log [WORDS]: the last entries of the log, or those that have the words"),
    ("quit", "quit: leaves; the draft of plans and prompt is kept"),
];

/// The lines of a stream as they come, read on a thread of their own, so that they can be looked at while something is waited for.
///
/// # Errors
/// No thread can be had.
pub fn lines(input: impl BufRead + Send + 'static) -> io::Result<Receiver<io::Result<String>>> {
    let (sender, lines) = sync_channel(1);
    let read = move || input.lines().try_for_each(|line| sender.send(line)).unwrap_or_default();
    thread::Builder::new().name("rankscope lines".into()).spawn(read)?;
    Ok(lines)
}

/// Takes lines until there are no more, or one says to leave.
///
/// # Errors
/// The streams'.
pub fn run(
    app: &mut App,
    wakes: &Receiver<()>,
    lines: &Receiver<io::Result<String>>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let asks = std::io::stdin().is_terminal();
    let mut session = Session { app, wakes, lines, next: None, told: 0 };
    session.wait(out)?;
    writeln!(out, "{}", tell::model(&session.app.scene()))?;
    writeln!(out, "help lists what can be typed")?;
    loop {
        if asks {
            write!(out, "> ")?;
        }
        out.flush()?;
        let Some(line) = session.next.take().or_else(|| session.lines.recv().ok()).transpose()? else { return Ok(()) };
        if !session.answer(line.trim(), out)? {
            return Ok(());
        }
    }
}

/// A waker for a workbench without a screen, and what it wakes.
pub fn waker() -> (Arc<dyn Fn() + Send + Sync>, Receiver<()>) {
    let (sender, wakes): (mpsc::Sender<()>, _) = channel();
    (Arc::new(move || sender.send(()).unwrap_or_default()), wakes)
}

struct Session<'a> {
    app: &'a mut App,
    wakes: &'a Receiver<()>,
    lines: &'a Receiver<io::Result<String>>,
    /// A line that came while something was at work, and waits for it.
    next: Option<io::Result<String>>,
    /// Serial of the last message told.
    told: u64,
}

impl Session<'_> {
    /// Whether to go on.
    fn answer(&mut self, line: &str, out: &mut dyn Write) -> anyhow::Result<bool> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "" => {}
            "quit" => return Ok(false),
            "help" => write!(out, "{}", help(rest))?,
            "layers" => write!(out, "{}", self.layers(rest))?,
            "layer" => writeln!(out, "{}", self.layer(rest))?,
            "select" => writeln!(out, "{}", self.select(rest))?,
            "text" => write!(out, "{}", tell::texts(&self.app.scene()))?,
            "proposal" => writeln!(out, "{}", self.proposal(rest))?,
            "comparison" => write!(out, "{}", tell::comparison(&self.app.scene()))?,
            "answers" => write!(out, "{}", tell::answers(&self.app.scene()))?,
            "points" => write!(out, "{}", tell::points(&self.app.scene()))?,
            "steps" => write!(out, "{}", self.steps(rest))?,
            "jobs" => write!(out, "{}", tell::jobs(&self.app.workbench.jobs()))?,
            "cancel" => writeln!(out, "{}", self.job(rest, Action::CancelJob))?,
            "retry" => writeln!(out, "{}", self.job(rest, Action::RetryJob))?,
            "log" => write!(out, "{}", self.log(rest))?,
            "save" => self.save(rest, out)?,
            name => self.act(name, rest, out)?,
        }
        self.wait(out)?;
        if self.app.take_effects().iter().any(|effect| matches!(effect, Effect::Quit | Effect::Interrupt)) {
            return Ok(false);
        }
        Ok(true)
    }

    /// Performs an action by its name, and types what follows it.
    fn act(&mut self, name: &str, typed: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let Some(action) = Action::named(name) else {
            let alike = |known: &str| jaro_winkler(known, name);
            let names = ACTIONS.iter().map(|info| info.action.name()).chain(WORDS.map(|(word, _)| word.to_owned()));
            let nearest = names.max_by(|a, b| alike(a).total_cmp(&alike(b))).filter(|known| alike(known) >= ALIKE);
            let hint = nearest.map_or("help lists them".to_owned(), |nearest| format!("did you mean {nearest}?"));
            return Ok(writeln!(out, "nothing is called {name}; {hint}")?);
        };
        let pane = Pane::ALL.into_iter().find(|pane| self.app.ui.keymap.counts(action, pane.context()));
        let Some(pane) = pane else { return Ok(writeln!(out, "{name} belongs to a dialog of the screen")?) };
        self.app.ui.focus(pane);
        self.app.perform(action);
        if self.app.ui.context() == Context::Input {
            self.type_line(typed);
            if let Some(error) = self.app.ui.field.take().and_then(|field| field.error) {
                writeln!(out, "refused: {error}")?;
            }
        }
        self.app.follow(Instant::now());
        if let Some(Dialog::Confirm(question)) = &self.app.ui.dialog {
            writeln!(out, "{} {}", question.title, question.losses.join("; "))?;
            writeln!(out, "the draft is kept; quit leaves at once")?;
        }
        self.app.ui.dialog = None;
        self.wait(out)?;
        if matches!(action, Action::Generate | Action::EditPrompt | Action::NextPrompt) {
            write!(out, "{}", tell::texts(&self.app.scene()))?;
        }
        Ok(writeln!(out, "{}", tell::totals(&self.app.scene()))?)
    }

    fn type_line(&mut self, text: &str) {
        let mut press = |code, modifiers| self.app.handle(&Event::Key(KeyEvent::new(code, modifiers)), Instant::now());
        press(KeyCode::Char('u'), KeyModifiers::CONTROL);
        text.chars().for_each(|c| press(KeyCode::Char(c), KeyModifiers::NONE));
        press(KeyCode::Enter, KeyModifiers::NONE);
    }

    /// Waits until nothing is at work but the decomposing, telling jobs and messages as they come.
    fn wait(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut shown = None;
        loop {
            self.app.drain(Instant::now());
            self.app.follow(Instant::now());
            self.tell_messages(out)?;
            let jobs = self.app.workbench.jobs();
            let opening = self.app.workbench.opened().is_none();
            let busy =
                jobs.iter().find(|job| job.state == JobState::Running && (opening || job.kind != JobKind::Decompose));
            let Some(job) = busy else { return Ok(()) };
            let (done, total) = job.progress;
            let tenth = (10 * done).checked_div(total).unwrap_or_default();
            if job.seconds > 1.0 && shown != Some((job.id, tenth)) {
                writeln!(out, "{} … {}%", job.name, 10 * tenth)?;
                out.flush()?;
                shown = Some((job.id, tenth));
            }
            self.look_at_lines(out)?;
            let _ = self.wakes.recv_timeout(LOOK);
        }
    }

    /// Takes what asks for jobs at once; any other line waits, and those after it.
    fn look_at_lines(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        while self.next.is_none() {
            let Ok(line) = self.lines.try_recv() else { return Ok(()) };
            let words: Vec<&str> = line.as_ref().map(|line| line.split_whitespace().collect()).unwrap_or_default();
            match words.as_slice() {
                ["jobs"] => write!(out, "{}", tell::jobs(&self.app.workbench.jobs()))?,
                ["cancel", number] => writeln!(out, "{}", self.job(number, Action::CancelJob))?,
                _ => self.next = Some(line),
            }
            out.flush()?;
        }
        Ok(())
    }

    /// Does to a job of the list what the screen's keys do to the one under the cursor.
    fn job(&mut self, number: &str, action: Action) -> String {
        self.app.follow(Instant::now());
        let jobs = self.app.workbench.jobs();
        let wanted = number.parse().ok();
        let Some((line, job)) = jobs.iter().enumerate().find(|(_, job)| Some(job.id.0) == wanted) else {
            return format!("no job has the number {number:?}; jobs lists them");
        };
        let able = if action == Action::CancelJob { job.state == JobState::Running } else { job.retryable };
        if !able {
            return format!(
                "{} {}",
                job.name,
                if action == Action::CancelJob { "has ended" } else { "cannot be done once more" }
            );
        }
        self.app.ui.dialog = Some(Dialog::Jobs(line));
        self.app.perform(action);
        self.app.ui.dialog = None;
        let told = if action == Action::CancelJob { "is told to stop" } else { "begins once more" };
        format!("{} {told}", job.name)
    }

    fn tell_messages(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        for message in self.app.workbench.messages().iter().filter(|message| message.serial > self.told) {
            let kind = match message.severity {
                Severity::Info => "",
                Severity::Warning => "warning: ",
                Severity::Error => "error: ",
            };
            writeln!(out, "{kind}{}", message.text)?;
        }
        self.told = self.app.workbench.messages().last().map_or(self.told, |message| message.serial);
        Ok(())
    }

    fn layers(&mut self, query: &str) -> String {
        if !query.is_empty() {
            query.clone_into(&mut self.app.ui.listing.filter_text);
            self.app.follow(Instant::now());
        }
        let text = tell::layers(&self.app.scene(), &self.app.ui.listing);
        if !query.is_empty() {
            self.app.ui.listing.filter_text.clear();
            self.app.follow(Instant::now());
        }
        text
    }

    fn layer(&mut self, number: &str) -> String {
        match number.parse::<usize>().ok().filter(|number| *number < self.app.workbench.rows().len()) {
            Some(index) => {
                self.app.ui.listing.marked.clear();
                self.app.ui.listing.go_to(index);
                self.app.look_at_cursor();
                self.app.workbench.rows().get(index).map_or_else(String::new, tell::layer)
            }
            None => format!("give a number from 0 to {}", self.app.workbench.rows().len().saturating_sub(1)),
        }
    }

    fn select(&mut self, query: &str) -> String {
        let listing = &mut self.app.ui.listing;
        listing.marked.clear();
        if !matches!(query, "none" | "") {
            listing.filter_text = if query == "all" { String::new() } else { query.to_owned() };
            listing.refresh(self.app.workbench.rows());
            listing.marked.extend(listing.order.clone());
            listing.filter_text.clear();
            listing.refresh(self.app.workbench.rows());
        }
        format!("{} selected", listing.marked.len())
    }

    fn proposal(&mut self, asked: &str) -> String {
        let (word, number) = asked.split_once(' ').unwrap_or((asked, ""));
        if word == "apply" {
            return format!("{} layers changed", self.app.workbench.apply_review());
        }
        if let Some(review) = self.app.workbench.review_mut() {
            match (word, number.trim().parse::<usize>()) {
                ("all", _) => review.set_all(true),
                ("none", _) => review.set_all(false),
                ("accept" | "reject", Ok(line)) => {
                    if let Some(change) = review.changes.get_mut(line) {
                        change.accepted = word == "accept";
                    }
                }
                _ => {}
            }
        }
        self.app.ui.dialog = None;
        tell::proposal(&self.app.scene())
    }

    fn steps(&mut self, number: &str) -> String {
        if let Ok(edits) = number.parse::<usize>() {
            let history = self.app.workbench.history();
            let last = history.done.len() + history.undone.len();
            self.app.workbench.go_to_edit(edits.min(last));
        }
        tell::steps(&self.app.scene())
    }

    fn log(&mut self, words: &str) -> String {
        let view = LogView { filter: words.to_owned(), ..LogView::default() };
        tell::log(self.app.log_now(), &view)
    }

    fn save(&mut self, asked: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let (words, force) = asked.strip_suffix(" force").map_or((asked, false), |words| (words, true));
        let parts = words.split_once(' ').map(|(format, path)| (format, path.trim()));
        let found = parts.and_then(|(name, path)| {
            let format = Format::ALL.into_iter().find(|format| format.name() == name)?;
            (!path.is_empty()).then_some((format, std::path::PathBuf::from(path)))
        });
        let Some((format, path)) = found else {
            let names = Format::ALL.map(Format::name).join("|");
            return Ok(writeln!(out, "save {names} PATH [force]")?);
        };
        if path.exists() && !force && self.app.workbench.policy_file() != Some(path.as_path()) {
            return Ok(writeln!(out, "refused: {} exists; add force", path.display())?);
        }
        if let Err(reason) = self.app.write(format, &path, force) {
            writeln!(out, "refused: {reason}")?;
        }
        Ok(())
    }
}

/// The words, and the actions that a person can name: all, or those that have a word in them.
fn help(word: &str) -> String {
    let word = word.to_lowercase();
    let mut text = String::new();
    let mut add = |line: String| {
        if line.to_lowercase().contains(&word) {
            text.push_str(&line);
            text.push('\n');
        }
    };
    WORDS.iter().for_each(|(_, line)| add((*line).to_owned()));
    let keymap = super::keymap::Keymap::default();
    let of_panes = |action: Action| Pane::ALL.iter().any(|pane| keymap.counts(action, pane.context()));
    for info in ACTIONS.iter().filter(|info| of_panes(info.action)) {
        add(format!("{}: {}", info.action.name(), info.description));
    }
    text
}

/// A layer's columns as a sentence of figures.
fn columns_of(row: &crate::workbench::LayerRow) -> String {
    let shown = Column::ALL.into_iter().filter(|column| !matches!(column, Column::Name | Column::Spectrum));
    let cells = shown.map(|column| (column, column.plain_cell(row))).filter(|(_, cell)| cell != "·");
    cells.map(|(column, cell)| format!("{} {cell}", column.title())).collect::<Vec<_>>().join(", ")
}
