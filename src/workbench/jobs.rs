//! Jobs: named background work with progress, a cancel that reaches inside, and one end. STUB (room `workbench`).

/// Identifies a job for as long as the workbench lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What a job does (decides how it is shown and what quitting says).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Opens a model.
    Open,
    /// Decomposes layers.
    Decompose,
    /// Encodes and measures changed layers.
    Encode,
    /// Writes text.
    Generate,
    /// Writes files.
    Export,
    /// Compares over a text.
    Compare,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// At work.
    Running,
    /// Ended well.
    Done,
    /// Ended with a reason (a panic inside it, too).
    Failed(String),
    /// Cancelled.
    Cancelled,
}

/// A job as shown.
#[derive(Debug, Clone, PartialEq)]
pub struct JobView {
    /// Identity.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Its name: `decompose 36 layers`.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// Steps done and in all (0: unknown).
    pub progress: (u64, u64),
    /// Seconds since its start (until its end).
    pub seconds: f64,
}
