//! Text to token ids and back. STUB.

use super::CheckpointError;

/// A tokenizer as `tokenizer.json` describes it.
#[derive(Debug, Clone)]
pub struct Tokenizer { _todo: () }

impl Tokenizer {
    /// Parses `tokenizer.json`.
    ///
    /// # Errors
    /// Malformed JSON (with line), unknown model type, merges that name unknown tokens.
    pub fn parse(_json: &[u8]) -> Result<Self, CheckpointError> { todo!() }
    /// Ids of a prompt, special tokens added as the tokenizer's own post-processor does it.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode(&self, _text: &str) -> Result<Vec<u32>, CheckpointError> { todo!() }
    /// Ids of a text without any special token added.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn encode_plain(&self, _text: &str) -> Result<Vec<u32>, CheckpointError> { todo!() }
    /// The BOS id where the post-processor opens every text with one.
    pub fn opening(&self) -> Option<u32> { todo!() }
    /// Text of ids, special tokens skipped.
    pub fn decode(&self, _ids: &[u32]) -> String { todo!() }
    /// Largest id + 1.
    pub fn id_bound(&self) -> usize { todo!() }
    /// The token's own text, for showing one token alone (special tokens by name); never empty for a valid id.
    pub fn piece(&self, _id: u32) -> String { todo!() }
    /// A decoder of a growing list of ids; joined pieces equal [`Tokenizer::decode`] of all.
    pub fn stream(&self) -> TextStream { todo!() }
}

/// Incremental decoding that never breaks a character.
#[derive(Debug, Clone)]
pub struct TextStream { _todo: () }

impl TextStream {
    /// Adds an id and returns the text that became final by it (may be empty).
    pub fn push(&mut self, _id: u32) -> String { todo!() }
    /// The rest that was held back.
    pub fn finish(&mut self) -> String { todo!() }
}
