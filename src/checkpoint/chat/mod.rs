//! Chat templates: what is said, as the text that a model was trained to continue.

mod budget;
mod date;
mod environment;
mod json;
mod library;
mod operations;

pub use date::strftime;

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::CheckpointError;
use super::file::{self, is_there};
use super::gpt_files::{content, object};

const FILE: &str = "chat_template.jinja";
const OLDER: &str = "chat_template.json";
const SETTINGS: &str = "tokenizer_config.json";
const NAMED: &str = "special_tokens_map.json";
/// Longest template; those of known models have some tens of kilobytes.
const LONGEST: usize = 256 << 10;

/// One thing said in a chat.
#[derive(Debug, Clone)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// What a person says, after what the model is told about its part, where anything is.
    pub fn asked(system: Option<&str>, user: &str) -> Vec<Self> {
        let said = |role: &str, content: &str| Self { role: role.to_owned(), content: content.to_owned() };
        system.map(|system| said("system", system)).into_iter().chain([said("user", user)]).collect()
    }
}

/// How a model's chats are written.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    file: &'static str,
    source: String,
    /// Special tokens by their role, as `bos_token`.
    tokens: Map<String, Value>,
}

impl ChatTemplate {
    /// The template of a folder: `chat_template.jinja`, else what `chat_template.json` or `tokenizer_config.json` have as
    /// `chat_template` (text, or a list of named ones, of which `default` counts), as transformers finds it.
    ///
    /// # Errors
    /// None there; files that are no JSON; a template longer than any.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let settings = object(folder, SETTINGS)?;
        let (file, source) = find(folder, &settings)?;
        if source.len() > LONGEST {
            let reason = format!("the chat template has more than {} KiB, which none has", LONGEST >> 10);
            return Err(CheckpointError::invalid(file, reason));
        }
        let named = object(folder, NAMED)?;
        let roles = named.iter().chain(&settings).filter(|(role, _)| role.ends_with("_token"));
        let tokens = roles.filter_map(|(role, token)| Some((role.clone(), content(token)?.into()))).collect();
        Ok(Self { file, source: without_marks(&source), tokens })
    }

    /// The text of a chat, ended where the assistant's answer begins. It holds its own special tokens: encode it plain.
    /// `now` is for templates that tell the day (in UTC).
    ///
    /// # Errors
    /// What is wrong with the template; what it refuses (some take no system message); more work than any takes.
    pub fn render(&self, messages: &[Message], now: SystemTime) -> Result<String, CheckpointError> {
        let mut context = self.tokens.clone();
        context.insert("messages".into(), messages.iter().map(said).collect());
        context.insert("add_generation_prompt".into(), true.into());
        context.insert("tools".into(), Value::Null);
        context.insert("documents".into(), Value::Null);
        environment::render(&self.source, context, now).map_err(|reason| CheckpointError::invalid(self.file, reason))
    }
}

fn said(message: &Message) -> Value {
    serde_json::json!({"role": message.role, "content": message.content})
}

/// The template's text, and the file that it is in.
fn find(folder: &Path, settings: &Map<String, Value>) -> Result<(&'static str, String), CheckpointError> {
    if is_there(&folder.join(FILE)) {
        let text = String::from_utf8(file::read_small(&folder.join(FILE))?);
        return text
            .map(|text| (FILE, text))
            .map_err(|_| CheckpointError::invalid(FILE, "the file is not valid UTF-8 text; download it again"));
    }
    let older = object(folder, OLDER)?;
    for (file, members) in [(OLDER, &older), (SETTINGS, settings)] {
        if let Some(template) = members.get("chat_template").filter(|template| !template.is_null()) {
            return Ok((file, chosen(file, template)?.to_owned()));
        }
    }
    let reason = format!(
        "no chat template here (no {FILE}, and no chat_template in {SETTINGS}): the model was not made for chats, or the \
         file was not copied; give the prompt as plain text"
    );
    Err(CheckpointError::invalid(&folder.to_string_lossy(), reason))
}

/// A template as transformers gives it: text, or the one of a list that is called `default`.
fn chosen<'a>(file: &str, template: &'a Value) -> Result<&'a str, CheckpointError> {
    let refuse = |reason: &str| CheckpointError::invalid(file, reason);
    match template {
        Value::String(text) => Ok(text),
        Value::Array(named) => {
            let default = named.iter().find(|one| one.get("name").is_some_and(|name| name == "default"));
            default
                .and_then(|one| one.get("template")?.as_str())
                .ok_or_else(|| refuse("none of the chat templates is called \"default\"; name the one to use so"))
        }
        _ => Err(refuse("chat_template is neither text nor a list of named templates; download the file again")),
    }
}

/// The template without the marks around the assistant's words, which only training looks at.
fn without_marks(source: &str) -> String {
    let mut out = source.to_owned();
    for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
        out = out.replace(&format!("{open} generation {close}"), &format!("{open} if true {close}"));
        out = out.replace(&format!("{open} endgeneration {close}"), &format!("{open} endif {close}"));
    }
    out
}
