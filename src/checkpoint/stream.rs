//! Text of a growing list of ids, piece by piece.

use super::Tokenizer;

/// Tokens kept before the new ones: decoders look back one token, and a character has at most four bytes, thus tokens.
const CONTEXT: usize = 4;

/// Incremental decoding that never breaks a character and decodes a few tokens only at each step.
///
/// What decoding may still change is held back: the bytes of an unfinished character, and a run of byte tokens
/// (`<0xE2>`), which decodes as a whole or not at all.
#[derive(Debug, Clone)]
pub struct TextStream {
    tokenizer: Tokenizer,
    /// Context, then the ids whose text is not all out.
    ids: Vec<u32>,
    /// Bytes of the text of `ids` that are out.
    out: usize,
}

impl TextStream {
    pub(super) fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, ids: Vec::new(), out: 0 }
    }

    /// Adds an id and returns the text that became final by it (may be empty).
    pub fn push(&mut self, id: u32) -> String {
        let Some(token) = self.tokenizer.visible(id) else { return String::new() };
        self.ids.push(id);
        if is_byte(&token) {
            return String::new();
        }
        let text = self.tokenizer.decode(&self.ids);
        let settled = text.strip_suffix('\u{fffd}').unwrap_or(&text);
        let piece = settled.get(self.out..).unwrap_or_default().to_owned();
        self.out += piece.len();
        if settled.len() == text.len() {
            self.forget();
        }
        piece
    }

    /// The rest that was held back. The stream begins anew.
    pub fn finish(&mut self) -> String {
        let text = self.tokenizer.decode(&self.ids);
        let piece = text.get(self.out..).unwrap_or_default().to_owned();
        self.ids.clear();
        self.out = 0;
        piece
    }

    /// Keeps what the next tokens need as context.
    fn forget(&mut self) {
        self.ids.drain(..self.ids.len().saturating_sub(CONTEXT));
        self.out = self.tokenizer.decode(&self.ids).len();
    }
}

/// Whether a decoder may take the token for a byte: `<0x0A>`.
fn is_byte(token: &str) -> bool {
    token.len() == 6 && token.starts_with("<0x") && token.ends_with('>')
}
