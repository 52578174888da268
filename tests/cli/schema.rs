//! The schemas that are printed, held to files that the program itself writes.

use serde_json::{Map, Value, json};

use super::K_PROJ;
use super::support::Place;

/// What a validator of JSON Schema does with the keywords that our schemas use; any other one fails the test.
fn refused(schema: &Value, value: &Value, root: &Value, at: &str) -> Option<String> {
    let Some(rules) = schema.as_object() else {
        return (schema == &json!(false)).then(|| format!("{at} may not be there"));
    };
    rules.iter().find_map(|(word, rule)| {
        let wrong = match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" | "required" => {
                return missing(word, rule, value, at);
            }
            "properties" | "additionalProperties" => return members(rules, word, value, root, at),
            "$ref" => return refused(root.pointer(rule.as_str()?.trim_start_matches('#'))?, value, root, at),
            "items" => {
                let each = value.as_array()?.iter().enumerate();
                return each.into_iter().find_map(|(index, item)| refused(rule, item, root, &format!("{at}/{index}")));
            }
            "oneOf" => rule.as_array()?.iter().filter(|one| refused(one, value, root, at).is_none()).count() != 1,
            "anyOf" => rule.as_array()?.iter().all(|one| refused(one, value, root, at).is_some()),
            "const" => value != rule,
            "enum" => !rule.as_array()?.contains(value),
            "type" => !is_of(rule, value),
            "minimum" => value.as_f64().is_some_and(|number| number < rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_some_and(|number| number > rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_some_and(|text| (text.chars().count() as u64) < rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_some_and(|text| text.chars().count() as u64 > rule.as_u64().unwrap()),
            other => unreachable!("{other} is a keyword that this test does not know"),
        };
        wrong.then(|| format!("{at} is {value}, against {word} {rule}"))
    })
}

fn missing(word: &str, rule: &Value, value: &Value, at: &str) -> Option<String> {
    let object = value.as_object().filter(|_| word == "required")?;
    let absent = rule.as_array()?.iter().filter_map(Value::as_str).find(|name| !object.contains_key(*name))?;
    Some(format!("{at} lacks {absent}"))
}

fn members(rules: &Map<String, Value>, word: &str, value: &Value, root: &Value, at: &str) -> Option<String> {
    let known = rules.get("properties").and_then(Value::as_object);
    value.as_object()?.iter().find_map(|(name, member)| {
        let rule = known.and_then(|known| known.get(name));
        let rule = if word == "properties" { rule? } else { rule.xor(rules.get(word))? };
        refused(rule, member, root, &format!("{at}/{name}"))
    })
}

fn is_of(rule: &Value, value: &Value) -> bool {
    let of = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => unreachable!("{other} is no type"),
    };
    rule.as_array().map_or_else(|| of(rule), |names| names.iter().any(of))
}

/// A session of the workbench: edits, an undo, a pinned policy, a text.
fn session(place: &Place) -> Value {
    let file = place.path("session.json").display().to_string();
    let lines = format!(
        "select kind:k\nrank 16\npin\nrank 8\nundo\nredo\nmax-tokens 8\nedit-prompt Once upon a time\nsave session {file}\nquit\n"
    );
    let mut child = place
        .command()
        .arg("--plain")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("saved the session"), "{text}");
    serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()
}

#[test]
fn the_schema_of_sessions_takes_what_the_workbench_saves_and_nothing_else() {
    let place = Place::new();
    let schema = place.json(&["schema", "session"]);
    let session = session(&place);
    let told = |session: &Value| refused(&schema, session, &schema, "");
    assert_eq!(told(&session), None);
    let words: Vec<&str> = session["steps"].as_array().unwrap().iter().filter_map(|step| step["do"].as_str()).collect();
    assert_eq!(words, ["plans", "plans", "undo", "redo", "write"]);
    assert_eq!(session["steps"][4]["pinned"][0]["name"], "A");
    for (pointer, wrong) in [
        ("/rankscope_session", json!(2)),
        ("/model", json!({"name": "demo"})),
        ("/policy/rules", json!([{"match": "*", "rang": 3}])),
        ("/steps/0/do", json!("erase")),
        ("/steps/4/original/0", json!("one")),
        ("/steps/4/pinned/0/name", json!("AB")),
        ("/steps/4/pinned/0/plans/0/base", json!("int3")),
    ] {
        let mut other = session.clone();
        *other.pointer_mut(pointer).unwrap() = wrong;
        assert!(told(&other).is_some(), "{pointer} is not looked at");
    }
    let mut other = session.clone();
    other["steps"][4]["loud"] = json!(true);
    assert!(told(&other).is_some());
    let file = place.path("session.json").display().to_string();
    assert_eq!(place.json(&["replay", &file])["same"], true);
}

#[test]
fn the_schema_of_policies_takes_a_policy() {
    let place = Place::new();
    let schema = place.json(&["schema", "policy"]);
    assert_eq!(refused(&schema, &serde_json::from_str(K_PROJ).unwrap(), &schema, ""), None);
    assert!(refused(&schema, &json!({"rankscope_policy": 1}), &schema, "").is_some());
}
