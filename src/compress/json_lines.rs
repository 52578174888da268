//! JSON that remembers the line of each value, borrowed from its text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Most values of a list or an object that are looked at.
const MOST: usize = 100_000;

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Offset of each line break.
    breaks: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Self { text, breaks }
    }

    /// The 1-based line on which `value`, borrowed from the text, begins.
    pub(super) fn line(&self, value: &RawValue) -> usize {
        let offset = value.get().as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        self.breaks.partition_point(|at| *at < offset) + 1
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'"') => "text",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Keys and values of an object in the order of the text, repeated keys included.
#[derive(Debug)]
pub(super) struct Entries<'a>(pub(super) Vec<(String, &'a RawValue)>);

/// Values of a list.
#[derive(Debug)]
pub(super) struct Items<'a>(pub(super) Vec<&'a RawValue>);

fn too_many<E: Error>() -> E {
    E::custom(format_args!("holds more than {MOST} entries"))
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    if entries.len() == MOST {
                        return Err(too_many());
                    }
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(Object).map(Entries)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == MOST {
                        return Err(too_many());
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }

        deserializer.deserialize_seq(List).map(Items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines_and_repeated_keys_stay() {
        let text = "\n{ \"a\": 1,\n\n  \"b\": [\n \"x\"], \"a\": null }";
        let lines = Lines::new(text);
        let Entries(entries) = serde_json::from_str(text).unwrap();
        let found: Vec<_> = entries.iter().map(|(key, value)| (key.as_str(), lines.line(value), kind(value))).collect();
        assert_eq!(found, [("a", 2, "a number"), ("b", 4, "a list"), ("a", 5, "null")]);
        let Items(items) = serde_json::from_str(entries[1].1.get()).unwrap();
        assert_eq!((lines.line(items[0]), kind(items[0])), (5, "text"));
    }

    #[test]
    fn lists_without_end_are_refused() {
        let text = format!("[{}0]", "0,".repeat(MOST));
        assert!(serde_json::from_str::<Items<'_>>(&text).unwrap_err().to_string().contains("100000"));
    }
}
