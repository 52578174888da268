//! Families as descriptions. STUB (room `model`).

/// What a family's description and a config make: everything that the decoder needs to know.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// `model_type`.
    pub family: &'static str,
    /// Vocabulary size (rows of the embedding).
    pub vocabulary: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Context in tokens.
    pub context: usize,
    /// End-of-text ids (config.json and generation_config.json).
    pub eos: Vec<u32>,
}

/// The families that run, for messages.
pub fn supported_families() -> &'static [&'static str] { &["gpt2", "gpt_neo", "llama", "mistral"] }
