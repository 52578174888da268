//! JSON as Python's `json.dumps` writes it.

use std::fmt::Write as _;
use std::io::{self, Write};

use minijinja::Value;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};

/// Python's defaults: `", "` and `": "`; with `indent`, a line for each item.
pub(super) fn dumps(value: &Value, indent: Option<usize>, ascii: bool) -> serde_json::Result<String> {
    let mut out = Vec::new();
    match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut out, Spaced))?,
        Some(width) => {
            let space = " ".repeat(width.min(16));
            value
                .serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(space.as_bytes())))?;
        }
    }
    let text = String::from_utf8_lossy(&out).into_owned();
    Ok(if ascii { in_ascii(&text) } else { text })
}

/// JSON has other characters in texts only, where any may be escaped.
fn in_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
