//! Typed reading of `config.json`: every wrong value is named with what was found and what is needed.

use serde_json::{Map, Value};

use super::ModelError;
use crate::checkpoint::escaped;

/// Largest count that a model may have of anything.
const MOST: usize = 1 << 40;

/// A model's configuration, read by key with transformers' defaults where a key is missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Config<'a> {
    map: &'a Map<String, Value>,
    /// The config that this one is nested in.
    outer: Option<&'a Map<String, Value>>,
    blocks_held: usize,
}

impl<'a> Config<'a> {
    pub(super) fn new(map: &'a Map<String, Value>) -> Self {
        Self { map, outer: None, blocks_held: usize::MAX }
    }

    /// The config of the text model nested in it, where it has one (`text_config` of models that also see or hear).
    pub(super) fn text(self) -> Self {
        match self.map.get("text_config").and_then(Value::as_object) {
            Some(map) if map.contains_key("model_type") => Self { map, outer: Some(self.map), ..self },
            _ => self,
        }
    }

    /// `tie_word_embeddings`, which the outer config decides.
    pub(super) fn tied(&self) -> Result<Option<bool>, ModelError> {
        const KEY: &str = "tie_word_embeddings";
        let outer = self.outer.map_or(Ok(None), |map| Config::new(map).flag(KEY))?;
        outer.map_or_else(|| self.flag(KEY), |tied| Ok(Some(tied)))
    }

    /// A whole number, or the family's default.
    pub(super) fn whole_or(&self, key: &'static str, default: usize) -> Result<usize, ModelError> {
        let zero = self.value(&[key]).is_some_and(|(_, value)| value.as_u64() == Some(0));
        if zero { Ok(0) } else { self.count_or(&[key], default) }
    }

    /// States how many blocks the tensors hold, so that a config that claims more allocates nothing.
    pub(super) fn holding_blocks(self, blocks_held: usize) -> Self {
        Self { blocks_held, ..self }
    }

    /// The number of blocks, checked against the tensors.
    pub(super) fn blocks(&self, keys: &[&'static str], default: usize) -> Result<usize, ModelError> {
        let blocks = self.count_or(keys, default)?;
        if blocks <= self.blocks_held {
            return Ok(blocks);
        }
        let says =
            if self.has(keys) { "config.json says" } else { "config.json does not give their number, so there are" };
        Err(ModelError::Tensor(format!("{says} {blocks} layers, but the checkpoint holds {}", self.blocks_held)))
    }

    /// The value under the first of `keys` that is there and not null.
    pub(super) fn value(&self, keys: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        keys.iter().find_map(|key| self.map.get(*key).filter(|v| !v.is_null()).map(|v| (*key, v)))
    }

    /// Whether any of `keys` is there, be it null.
    pub(super) fn has(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.map.contains_key(*key))
    }

    /// A whole number of at least 1, if given.
    pub(super) fn count(&self, keys: &[&'static str]) -> Result<Option<usize>, ModelError> {
        let Some((key, value)) = self.value(keys) else { return Ok(None) };
        match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(0) => Err(wrong(format!("{key} is 0"))),
            // Sums of such numbers stay numbers.
            Some(n) if n > MOST => Err(wrong(format!("{key} is {n}, more than any model has"))),
            Some(n) => Ok(Some(n)),
            None if value.as_i64().is_some_and(|n| n < 0) => Err(wrong(format!("{key} is negative ({value})"))),
            None => Err(wrong(format!("{key} is {}, a whole number is needed", shown(value)))),
        }
    }

