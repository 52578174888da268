//! JSON as Python's `json.dumps` writes it.

use std::fmt::Write as _;
use std::io::{self, Write};

use minijinja::Value;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// Widest indentation.
const WIDEST: usize = 16;

/// How JSON is laid out.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    /// Spaces of each level, each item on a line of its own; else all on one line.
    pub(super) indent: Option<usize>,
    /// What stands between items, and after a key; Python's defaults where none is told.
    pub(super) separators: Option<(String, String)>,
    /// Other characters than those of ASCII are escaped.
    pub(super) ascii: bool,
    /// Members by their names.
    pub(super) sorted: bool,
}

/// The text of a value.
pub(super) fn dumps(value: &Value, layout: &Layout) -> serde_json::Result<String> {
    let mut json = serde_json::to_value(value)?;
    if layout.sorted {
        json.sort_all_objects();
    }
    let lined = layout.indent.is_some();
    let (item, colon) =
        layout.separators.clone().unwrap_or_else(|| (if lined { "," } else { ", " }.into(), ": ".into()));
    let mut out = Vec::new();
    let spaces = layout.indent.map(|width| width.min(WIDEST));
    json.serialize(&mut Serializer::with_formatter(&mut out, Laid { item, colon, spaces, depth: 0, filled: false }))?;
    let text = String::from_utf8_lossy(&out).into_owned();
    Ok(if layout.ascii { in_ascii(&text) } else { text })
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

struct Laid {
    item: String,
    colon: String,
    spaces: Option<usize>,
    depth: usize,
    /// Whether the list or map that was begun last has anything in it.
    filled: bool,
}

impl Laid {
    fn begin<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(writer)?;
        }
        self.filled = true;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.filled = true;
        if !first {
            writer.write_all(self.item.as_bytes())?;
        }
        self.line(writer)
    }

    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        match self.spaces {
            Some(spaces) => write!(writer, "\n{:1$}", "", spaces * self.depth),
            None => Ok(()),
        }
    }
}

impl Formatter for Laid {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.colon.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;
    use serde_json::json;

    use super::*;

    #[test]
    fn layouts_are_pythons() {
        let value = Value::from(Serde(json!({"b": [1, {}, [], {"é": null}], "a": [[2.5, true]]})));
        let text = |layout: Layout| dumps(&value, &layout).unwrap();
        // json.dumps(value, ...) of the same.
        assert_eq!(text(Layout::default()), r#"{"b": [1, {}, [], {"é": null}], "a": [[2.5, true]]}"#);
        let close = Layout { separators: Some((",".into(), ":".into())), sorted: true, ascii: true, indent: None };
        assert_eq!(text(close), r#"{"a":[[2.5,true]],"b":[1,{},[],{"\u00e9":null}]}"#);
        let lined = "{\n \"b\": [\n  1,\n  {},\n  [],\n  {\n   \"é\": null\n  }\n ],\n \"a\": [\n  [\n   2.5,\n   true\n  ]\n ]\n}";
        assert_eq!(text(Layout { indent: Some(1), ..Layout::default() }), lined);
    }
}
