//! What happens when a mapped file no longer has the page that is read: the system sends SIGBUS. If the address lies in one of
//! our maps, zeros take the place of what is gone and the map is marked; what was computed from it is an error then. Any
//! other SIGBUS does what it did before.

/// A map that is known here until this is dropped. Where the table is full, or the system has no such signal, the map is
/// simply not known.
#[derive(Debug)]
pub(super) struct Watched(Option<usize>);

#[cfg(unix)]
pub(super) use unix::watch;

/// Other systems refuse to shorten a mapped file.
#[cfg(not(unix))]
pub(super) fn watch(_map: &[u8]) -> Watched {
    Watched(None)
}

impl Watched {
    /// Whether zeros have been read where the file had ended.
    pub(super) fn faulted(&self) -> bool {
        #[cfg(unix)]
        return self.0.is_some_and(unix::faulted);
        #[cfg(not(unix))]
        return false;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        #[cfg(unix)]
        self.0.into_iter().for_each(unix::forget);
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::c_void;
    use std::ptr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::Watched;

    /// Most maps watched at once: the shards of several large models.
    const MOST: usize = 1024;

    /// One map. Handler and threads share nothing else, and neither waits for the other.
    struct Slot {
        taken: AtomicBool,
        /// First address; 0: not watched.
        start: AtomicUsize,
        end: AtomicUsize,
        faulted: AtomicBool,
    }

    static SLOTS: [Slot; MOST] = [const {
        Slot {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            faulted: AtomicBool::new(false),
        }
    }; MOST];

    /// What is done about other faults, and the size of a page.
    static BEFORE: OnceLock<(libc::sigaction, usize)> = OnceLock::new();

    /// Watches a map.
    pub fn watch(map: &[u8]) -> Watched {
        if map.is_empty() || !listening() {
            return Watched(None);
        }
        let free = |slot: &Slot| slot.taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        let index = SLOTS.iter().position(free);
        if let Some(slot) = index.and_then(|index| SLOTS.get(index)) {
            slot.faulted.store(false, Ordering::SeqCst);
            slot.end.store(map.as_ptr().addr() + map.len(), Ordering::SeqCst);
            slot.start.store(map.as_ptr().addr(), Ordering::SeqCst);
        }
        Watched(index)
    }

    pub fn faulted(index: usize) -> bool {
        SLOTS.get(index).is_some_and(|slot| slot.faulted.load(Ordering::SeqCst))
    }

    pub fn forget(index: usize) {
        if let Some(slot) = SLOTS.get(index) {
            slot.start.store(0, Ordering::SeqCst);
            slot.end.store(0, Ordering::SeqCst);
            slot.taken.store(false, Ordering::Release);
        }
    }

    /// Whether faults reach [`on_fault`], which the first call sees to.
    fn listening() -> bool {
        static LISTENING: OnceLock<bool> = OnceLock::new();
        *LISTENING.get_or_init(|| {
            // SAFETY: only asks.
            let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) });
            let Some(page) = page.ok().filter(|page| page.is_power_of_two()) else { return false };
            // SAFETY: all zeros is a value of this plain C struct.
            let (mut before, mut ours): (libc::sigaction, libc::sigaction) =
                unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
            // SAFETY: only asks; `before` is ours to write.
            if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut before) } != 0 {
                return false;
            }
            let _ = BEFORE.set((before, page));
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
            ours.sa_sigaction = handler as libc::sighandler_t;
            // On the other stack, where the thread has one: this may come while the own one is full.
            ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // SAFETY: the handler does only what is allowed within a signal: atomics, mmap and sigaction, which are system
            // calls and nothing else. It reads what was set before it could be called.
            unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) == 0 }
        })
    }

    extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
        let Some((before, page)) = BEFORE.get() else { return };
        // SAFETY: with SA_SIGINFO the system hands over what it knows of the fault; SIGBUS has an address.
        let address = unsafe { (*info).si_addr() }.addr();
        let found = SLOTS.iter().find_map(|slot| Some((slot, end_if_inside(slot, address)?)));
        if found.is_some_and(|(slot, end)| fill(slot, address & !(page - 1), end)) {
            return;
        }
        // SAFETY: puts back what was there; the instruction is then tried again and meets that.
        unsafe { libc::sigaction(signal, before, ptr::null_mut()) };
    }

    /// The end of the map that holds the address.
    fn end_if_inside(slot: &Slot, address: usize) -> Option<usize> {
        let start = slot.start.load(Ordering::SeqCst);
        let end = slot.end.load(Ordering::SeqCst);
        let inside = start != 0 && (start..end).contains(&address);
        // The slot may have got another map between the two.
        (inside && slot.start.load(Ordering::SeqCst) == start).then_some(end)
    }

    /// Zeros in the place of what is gone: from this page to the end of the map, so that not each page needs a signal.
    fn fill(slot: &Slot, page: usize, end: usize) -> bool {
        slot.faulted.store(true, Ordering::SeqCst);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        let at = ptr::with_exposed_provenance_mut(page);
        // SAFETY: the range lies in a map of ours, which is unmapped by its owner alone, after it was taken out of the table;
        // whoever reads there meanwhile reads zeros, which every type of number has.
        let filled = unsafe { libc::mmap(at, end - page, libc::PROT_READ, flags, -1, 0) };
        filled != libc::MAP_FAILED
    }
}
