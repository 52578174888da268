//! The log: what the program did, for whoever looks into a fault. It goes to a file in the state folder, bounded in size, and to the
//! workbench's view of it; never to the terminal.

use std::fmt::{self, Write as _};
use std::fs::{OpenOptions, create_dir_all, rename};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

use super::arg_values::LogArg;
use crate::checkpoint::escaped;
use crate::tui::log::{LogBook, LogEntry, LogLevel};

/// The log's name in the state folder; older ones end in `.1` and `.2`.
const NAME: &str = "rankscope.log";
/// Bytes of one file, and how many older ones are kept.
const LIMIT: u64 = 1_000_000;
const OLDER: usize = 2;
/// Characters of one entry.
const LONGEST: usize = 2000;

/// The log, for as long as it is kept: when it goes, what is written is on disk.
#[derive(Debug)]
pub struct Logging {
    /// What was logged last, for the workbench.
    pub book: LogBook,
    writer: Option<(Sender<Line>, JoinHandle<()>)>,
}

/// What the writer is given.
enum Line {
    Text(String),
    Last,
}

impl Logging {
    /// Logs what matters as much as `level` from now on, in `folder` where there is one.
    pub fn begin(level: LogArg, folder: Option<&Path>) -> Self {
        let Some(least) = level.filter() else { return Self { book: LogBook::default(), writer: None } };
        let (file, trouble) = match folder.map(|folder| LogFile::open(folder.join(NAME), LIMIT)) {
            Some(Ok(file)) => (Some(file), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        let book = LogBook::beside(file.as_ref().map(|file| file.path.clone()));
        let writer = file.and_then(written_aside);
        let lines = writer.as_ref().map(|(lines, _)| lines.clone());
        // Fails where a log is kept already, which is as well.
        let _ = tracing::subscriber::set_global_default(subscriber(least, Keeper { book: book.clone(), lines }));
        if let Some(error) = trouble {
            tracing::warn!("no log is written: {error}");
        }
        Self { book, writer }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some((lines, thread)) = self.writer.take() {
            let _ = lines.send(Line::Last);
            let _ = thread.join();
        }
    }
}

/// Writes on a thread of its own, so that nobody waits for a disk.
fn written_aside(file: LogFile) -> Option<(Sender<Line>, JoinHandle<()>)> {
    let (lines, coming) = channel();
    let write = move || {
        while let Ok(Line::Text(line)) = coming.recv() {
            // A log that cannot be written is no reason to end, and there is nowhere to say so.
            let _ = file.write(&line);
        }
    };
    Some((lines, thread::Builder::new().name("rankscope log".into()).spawn(write).ok()?))
}

fn subscriber(least: LevelFilter, keeper: Keeper) -> impl Subscriber + Send + Sync {
    registry().with(Targets::new().with_target("rankscope", least)).with(keeper)
}

/// Makes entries of events.
struct Keeper {
    book: LogBook,
    lines: Option<Sender<Line>>,
}

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut words = Words::default();
        event.record(&mut words);
        let about = event.metadata();
        let level = match *about.level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warning,
            Level::INFO => LogLevel::Info,
            Level::DEBUG => LogLevel::Debug,
            Level::TRACE => LogLevel::Trace,
        };
        let text = escaped(&format!("{}{}", words.message, words.fields), LONGEST);
        let entry = LogEntry { at: SystemTime::now(), level, place: about.target().to_owned(), text };
        if let Some(lines) = &self.lines {
            let _ = lines.send(Line::Text(entry.line(std::process::id())));
        }
        self.book.push(entry);
    }
}

/// The message of an event, and its other fields after it.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let _ = write!(self.fields, " {}={value:.3}", field.name());
    }
}

/// A file that lines are added to, and that makes room for a fresh one when it is full.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    limit: u64,
}

impl LogFile {
    fn open(path: PathBuf, limit: u64) -> std::io::Result<Self> {
        path.parent().map_or(Ok(()), create_dir_all)?;
        OpenOptions::new().append(true).create(true).open(&path)?;
        Ok(Self { path, limit })
    }

    /// Adds a line in one piece, so that those of several programs stay whole. The file is opened each time: another program may have
    /// begun a fresh one.
    fn write(&self, line: &str) -> std::io::Result<()> {
        let bytes = self.path.metadata().map_or(0, |about| about.len());
        if bytes > 0 && bytes + line.len() as u64 > self.limit {
            let old = |age: usize| PathBuf::from(format!("{}.{age}", self.path.display()));
            (1..OLDER).rev().for_each(|age| rename(old(age), old(age + 1)).unwrap_or_default());
            rename(&self.path, old(1))?;
        }
        OpenOptions::new().append(true).create(true).open(&self.path)?.write_all(line.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::read_to_string;

    use tracing::subscriber::with_default;

    use super::*;
    use crate::tui::log::{LogSeen, LogView};

    #[test]
    fn events_of_the_program_become_entries_and_those_of_others_do_not() {
        let book = LogBook::default();
        with_default(subscriber(LevelFilter::INFO, Keeper { book: book.clone(), lines: None }), || {
            tracing::info!(target: "rankscope::model", layers = 3, share = 0.25, "read \u{1b}[31m");
            tracing::debug!(target: "rankscope::model", "too fine");
            tracing::error!(target: "somebody", "else's");
        });
        let mut seen = LogSeen::default();
        seen.look(&book);
        let shown = LogView::default().shown(&seen).into_iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert_eq!(shown[0].text, "read \\u{1b}[31m layers=3 share=0.250");
        assert_eq!((shown[0].level, shown[0].room()), (LogLevel::Info, "model"));
    }

    #[test]
    fn full_files_make_room_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/x.log");
        let [file, other] = [0, 1].map(|_| LogFile::open(path.clone(), 26).unwrap());
        (0..6).for_each(|at| file.write(&format!("line number {at}\n")).unwrap());
        other.write("another's\n").unwrap();
        let kept = |name: &str| read_to_string(folder.path().join("made").join(name)).unwrap();
        assert_eq!((kept("x.log"), kept("x.log.1")), ("line number 5\nanother's\n".into(), "line number 4\n".into()));
        assert_eq!(kept("x.log.2"), "line number 3\n");
        assert_eq!(folder.path().join("made").read_dir().unwrap().count(), 3);
    }
}
