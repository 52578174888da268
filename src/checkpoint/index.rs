//! `model.safetensors.index.json`: which tensor lies in which shard.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde_json::value::RawValue;

use super::escaped;
use super::json::members;

/// Longest part of a name that a message quotes.
const SHOWN: usize = 200;

/// A checked index.
#[derive(Debug)]
pub(super) struct Index {
    /// Tensor name to shard name.
    pub(super) places: BTreeMap<String, String>,
}

impl Index {
    /// Reads an index; the error is a reason without the index's name.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let json =
            str::from_utf8(json).map_err(|_| "the index is not valid UTF-8 text; download it again".to_owned())?;
        let mut places = None;
        members(json, |key, value| {
            if key == "weight_map" && places.replace(weight_map(value)?).is_some() {
                return Err("the index lists weight_map twice".to_owned());
            }
            Ok(())
        })
        .map_err(|error| error.about("the index"))?;
        match places {
            None => {
                Err("the index has no weight_map, which says in which file each tensor lies; download it again".into())
            }
            Some(places) if places.is_empty() => Err("the index names no tensors (its weight_map is empty)".into()),
            Some(places) => Ok(Self { places }),
        }
    }

    /// The shards, sorted by name.
    pub(super) fn shards(&self) -> BTreeSet<&str> {
        self.places.values().map(String::as_str).collect()
    }
}

fn weight_map(value: &RawValue) -> Result<BTreeMap<String, String>, String> {
    let mut places = BTreeMap::new();
    members(value.get(), |tensor, value| {
        let shown = escaped(&tensor, SHOWN);
        let Ok(shard) = serde_json::from_str::<String>(value.get()) else {
            return Err(format!(
                "the index gives tensor {shown} the file {}, which is not text",
                escaped(value.get(), 80)
            ));
        };
        if !is_plain(&shard) {
            let shard = escaped(&shard, SHOWN);
            return Err(format!("the index names '{shard}'; a shard must be a file in this folder"));
        }
        if places.insert(tensor, shard).is_some() {
            return Err(format!("the index lists tensor {shown} twice"));
        }
        Ok(())
    })
    .map_err(|error| error.about("weight_map"))?;
    Ok(places)
}

/// Whether `name` is a file name and no path, on this system and on others.
pub(super) fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
        && !name.contains(['/', '\\', '\0', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_plain_file_names() {
        for name in ["model-00001-of-00002.safetensors", "a b", ".hidden", "x.."] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", ".", "..", "/", "/etc/hostname", "../x", "a/b", "a/", "./a", "a\\b", "C:x", "a\0"] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn each_rule_has_its_words() {
        let cases = [
            (r#"{"weight_map":{}}"#, "names no tensors"),
            (r#"{"weight_map":{"a":1}}"#, "the file 1, which is not text"),
            (r#"{"weight_map":{"a":"x","a":"y"}}"#, "lists tensor a twice"),
            (r#"{"weight_map":{"a":"x"},"weight_map":{"a":"x"}}"#, "lists weight_map twice"),
            (r#"{"weight_map":["a"]}"#, "weight_map is a list"),
            ("[]", "the index is a list"),
        ];
        for (json, fragment) in cases {
            let reason = Index::parse(json.as_bytes()).unwrap_err();
            assert!(reason.contains(fragment), "{reason:?} lacks {fragment:?}");
        }
    }
}
