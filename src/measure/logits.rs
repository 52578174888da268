//! Two distributions over the vocabulary at one position. STUB (room `measure`).

/// What differs at one position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionStats {
    /// Cosine of the logit vectors.
    pub cosine: f64,
    /// Mean squared difference of the logits.
    pub mse: f64,
    /// KL(original || compressed) in nats; never below 0, exactly 0 for equal logits.
    pub kld: f64,
    /// Whether both have the same argmax.
    pub top1: bool,
    /// p_compressed(next) - p_original(next), where the next token is known.
    pub delta_p: Option<f64>,
    /// -ln p_original(next) and -ln p_compressed(next).
    pub nll: Option<(f64, f64)>,
    /// Rank (0 = best) of the original's best token among the compressed logits.
    pub rank_of_best: usize,
}

/// Compares logits of one position; `next` is the text's own next token. Sums in f64. NaN logits give NaN figures, not panics.
pub fn compare_position(_original: &[f32], _compressed: &[f32], _next: Option<u32>) -> PositionStats { todo!() }
