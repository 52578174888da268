//! What is part of the program: the demo model and texts.

use crate::checkpoint::Embedded;

/// Aligns the weights as a memory map would be.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

static WEIGHTS: &Aligned<[u8]> = &Aligned(*include_bytes!("../../assets/demo/model.safetensors"));

/// The embedded demo model.
pub const DEMO: Embedded = Embedded {
    name: "demo",
    config: include_str!("../../assets/demo/config.json"),
    tokenizer: include_str!("../../assets/demo/tokenizer.json"),
    weights: &WEIGHTS.0,
};

/// Default text for measuring: held-out stories.
pub const EVALUATION_TEXT: &str = include_str!("../../assets/text/evaluation.txt");

/// Default text for calibration: other stories.
pub const CALIBRATION_TEXT: &str = include_str!("../../assets/text/calibration.txt");

/// A few prompts, one a line.
pub const PROMPTS: &str = include_str!("../../assets/text/prompts.txt");

/// How many of the texts after those prompts a report draws.
pub const DRAWN_TEXTS: usize = 3;

/// The prompts of a text that has one a line.
pub fn prompts_of(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
}

/// Probes of the demo, JSON Lines of `prompt` and `expected`.
pub const PROBES: &str = include_str!("../../assets/text/probes.jsonl");
