//! Small made-up tokenizers of every kind, for tests.

use serde_json::{Map, Value, json};

use super::Tokenizer;

/// A tokenizer over `tokens`, the first of which is special.
pub(super) fn of(model: &str, tokens: &[&str], decoder: &Value) -> Tokenizer {
    let vocabulary: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), id.into())).collect();
    let model = json!({"type": model, "vocab": vocabulary, "unk_token": tokens[0], "merges": [],
        "continuing_subword_prefix": "##", "max_input_chars_per_word": 100});
    whole(&model, &json!({"decoder": decoder}), tokens[0])
}

fn whole(model: &Value, parts: &Value, special: &str) -> Tokenizer {
    let special = json!({"id": 0, "content": special, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true});
    let mut all = json!({"version": "1.0", "added_tokens": [special], "model": model});
    parts.as_object().unwrap().iter().for_each(|(part, value)| all[part] = value.clone());
    Tokenizer::parse(all.to_string().as_bytes()).unwrap()
}

/// A sequence of normalizers or decoders; `kind` names its list.
fn sequence(kind: &str, steps: &[Value]) -> Value {
    let mut all = json!({"type": "Sequence"});
    all[kind] = steps.into();
    all
}

fn spaces_back(strip: bool) -> Value {
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if strip {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    sequence("decoders", &steps)
}

/// The text with ▁ for each space, and, where told, one before it.
fn marked(prepend: bool) -> Value {
    let mut steps = vec![json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})];
    if prepend {
        steps.insert(0, json!({"type": "Prepend", "prepend": "▁"}));
    }
    sequence("normalizers", &steps)
}

/// Every byte, as `<0x0A>`.
fn bytes() -> impl Iterator<Item = String> {
    (0..=255).map(|byte| format!("<0x{byte:02X}>"))
}

/// As models of `SentencePiece` are converted: byte fallback, spaces as ▁, the first one dropped.
pub(super) fn sentencepiece() -> Tokenizer {
    let tokens = ["<s>", "▁", "▁▁▁", "▁the", "the", "é", "<0xE2>", "<0x82>", "<0xAC>", "<0x0A>", "<0xFF>", "€", "."];
    of("BPE", &tokens, &spaces_back(true))
}

/// `SentencePiece`'s unigram model, with byte fallback: the split of the best score wins.
pub(super) fn unigram() -> Tokenizer {
    let scored = [("▁", -3.0), ("▁the", -6.0), ("▁t", -4.0), ("he", -4.0), ("cat", -5.0), ("c", -9.0), ("a", -9.0)];
    let rest = [("t", -9.0), ("▁▁▁", -4.0), ("h", -9.0), ("e", -9.0)];
    let scored = scored.into_iter().chain(rest).map(|(token, score)| json!([token, score]));
    let vocabulary: Vec<Value> =
        [json!(["<unk>", 0.0])].into_iter().chain(bytes().map(|byte| json!([byte, 0.0]))).chain(scored).collect();
    let model = json!({"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": vocabulary});
    whole(&model, &json!({"normalizer": marked(true), "decoder": spaces_back(true)}), "<unk>")
}

/// LLaMA's way: merges over the whole text without any pre-tokenizer, byte fallback; `prepend` as Gemma does not.
pub(super) fn unsplit(prepend: bool) -> Tokenizer {
    let merges = [("▁", "a"), ("▁a", "▁"), ("▁a▁", "b"), ("▁", "▁"), ("a", "b")];
    let joined = merges.iter().map(|(left, right)| format!("{left}{right}"));
    let single = ["▁", "a", "b"].map(str::to_owned);
    let tokens: Vec<String> = ["<s>".to_owned()].into_iter().chain(bytes()).chain(single).chain(joined).collect();
    let vocabulary: Map<String, Value> = tokens.into_iter().enumerate().map(|(id, token)| (token, id.into())).collect();
    let merges: Vec<String> = merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
    let model = json!({"type": "BPE", "vocab": vocabulary, "merges": merges, "byte_fallback": true, "fuse_unk": true,
        "unk_token": "<s>"});
    whole(&model, &json!({"normalizer": marked(prepend), "decoder": spaces_back(prepend)}), "<s>")
}

