//! The real program in a pseudo-terminal: what a person's keys do, and that the terminal comes back whole however it ends.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use tempfile::TempDir;
use vt100::{MouseProtocolMode, Parser};

const PATIENCE: Duration = Duration::from_secs(120);

struct Terminal {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    parser: Arc<Mutex<Parser>>,
    /// Bytes that the program wrote, and ends of synchronized updates among them.
    written: Arc<(AtomicUsize, AtomicUsize)>,
    home: PathBuf,
}

impl Terminal {
    /// The program on a terminal of its own, with a home of its own.
    fn start(home: &Path, size: (u16, u16), environment: &[(&str, &str)]) -> Self {
        let pair = native_pty_system().openpty(pty_size(size)).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_rankscope"));
        command.cwd(home);
        command.env_clear();
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("TERM", "xterm-256color");
        command.env("HOME", home);
        environment.iter().for_each(|(key, value)| command.env(key, value));
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let parser = Arc::new(Mutex::new(Parser::new(cells(size.1), cells(size.0), 0)));
        let sink = Arc::clone(&parser);
        let written = Arc::<(AtomicUsize, AtomicUsize)>::default();
        let counted = Arc::clone(&written);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let ends = bytes[..count].windows(8).filter(|part| *part == b"\x1b[?2026l").count();
                counted.0.fetch_add(count, Ordering::Relaxed);
                counted.1.fetch_add(ends, Ordering::Relaxed);
                sink.lock().unwrap().process(&bytes[..count]);
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { writer, master: pair.master, child, parser, written, home: home.to_owned() }
    }

    fn keys(&mut self, keys: &str) -> &mut Self {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
        self
    }

    fn bytes(&self) -> usize {
        self.written.0.load(Ordering::Relaxed)
    }

    fn updates(&self) -> usize {
        self.written.1.load(Ordering::Relaxed)
    }

    fn screen(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    /// Waits until the screen shows `text`.
    fn until(&mut self, text: &str) -> &mut Self {
        let end = Instant::now() + PATIENCE;
        while !self.screen().contains(text) {
            assert!(Instant::now() < end, "{text:?} never came:\n{}", self.screen());
            thread::sleep(Duration::from_millis(10));
        }
        self
    }

    fn resize(&mut self, size: (u16, u16)) -> &mut Self {
        self.parser.lock().unwrap().set_size(cells(size.1), cells(size.0));
        self.master.resize(pty_size(size)).unwrap();
        self
    }

    fn signal(&mut self, name: &str) -> &mut Self {
        let process = self.child.process_id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", name, &process]).status().unwrap().success());
        self
    }

    /// Waits for the end; the exit status, after the terminal was found whole.
    fn end(&mut self) -> u32 {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.exit_code();
            }
            assert!(Instant::now() < end, "the program goes on:\n{}", self.screen());
            thread::sleep(Duration::from_millis(10));
        };
        thread::sleep(Duration::from_millis(200));
        let parser = self.parser.lock().unwrap();
        let screen = parser.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), MouseProtocolMode::None);
        let modes = format!("{:?}", self.master.get_termios().unwrap().local_flags);
        assert!(modes.contains("ICANON") && modes.contains("ECHO"), "still raw: {modes}");
        status
    }

    fn drafts(&self) -> String {
        let path = self.home.join(".local/state/rankscope/draft.json");
        std::fs::read_to_string(&path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
    }
}

impl Drop for Terminal {
    /// A test that failed leaves no program behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

fn pty_size((cols, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

/// This terminal never answers in time what it is asked at the start.
#[test]
fn an_answer_of_the_terminal_that_comes_late_is_no_key() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(home.path(), (120, 36), &[]);
    terminal.until("Side by side").until("tour 1 of 6");
    terminal.keys("\x1b]10;rgb:dddd/dddd/dddd\x1b\\\x1b]11;rgb:0000/0000/0000\x1b\\").keys("\x1b[?62;22c");
    thread::sleep(Duration::from_millis(200));
    terminal.keys("j").until("tour 2 of 6");
    assert!(!terminal.screen().contains("Rank of"), "{}", terminal.screen());
    terminal.keys("q").end();
}

#[test]
fn a_session_from_start_to_quit() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (120, 36), &[]);
    terminal.until("36 layers").keys("jK").until("6 selected").keys("r24\r").until("6 changed");
    terminal.keys("g").until("· done");
    terminal.keys("x").until("Save and export").keys("\u{15}out.json\r").until("saved");
    terminal.keys("x").until("[policy]").keys("\u{e}\u{15}packed").until("[compressed]").keys("\r");
    let written = home.path().join("packed/model.safetensors");
    let end = Instant::now() + PATIENCE;
    while !written.exists() {
        assert!(Instant::now() < end, "no export:\n{}", terminal.screen());
        thread::sleep(Duration::from_millis(20));
    }
    terminal.keys("\u{1b}");
    thread::sleep(Duration::from_millis(100));
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    assert!(std::fs::read_to_string(home.path().join("out.json")).unwrap().contains("\"rank\": 24"));
}

