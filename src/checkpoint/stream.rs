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

    /// A stream whose pieces are what new ids add to the text of `prompt`.
    pub(super) fn after(tokenizer: Tokenizer, prompt: &[u32]) -> Self {
        let mut stream = Self::new(tokenizer);
        for id in prompt {
            stream.push(*id);
        }
        // A character that the prompt leaves unfinished comes out whole, with the ids that finish it.
        stream.out = stream.tokenizer.decode(&stream.ids).trim_end_matches('\u{fffd}').len();
        stream
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

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::super::kinds::{self, sentencepiece};
    use super::*;

    /// One tokenizer of every kind.
    fn every() -> Vec<(&'static str, Tokenizer)> {
        static EVERY: LazyLock<Vec<(&str, Tokenizer)>> = LazyLock::new(kinds::every);
        EVERY.clone()
    }

    fn demo() -> Tokenizer {
        every().remove(0).1
    }

    fn joined(tokenizer: &Tokenizer, ids: &[u32]) -> String {
        let mut stream = tokenizer.stream();
        let mut text: String = ids.iter().map(|id| stream.push(*id)).collect();
        text += &stream.finish();
        text
    }

    #[test]
    fn a_character_is_held_back_until_it_is_whole() {
        let tokenizer = demo();
        let ids = tokenizer.encode_plain("a 猫é😀!").unwrap();
        assert!(ids.len() > 8, "the characters should be split into bytes");
        let mut stream = tokenizer.stream();
        let pieces: Vec<String> = ids.iter().map(|id| stream.push(*id)).collect();
        assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "{pieces:?}");
        assert_eq!(pieces.concat() + &stream.finish(), "a 猫é😀!");
        let cut = ids.split_last().unwrap().1.split_last().unwrap().1;
        assert!(joined(&tokenizer, cut).ends_with('\u{fffd}'));
    }

    #[test]
    fn text_comes_as_soon_as_it_is_final() {
        let tokenizer = demo();
        let ids = tokenizer.encode_plain("Once upon a time").unwrap();
        let mut stream = tokenizer.stream();
        for id in ids {
            assert_eq!(stream.push(id), tokenizer.piece(id));
        }
        let tokenizer = sentencepiece();
        let mut stream = tokenizer.stream();
        let pieces = [3, 3, 0, 6, 7, 8, 4, 9].map(|id| stream.push(id));
        assert_eq!(pieces, ["the", " the", "", "", "", "", "€the", ""]);
        assert_eq!(stream.finish(), "\n");
    }

    #[test]
    fn a_long_text_costs_the_same_at_each_step() {
        let tokenizer = demo();
        let mut stream = tokenizer.stream();
        let id = tokenizer.encode_plain("a").unwrap()[0];
        for _ in 0..1000 {
            stream.push(id);
            assert!(stream.ids.len() <= CONTEXT);
        }
    }

    fn continued(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32]) -> String {
        let mut stream = tokenizer.stream_after(prompt);
        let text: String = ids.iter().map(|id| stream.push(*id)).collect();
        text + &stream.finish()
    }

    #[test]
    fn a_text_goes_on_where_its_prompt_ends() {
        let tokenizer = sentencepiece();
        assert_eq!(continued(&tokenizer, &[0, 4], &[3, 3]), " the the");
        assert_eq!(continued(&tokenizer, &[0], &[3, 3]), "the the");
        // The prompt's own line end is held back, and is no part of the text.
        assert_eq!(continued(&tokenizer, &[4, 9], &[4]), "the");
        assert_eq!(continued(&tokenizer, &[4, 9], &[]), "");
        assert_eq!(continued(&tokenizer, &[4, 6, 7], &[8, 4]), "€the");
    }

    proptest! {
        #[test]
        fn a_text_after_a_prompt_is_what_it_adds(
            choices in prop::collection::vec(any::<prop::sample::Index>(), 0..40), cut in any::<prop::sample::Index>()
        ) {
            for (kind, tokenizer) in every() {
                let ids: Vec<u32> = choices.iter().map(|c| c.index(tokenizer.id_bound() + 1) as u32).collect();
                let (prompt, new) = ids.split_at(cut.index(ids.len() + 1));
                let (before, whole) = (tokenizer.decode(prompt), tokenizer.decode(&ids));
                // Bytes that make no character with the prompt's change its text: nothing is added to that.
                if let Some(added) = whole.strip_prefix(&before).filter(|_| !before.ends_with('\u{fffd}')) {
                    prop_assert_eq!(continued(&tokenizer, prompt, new), added, "{}: {:?} {:?}", kind, prompt, new);
                }
            }
        }

        #[test]
        fn joined_pieces_equal_the_whole_decoded(choices in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
            for (kind, tokenizer) in every() {
                // One more than there are: an id without a token.
                let ids: Vec<u32> = choices.iter().map(|c| c.index(tokenizer.id_bound() + 1) as u32).collect();
                prop_assert_eq!(joined(&tokenizer, &ids), tokenizer.decode(&ids), "{}: {:?}", kind, ids);
            }
        }

        #[test]
        fn any_text_streams_as_it_decodes(text in "\\PC{0,40}") {
            for (kind, tokenizer) in every() {
                let ids = tokenizer.encode_plain(&text).unwrap();
                prop_assert_eq!(joined(&tokenizer, &ids), tokenizer.decode(&ids), "{}", kind);
            }
            prop_assert_eq!(joined(&demo(), &demo().encode_plain(&text).unwrap()), text);
        }
    }
}
