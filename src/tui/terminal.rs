//! The terminal, taken and given back whole.

use std::io::{BufWriter, Stdout, Write, stdout};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::app::App;

/// A frame is a few tens of kB of escape sequences: written in one piece it does not tear.
const FRAME_BYTES: usize = 1 << 16;

/// Whether a frame was begun and not ended: some terminals complain of the end of one that never began.
static IN_FRAME: AtomicBool = AtomicBool::new(false);

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send + 'static>;

/// The terminal while it is ours; dropping it gives it back.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    mouse: bool,
    ours: bool,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// The terminal's; what was taken by then is given back.
    pub fn enter(mouse: bool) -> std::io::Result<Self> {
        take(mouse).inspect_err(|_| give_back())?;
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, stdout())));
        let mut screen = Self { terminal: terminal.inspect_err(|_| give_back())?, mouse, ours: true };
        screen.forget()?;
        Ok(screen)
    }

    /// Draws a frame as one synchronized update.
    ///
    /// # Errors
    /// The terminal's.
    pub fn draw(&mut self, app: &mut App) -> std::io::Result<()> {
        IN_FRAME.store(true, Ordering::Relaxed);
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| {
            app.draw(frame.buffer_mut());
            if let Some(position) = app.facts.cursor {
                frame.set_cursor_position(position);
            }
        })?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        IN_FRAME.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets what is on the screen, so that the next frame is drawn whole.
    ///
    /// # Errors
    /// The terminal's.
    pub fn forget(&mut self) -> std::io::Result<()> {
        // Not `Terminal::clear`: that asks the terminal where its cursor is, and some never answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Takes the mouse or gives it back.
    ///
    /// # Errors
    /// The terminal's.
    pub fn set_mouse(&mut self, mouse: bool) -> std::io::Result<()> {
        self.mouse = mouse;
        if mouse { execute!(stdout(), EnableMouseCapture) } else { execute!(stdout(), DisableMouseCapture) }
    }

    /// Gives the terminal back for a while.
    pub fn leave(&mut self) {
        self.ours = false;
        give_back();
    }

    /// Takes it again, as after a stop.
    ///
    /// # Errors
    /// The terminal's.
    pub fn come_back(&mut self) -> std::io::Result<()> {
        take(self.mouse)?;
        self.ours = true;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.ours {
            give_back();
        }
    }
}

/// Gives a text to the terminal's clipboard (OSC 52); a terminal that knows no such thing takes no notice.
///
/// # Errors
/// The terminal's.
pub fn copy(text: &str) -> std::io::Result<()> {
    execute!(stdout(), CopyToClipboard::to_clipboard_from(text))
}

fn take(mouse: bool) -> std::io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableFocusChange, cursor::Hide)?;
    if mouse { execute!(stdout(), EnableMouseCapture) } else { Ok(()) }
}

/// Gives the terminal back, as far as it still listens.
fn give_back() {
    let mut out = stdout();
    if IN_FRAME.swap(false, Ordering::Relaxed) {
        let _ = queue!(out, EndSynchronizedUpdate);
    }
    let _ =
        queue!(out, DisableMouseCapture, DisableFocusChange, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// While it lives, a panic of this thread gives the terminal back before it is reported, and panics of other threads (jobs, whose
/// failure the screen shows) write nothing over the screen.
pub struct PanicGuard;

impl PanicGuard {
    /// For the calling thread's screen.
    pub fn install() -> Self {
        let screen = thread::current().id();
        let before: Hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            tracing::error!("{info}");
            if thread::current().id() == screen {
                give_back();
                before(info);
            }
        }));
        Self
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if !thread::panicking() {
            drop(panic::take_hook());
        }
    }
}
