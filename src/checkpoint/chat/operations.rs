//! Every operation that makes or looks through a value, as a function that pays for it first.
//!
//! The engine counts steps, but a step may double a text or a list. So the instructions of a compiled template that do are
//! replaced, one by one, by calls of functions named after them; those pay and then have a plain environment do the work.

use std::sync::LazyLock;

use minijinja::machinery::{Instruction, Instructions};
use minijinja::value::{Rest, Tuple};
use minijinja::{Environment, Error, Value, context};

use super::budget::{Budget, refused};

/// Operators and what they stand for.
const OPERATORS: [(&str, &str); 10] = [
    ("+", "a + b"),
    ("*", "a * b"),
    ("~", "a ~ b"),
    ("==", "a == b"),
    ("!=", "a != b"),
    ("<", "a < b"),
    ("<=", "a <= b"),
    (">", "a > b"),
    (">=", "a >= b"),
    ("in", "a in b"),
];
/// What tests compare, by their names.
const COMPARISONS: [(&str, &str); 14] = [
    ("eq", "a == b"),
    ("equalto", "a == b"),
    ("==", "a == b"),
    ("ne", "a != b"),
    ("!=", "a != b"),
    ("lt", "a < b"),
    ("lessthan", "a < b"),
    ("<", "a < b"),
    ("le", "a <= b"),
    ("<=", "a <= b"),
    ("gt", "a > b"),
    ("greaterthan", "a > b"),
    (">", "a > b"),
    ("in", "a in b"),
];
const SLICE: &str = "[:]";
const LIST: &str = "[]";
const TUPLE: &str = "()";
const MAP: &str = "{}";

/// Replaces the instructions; the length of the longest text that stands between tags.
///
/// # Errors
/// What has no such function.
pub(super) fn replace(instructions: &mut Instructions<'_>) -> Result<usize, Error> {
    let mut longest = 0;
    for at in 0.. {
        let Some(instruction) = instructions.get_mut(at) else { break };
        let pairs =
            |count: usize| u16::try_from(2 * count).map_err(|_| refused("a map of the chat template is too long"));
        let call = match instruction {
            Instruction::EmitRaw(text) => {
                longest = longest.max(text.len());
                continue;
            }
            Instruction::Add => ("+", Some(2)),
            Instruction::Mul => ("*", Some(2)),
            Instruction::StringConcat => ("~", Some(2)),
            Instruction::Eq => ("==", Some(2)),
            Instruction::Ne => ("!=", Some(2)),
            Instruction::Lt => ("<", Some(2)),
            Instruction::Lte => ("<=", Some(2)),
            Instruction::Gt => (">", Some(2)),
            Instruction::Gte => (">=", Some(2)),
            Instruction::In => ("in", Some(2)),
            Instruction::Slice => (SLICE, Some(4)),
            Instruction::BuildList(count) => (LIST, counted(*count)?),
            Instruction::BuildTuple(count) => (TUPLE, counted(*count)?),
            Instruction::BuildMap(count) => (MAP, Some(pairs(*count)?)),
            Instruction::CompareAndPreserve(_) => {
                return Err(refused("comparisons in a row (a < b < c) are not supported"));
            }
            _ => continue,
        };
        *instruction = Instruction::CallFunction(call.0, call.1);
    }
    Ok(longest)
}

fn counted(count: Option<usize>) -> Result<Option<u16>, Error> {
    let short = |count: usize| u16::try_from(count).map_err(|_| refused("a list of the chat template is too long"));
    count.map(short).transpose()
}

/// Adds the functions that [`replace`] calls.
pub(super) fn add_to(environment: &mut Environment<'_>, budget: &Budget) {
    for (name, expression) in OPERATORS {
        let paying = budget.clone();
        environment.add_function(name, move |a: Value, b: Value| {
            if name == "*" {
                paying.charge(product(&a, &b))?;
            }
            paying.weigh(&[a.clone(), b.clone()])?;
            done(expression, &a, &b)
        });
    }
    for (name, expression) in COMPARISONS {
        let paying = budget.clone();
        environment.add_test(name, move |a: Value, b: Value| {
            paying.weigh(&[a.clone(), b.clone()])?;
            done(expression, &a, &b).map(|found| found.is_true())
        });
    }
    let paying = budget.clone();
    environment.add_function(SLICE, move |a: Value, b: Value, c: Value, d: Value| {
        paying.weigh(std::slice::from_ref(&a))?;
        evaluated("a[b:c:d]", context! {a, b, c, d})
    });
    let paying = budget.clone();
    environment.add_function(LIST, move |items: Rest<Value>| paying.weigh(&items).map(|()| Value::from(items.0)));
    let paying = budget.clone();
    environment.add_function(TUPLE, move |items: Rest<Value>| {
        paying.weigh(&items).map(|()| Value::from(Tuple::from(items.0)))
    });
    let paying = budget.clone();
    environment.add_function(MAP, move |items: Rest<Value>| {
        paying.weigh(&items)?;
        let pairs = items.as_chunks::<2>().0.iter().map(|[key, value]| (key.clone(), value.clone()));
        Ok::<Value, Error>(Value::from_pairs(pairs))
    });
}

/// The size of a text or list that is repeated.
fn product(a: &Value, b: &Value) -> usize {
    let size = |value: &Value| value.as_str().map(str::len).or_else(|| value.len());
    match (size(a), size(b)) {
        (Some(size), None) => size.saturating_mul(b.as_usize().unwrap_or_default()),
        (None, Some(size)) => size.saturating_mul(a.as_usize().unwrap_or_default()),
        _ => 0,
    }
}

/// What an expression of `a` and `b` is, without any limit.
fn done(expression: &str, a: &Value, b: &Value) -> Result<Value, Error> {
    evaluated(expression, context! {a, b})
}

fn evaluated(expression: &str, values: Value) -> Result<Value, Error> {
    static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(Environment::empty);
    let outcome = PLAIN.compile_expression_owned(expression.to_owned()).and_then(|compiled| compiled.eval(values));
    // The error gets the template's line in the place of the one that it has in the expression.
    outcome.map_err(|error| {
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        Error::new(error.kind(), detail)
    })
}
