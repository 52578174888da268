//! The screen's thread: it waits for events, folds them, and draws when something changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::app::{App, Effect};
use super::clipboard::{Clipboard, Refused};
use super::replies::LateReplies;
use super::terminal::{Screen, copy};
use crate::workbench::Severity;

/// Where it is set, F12 lets something fall.
const PANIC: &str = "RANKSCOPE_TEST_PANIC";
/// Frames are at least this far apart.
const FRAME: Duration = Duration::from_millis(10);

/// Something that the screen's thread must answer.
#[derive(Debug)]
pub enum Message {
    /// A key, a click, a paste, another size.
    Input(Event),
    /// The workbench has events.
    Wake,
    /// A signal.
    Signal(i32),
    /// A text that the system's clipboard did not take.
    Refused(Refused),
    /// The terminal is gone.
    Gone,
}

/// The program was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by signal {0}")]
pub struct Interrupted(pub i32);

/// The screen's inbox.
#[derive(Debug)]
pub struct Inbox {
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    woken: Arc<AtomicBool>,
}

impl Default for Inbox {
    fn default() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver, woken: Arc::default() }
    }
}

impl Inbox {
    /// What the workbench calls when events wait; many calls before the screen looks are one message.
    pub fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (sender, woken) = (self.sender.clone(), Arc::clone(&self.woken));
        Arc::new(move || {
            if !woken.swap(true, Ordering::AcqRel) {
                let _ = sender.send(Message::Wake);
            }
        })
    }

    /// What is called with a text that the system's clipboard did not take.
    pub fn refusals(&self) -> impl Fn(Refused) + Send + 'static {
        let sender = self.sender.clone();
        move |refused| sender.send(Message::Refused(refused)).unwrap_or_default()
    }

    /// Begins to read the terminal and the signals, each on a thread of its own; what the terminal still has to answer is no key.
    ///
    /// # Errors
    /// Signals that cannot be had.
    pub fn listen(&self, mut replies: LateReplies) -> std::io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGTSTP, SIGCONT])?;
        let sender = self.sender.clone();
        thread::spawn(move || signals.forever().try_for_each(|signal| sender.send(Message::Signal(signal))));
        let sender = self.sender.clone();
        thread::spawn(move || {
            while let Ok(event) = crossterm::event::read() {
                if replies.takes(&event, Instant::now()) {
                    continue;
                }
                if sender.send(Message::Input(event)).is_err() {
                    return;
                }
            }
            let _ = sender.send(Message::Gone);
        });
        Ok(())
    }

    /// The next message, or none by `until` (no limit: waits without waking up in between).
    fn next(&self, until: Option<Instant>) -> Result<Option<Message>, Interrupted> {
        let message = match until {
            None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match message {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Interrupted(SIGHUP)),
        }
    }
}

/// Runs until the person leaves.
///
/// # Errors
/// The terminal's, or [`Interrupted`].
pub fn run(app: &mut App, screen: &mut Screen, (inbox, clipboard): (&Inbox, &Clipboard)) -> anyhow::Result<()> {
    let mut changed = true;
    let mut drawn: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let frame_due = drawn.map_or(now, |drawn| drawn + FRAME);
        if changed && frame_due <= now {
            screen.draw(app)?;
            drawn = Some(Instant::now());
            changed = false;
        }
        let until = if changed { Some(frame_due) } else { app.next_tick() };
        let mut next = inbox.next(until)?;
        while let Some(message) = next {
            changed |= answer(app, screen, inbox, message)?;
            for effect in app.take_effects() {
                match effect {
                    Effect::Quit => return Ok(()),
                    Effect::Interrupt => return Err(Interrupted(SIGINT).into()),
                    Effect::Suspend => suspend(screen)?,
                    Effect::Redraw => screen.forget()?,
                    Effect::Mouse(mouse) => screen.set_mouse(mouse)?,
                    Effect::Copy(text) => clipboard.copy(text)?,
                }
            }
            next = inbox.receiver.try_recv().ok();
        }
        changed |= app.tick(Instant::now());
    }
}

fn answer(app: &mut App, screen: &mut Screen, inbox: &Inbox, message: Message) -> anyhow::Result<bool> {
    match message {
        Message::Input(event) => {
            panic_where_asked(app, &event);
            app.handle(&event, Instant::now());
            Ok(true)
        }
        Message::Wake => {
            inbox.woken.store(false, Ordering::Release);
            Ok(app.drain(Instant::now()))
        }
        Message::Signal(SIGTSTP) => suspend(screen).map(|()| true),
        Message::Signal(SIGCONT) => screen.come_back().map(|()| true).map_err(Into::into),
        Message::Signal(signal) => Err(Interrupted(signal).into()),
        Message::Refused(Refused { text, reason }) => {
            copy(&text)?;
            app.say(
                Severity::Warning,
                format!("sent to the terminal's clipboard (OSC 52), since the system's cannot be had: {reason}"),
            );
            app.follow(Instant::now());
            Ok(true)
        }
        Message::Gone => Err(Interrupted(SIGHUP).into()),
    }
}

/// Stops the program as the shell expects it; SIGCONT, which ends the stop, takes the terminal again.
fn suspend(screen: &mut Screen) -> anyhow::Result<()> {
    screen.leave();
    emulate_default_handler(SIGTSTP)?;
    Ok(())
}

/// Lets the tests see what a panic of the screen's thread leaves behind, or one of every job that begins from then on; builds for use
/// have no such key.
fn panic_where_asked(app: &mut App, event: &Event) {
    let pressed = event.as_key_press_event().is_some_and(|key| key.code == KeyCode::F(12));
    if !(cfg!(debug_assertions) && pressed) {
        return;
    }
    match std::env::var(PANIC).as_deref() {
        Ok("job") => app.workbench.begin_jobs_by(fall),
        Ok(_) => fall(),
        Err(_) => {}
    }
}

#[expect(clippy::panic, reason = "it is what is asked for")]
fn fall() {
    panic!("asked for by F12 under {PANIC}");
}
