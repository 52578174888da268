//! Notices for the person.

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
