//! Who gets a core first where a person waits at a screen.

/// How much nicer than the screen its jobs are: a tenth of its weight where both want the same core.
#[cfg(target_os = "linux")]
const NICER: i32 = 10;

/// Puts the calling thread, and all that it starts from now on, behind the other threads of this program wherever both want a
/// core. Alone on a core it is as fast as before; against other programs it gets less (where Linux groups tasks by session, against
/// those of its own session alone).
///
/// On Linux, where niceness belongs to a thread. Elsewhere nothing is done: macOS and Windows lower a thread that computes for
/// long, and raise one that was just woken, by themselves; what macOS calls niceness belongs to the whole process.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        // Nobody is refused less than he has; if he were, the work would be done all the same.
        let _ = getpriority_process(None).and_then(|now| setpriority_process(None, now.saturating_add(NICER)));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::thread;

    use rustix::process::getpriority_process;

    use super::*;

    fn niceness() -> Option<i32> {
        getpriority_process(None).ok()
    }

    #[test]
    fn a_thread_gives_way_with_those_that_it_starts_and_with_no_other() {
        let before = niceness();
        let (own, started) = thread::spawn(|| {
            give_way();
            (niceness(), thread::spawn(niceness).join().unwrap())
        })
        .join()
        .unwrap();
        let lower = before.map(|before| (before + NICER).min(19));
        assert!(lower.is_some());
        assert_eq!((own, started, niceness()), (lower, lower, before));
    }
}
