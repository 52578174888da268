//! Notices for the person.

use tracing::{error, info, warn};

use crate::checkpoint::escaped;

/// Messages kept; older ones are dropped.
const KEPT: usize = 100;

/// Characters of one message.
const LENGTH: usize = 600;

/// How serious a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// For information.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// One notice; text is one line, escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How serious.
    pub severity: Severity,
    /// What, where, what to do.
    pub text: String,
    /// Grows by one with every message.
    pub serial: u64,
}

/// The last messages, oldest first.
#[derive(Debug, Default)]
pub(super) struct Messages {
    list: Vec<Message>,
    serial: u64,
}

impl Messages {
    /// Adds one; whatever comes from files is escaped here once more, so that no way in is forgotten.
    pub(super) fn say(&mut self, severity: Severity, text: &str) {
        self.serial += 1;
        if self.list.len() >= KEPT {
            self.list.remove(0);
        }
        let text = escaped(text, LENGTH);
        match severity {
            Severity::Info => info!("{text}"),
            Severity::Warning => warn!("{text}"),
            Severity::Error => error!("{text}"),
        }
        self.list.push(Message { severity, text, serial: self.serial });
    }

    pub(super) fn list(&self) -> &[Message] {
        &self.list
    }
}
