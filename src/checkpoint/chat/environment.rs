//! Jinja as transformers sets it up for chats, within bounds.

use std::sync::Arc;
use std::time::SystemTime;

use minijinja::machinery::{CompiledTemplate, TemplateConfig, Token, eval, make_string_output, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, escape_formatter};
use serde_json::Map;

use super::super::escaped;
use super::budget::Budget;
use super::{date, library, operations};

/// Steps that a template may take; the longest of known families take some thousands for a message.
const FUEL: u64 = 200_000;
/// Size of all values that a template may make beyond some copies of what was said to it.
const SIZE: usize = 4 << 20;
/// Copies that a template may make of what was said, for each message and some more.
const COPIES: usize = 8;
/// Bytes that a template may write of its own text, however often it repeats it.
const WRITTEN: u64 = 256 << 20;
/// How much of the template's own words a message quotes.
const SHOWN: usize = 200;

/// The text that a template makes of `context`, or why there is none.
pub(super) fn render(source: &str, context: Map<String, serde_json::Value>, now: SystemTime) -> Result<String, String> {
    rendered(source, context, now).map_err(|error| reason(&error))
}

fn rendered(source: &str, context: Map<String, serde_json::Value>, now: SystemTime) -> Result<String, Error> {
    let messages = context.get("messages");
    let said = messages.map_or(0, |messages| messages.to_string().len());
    let count = messages.and_then(|messages| messages.as_array()).map_or(0, Vec::len);
    let budget = Budget::new(SIZE + COPIES * (8 + count) * said);
    let syntax_config = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    let source = unfolded(source, syntax_config.clone())?;
    let config = TemplateConfig { syntax_config, default_auto_escape: Arc::new(|_| AutoEscape::None) };
    let mut template = CompiledTemplate::new("chat", &source, &config)?;
    let mut longest = operations::replace(&mut template.instructions)?;
    for block in template.blocks.values_mut() {
        longest = longest.max(operations::replace(block)?);
    }
    let environment = environment(&budget, longest, now);
    let mut text = String::new();
    let root = Value::from(Serde(context));
    run(&environment, &template, root, &mut text)?;
    Ok(text)
}

fn environment<'a>(budget: &Budget, longest: usize, now: SystemTime) -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL.min(WRITTEN / (1 + longest as u64))));
    environment.add_filter("unfolded", |value: Value| value);
    operations::add_to(&mut environment, budget);
    library::add_to(&mut environment, budget);
    environment.add_function("strftime_now", move |format: &str| date::strftime(format, now));
    let paying = budget.clone();
    environment.set_formatter(move |out, state, value| {
        paying.weigh(std::slice::from_ref(value))?;
        escape_formatter(out, state, value)
    });
    environment
}

fn run<'a>(
    environment: &'a Environment<'a>,
    template: &'a CompiledTemplate<'a>,
    root: Value,
    text: &mut String,
) -> Result<(), Error> {
    let mut out = make_string_output(text);
    eval(environment, &template.instructions, root, &template.blocks, &mut out, AutoEscape::None).map(|_| ())
}

/// The source with a filter that does nothing before every `*`, so that the compiler does not repeat what is constant: it
/// counts neither steps nor sizes.
fn unfolded(source: &str, syntax: SyntaxConfig) -> Result<String, Error> {
    let (mut out, mut from, mut unary) = (String::new(), 0, true);
    for token in tokenize(source, false, syntax) {
        let (token, span) = token?;
        let at = span.start_offset as usize;
        if matches!(token, Token::Mul) && !unary {
            out += source.get(from..at).unwrap_or_default();
            out += "|unfolded ";
            from = at;
        }
        // The * of f(*list) is no product.
        unary = matches!(token, Token::ParenOpen | Token::Comma);
    }
    Ok(out + source.get(from..).unwrap_or_default())
}

fn reason(error: &Error) -> String {
    let at = error.line().map_or_else(String::new, |line| format!(" (line {line} of the chat template)"));
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "the chat template takes more steps than any needs".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    };
    format!("{}{at}", escaped(&what, SHOWN))
}
