//! The screen on a real workbench without a terminal: key sequences to state, and whole screens as pictures in text.

mod keys;
mod screens;
mod support;
