//! The screen: key sequences to state and whole screens without a terminal, and the real program in a pseudo-terminal.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod actions;
mod keys;
mod screens;
mod storm;
mod support;
mod table;
#[cfg(unix)]
mod terminal;
mod texts;
mod told;
