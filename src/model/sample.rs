//! Choosing the next token. STUB (room `model`).

/// How the next token is chosen. Temperature 0 (or `None`) is greedy.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sampling {
    /// Softmax temperature; `None` or 0: greedy.
    pub temperature: Option<f32>,
    /// Keep the k likeliest.
    pub top_k: Option<usize>,
    /// Keep the likeliest whose probabilities sum to p.
    pub top_p: Option<f32>,
    /// Seed of the random numbers.
    pub seed: u64,
}

/// Chooses tokens; two samplers of one seed make the same choices on the same logits.
#[derive(Debug, Clone)]
pub struct Sampler { _todo: () }

impl Sampler {
    /// A sampler from its start.
    pub fn new(_sampling: Sampling) -> Self { todo!() }
    /// The next token id.
    pub fn next(&mut self, _logits: &[f32]) -> u32 { todo!() }
}

/// Index of the largest value, the first one on ties; NaN never wins.
pub fn argmax(_logits: &[f32]) -> u32 { todo!() }
