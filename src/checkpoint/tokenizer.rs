//! Text to token ids and back.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tokenizers::tokenizer::Tokenizer as Inner;

use super::json::words;
use super::{CheckpointError, TextStream, escaped};

const FILE: &str = "tokenizer.json";
/// Longest part of a token that a message quotes.
const SHOWN: usize = 80;
/// The kinds of tokenizer model that can be used.
const KINDS: [&str; 4] = ["BPE", "Unigram", "WordLevel", "WordPiece"];

/// A tokenizer as `tokenizer.json` describes it. Clones share it.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
    opening: Option<u32>,
    id_bound: usize,
}

impl Tokenizer {
    /// Parses `tokenizer.json`. Its truncation and padding are left out: prompts are taken whole.
    ///
    /// # Errors
    /// Malformed JSON (with line), unknown model type, merges that name unknown tokens.
    pub fn parse(json: &[u8]) -> Result<Self, CheckpointError> {
        Self::named(FILE, json)
    }

    /// As [`Tokenizer::parse`]; messages name `file`.
    pub(super) fn named(file: &str, json: &[u8]) -> Result<Self, CheckpointError> {
        let refuse = |reason: String| CheckpointError::invalid(file, reason);
        // The crate panics on some of what is told here.
        if let Some(reason) = diagnosis(json) {
            return Err(refuse(reason));
        }
        let mut inner = Inner::from_bytes(json).map_err(|error| refuse(whole(&*error)))?;
        inner.with_truncation(None).map_err(|error| refuse(whole(&*error)))?.with_padding(None);
        let id_bound = inner.get_vocab(true).values().max().map_or(0, |id| *id as usize + 1);
        let mut tokenizer = Self { inner: Arc::new(inner), opening: None, id_bound };
        tokenizer.opening = tokenizer.find_opening();
        Ok(tokenizer)
    }

    /// Ids of a prompt, special tokens added as the tokenizer's own post-processor does it.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, CheckpointError> {
        self.ids(text, true)
    }

    /// Ids of a text without any special token added.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode_plain(&self, text: &str) -> Result<Vec<u32>, CheckpointError> {
        self.ids(text, false)
    }

    fn ids(&self, text: &str, special: bool) -> Result<Vec<u32>, CheckpointError> {
        match self.inner.encode_fast(text, special) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => Err(CheckpointError::invalid(
                FILE,
                format!("the text cannot be turned into tokens: {}", whole(&*error)),
            )),
        }
    }

    /// The BOS id where the post-processor opens every text with one.
    pub fn opening(&self) -> Option<u32> {
        self.opening
    }

    fn find_opening(&self) -> Option<u32> {
        let special = self.encode("a").ok()?;
        let plain = self.encode_plain("a").ok()?;
        let added = special.len().checked_sub(plain.len())?;
        // Where "a" itself is no token, one added id may as well be the end's.
        let opens = added > usize::from(plain.is_empty()) && special.first() != plain.first();
        special.first().copied().filter(|_| opens)
    }

    /// Text of ids, special tokens skipped; ids without a token are skipped too.
    pub fn decode(&self, ids: &[u32]) -> String {
        // The crate's BPE decoder panics on nothing.
        if ids.iter().all(|id| self.visible(*id).is_none()) {
            return String::new();
        }
        self.inner.decode(ids, true).unwrap_or_default()
    }

    /// Largest id + 1.
    pub fn id_bound(&self) -> usize {
        self.id_bound
    }

    /// The id of the token that the vocabulary writes so.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token's own text, for showing one token alone (special tokens by name, parts of a character as the vocabulary
    /// writes them); never empty. An id without a token is shown as `[id 7]`. May hold any characters: escape before
    /// display.
    pub fn piece(&self, id: u32) -> String {
        let Some(token) = self.inner.id_to_token(id).filter(|token| !token.is_empty()) else {
            return format!("[id {id}]");
        };
        let text = self.inner.decode(&[id], false).unwrap_or_default();
        if text.is_empty() || text.contains('\u{fffd}') {
            return token.replace('▁', " ");
        }
        // Decoders drop the space that opens a text; within one it is there.
        if token.starts_with('▁') && !text.starts_with(' ') { format!(" {text}") } else { text }
    }

    /// A decoder of a growing list of ids; joined pieces equal [`Tokenizer::decode`] of all.
    pub fn stream(&self) -> TextStream {
        TextStream::new(self.clone())
    }

    /// A decoder of the ids that follow `prompt`; joined pieces are what they add to the prompt's text, so that the first
    /// word keeps the space that decoders drop where a text begins.
    pub fn stream_after(&self, prompt: &[u32]) -> TextStream {
        TextStream::after(self.clone(), prompt)
    }

    /// The token that `id` adds to a decoded text, as the vocabulary writes it; `None` where decoding skips it.
    pub(super) fn visible(&self, id: u32) -> Option<String> {
        let token = self.inner.id_to_token(id)?;
        (!self.inner.get_added_vocabulary().is_special_token(&token)).then_some(token)
    }
}

