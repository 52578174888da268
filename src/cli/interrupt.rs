//! Ctrl-C and SIGTERM reach inside long work, which then cleans up behind itself.

use std::sync::{Arc, Mutex, PoisonError};

use crate::control::Control;

/// Hands out controls that a signal cancels.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    interrupted: bool,
    controls: Vec<Control>,
}

impl Interrupt {
    /// A control for one phase of the work; cancelled already where a signal has come.
    pub fn control(&self) -> Control {
        let control = Control::new();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.interrupted {
            control.cancel();
        }
        state.controls.push(control.clone());
        control
    }

    /// Whether a signal has come.
    pub fn is_interrupted(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).interrupted
    }

    fn interrupt(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.interrupted = true;
        state.controls.iter().for_each(Control::cancel);
    }

    /// Listens for Ctrl-C and SIGTERM as long as what it returns is kept: the first cancels, the second ends the program at
    /// once.
    ///
    /// # Errors
    /// The system's.
    #[cfg(unix)]
    pub fn listen(&self) -> std::io::Result<Listening> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        let (own, handle) = (self.clone(), signals.handle());
        std::thread::Builder::new().name("rankscope signals".into()).spawn(move || {
            for _ in signals.forever() {
                if own.is_interrupted() {
                    std::process::exit(130);
                }
                own.interrupt();
            }
        })?;
        Ok(Listening(handle))
    }

    /// Lets a write beyond the limit on a file's size fail like any other, instead of ending the program before it has
    /// tidied up.
    ///
    /// # Errors
    /// The system's.
    #[cfg(unix)]
    pub fn outlive_size_limits() -> std::io::Result<()> {
        // A handler that does nothing: the signal then only makes the write fail.
        signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).map(drop)
    }

    /// Elsewhere such a write fails anyway.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn outlive_size_limits() -> std::io::Result<()> {
        Ok(())
    }

    /// Elsewhere Ctrl-C ends the program at once, as is usual there.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn listen(&self) -> std::io::Result<Listening> {
        Ok(Listening())
    }
}

/// Signals are listened for.
#[derive(Debug)]
pub struct Listening(#[cfg(unix)] signal_hook::iterator::Handle);

#[cfg(unix)]
impl Drop for Listening {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_cancels_controls_before_and_after_it() {
        let interrupt = Interrupt::default();
        let before = interrupt.control();
        assert!(!before.is_cancelled() && !interrupt.is_interrupted());
        interrupt.interrupt();
        assert!(before.is_cancelled() && interrupt.control().is_cancelled());
    }
}
