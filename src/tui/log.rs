//! The log as the workbench shows it: the last entries, whoever made them, and what a person does with them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::id;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::action::Action;
use super::app::App;
use super::dialogs::stepped;
use super::format;
use super::ui::{Dialog, Purpose};
use crate::checkpoint::strftime;
use crate::workbench::Severity;

/// Entries that are kept in memory.
const KEPT: usize = 1000;

/// How much an entry matters, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Worth a look.
    Warning,
    /// What was done.
    Info,
    /// How it was done.
    Debug,
    /// Every step of it.
    Trace,
}

impl LogLevel {
    /// Its name in the log's file, five characters wide at most.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// When it was made.
    pub at: SystemTime,
    /// How much it matters.
    pub level: LogLevel,
    /// The module that made it: `rankscope::workbench::jobs`.
    pub place: String,
    /// One line, escaped.
    pub text: String,
}

impl LogEntry {
    /// As a line of the log's file, which several processes may write to at once.
    pub fn line(&self, process: u32) -> String {
        format!("{} {:<5} {process} {}: {}\n", self.moment(), self.level.name(), self.place, self.text)
    }

    /// Day and time in UTC, to the millisecond.
    pub fn moment(&self) -> String {
        let since = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("{}.{:03}Z", strftime("%FT%T", self.at), since.subsec_millis())
    }

    /// The room of the program that made it: `workbench`.
    pub fn room(&self) -> &str {
        self.place.split("::").nth(1).unwrap_or(&self.place)
    }

    fn has(&self, words: &[String]) -> bool {
        let text = format!("{} {} {}", self.level.name(), self.place, self.text).to_lowercase();
        words.iter().all(|word| text.contains(word))
    }
}

#[derive(Debug, Default)]
struct Pages {
    entries: VecDeque<Arc<LogEntry>>,
    /// Entries that there have been.
    count: u64,
}

/// The last entries of the log, shared by those who make them and the screen.
#[derive(Debug, Clone, Default)]
pub struct LogBook {
    pages: Arc<Mutex<Pages>>,
    path: Option<Arc<Path>>,
}

impl LogBook {
    /// A book of what goes to a file too.
    pub fn beside(path: Option<PathBuf>) -> Self {
        Self { pages: Arc::default(), path: path.map(Into::into) }
    }

    /// Adds an entry; the oldest leaves where there are 1000.
    pub fn push(&self, entry: LogEntry) {
        let mut pages = self.pages();
        if pages.entries.len() >= KEPT {
            pages.entries.pop_front();
        }
        pages.entries.push_back(Arc::new(entry));
        pages.count += 1;
    }

    /// The file that the entries go to as well, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log as the screen saw it last.
#[derive(Debug, Clone, Default)]
pub struct LogSeen {
    /// Oldest first.
    pub entries: Vec<Arc<LogEntry>>,
    /// The number of the first of them, counted from the beginning of the program.
    pub first: u64,
}

impl LogSeen {
    /// Takes over what is new; whether anything was.
    pub fn look(&mut self, book: &LogBook) -> bool {
        let pages = book.pages();
        let first = pages.count - pages.entries.len() as u64;
        let news = first + pages.entries.len() as u64 != self.first + self.entries.len() as u64;
        if news {
            (self.entries, self.first) = (pages.entries.iter().cloned().collect(), first);
        }
        news
    }
}

/// The view of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogView {
    /// The number of the entry under the cursor; the newest, whichever it is, without one.
    pub chosen: Option<u64>,
    /// Entries that matter less are left out.
    pub least: LogLevel,
    /// Words that an entry must have.
    pub filter: String,
}

impl Default for LogView {
    fn default() -> Self {
        Self { chosen: None, least: LogLevel::Trace, filter: String::new() }
    }
}

impl LogView {
    /// The entries that are shown, oldest first, with their numbers.
    pub fn shown<'a>(&self, seen: &'a LogSeen) -> Vec<(u64, &'a LogEntry)> {
        let words: Vec<String> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        let numbered = (seen.first..).zip(seen.entries.iter().map(Arc::as_ref));
        numbered.filter(|(_, entry)| entry.level <= self.least && entry.has(&words)).collect()
    }

    /// The line of the cursor among those shown.
    pub fn line(&self, shown: &[(u64, &LogEntry)]) -> usize {
        let last = shown.len().saturating_sub(1);
        self.chosen.map_or(last, |number| shown.partition_point(|(other, _)| *other < number).min(last))
    }

    /// What is left out, in a few words.
    pub const fn limit(&self) -> &'static str {
        match self.least {
            LogLevel::Error => "errors alone",
            LogLevel::Warning => "warnings and errors",
            _ => "all",
        }
    }
}

