//! Where copies go: to the terminal's clipboard (OSC 52), or, in a build with the feature `clipboard`, to that of the system that
//! the program runs on, and to the terminal's where that cannot be had.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::terminal;

/// How long the end of the program waits for the system's clipboard to take over what was copied last: on X11 a text lives as long
/// as whoever copied it, unless a clipboard manager asks for it.
const HANDING_OVER: Duration = Duration::from_millis(500);

/// Puts a text on a clipboard, or tells why not.
type Put = Box<dyn FnMut(&str) -> Result<(), String>>;

/// A text that did not get to the system's clipboard.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The text.
    pub text: String,
    /// Why.
    pub reason: String,
}

/// Where copies go.
#[derive(Debug, Default)]
pub struct Clipboard(Option<Keeper>);

/// The thread that holds the system's clipboard, which may take its time to answer.
#[derive(Debug)]
struct Keeper {
    texts: Option<Sender<String>>,
    gone: Receiver<()>,
}

impl Clipboard {
    /// The system's where this build has it and the person sits at that system, else the terminal's. `refused` is called, on a
    /// thread of its own, with what the system's did not take.
    pub fn of_this_build(refused: impl Fn(Refused) + Send + 'static) -> Self {
        // From afar the terminal's is the person's own.
        let afar = ["SSH_CONNECTION", "SSH_TTY"].into_iter().any(|name| std::env::var_os(name).is_some());
        system().filter(|_| !afar).map_or_else(Self::default, |open| Self::kept(open, refused))
    }

    fn kept(
        open: impl Fn() -> Result<Put, String> + Send + 'static,
        refused: impl Fn(Refused) + Send + 'static,
    ) -> Self {
        let (texts, arriving) = channel::<String>();
        let (going, gone) = channel();
        let keep = move || {
            let _going: Sender<()> = going;
            let mut held: Option<Put> = None;
            for text in arriving {
                let done = match &mut held {
                    Some(put) => put(&text),
                    None => open().and_then(|put| held.insert(put)(&text)),
                };
                if let Err(reason) = done {
                    held = None;
                    refused(Refused { text, reason });
                }
            }
        };
        let kept = thread::Builder::new().name("rankscope clipboard".into()).spawn(keep);
        Self(kept.ok().map(|_| Keeper { texts: Some(texts), gone }))
    }

    /// Whether copies go to the system's clipboard first.
    pub fn is_systems(&self) -> bool {
        self.0.is_some()
    }

    /// Puts a text there.
    ///
    /// # Errors
    /// The terminal's.
    pub fn copy(&self, text: String) -> io::Result<()> {
        let sender = self.0.as_ref().and_then(|keeper| keeper.texts.as_ref());
        match sender.map_or(Err(text.clone()), |sender| sender.send(text).map_err(|unsent| unsent.0)) {
            Ok(()) => Ok(()),
            Err(text) => terminal::copy(&text),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.texts = None;
        // Nothing is ever sent: the thread's end closes it.
        let _ = self.gone.recv_timeout(HANDING_OVER);
    }
}

#[cfg(feature = "clipboard")]
fn system() -> Option<fn() -> Result<Put, String>> {
    const OPEN: Option<fn() -> Result<Put, String>> = Some(|| {
        let mut clipboard = arboard::Clipboard::new().map_err(|error| error.to_string())?;
        Ok(Box::new(move |text| clipboard.set_text(text).map_err(|error| error.to_string())))
    });
    OPEN
}

#[cfg(not(feature = "clipboard"))]
fn system() -> Option<fn() -> Result<Put, String>> {
    None
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A clipboard that takes any text but "no", and what it got, and what was refused.
    fn clipboard(opens: &'static AtomicBool) -> (Clipboard, Receiver<String>, Receiver<Refused>) {
        let (taking, taken) = channel();
        let (refusing, refused) = channel();
        let open = move || -> Result<Put, String> {
            let taking = taking.clone();
            let put = move |text: &str| {
                if text == "no" { Err("not this".into()) } else { taking.send(text.into()).map_err(|_| "gone".into()) }
            };
            if opens.load(Ordering::Relaxed) { Ok(Box::new(put)) } else { Err("none here".into()) }
        };
        let kept = Clipboard::kept(open, move |text| refusing.send(text).unwrap_or_default());
        (kept, taken, refused)
    }

    #[test]
    fn texts_go_to_the_systems_clipboard_and_come_back_where_it_refuses_them() {
        static OPENS: AtomicBool = AtomicBool::new(false);
        let (clipboard, taken, refused) = clipboard(&OPENS);
        assert!(clipboard.is_systems());
        clipboard.copy("early".into()).unwrap();
        assert_eq!(refused.recv().unwrap(), Refused { text: "early".into(), reason: "none here".into() });
        OPENS.store(true, Ordering::Relaxed);
        for text in ["one", "no", "two"] {
            clipboard.copy(text.into()).unwrap();
        }
        drop(clipboard);
        assert_eq!(taken.iter().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(refused.iter().collect::<Vec<_>>(), [Refused { text: "no".into(), reason: "not this".into() }]);
    }
}
