//! `rankscope`: the workbench in which people decide how to compress a language model.
//!
//! The rooms, from the ground up; each knows only those before it (`tests/core/architecture.rs` checks it):
//! [`control`], [`checkpoint`], [`linalg`], [`model`], [`compress`], [`measure`], [`workbench`], and the two
//! faces [`tui`] and [`cli`].

pub mod checkpoint;
pub mod cli;
pub mod compress;
pub mod control;
pub mod linalg;
pub mod measure;
pub mod model;
pub mod tui;
pub mod workbench;
