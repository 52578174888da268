//! `--download`: a model from the Hugging Face hub.

use anyhow::Context as _;

use super::failure::warn;
use super::interrupt::Interrupt;
use super::locations::hub_access;
use super::progress::Progress;
use crate::checkpoint::{HubError, locate};
use crate::workbench::Source;

/// Fetches what `MODEL` names into the local cache, where it names a repository. What is there serves where the hub cannot be
/// reached.
///
/// # Errors
/// What the hub says; interrupted, with what has come kept.
pub fn fetch(model: &str, interrupt: &Interrupt) -> anyhow::Result<()> {
    let Source::Repository(name) = Source::parse(model) else { return Ok(()) };
    let hub = hub_access().context("there is no place for the Hugging Face cache: set HF_HOME")?;
    let control = interrupt.control();
    let _progress = Progress::watch_bytes("downloading", &control);
    match hub.fetch(&name, &control) {
        Err(error @ HubError::Unreachable { .. }) if locate(&name, Some(&hub.cache)).is_ok() => {
            warn(format!("{error}; what the cache has of {name} is taken"));
            Ok(())
        }
        fetched => fetched.map(drop).map_err(Into::into),
    }
}
