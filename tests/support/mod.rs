//! The real program in a pseudo-terminal, with the screen that it has drawn.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long a step may take before the test gives up: far beyond what any machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

/// `rankscope` running in a pseudo-terminal of its own, in a home of its own.
pub struct Terminal {
    parser: vt100::Parser,
    output: Receiver<Vec<u8>>,
    input: Box<dyn Write + Send>,
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
}

impl Terminal {
    /// Starts the program with `args`, with `home` as its home folder and working folder.
    pub fn start(args: &[&str], home: &Path, cols: u16, rows: u16) -> Self {
        let pair = native_pty_system().openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_rankscope"));
        command.args(args);
        command.cwd(home);
        for key in ["XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HF_HOME", "HF_HUB_CACHE"] {
            command.env_remove(key);
        }
        command.env_remove("NO_COLOR");
        command.env("HOME", home);
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let input = pair.master.take_writer().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { parser: vt100::Parser::new(rows, cols, 0), output, input, master: pair.master, child }
    }

    /// Types bytes.
    pub fn keys(&mut self, bytes: &str) {
        self.input.write_all(bytes.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// The screen as text, one line a row.
    pub fn screen(&self) -> String {
        self.parser.screen().contents()
    }

    /// Reads until `wanted` holds of the screen.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !wanted(&self.screen()) {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(_) => panic!("never saw {what}; the screen is:\n{}", self.screen()),
            }
        }
    }

    /// Reads until `text` is on the screen.
    pub fn until_shows(&mut self, text: &str) {
        self.until(&format!("'{text}'"), |screen| screen.contains(text));
    }

    /// Gives the terminal another size.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
        self.parser.screen_mut().set_size(rows, cols);
    }

    /// Sends a signal, by number.
    pub fn signal(&mut self, number: i32) {
        let pid = self.child.process_id().unwrap();
        let status = std::process::Command::new("kill").arg(format!("-{number}")).arg(pid.to_string()).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end; its exit code. Everything written until then is on the screen.
    pub fn exit_code(&mut self) -> u32 {
        let end = Instant::now() + PATIENCE;
        loop {
            while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(20)) {
                self.parser.process(&bytes);
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(200)) {
                    self.parser.process(&bytes);
                }
                return status.exit_code();
            }
            assert!(Instant::now() < end, "the program did not end; the screen is:\n{}", self.screen());
        }
    }

    /// Whether the terminal was given back: normal screen, cursor shown, no mouse reports, no bracketed paste.
    pub fn given_back(&self) -> bool {
        let screen = self.parser.screen();
        !screen.alternate_screen()
            && !screen.hide_cursor()
            && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
            && !screen.bracketed_paste()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}