/// Whole words between spaces, others unknown.
pub(super) fn words() -> Tokenizer {
    let tokens = ["[UNK]", "the", "cat", "sat", "."];
    let vocabulary: Map<String, Value> =
        tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), id.into())).collect();
    let model = json!({"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"});
    whole(&model, &json!({"pre_tokenizer": {"type": "Whitespace"}}), "[UNK]")
}

fn metaspace(scheme: &str) -> Tokenizer {
    let decoder = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": true});
    of("BPE", &["<s>", "▁", "▁a", "b▁", "c"], &decoder)
}

/// One of every kind, by a name for messages.
pub(super) fn every() -> Vec<(&'static str, Tokenizer)> {
    let pieces = ["[S]", "a", "##b", "do", "not", "n", "'", "t", ".", "##s"];
    let demo = Tokenizer::parse(include_bytes!("../../assets/demo/tokenizer.json")).unwrap();
    vec![
        ("bytes", demo),
        ("sentencepiece", sentencepiece()),
        ("unigram", unigram()),
        ("unsplit", unsplit(true)),
        ("unsplit, as it stands", unsplit(false)),
        ("words", words()),
        ("words with marks", of("WordLevel", &pieces, &Value::Null)),
        ("word pieces", of("WordPiece", &pieces, &json!({"type": "WordPiece", "prefix": "##", "cleanup": true}))),
        ("metaspace, always", metaspace("always")),
        ("metaspace, first", metaspace("first")),
        ("metaspace, never", metaspace("never")),
        ("endings", of("BPE", &["<s>", "a</w>", "b", "c</w>"], &json!({"type": "BPEDecoder", "suffix": "</w>"}))),
    ]
}

#[test]
fn the_best_split_wins_and_what_is_unknown_falls_back_to_bytes() {
    let tokenizer = unigram();
    let pieces = |text: &str| -> Vec<String> {
        let visible = |id: u32| tokenizer.visible(id).unwrap_or_else(|| "<unk>".to_owned());
        tokenizer.encode(text).unwrap().into_iter().map(visible).collect()
    };
    assert_eq!(pieces("the cat"), ["▁the", "▁", "cat"]);
    assert_eq!(pieces("te"), ["▁t", "e"]);
    assert_eq!(pieces("é"), ["▁", "<0xC3>", "<0xA9>"]);
    assert_eq!(pieces("\n猫"), ["▁", "<0x0A>", "<0xE7>", "<0x8C>", "<0xAB>"]);
}

#[test]
fn without_a_pre_tokenizer_merges_cross_spaces() {
    let tokenizer = unsplit(true);
    let id = |token: &str| tokenizer.id(token).unwrap();
    assert_eq!(tokenizer.encode("a b").unwrap(), [id("▁a▁b")]);
    assert_eq!(tokenizer.encode("b").unwrap(), [id("▁"), id("b")]);
    assert_eq!(tokenizer.encode("a\u{e9}").unwrap(), [id("▁a"), id("<0xC3>"), id("<0xA9>")]);
    assert_eq!(unsplit(false).encode("ab").unwrap(), [id("ab")]);
}

#[test]
fn whole_words_are_known_or_not() {
    let tokenizer = words();
    let ids = tokenizer.encode("the dog sat.").unwrap();
    assert_eq!(ids, [1, 0, 3, 4]);
    assert_eq!(tokenizer.decode(&ids), "the sat .");
    assert_eq!(tokenizer.piece(0), "[UNK]");
}

#[test]
fn texts_come_back_whole_from_what_knows_every_byte() {
    for tokenizer in [unigram(), unsplit(true), unsplit(false)] {
        for text in ["the cat", "a b  ab   a", "the 猫 said \"é\"\n\tno", "   ", "▁", "a\u{0}b😀"] {
            let shown = text.replace('▁', " ");
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()), shown);
        }
    }
}
