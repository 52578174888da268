//! A progress bar where work takes longer than a second and stderr is a terminal.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::control::Control;

/// How long work goes without a bar.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the bar is drawn.
const PERIOD: Duration = Duration::from_millis(100);

/// Shows a control's progress until dropped.
#[derive(Debug)]
pub struct Progress {
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Watches work called `name` (`decomposing`).
    pub fn watch(name: &'static str, control: &Control) -> Self {
        Self::drawn(name, "{pos}/{len} {elapsed}", control)
    }

    /// Watches work whose steps are bytes.
    pub fn watch_bytes(name: &'static str, control: &Control) -> Self {
        Self::drawn(name, "{decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}", control)
    }

    fn drawn(name: &'static str, figures: &'static str, control: &Control) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { ended: None, thread: None };
        }
        let (ended, watched) = channel();
        let control = control.clone();
        let draw = move || {
            if watched.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = bar(name, figures);
            while watched.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let (done, total) = control.progress();
                bar.set_length(total.max(done));
                bar.set_position(done);
            }
            bar.finish_and_clear();
        };
        let thread = std::thread::Builder::new().name("rankscope progress".into()).spawn(draw).ok();
        Self { ended: Some(ended), thread }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // The bar ends when its channel closes.
        drop(self.ended.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bar(name: &'static str, figures: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{prefix}} [{{wide_bar}}] {figures}"));
    let bar = ProgressBar::new(0).with_prefix(name);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