    /// A whole number of at least 1, or the family's default.
    pub(super) fn count_or(&self, keys: &[&'static str], default: usize) -> Result<usize, ModelError> {
        Ok(self.count(keys)?.unwrap_or(default))
    }

    /// A finite number, if given.
    pub(super) fn number(&self, key: &'static str) -> Result<Option<f64>, ModelError> {
        let Some((key, value)) = self.value(&[key]) else { return Ok(None) };
        let number = value.as_f64().filter(|n| n.is_finite());
        number.map(Some).ok_or_else(|| wrong(format!("{key} is {}, a number is needed", shown(value))))
    }

    /// Whether nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// A list of finite numbers, if given.
    pub(super) fn numbers(&self, key: &'static str) -> Result<Option<Vec<f64>>, ModelError> {
        let Some(list) = self.list(key)? else { return Ok(None) };
        let number = |v: &Value| v.as_f64().filter(|n| n.is_finite());
        let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
        numbers.map(Some).ok_or_else(|| wrong(format!("{key} holds something that is not a number")))
    }

    /// A list, if given.
    pub(super) fn list(&self, key: &'static str) -> Result<Option<&'a [Value]>, ModelError> {
        let Some((key, value)) = self.value(&[key]) else { return Ok(None) };
        let list = value.as_array().map(Vec::as_slice);
        list.map(Some).ok_or_else(|| wrong(format!("{key} is {}, a list is needed", shown(value))))
    }

    /// A number above 0, or the family's default.
    pub(super) fn positive_or(&self, key: &'static str, default: f64) -> Result<f64, ModelError> {
        match self.number(key)? {
            None => Ok(default),
            Some(n) if n > 0.0 => Ok(n),
            Some(n) => Err(wrong(format!("{key} is {n}, a number above 0 is needed"))),
        }
    }

    /// True or false, if given.
    pub(super) fn flag(&self, key: &'static str) -> Result<Option<bool>, ModelError> {
        let Some((key, value)) = self.value(&[key]) else { return Ok(None) };
        let flag = value.as_bool();
        flag.map(Some).ok_or_else(|| wrong(format!("{key} is {}, true or false is needed", shown(value))))
    }

    /// A word, or the family's default.
    pub(super) fn word_or(&self, key: &'static str, default: &'a str) -> Result<&'a str, ModelError> {
        let Some((key, value)) = self.value(&[key]) else { return Ok(default) };
        value.as_str().ok_or_else(|| wrong(format!("{key} is {}, text is needed", shown(value))))
    }

    /// An object, if given.
    pub(super) fn object(&self, keys: &[&'static str]) -> Result<Option<Config<'a>>, ModelError> {
        let Some((key, value)) = self.value(keys) else { return Ok(None) };
        let map = value.as_object().map(Config::new);
        map.map(Some).ok_or_else(|| wrong(format!("{key} is {}, an object is needed", shown(value))))
    }

    /// Token ids under `key`: a number or a list of numbers; `default` where the key is missing, none where it is null.
    pub(super) fn ids(&self, key: &'static str, default: &[u32]) -> Result<Vec<u32>, ModelError> {
        let id = |v: &Value| {
            let id = v.as_u64().and_then(|n| u32::try_from(n).ok());
            id.ok_or_else(|| wrong(format!("{key} is {}, a token id is needed", shown(v))))
        };
        match self.map.get(key) {
            None => Ok(default.to_vec()),
            Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(id).collect(),
            Some(one) => Ok(vec![id(one)?]),
        }
    }
}

/// An error about `config.json`.
pub(super) fn wrong(reason: String) -> ModelError {
    ModelError::Config(reason)
}

/// A value as a message shows it: kind and content, escaped and cut.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("text (\"{}\")", escaped(text, 40)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => escaped(&other.to_string(), 40),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str, read: impl Fn(&Config) -> Result<(), ModelError>) -> String {
        let map: Map<String, Value> = serde_json::from_str(json).unwrap();
        read(&Config::new(&map)).map_or_else(|e| e.to_string(), |()| String::new())
    }

    #[test]
    fn wrong_values_are_named() {
        let count = |c: &Config| c.count(&["n"]).map(drop);
        assert_eq!(message(r#"{"n": -2}"#, count), "config.json: n is negative (-2)");
        assert_eq!(message(r#"{"n": 0}"#, count), "config.json: n is 0");
        assert_eq!(
            message(r#"{"n": "eight"}"#, count),
            r#"config.json: n is text ("eight"), a whole number is needed"#
        );
        assert_eq!(message(r#"{"n": 8.5}"#, count), "config.json: n is 8.5, a whole number is needed");
        assert_eq!(message(r#"{"n": 8}"#, count), "");
    }

    #[test]
    fn ids_are_one_or_many_or_none() {
        let map: Map<String, Value> = serde_json::from_str(r#"{"a": 2, "b": [2, 3], "c": null}"#).unwrap();
        let config = Config::new(&map);
        assert_eq!(config.ids("a", &[9]).unwrap(), [2]);
        assert_eq!(config.ids("b", &[9]).unwrap(), [2, 3]);
        assert!(config.ids("c", &[9]).unwrap().is_empty());
        assert_eq!(config.ids("d", &[9]).unwrap(), [9]);
    }
}
