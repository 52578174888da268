//! What the hub says that a repository holds, and which of it is needed.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::checkpoint::escaped;
use crate::checkpoint::folder::{INDEX, SINGLE, travels};
use crate::checkpoint::index::{Index, is_plain};

/// Longest revision or tag.
const LONGEST: usize = 128;
/// Files that a model of ours has besides.
const POLICY: &str = "policy.json";

/// The files of one revision.
#[derive(Debug)]
pub(super) struct Listing {
    /// The revision's digest, fit for a folder's name.
    pub(super) revision: String,
    /// Plain names alone: what lies in folders of the repository is no part of the model.
    names: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Listing {
    /// Reads the hub's answer (`/api/models/NAME/revision/main`).
    pub(super) fn read(json: &[u8]) -> Result<Self, String> {
        let answer: Answer = serde_json::from_slice(json).map_err(|error| {
            format!("the hub's list of its files is not what it should be ({})", escaped(&error.to_string(), 160))
        })?;
        if !is_tag(&answer.sha) {
            return Err(format!("the hub calls its revision '{}', which is no digest", escaped(&answer.sha, 80)));
        }
        let names = answer.siblings.into_iter().map(|sibling| sibling.rfilename).filter(|name| is_plain(name));
        Ok(Self { revision: answer.sha, names: names.collect() })
    }

    /// The small files, and the weights in one file or the index of those in several.
    pub(super) fn needed(&self) -> Result<Vec<String>, String> {
        let weights =
            [SINGLE, INDEX].into_iter().find(|name| self.names.contains(*name)).ok_or_else(|| self.no_weights())?;
        let small = self.names.iter().filter(|name| travels(name) || *name == POLICY);
        Ok(small.cloned().chain([weights.to_owned()]).collect())
    }

    /// The files that an index names.
    pub(super) fn shards(&self, index: &Index) -> Result<Vec<String>, String> {
        let shard = |name: &str| {
            let missing = || format!("{INDEX} names {}, which the repository does not hold", escaped(name, 200));
            self.names.get(name).cloned().ok_or_else(missing)
        };
        index.shards().into_iter().map(shard).collect()
    }

    fn no_weights(&self) -> String {
        let ending = |ends: &[&str]| self.names.iter().find(|name| ends.iter().any(|end| name.ends_with(end)));
        if let Some(pickle) = ending(&[".bin", ".bin.index.json", ".pt", ".pth", ".ckpt"]) {
            return format!(
                "the repository has no safetensors, only {} (a pickle), which is not loaded: convert it at \
                 https://huggingface.co/spaces/safetensors/convert, or by transformers \
                 (AutoModelForCausalLM.from_pretrained(NAME).save_pretrained(FOLDER)), and open that",
                escaped(pickle, 200)
            );
        }
        match ending(&[".gguf", ".safetensors"]) {
            Some(other) => {
                format!("the repository has no {SINGLE} and no {INDEX}, only {}; choose another", escaped(other, 200))
            }
            None => format!("the repository has no {SINGLE} and no {INDEX}: it is no model, or one without weights"),
        }
    }
}

/// Whether a text from outside may name a revision's folder or a file's content: letters, digits and hyphens.
pub(super) fn is_tag(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        let siblings: Vec<_> = names.iter().map(|name| serde_json::json!({ "rfilename": name, "size": 1 })).collect();
        let answer = serde_json::json!({ "sha": "ab12", "siblings": siblings, "gated": false });
        Listing::read(answer.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn only_what_a_model_needs_is_needed() {
        let whole = listing(&[
            "README.md",
            "config.json",
            "chat_template.jinja",
            "flax_model.msgpack",
            "model.safetensors",
            "pytorch_model.bin",
            "tokenizer.json",
            "onnx/config.json",
            "../config.json",
            "tokenizer\\..",
            "model.safetensors.index.json",
        ]);
        let needed = whole.needed().unwrap();
        assert_eq!(needed, ["chat_template.jinja", "config.json", "tokenizer.json", "model.safetensors"]);
    }

    #[test]
    fn shards_are_those_of_the_index_and_must_be_there() {
        let index =
            |name: &str| Index::parse(serde_json::json!({"weight_map": {"a": name}}).to_string().as_bytes()).unwrap();
        let sharded = listing(&["model.safetensors.index.json", "one.safetensors", "two.safetensors"]);
        assert_eq!(sharded.needed().unwrap(), ["model.safetensors.index.json"]);
        assert_eq!(sharded.shards(&index("two.safetensors")).unwrap(), ["two.safetensors"]);
        assert!(sharded.shards(&index("three.safetensors")).unwrap_err().contains("does not hold"));
    }

    #[test]
    fn without_safetensors_it_says_what_to_do() {
        let reason = |names: &[&str]| listing(names).needed().unwrap_err();
        assert!(
            reason(&["config.json", "pytorch_model.bin"])
                .contains("only pytorch_model.bin (a pickle), which is not loaded: convert")
        );
        assert!(reason(&["x.gguf"]).contains("only x.gguf"));
        assert!(reason(&["model/model.safetensors"]).contains("no model"));
    }

    #[test]
    fn answers_that_are_none_are_refused() {
        for answer in
            ["", "[]", "{}", r#"{"sha":"../..","siblings":[]}"#, r#"{"sha":"","siblings":[]}"#, r#"{"sha":"a"}"#]
        {
            assert!(Listing::read(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
