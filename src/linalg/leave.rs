//! Work that cannot be stopped from outside: it is left behind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use super::NumericError;
use crate::control::Control;

/// How often one that waits looks whether it is cancelled.
const PATIENCE: Duration = Duration::from_millis(10);
/// Most bytes that works left behind and one more may hold together; one alone may hold more.
const LIMIT: u64 = 2 << 30;

static LEFT: Left = Left::new(LIMIT);

/// What `work`, which holds about `bytes` of memory, gives on a thread of its own. After a cancel it runs on to its end, unseen;
/// works begin only where those left behind leave them memory.
///
/// # Errors
/// Cancelled, within some hundredths of a second; no thread to be had.
pub fn unless_cancelled<T: Send + 'static>(
    bytes: u64,
    control: &Control,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NumericError> {
    LEFT.run(bytes, control, work)
}

/// Bytes that works left behind hold.
#[derive(Debug)]
struct Left {
    limit: u64,
    bytes: Mutex<u64>,
    freed: Condvar,
}

/// A work's state, as its thread and the one that waits see it.
#[derive(Debug)]
enum Work<T> {
    Runs,
    Left,
    Done(Result<T, Box<dyn Any + Send>>),
}

impl Left {
    const fn new(limit: u64) -> Self {
        Self { limit, bytes: Mutex::new(0), freed: Condvar::new() }
    }

    fn run<T: Send + 'static>(
        &'static self,
        bytes: u64,
        control: &Control,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NumericError> {
        self.wait_for_room(bytes, control)?;
        let place = Arc::new((Mutex::new(Work::Runs), Condvar::new()));
        let there = Arc::clone(&place);
        let run = move || {
            let done = catch_unwind(AssertUnwindSafe(work));
            let (state, ended) = &*there;
            match std::mem::replace(&mut *locked(state), Work::Done(done)) {
                Work::Left => self.give_back(bytes),
                Work::Runs | Work::Done(_) => ended.notify_all(),
            }
        };
        Builder::new()
            .name("rankscope eigen".into())
            .spawn(run)
            .map_err(|error| NumericError::Thread(error.to_string()))?;
        self.wait(&place.0, &place.1, bytes, control)
    }

    fn wait<T>(
        &self,
        state: &Mutex<Work<T>>,
        ended: &Condvar,
        bytes: u64,
        control: &Control,
    ) -> Result<T, NumericError> {
        let mut state = locked(state);
        loop {
            if let Work::Done(done) = std::mem::replace(&mut *state, Work::Runs) {
                return Ok(done.unwrap_or_else(|panic| resume_unwind(panic)));
            }
            if let Err(cancelled) = control.check() {
                *locked(&self.bytes) += bytes;
                *state = Work::Left;
                return Err(cancelled.into());
            }
            state = ended.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait_for_room(&self, bytes: u64, control: &Control) -> Result<(), NumericError> {
        let mut left = locked(&self.bytes);
        loop {
            control.check()?;
            if *left == 0 || left.saturating_add(bytes) <= self.limit {
                return Ok(());
            }
            left = self.freed.wait_timeout(left, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn give_back(&self, bytes: u64) {
        let mut left = locked(&self.bytes);
        *left = left.saturating_sub(bytes);
        self.freed.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn what_work_gives_comes_back() {
        static LEFT: Left = Left::new(10);
        assert_eq!(LEFT.run(99, &Control::new(), || 6 * 7).unwrap(), 42);
        assert_eq!(*locked(&LEFT.bytes), 0);
        let control = Control::new();
        control.cancel();
        assert!(matches!(LEFT.run(1, &control, || 1), Err(NumericError::Cancelled(_))));
    }

    #[test]
    fn a_panic_is_that_of_who_waits() {
        static LEFT: Left = Left::new(10);
        let caught = catch_unwind(|| LEFT.run(1, &Control::new(), || panic!("inside")));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"inside"));
    }

    #[test]
    fn one_left_behind_holds_the_next_back_until_it_ends() {
        static LEFT: Left = Left::new(10);
        let (began, begins) = channel();
        let (release, released) = channel::<()>();
        let control = Control::new();
        let cancel = control.clone();
        let canceller = thread::spawn(move || {
            begins.recv().unwrap();
            cancel.cancel();
        });
        let stuck = move || {
            began.send(()).unwrap();
            released.recv().unwrap();
        };
        // The work waits for what comes after: that this returns shows that nobody waits for it.
        assert!(matches!(LEFT.run(6, &control, stuck), Err(NumericError::Cancelled(_))));
        canceller.join().unwrap();
        assert_eq!(*locked(&LEFT.bytes), 6);
        // What fits beside it runs; what does not can be cancelled while it waits.
        assert_eq!(LEFT.run(4, &Control::new(), || 1).unwrap(), 1);
        assert!(matches!(LEFT.run(5, &control, || 1), Err(NumericError::Cancelled(_))));
        let next = thread::spawn(|| LEFT.run(5, &Control::new(), || *locked(&LEFT.bytes)));
        release.send(()).unwrap();
        assert_eq!(next.join().unwrap().unwrap(), 0);
    }
}
