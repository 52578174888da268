//! What is wrong in a policy's text, line by line, and the text that a policy is written as.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::policy_file::{PolicyFile, RuleFile};
use super::{Policy, Rule};

/// One thing wrong (or worth a warning) in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// 1-based line; 0 where there is none.
    pub line: usize,
    /// The whole message without the line: what, which key, what to do (`unknown key "rnak"; did you mean "rank"?`).
    pub message: String,
}

/// The message, after its line where it has one.
impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

/// Every error found in a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .issues.iter().map(Issue::to_string).collect::<Vec<_>>().join("; "))]
pub struct PolicyError {
    /// In the order of lines.
    pub issues: Vec<Issue>,
}

impl Policy {
    /// The file's text: the JSON that the README shows, one rule a line, stable key order, trailing newline.
    pub fn to_text(&self) -> String {
        written(&PolicyFile::from(self), 0) + "\n"
    }
}

impl Rule {
    /// The rule as one line of JSON, without what is as it would be anyway.
    pub fn to_text(&self) -> String {
        written(&RuleFile::from(self), 1)
    }
}

/// `value` as JSON, whose outermost braces stand at `depth`.
fn written(value: &impl Serialize, depth: usize) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, RuleByRule { depth, filled: false });
    // Neither a failing writer nor a key other than text is possible here.
    value.serialize(&mut serializer).map_or_else(|_| String::new(), |()| String::from_utf8_lossy(&text).into_owned())
}

/// The outermost object and its lists line by line, each object within on one line.
struct RuleByRule {
    depth: usize,
    filled: bool,
}

impl Formatter for RuleByRule {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(if self.depth == 1 { b"{\n  " } else { b"{ " })
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        writer.write_all(if self.depth == 0 { b"\n}" } else { b" }" })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        match (first, self.depth) {
            (true, _) => Ok(()),
            (false, 1) => writer.write_all(b",\n  "),
            (false, _) => writer.write_all(b", "),
        }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.filled = false;
        writer.write_all(b"[")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"\n    " } else { b",\n    " })
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.filled { b"\n  ]" } else { b"]" })
    }
}