impl App {
    /// Opens the view of the log.
    pub(super) fn open_log(&mut self) {
        self.log_seen.look(&self.log);
        self.ui.lay_over(Dialog::Log(LogView::default()));
    }

    pub(super) fn log_view(&self) -> Option<&LogView> {
        if let Some(Dialog::Log(view)) = &self.ui.dialog { Some(view) } else { None }
    }

    /// Shows the entries that have these words.
    pub(super) fn filter_log(&mut self, words: String) {
        if let Some(Dialog::Log(view)) = &mut self.ui.dialog {
            view.filter = words;
        }
    }

    /// The log as it is now.
    pub(super) fn log_now(&mut self) -> &LogSeen {
        self.log_seen.look(&self.log);
        &self.log_seen
    }

    /// Takes in what the log has become, while it is looked at; whether that changed.
    pub(super) fn notice_log(&mut self) -> bool {
        matches!(self.ui.dialog, Some(Dialog::Log(_))) && self.log_seen.look(&self.log)
    }

    pub(super) fn act_on_log(&mut self, action: Action) {
        let Some(Dialog::Log(view)) = &mut self.ui.dialog else { return };
        let shown = view.shown(&self.log_seen);
        let (line, last) = (view.line(&shown), shown.len().saturating_sub(1));
        match action {
            Action::Close => self.ui.close(),
            Action::FilterLog => self.begin(Purpose::Log),
            Action::LogLevel => {
                view.least = match view.least {
                    LogLevel::Error => LogLevel::Trace,
                    LogLevel::Warning => LogLevel::Error,
                    _ => LogLevel::Warning,
                }
            }
            Action::CopyEntry => {
                let text = shown.get(line).map(|(_, entry)| entry.line(id()));
                self.copy_log(text.as_slice());
            }
            Action::CopyLog => {
                let lines: Vec<String> = shown.iter().map(|(_, entry)| entry.line(id())).collect();
                self.copy_log(&lines);
            }
            _ => {
                let to = stepped(line, action, last);
                view.chosen = shown.get(to).map(|(number, _)| *number).filter(|_| to < last);
            }
        }
    }

    fn copy_log(&mut self, lines: &[String]) {
        if lines.is_empty() {
            return self.say(Severity::Info, "nothing is shown that could be copied");
        }
        let what = format!("{} of the log", format::plural(lines.len(), "line"));
        self.copy(lines.concat(), &what, "filter the log");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(seconds: u64, level: LogLevel, text: &str) -> LogEntry {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7);
        LogEntry { at, level, place: "rankscope::workbench::jobs".into(), text: text.into() }
    }

    #[test]
    fn an_entry_is_a_line_with_its_moment_and_place() {
        let line = entry(951_782_400, LogLevel::Warning, "a job ends").line(7);
        assert_eq!(line, "2000-02-29T00:00:00.007Z WARN  7 rankscope::workbench::jobs: a job ends\n");
        assert_eq!(entry(0, LogLevel::Info, "").room(), "workbench");
    }

    #[test]
    fn the_oldest_leave_and_the_cursor_stays_with_its_entry() {
        let book = LogBook::default();
        let mut seen = LogSeen::default();
        assert!(!seen.look(&book));
        (0..1005).for_each(|at| book.push(entry(at, LogLevel::Info, &format!("step {at}"))));
        assert!(seen.look(&book) && !seen.look(&book));
        assert_eq!((seen.first, seen.entries.len()), (5, KEPT));
        let mut view = LogView { chosen: Some(7), ..LogView::default() };
        assert_eq!(view.line(&view.shown(&seen)), 2);
        book.push(entry(0, LogLevel::Error, "late"));
        seen.look(&book);
        assert_eq!(view.line(&view.shown(&seen)), 1);
        view.chosen = None;
        assert_eq!(view.line(&view.shown(&seen)), KEPT - 1);
    }

    #[test]
    fn what_matters_less_or_lacks_a_word_is_left_out() {
        let book = LogBook::default();
        book.push(entry(0, LogLevel::Debug, "Cached factors"));
        book.push(entry(1, LogLevel::Error, "no room for factors"));
        let mut seen = LogSeen::default();
        seen.look(&book);
        let texts = |least, filter: &str| -> Vec<u64> {
            let view = LogView { chosen: None, least, filter: filter.into() };
            view.shown(&seen).iter().map(|(number, _)| *number).collect()
        };
        assert_eq!(texts(LogLevel::Trace, ""), [0, 1]);
        assert_eq!(texts(LogLevel::Info, ""), [1]);
        assert_eq!(texts(LogLevel::Trace, "FACTORS cached"), [0]);
        assert_eq!(texts(LogLevel::Trace, "error"), [1]);
        assert!(texts(LogLevel::Trace, "nowhere").is_empty());
    }
}
