//! The screen on a real workbench without a terminal: key sequences to state, and whole screens as pictures in text.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod keys;
mod screens;
mod support;
