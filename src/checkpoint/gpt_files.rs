//! The tokenizer of a folder that has only `vocab.json` and `merges.txt`, as transformers' GPT-2 tokenizer reads them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::file::{self, is_there};
use super::json::words;
use super::{CheckpointError, Tokenizer, escaped};

const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const SETTINGS: &str = "tokenizer_config.json";
const NAMED: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";
const ROLES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
const LISTS: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];
/// What GPT-2's tokenizer takes where the files name no token.
const END: &str = "<|endoftext|>";

/// Whether both files are there.
pub(super) fn in_folder(folder: &Path) -> bool {
    is_there(&folder.join(VOCABULARY)) && is_there(&folder.join(MERGES))
}

/// Reads the tokenizer. Special tokens that no file gives an id are left out: the model never saw them.
pub(super) fn tokenizer(folder: &Path) -> Result<Tokenizer, CheckpointError> {
    let vocabulary: BTreeMap<String, u32> = serde_json::from_slice(&file::read_small(&folder.join(VOCABULARY))?)
        .map_err(|e| CheckpointError::invalid(VOCABULARY, format!("not tokens with their ids: {}", words(&e))))?;
    let lines = file::read_small(&folder.join(MERGES))?;
    let merges = merges(&lines)?;
    let settings = object(folder, SETTINGS)?;
    let added = Added::of(&vocabulary, &settings, &object(folder, NAMED)?, &object(folder, ADDED)?);
    let tokenizer =
        Tokenizer::named(VOCABULARY, outline(&vocabulary, &merges, &settings, &added).to_string().as_bytes())?;
    for (text, token) in &added.tokens {
        if tokenizer.id(text) != Some(token.id) {
            let reason = format!("the id {} of the added token \"{}\" cannot be its own", token.id, escaped(text, 80));
            return Err(CheckpointError::invalid(ADDED, reason));
        }
    }
    Ok(tokenizer)
}

/// An object in a small file; a file that is not there is empty.
pub(super) fn object(folder: &Path, name: &str) -> Result<Map<String, Value>, CheckpointError> {
    let path = folder.join(name);
    if !is_there(&path) {
        return Ok(Map::new());
    }
    serde_json::from_slice(&file::read_small(&path)?)
        .map_err(|error| CheckpointError::invalid(name, format!("the file is no JSON object: {}", words(&error))))
}

/// The text of a token that a file gives as text or as an object.
pub(super) fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}

