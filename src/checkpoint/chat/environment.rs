//! Jinja as transformers sets it up for chats.

use std::io::{self, Write};
use std::time::SystemTime;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use minijinja_contrib::pycompat;
use serde_json::Map;

use super::super::escaped;
use super::{date, json};

/// Steps that a template may take; the longest of known families take some thousands for a message.
const FUEL: u64 = 200_000;
/// Bytes of text that a template may write beyond what was said to it.
const WRITTEN: usize = 16 << 20;
/// How much of the template's own words a message quotes.
const SHOWN: usize = 200;

/// The text that a template makes of `context`, or why there is none.
pub(super) fn render(source: &str, context: Map<String, serde_json::Value>, now: SystemTime) -> Result<String, String> {
    let environment = environment(now).map_err(|error| reason(&error))?;
    let template = environment.template_from_named_str("chat", source).map_err(|error| reason(&error))?;
    let mut written = Bounded(Vec::new());
    match template.render_captured_to(Value::from(Serde(context)), &mut written) {
        Ok(_) => String::from_utf8(written.0).map_err(|error| error.to_string()),
        Err(error) => Err(reason(&error)),
    }
}

fn environment<'a>(now: SystemTime) -> Result<Environment<'a>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_undefined_behavior(UndefinedBehavior::Lenient);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);
    environment.add_filter("tojson", tojson);
    environment.add_function("raise_exception", refusal);
    environment.add_function("strftime_now", move |format: &str| date::strftime(format, now));
    Ok(environment)
}

fn refusal(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, format!("the chat template refuses this: {message}")))
}

/// As `json.dumps` writes it; transformers puts it in the place of Jinja's own, which escapes for HTML.
#[expect(clippy::needless_pass_by_value, reason = "the crate passes options so")]
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let _: (Option<Value>, Option<bool>) = (options.get("separators")?, options.get("sort_keys")?);
    options.assert_all_used()?;
    json::dumps(value, indent, ascii.unwrap_or(false))
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// What was written, as long as it is no more than any chat has.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > WRITTEN {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too much"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn reason(error: &Error) -> String {
    let at = error.line().map_or_else(String::new, |line| format!(" (line {line} of the chat template)"));
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => format!("the chat template takes more than {FUEL} steps"),
        (ErrorKind::WriteFailure, _) => format!("the chat template writes more than {} MiB", WRITTEN >> 20),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    format!("{}{at}", escaped(&what, SHOWN))
}
