//! What everything long takes along: a cancel that reaches inside, progress that others can read, the memory that it needs, and
//! whom it lets go first.

mod memory;
mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use memory::{Need, OutOfMemory, Share, Told, afford, free_memory};
pub use turn::give_way;

/// The work was cancelled by the person or because a newer request replaced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

#[derive(Debug, Default)]
struct State {
    cancelled: Arc<AtomicBool>,
    done: AtomicU64,
    total: AtomicU64,
    whole: Option<Whole>,
}

/// What a part counts for in the work that it belongs to.
#[derive(Debug)]
struct Whole {
    control: Control,
    steps: u64,
    /// Steps counted there so far.
    counted: AtomicU64,
}

/// A handle on one piece of long work; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Control(Arc<State>);

impl Control {
    /// A fresh handle: not cancelled, nothing done.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle on a part of this work that makes up `steps` of its steps: cancelled together with it, with a progress of its
    /// own, which moves this one by its share.
    #[must_use]
    pub fn part(&self, steps: u64) -> Self {
        let whole = Whole { control: self.clone(), steps, counted: AtomicU64::new(0) };
        let cancelled = Arc::clone(&self.0.cancelled);
        Self(Arc::new(State { cancelled, whole: Some(whole), ..State::default() }))
    }

    /// The part is done, whatever of it was counted so far.
    pub fn finish(&self) {
        self.count_in_whole(1, 1);
    }

    fn count_in_whole(&self, done: u64, total: u64) {
        let Some(whole) = self.0.whole.as_ref().filter(|_| total > 0) else { return };
        let reached = (u128::from(whole.steps) * u128::from(done.min(total)) / u128::from(total)) as u64;
        let before = whole.counted.fetch_max(reached, Ordering::Relaxed);
        whole.control.advance(reached.saturating_sub(before));
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
        let before = self.0.done.fetch_add(steps, Ordering::Relaxed);
        self.count_in_whole(before + steps, self.0.total.load(Ordering::Relaxed));
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

    #[test]
    fn a_part_moves_the_whole_by_its_share_and_is_cancelled_with_it() {
        let whole = Control::new();
        whole.set_total(100);
        let (one, other) = (whole.part(30), whole.part(70));
        one.set_total(3);
        one.advance(1);
        assert_eq!((one.progress(), whole.progress()), ((1, 3), (10, 100)));
        // More than was said counts no more than the share.
        one.advance(5);
        assert_eq!(whole.progress(), (30, 100));
        other.set_total(70);
        other.part(35).finish();
        assert_eq!(whole.progress(), (65, 100));
        other.finish();
        other.finish();
        assert_eq!(whole.progress(), (100, 100));
        whole.cancel();
        assert!(one.is_cancelled() && other.part(1).is_cancelled());
    }
}
