//! The filters, methods and functions that templates call, each of which pays for what it makes.

use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters, functions};
use minijinja_contrib::pycompat;

use super::budget::{Budget, NAMESPACE, refused};
use super::json;

/// Namespaces that a template may make.
const NAMESPACES: usize = 256;
/// Widest indentation or padding that a template may ask for.
const WIDEST: usize = 64;

/// Adds them in the place of the engine's own.
pub(super) fn add_to(environment: &mut Environment<'_>, budget: &Budget) {
    for (name, filter) in known() {
        let paying = budget.clone();
        environment.add_filter(name, move |state: &mut State, arguments: Rest<ValueOrKwargs>| {
            let arguments: Vec<Value> = arguments.0.into_iter().map(Value::from).collect();
            paid(&paying, name, &arguments, || filter.call(state, &arguments))
        });
    }
    for name in ["batch", "slice", "pprint", "groupby", "zip", "chain"] {
        environment.remove_filter(name);
    }
    environment.remove_global("debug");
    let paying = budget.clone();
    environment.set_unknown_method_callback(move |state, value, method, arguments| {
        let all: Vec<Value> = [value].into_iter().chain(arguments).cloned().collect();
        paid(&paying, method, &all, || pycompat::unknown_method_callback(state, value, method, arguments))
    });
    add_functions(environment, budget);
}

fn add_functions(environment: &mut Environment<'_>, budget: &Budget) {
    environment.add_function("raise_exception", |message: &str| -> Result<Value, Error> {
        Err(refused(format!("the chat template refuses this: {message}")))
    });
    let (paying, dict) = (budget.clone(), Value::from_function(functions::dict));
    environment.add_function("dict", move |state: &mut State, arguments: Rest<ValueOrKwargs>| {
        let arguments: Vec<Value> = arguments.0.into_iter().map(Value::from).collect();
        paid(&paying, "dict", &arguments, || dict.call(state, &arguments))
    });
    let (paying, left) = (budget.clone(), Budget::new(NAMESPACES));
    let namespace = Value::from_function(functions::namespace);
    environment.add_function("namespace", move |state: &mut State, members: Option<ValueOrKwargs>| {
        left.charge(1)?;
        let members = members.map_or_else(
            || Ok(Value::from_pairs::<_, Value, Value>([])),
            |members| {
                let members = Value::from(members);
                paying.weigh(std::slice::from_ref(&members)).map(|()| members)
            },
        )?;
        let mark = (Value::from(NAMESPACE), Value::from(true));
        let pairs = members.try_iter()?.map(|key| members.get_item(&key).map(|value| (key, value)));
        let marked = pairs.chain([Ok(mark)]).collect::<Result<Vec<_>, Error>>()?;
        namespace.call(state, &[Value::from_pairs(marked)])
    });
}

/// Does the work once it is paid for, and has the result paid for.
fn paid(
    budget: &Budget,
    name: &str,
    arguments: &[Value],
    work: impl FnOnce() -> Result<Value, Error>,
) -> Result<Value, Error> {
    budget.weigh(arguments)?;
    budget.charge(growth(name, arguments)?)?;
    let made = work()?;
    budget.weigh(std::slice::from_ref(&made))?;
    Ok(made)
}

/// How much larger than its arguments a result can be, of those where that is more than a few times.
fn growth(name: &str, arguments: &[Value]) -> Result<usize, Error> {
    let text = |at: usize| arguments.get(at).and_then(Value::as_str).unwrap_or_default();
    let count = |at: usize| arguments.get(at).and_then(Value::len).unwrap_or_default();
    Ok(match name {
        "replace" => text(0).matches(text(1)).count().saturating_mul(text(2).len()),
        // A filter has the items before the separator, a method the separator before the items.
        "join" => text(0).len().saturating_mul(count(1)).max(count(0).saturating_mul(text(1).len())),
        "indent" => {
            let wide = |value: &Value| value.as_usize().is_some_and(|width| width > WIDEST);
            let named = |value: &Value| value.is_kwargs() && value.get_attr("width").is_ok_and(|width| wide(&width));
            if arguments.iter().any(|value| wide(value) || named(value)) {
                return Err(refused(format!("the chat template indents by more than {WIDEST}")));
            }
            WIDEST * (1 + text(0).matches('\n').count())
        }
        "format" => {
            padded(text(0))?;
            0
        }
        _ => 0,
    })
}

/// Refuses formats that pad: they could pad to any width.
fn padded(format: &str) -> Result<(), Error> {
    let digits = format.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 2);
    let nested = format.split('}').any(|part| part.matches('{').count() > 1);
    if digits || nested || format.contains('*') {
        return Err(refused("the chat template formats to a width that is too large or not known"));
    }
    Ok(())
}

fn known() -> Vec<(&'static str, Value)> {
    macro_rules! named {
        ($($name:ident),+) => { vec![$((stringify!($name), Value::from_function(filters::$name))),+] };
    }
    let mut known = named![
        abs, attr, bool, capitalize, default, dictsort, escape, first, float, format, indent, int, items, join, last,
        length, lines, list, lower, map, max, min, reject, rejectattr, replace, reverse, round, safe, select,
        selectattr, sort, split, string, sum, title, trim, unique, upper
    ];
    known.push(("count", Value::from_function(filters::length)));
    known.push(("d", Value::from_function(filters::default)));
    known.push(("e", Value::from_function(filters::escape)));
    known.push(("tojson", Value::from_function(tojson)));
    known
}

/// As `json.dumps` writes it; transformers puts it in the place of Jinja's own, which escapes for HTML.
#[expect(clippy::needless_pass_by_value, reason = "the crate passes options so")]
fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let separators: Option<Vec<String>> = options.get("separators")?;
    let separators = match separators.as_deref() {
        None => None,
        Some([item, colon]) => Some((item.clone(), colon.clone())),
        Some(_) => return Err(refused("tojson takes two separators")),
    };
    if separators.as_ref().is_some_and(|(item, colon)| item.len().max(colon.len()) > WIDEST) {
        return Err(refused("tojson takes short separators"));
    }
    let flag = |name: &str| options.get::<Option<bool>>(name).map(Option::unwrap_or_default);
    let layout = json::Layout {
        indent: options.get("indent")?,
        separators,
        ascii: flag("ensure_ascii")?,
        sorted: flag("sort_keys")?,
    };
    options.assert_all_used()?;
    json::dumps(value, &layout).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}
