//! Walking the members of a JSON object as they stand in the text: duplicates are seen, nothing is collected.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::escaped;

/// Why a text is not the object that was expected.
#[derive(Debug)]
pub(super) enum NotMembers {
    /// It is JSON of another kind: `a list`, `a number`...
    Kind(&'static str),
    /// It is not JSON; the parser's words.
    Syntax(String),
    /// A member was refused, for this reason.
    Member(String),
}

impl NotMembers {
    /// The reason as a sentence about `what`.
    pub(super) fn about(self, what: &str) -> String {
        match self {
            Self::Kind(kind) => format!("{what} is {kind}, not an object"),
            Self::Syntax(words) => format!("{what} is not valid JSON ({words})"),
            Self::Member(reason) => reason,
        }
    }
}

/// Calls `each` with every member of the object that `text` holds, in order, duplicates included.
/// Values are only skipped over, which takes no stack however deep they nest.
pub(super) fn members(
    text: &str,
    mut each: impl FnMut(String, &RawValue) -> Result<(), String>,
) -> Result<(), NotMembers> {
    match kind_of(text) {
        "an object" => {}
        "nothing" => return Err(NotMembers::Syntax("it is empty".to_owned())),
        "no JSON value" => return Err(NotMembers::Syntax("it begins with no JSON value".to_owned())),
        kind => return Err(NotMembers::Kind(kind)),
    }
    let mut walk = Walk { each: &mut each, refused: None };
    let mut json = serde_json::Deserializer::from_str(text);
    let walked = (&mut walk).deserialize(&mut json).and_then(|()| json.end());
    match (walk.refused, walked) {
        (Some(reason), _) => Err(NotMembers::Member(reason)),
        (None, Err(error)) => Err(NotMembers::Syntax(words(&error))),
        (None, Ok(())) => Ok(()),
    }
}

/// What a JSON text begins to be, for a message.
pub(super) fn kind_of(text: &str) -> &'static str {
    match text.trim_start_matches([' ', '\n', '\r', '\t']).bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "text",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(_) => "no JSON value",
        None => "nothing",
    }
}

/// The parser's reason in words fit for a message.
pub(super) fn words(error: &serde_json::Error) -> String {
    if error.is_eof() {
        return format!("it ends early, in line {}", error.line());
    }
    escaped(&error.to_string(), 160)
}

struct Walk<'a, F> {
    each: &'a mut F,
    refused: Option<String>,
}

impl<'de, F: FnMut(String, &RawValue) -> Result<(), String>> DeserializeSeed<'de> for &mut Walk<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(String, &RawValue) -> Result<(), String>> Visitor<'de> for &mut Walk<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value::<&RawValue>()?;
            if let Err(reason) = (self.each)(name, value) {
                self.refused = Some(reason);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