#[test]
fn a_terminal_may_shrink_to_nothing_and_grow_again() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (80, 24), &[("NO_COLOR", "1")]);
    terminal.until("36 layers").resize((20, 6)).until("too small");
    terminal.resize((1, 1)).resize((80, 24)).until("Side by side").keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_storm_of_sizes_ends_in_the_last_one() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (80, 24), &[]);
    terminal.until("36 layers");
    for step in 0..300_u16 {
        terminal.resize((10 + step * 7 % 190, 3 + step * 5 % 60));
    }
    terminal.resize((120, 36)).until("Spectrum").until("Side by side").keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn ten_megabytes_of_paste_are_cut_and_nothing_stalls() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (80, 24), &[]);
    terminal.until("36 layers").keys("p").until("Prompt");
    let line = "many words and 木 no end of them ".repeat(1000);
    terminal.keys("\u{1b}[200~");
    (0..10_000_000 / line.len()).for_each(|_| {
        terminal.keys(&line);
    });
    terminal.keys("\u{1b}[201~").until("the paste was cut");
    // Outside of a line a paste is no command.
    terminal.keys("\u{1b}");
    thread::sleep(Duration::from_millis(100));
    terminal.keys("\u{1b}[200~qqq\u{1b}[201~").until("nothing is being typed").keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_lost_terminal_ends_the_program_and_keeps_the_draft() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (80, 24), &[]);
    terminal.until("36 layers").keys("r18\r").until("1 changed").signal("HUP");
    assert_eq!(terminal.end(), 130);
    assert!(terminal.drafts().contains("18"), "{}", terminal.drafts());
}

/// A frame is one synchronized update, and what streams stays far below what a slow line carries.
#[test]
fn a_frame_is_one_update_and_streaming_is_thin() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (200, 50), &[]);
    terminal.until("36 layers").keys("r8\r").until("1 changed");
    let before = terminal.bytes();
    terminal.keys("g").until("done");
    let (frames, bytes) = (terminal.updates(), terminal.bytes() - before);
    assert!(frames > 0, "no synchronized update");
    // 120 tokens on each side: whole screens would be 10 kB each.
    assert!(bytes < 120 * 4_000, "{bytes} bytes for 120 tokens");
    terminal.keys("q").keys("y");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn sigterm_leaves_a_whole_terminal_and_a_draft_that_comes_back() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (80, 24), &[]);
    terminal.until("36 layers").keys("r17\r").until("1 changed").signal("TERM");
    assert_eq!(terminal.end(), 130);
    assert!(terminal.drafts().contains("17"), "{}", terminal.drafts());
    let mut next = Terminal::start(home.path(), (80, 24), &[]);
    next.until("rank 17 int8").until("last session").keys("\u{3}");
    assert_eq!(next.end(), 130);
}

#[test]
fn a_stop_gives_the_terminal_back_and_a_continue_takes_it_again() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (80, 24), &[]);
    terminal.until("36 layers").signal("TSTP");
    let end = Instant::now() + PATIENCE;
    while terminal.parser.lock().unwrap().screen().alternate_screen() {
        assert!(Instant::now() < end, "the terminal was not given back");
        thread::sleep(Duration::from_millis(10));
    }
    terminal.signal("CONT").until("Side by side").keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn a_panic_of_the_screen_leaves_a_whole_terminal_and_a_draft() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (80, 24), &[("RANKSCOPE_TEST_PANIC", "1")]);
    terminal.until("36 layers").keys("r19\r").until("1 changed").keys("\u{1b}[24~");
    assert_eq!(terminal.end(), 101);
    assert!(terminal.screen().contains("asked for by F12"), "{}", terminal.screen());
    assert!(terminal.drafts().contains("19"), "{}", terminal.drafts());
}

#[test]
fn a_panic_of_a_job_is_its_failure_and_the_screen_goes_on() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (120, 36), &[("RANKSCOPE_TEST_PANIC", "job")]);
    terminal.until("36 layers").keys("\u{1b}[24~").keys("r19\r").until("1 changed");
    terminal.keys("J").until("internal error: asked for by F12").keys("q").keys("u").until("undone").keys("q");
    assert_eq!(terminal.end(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn what_computes_gives_way_to_the_screen() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (80, 24), &[]);
    terminal.until("36 layers");
    let process = terminal.child.process_id().unwrap();
    let niceness = |thread: &Path| -> i32 {
        let told = std::fs::read_to_string(thread.join("stat")).unwrap_or_default();
        // After the name, which may have spaces, the 17th field.
        told.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(16)?.parse().ok()).unwrap_or_default()
    };
    let threads = PathBuf::from(format!("/proc/{process}/task"));
    let screen = niceness(&threads.join(process.to_string()));
    // The model was opened by jobs whose threads are gone by now; those of the pool that they used stay.
    let end = Instant::now() + PATIENCE;
    let lower = |thread: std::io::Result<std::fs::DirEntry>| niceness(&thread.unwrap().path()) > screen;
    while !threads.read_dir().unwrap().any(lower) {
        assert!(Instant::now() < end && screen < 19, "no thread gives way");
        thread::sleep(Duration::from_millis(10));
    }
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

/// Once nothing is left to do, no thread runs until something happens: there is no clock.
#[cfg(target_os = "linux")]
#[test]
fn an_idle_program_wakes_nobody() {
    let home = TempDir::new().unwrap();
    let mut terminal = Terminal::start(home.path(), (120, 36), &[]);
    terminal.until("36 layers").keys("r16\r").until("1 changed");
    let threads = PathBuf::from(format!("/proc/{}/task", terminal.child.process_id().unwrap()));
    let switches = || -> u64 {
        let told = threads.read_dir().unwrap().filter_map(|thread| {
            // A thread may end meanwhile.
            std::fs::read_to_string(thread.ok()?.path().join("status")).ok()
        });
        let counts = |status: String| -> u64 {
            let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
            lines.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
        };
        told.map(counts).sum()
    };
    let end = Instant::now() + PATIENCE;
    loop {
        let before = switches();
        thread::sleep(Duration::from_secs(4));
        if switches() == before {
            break;
        }
        assert!(Instant::now() < end, "it never sleeps for four seconds");
    }
    terminal.keys("qy");
    assert_eq!(terminal.end(), 0);
}