fn merges(file: &[u8]) -> Result<Vec<(&str, &str)>, CheckpointError> {
    let refuse = |reason: String| CheckpointError::invalid(MERGES, reason);
    let text =
        str::from_utf8(file).map_err(|_| refuse("the file is not valid UTF-8 text; download it again".into()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with("#version") && !line.is_empty());
    lines
        .map(|(at, line)| {
            line.trim_end_matches('\r')
                .split_once(' ')
                .ok_or_else(|| refuse(format!("line {} is not two tokens: \"{}\"", at + 1, escaped(line, 80))))
        })
        .collect()
}

/// A token that stands for itself wherever its text is found.
#[derive(Debug)]
struct Token {
    id: u32,
    special: bool,
    how: Map<String, Value>,
}

#[derive(Debug, Default)]
struct Added {
    tokens: BTreeMap<String, Token>,
    bos: String,
}

impl Added {
    fn of(
        vocabulary: &BTreeMap<String, u32>,
        settings: &Map<String, Value>,
        named: &Map<String, Value>,
        ids: &Map<String, Value>,
    ) -> Self {
        let mut added = Self { bos: END.to_owned(), ..Self::default() };
        let explicit = ids.iter().filter_map(|(text, id)| Some((text.as_str(), u32::try_from(id.as_u64()?).ok()?)));
        for (text, id) in explicit {
            added.insert(text, Some(id), false, &Value::Null);
        }
        let decoder = settings.get("added_tokens_decoder").and_then(Value::as_object).into_iter().flatten();
        for (id, token) in decoder {
            let special = token.get("special").and_then(Value::as_bool).unwrap_or(false);
            added.insert(content(token).unwrap_or_default(), id.parse().ok(), special, token);
        }
        added.insert(END, vocabulary.get(END).copied(), true, &Value::Null);
        for file in [named, settings] {
            let lists = LISTS.iter().filter_map(|list| file.get(*list)?.as_array()).flatten();
            for token in ROLES.iter().filter_map(|role| file.get(*role)).chain(lists) {
                let text = content(token).unwrap_or_default();
                added.insert(text, vocabulary.get(text).copied(), true, token);
            }
            if let Some(bos) = file.get("bos_token").and_then(content) {
                bos.clone_into(&mut added.bos);
            }
        }
        added
    }

    fn insert(&mut self, text: &str, id: Option<u32>, special: bool, token: &Value) {
        let known = self.tokens.get(text);
        let Some(id) = known.map(|token| token.id).or(id).filter(|_| !text.is_empty()) else { return };
        let special = special || known.is_some_and(|token| token.special);
        let how = match (token.as_object(), known) {
            (Some(how), _) => how.clone(),
            (None, Some(known)) => known.how.clone(),
            (None, None) => Map::new(),
        };
        self.tokens.insert(text.to_owned(), Token { id, special, how });
    }

    /// As `tokenizer.json` lists them, by id.
    fn listed(&self) -> Vec<Value> {
        let mut tokens: Vec<_> = self.tokens.iter().collect();
        tokens.sort_by_key(|(_, token)| token.id);
        let one = |(text, token): (&String, &Token)| {
            let is = |key: &str| token.how.get(key).and_then(Value::as_bool).unwrap_or(false);
            json!({"id": token.id, "content": text, "special": token.special, "single_word": is("single_word"),
                "lstrip": is("lstrip"), "rstrip": is("rstrip"), "normalized": is("normalized")})
        };
        tokens.into_iter().map(one).collect()
    }

    /// The step that opens every text with BOS.
    fn opening(&self) -> Value {
        let Some(token) = self.tokens.get(&self.bos) else { return Value::Null };
        let special = json!({"SpecialToken": {"id": self.bos, "type_id": 0}});
        let text = |name: &str, kind: u32| json!({"Sequence": {"id": name, "type_id": kind}});
        let named =
            Map::from_iter([(self.bos.clone(), json!({"id": self.bos, "ids": [token.id], "tokens": [self.bos]}))]);
        json!({"type": "TemplateProcessing", "single": [special, text("A", 0)],
            "pair": [special, text("A", 0), text("B", 1)], "special_tokens": named})
    }
}

/// What `tokenizer.json` would say.
fn outline(
    vocabulary: &BTreeMap<String, u32>,
    merges: &[(&str, &str)],
    settings: &Map<String, Value>,
    added: &Added,
) -> Value {
    let is = |key: &str| settings.get(key).and_then(Value::as_bool).unwrap_or(false);
    let bytes =
        |space: bool| json!({"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": added.listed(),
        "pre_tokenizer": bytes(is("add_prefix_space")),
        "post_processor": if is("add_bos_token") { added.opening() } else { Value::Null },
        "decoder": bytes(true),
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": merges},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../assets/demo/tokenizer.json");
    const TEXT: &str = "Once upon a time,\n there was a café. <|endoftext|> 猫";

    /// A folder with the demo's vocabulary and merges alone.
    fn folder(files: &[(&str, Value)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let demo: Value = serde_json::from_str(DEMO).unwrap();
        let half = |pair: &Value| match pair {
            Value::String(pair) => pair.clone(),
            pair => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
        };
        let merges: Vec<String> = demo["model"]["merges"].as_array().unwrap().iter().map(half).collect();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write(MERGES, format!("#version: 0.2\n{}\n", merges.join("\n")));
        write(VOCABULARY, demo["model"]["vocab"].to_string());
        files.iter().for_each(|(name, content)| write(name, content.to_string()));
        folder
    }

    #[test]
    fn two_files_say_what_the_one_says() {
        let one = Tokenizer::parse(DEMO.as_bytes()).unwrap();
        let folder = folder(&[]);
        assert!(in_folder(folder.path()));
        let two = tokenizer(folder.path()).unwrap();
        let ids = two.encode(TEXT).unwrap();
        assert_eq!(ids, one.encode(TEXT).unwrap());
        assert_eq!(two.decode(&ids), one.decode(&ids));
        assert!(ids.contains(&0), "the end is one token");
        assert_eq!(two.opening(), None);
    }

    #[test]
    fn the_settings_open_a_text_and_give_it_a_space() {
        let opens = json!({"add_bos_token": true, "bos_token": {"content": END}, "add_prefix_space": true});
        let plain = tokenizer(folder(&[]).path()).unwrap();
        let opened = tokenizer(folder(&[(SETTINGS, opens)]).path()).unwrap();
        assert_eq!(opened.opening(), Some(0));
        let ids = opened.encode("time").unwrap();
        assert_eq!(ids[1..], plain.encode(" time").unwrap());
    }

    #[test]
    fn added_tokens_have_the_ids_of_their_file() {
        let next = tokenizer(folder(&[]).path()).unwrap().id_bound() as u32;
        let ids = json!({"<|im_start|>": next, "<tool>": next + 1});
        let named = json!({"additional_special_tokens": ["<|im_start|>", "<never given an id>"]});
        let tokenizer = tokenizer(folder(&[(ADDED, ids), (NAMED, named)]).path()).unwrap();
        assert_eq!(tokenizer.encode("<|im_start|><tool>").unwrap(), [next, next + 1]);
        assert_eq!(tokenizer.decode(&[next, next + 1]), "<tool>");
        assert_eq!(tokenizer.id("<never given an id>"), None);
    }

    #[test]
    fn what_is_wrong_names_the_file() {
        let message = |name: &str, text: &str| {
            let folder = folder(&[]);
            std::fs::write(folder.path().join(name), text).unwrap();
            tokenizer(folder.path()).unwrap_err().to_string()
        };
        assert!(message(VOCABULARY, "[]").starts_with("vocab.json: "));
        assert!(message(MERGES, "#version: 0.2\na\n").contains("line 2 is not two tokens"));
        assert!(message(MERGES, "zzzz qqqq\n").contains("not in the vocabulary"));
        assert!(message(ADDED, "{").starts_with("added_tokens.json: "));
        assert!(message(ADDED, "{\"<far>\": 4000000000}").contains("\"<far>\""));
    }
}
