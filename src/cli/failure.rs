//! How commands end: exit status, and what stderr says.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use crate::checkpoint::escaped;
use crate::control::Cancelled;
use crate::tui::Interrupted;

/// Longest line of an error, in characters.
const LONGEST: usize = 2000;

/// The command line was wrong in a way that its parser cannot see: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Several things that are wrong at once, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{summary}")]
pub struct Several {
    /// What they are about.
    pub summary: String,
    /// The things.
    pub causes: Vec<String>,
}

/// A check was done, and found something; what, has been printed already.
#[derive(Debug, thiserror::Error)]
#[error("the check found errors")]
pub struct Found;

/// Says on stderr why the work failed, and gives the exit status: 0 after a broken pipe, 130 when interrupted, 2 for wrong
/// use, else 1.
pub fn report(error: &anyhow::Error, interrupted: bool) -> ExitCode {
    let closed = |error: &std::io::Error| error.kind() == ErrorKind::BrokenPipe;
    if error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(closed)) {
        return ExitCode::SUCCESS;
    }
    let stopped = |cause: &(dyn std::error::Error + 'static)| cause.is::<Cancelled>() || cause.is::<Interrupted>();
    if interrupted || error.chain().any(stopped) {
        tracing::info!("interrupted");
        say("interrupted");
        return ExitCode::from(130);
    }
    if error.downcast_ref::<Found>().is_some() {
        return ExitCode::FAILURE;
    }
    let lines = lines(error);
    tracing::error!("{}", lines.join(";"));
    lines.iter().for_each(say);
    ExitCode::from(if error.downcast_ref::<Usage>().is_some() { 2 } else { 1 })
}

/// A warning on stderr.
pub fn warn(text: impl fmt::Display) {
    let text = escaped(&text.to_string(), LONGEST);
    tracing::warn!("{text}");
    say(format!("warning: {text}"));
}

/// A line on stderr; a stderr that is closed is no error.
pub fn say(text: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// `error: reason`, then causes that the lines before do not hold already.
fn lines(error: &anyhow::Error) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = escaped(&cause.to_string(), LONGEST);
        if lines.last().is_none_or(|before| !before.contains(&text)) {
            lines.push(if lines.is_empty() { format!("error: {text}") } else { format!("  {text}") });
        }
        if let Some(several) = cause.downcast_ref::<Several>() {
            lines.extend(several.causes.iter().map(|cause| format!("  {}", escaped(cause, LONGEST))));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_follow_the_reason_without_repeating_it() {
        let source = std::io::Error::other("disk \u{1b}[31m gone");
        let error =
            Err::<(), _>(source).context("cannot read it: disk \\u{1b}[31m gone").context("no model").unwrap_err();
        let lines = lines(&error);
        assert_eq!(lines[0], "error: no model");
        assert!(lines[1].starts_with("  cannot read it") && !lines.concat().contains('\u{1b}'), "{lines:?}");
    }

    #[test]
    fn several_causes_take_a_line_each() {
        let causes = vec!["line 1: a".to_owned(), "line 2: b".to_owned()];
        let error = anyhow::Error::from(Several { summary: "p.json is no policy".into(), causes });
        assert_eq!(lines(&error), ["error: p.json is no policy", "  line 1: a", "  line 2: b"]);
    }
}