fn whole(error: &(dyn std::error::Error + Send + Sync)) -> String {
    escaped(&error.to_string(), 200)
}

/// The parts of a tokenizer that commonly go wrong; everything else is the crate's to judge.
#[derive(Deserialize)]
struct Outline {
    model: Option<Value>,
    /// Its JSON must be sound to the last.
    #[serde(rename = "decoder")]
    _decoder: Option<Value>,
}

/// What is wrong with the file, where we know it better than the crate.
fn diagnosis(json: &[u8]) -> Option<String> {
    let outline: Outline = match serde_json::from_slice(json) {
        Ok(outline) => outline,
        Err(error) if error.is_eof() => {
            return Some("the file is not valid JSON: it ends early; download it again".into());
        }
        Err(error) if error.is_syntax() => {
            return Some(format!("the file is not valid JSON (line {}): {}", error.line(), words(&error)));
        }
        Err(error) => return Some(format!("the file does not describe a tokenizer: {}", words(&error))),
    };
    let Some(model) = outline.model else {
        return Some("the file describes no tokenizer (it has no \"model\"); download it again".into());
    };
    match model.get("type") {
        Some(Value::String(kind)) if !KINDS.contains(&kind.as_str()) => {
            return Some(format!(
                "the tokenizer has the model type \"{}\", which is not supported (supported: {})",
                escaped(kind, SHOWN),
                KINDS.join(", ")
            ));
        }
        Some(Value::String(_)) | None => {}
        Some(_) => return Some("the tokenizer's model type is not text".into()),
    }
    unknown_merge(&model)
}

