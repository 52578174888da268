//! What everything long takes along: a cancel that reaches inside, and progress that others can read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The work was cancelled by the person or because a newer request replaced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

#[derive(Debug, Default)]
struct State {
    cancelled: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
}

/// A handle on one piece of long work; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Control(Arc<State>);

impl Control {
    /// A fresh handle: not cancelled, nothing done.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the work to stop at its next check.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked the work to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// For use inside loops: returns early by `?` once cancelled.
    ///
    /// # Errors
    /// [`Cancelled`] after [`Control::cancel`].
    pub fn check(&self) -> Result<(), Cancelled> {
        if self.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    /// States how many steps there are.
    pub fn set_total(&self, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
    }

    /// Counts `steps` more as done.
    pub fn advance(&self, steps: u64) {
        self.0.done.fetch_add(steps, Ordering::Relaxed);
    }

    /// Steps done and steps in all (0 while unknown).
    pub fn progress(&self) -> (u64, u64) {
        (self.0.done.load(Ordering::Relaxed), self.0.total.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_cancel_and_progress() {
        let one = Control::new();
        let other = one.clone();
        other.set_total(4);
        other.advance(3);
        assert_eq!(one.progress(), (3, 4));
        assert_eq!(one.check(), Ok(()));
        other.cancel();
        assert_eq!(one.check(), Err(Cancelled));
    }
}