/// The first merge of a BPE model that names a token outside the vocabulary.
fn unknown_merge(model: &Value) -> Option<String> {
    let vocabulary: HashSet<&str> = model.get("vocab")?.as_object()?.keys().map(String::as_str).collect();
    let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or_default();
    let halves = |merge: &Value| match merge {
        Value::Array(pair) => {
            Some((pair.first()?.as_str()?.to_owned(), pair.get(1)?.as_str().filter(|_| pair.len() == 2)?.to_owned()))
        }
        Value::String(pair) => pair.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())),
        _ => None,
    };
    // As the crate does with the first line of an old file.
    let is_merge = |merge: &&Value| !merge.as_str().is_some_and(|line| line.starts_with("#version"));
    for merge in model.get("merges")?.as_array()?.iter().filter(is_merge) {
        let Some((left, right)) = halves(merge) else {
            return Some(format!("the merge {} is not two tokens", escaped(&merge.to_string(), SHOWN)));
        };
        let shown = |token: &str| escaped(token, SHOWN);
        let Some(rest) = right.get(prefix.len()..) else {
            return Some(format!("the second token of a merge, \"{}\", is shorter than its prefix", shown(&right)));
        };
        let joined = format!("{left}{rest}");
        let missing = [&left, &right, &joined].into_iter().find(|token| !vocabulary.contains(token.as_str()));
        if let Some(missing) = missing {
            return Some(format!(
                "the merge \"{}\" + \"{}\" names a token that is not in the vocabulary (\"{}\"); download it again",
                shown(&left),
                shown(&right),
                shown(missing)
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &[u8] = include_bytes!("../../assets/demo/tokenizer.json");

    fn demo_with(change: impl FnOnce(&mut Value)) -> Result<Tokenizer, CheckpointError> {
        let mut json: Value = serde_json::from_slice(DEMO).unwrap();
        change(&mut json);
        Tokenizer::parse(json.to_string().as_bytes())
    }

    /// A post-processor that adds the special token 0 before and, where told, after every text.
    fn opened_by_0(before: bool, after: bool) -> Value {
        let special = serde_json::json!({"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}});
        let mut single = vec![serde_json::json!({"Sequence": {"id": "A", "type_id": 0}})];
        if before {
            single.insert(0, special.clone());
        }
        if after {
            single.push(special);
        }
        serde_json::json!({"type": "TemplateProcessing", "single": single,
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [0], "tokens": ["<|endoftext|>"]}}})
    }

    #[test]
    fn text_survives_the_way_to_ids_and_back() {
        let tokenizer = Tokenizer::parse(DEMO).unwrap();
        let text = "Once upon a time,\n there was a café. 猫";
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&ids), text);
        assert!(ids.iter().all(|id| (*id as usize) < tokenizer.id_bound()));
        assert_eq!(tokenizer.decode(&[0, ids[0], 1_000_000]), tokenizer.decode(&ids[..1]));
    }

    #[test]
    fn the_opening_is_what_the_post_processor_puts_first() {
        assert_eq!(Tokenizer::parse(DEMO).unwrap().opening(), None);
        for (before, after, opening) in [(true, false, Some(0)), (true, true, Some(0)), (false, true, None)] {
            let tokenizer = demo_with(|json| json["post_processor"] = opened_by_0(before, after)).unwrap();
            assert_eq!(tokenizer.opening(), opening);
            let plain = tokenizer.encode_plain("a").unwrap();
            assert_eq!(tokenizer.encode("a").unwrap().len(), plain.len() + usize::from(before) + usize::from(after));
        }
    }

    #[test]
    fn prompts_are_neither_cut_nor_padded() {
        let tokenizer = demo_with(|json| {
            json["truncation"] =
                serde_json::json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
            json["padding"] = serde_json::json!({"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"});
        });
        let text = "Once upon a time there was a cat.";
        let ids = Tokenizer::parse(DEMO).unwrap().encode(text).unwrap();
        assert_eq!(tokenizer.unwrap().encode(text).unwrap(), ids);
    }

    #[test]
    fn a_piece_is_never_empty() {
        let tokenizer = Tokenizer::parse(DEMO).unwrap();
        assert_eq!(tokenizer.piece(0), "<|endoftext|>");
        assert_eq!(tokenizer.piece(1_000_000), "[id 1000000]");
        let ids = tokenizer.encode("a 猫").unwrap();
        assert!(ids.iter().all(|id| !tokenizer.piece(*id).contains('\u{fffd}')));
        assert!((0..tokenizer.id_bound() as u32).all(|id| !tokenizer.piece(id).is_empty()));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        let message = |change: fn(&mut Value)| demo_with(change).unwrap_err().to_string();
        assert!(message(|j| j["model"]["type"] = "Unig\u{1b}ram".into()).contains(r"Unig\u{1b}ram"));
        assert!(message(|j| j["model"]["merges"][3] = "abc".into()).contains("tokenizer.json: "));
        assert!(message(|j| j["model"] = Value::Null).contains("no \"model\""));
        assert!(message(|j| *j = Value::Null).contains("does not describe a tokenizer"));
        assert!(message(|j| j["decoder"]["type"] = "Martian".into()).starts_with("tokenizer.json: "));
        let broken = Tokenizer::parse(b"{\n\"version\": 1.0,,}").unwrap_err().to_string();
        assert!(broken.contains("not valid JSON (line 2)"), "{broken}");
    }
}
