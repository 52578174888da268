//! What `compare` writes as JSON.

use serde::Serialize;

use super::{AttentionShift, Comparison, Drift, FastCost, Health, Kld, LayerError, Perplexity, ProbeReport};
use crate::model::{Layer, Model};

/// Fewer scored tokens than this are worth a warning.
pub const FEW_TOKENS: usize = 100;

/// A comparison as a document: `compare`'s JSON, and the `metrics.json` of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as the command prints it")]
pub struct CompareDocument {
    pub tokens: usize,
    pub cosine: CosineFigures,
    pub mse: f64,
    pub mse_se: f64,
    pub kld: Kld,
    pub delta_p: DeltaP,
    pub top1_agreement: f64,
    pub top1_se: f64,
    pub perplexity: Perplexity,
    pub bytes: BytesOfBoth,
    pub bits_per_weight: Option<f64>,
    pub drift: Vec<Drift>,
    pub probes: Option<ProbeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast: Option<FastCost>,
    #[serde(flatten)]
    pub asked: Asked,
}

/// Cosine of logits, position by position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as the command prints it")]
pub struct CosineFigures {
    pub mean: f64,
    pub min: f64,
}

/// Change of the probability of the text's own token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as the command prints it")]
pub struct DeltaP {
    pub mean: f64,
    pub rms: f64,
}

/// Bytes of all tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "named as the command prints it")]
pub struct BytesOfBoth {
    pub original: u64,
    pub compressed: u64,
}

/// What is measured only where it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Asked {
    /// Texts of both models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Attention of each block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<Vec<AttentionShift>>,
    /// Output errors of the changed layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<Vec<LayerError>>,
}

impl CompareDocument {
    /// A comparison of these two models, original and compressed, and nothing beyond it.
    pub fn new(comparison: Comparison, (original, compressed): (&Model, &Model)) -> Self {
        let layers = compressed.layers();
        let stored: u64 = (0..layers.len()).filter_map(|index| compressed.weight(index)).map(|w| w.bytes()).sum();
        Self {
            tokens: comparison.tokens,
            cosine: CosineFigures { mean: comparison.cosine.0, min: comparison.cosine.1 },
            mse: comparison.mse.0,
            mse_se: comparison.mse.1,
            kld: comparison.kld,
            delta_p: DeltaP { mean: comparison.delta_p.0, rms: comparison.delta_p.1 },
            top1_agreement: comparison.top1.0,
            top1_se: comparison.top1.1,
            perplexity: comparison.perplexity,
            bytes: BytesOfBoth { original: original.weight_bytes(), compressed: compressed.weight_bytes() },
            bits_per_weight: bits_per_weight(stored, layers),
            drift: comparison.drift,
            probes: None,
            fast: None,
            asked: Asked::default(),
        }
    }
}

/// 8 x stored bytes over parameters, of the layers alone; `None` where there is no layer.
pub fn bits_per_weight(bytes: u64, layers: &[Layer]) -> Option<f64> {
    let parameters: u64 = layers.iter().map(Layer::parameters).sum();
    (parameters > 0).then(|| 8.0 * bytes as f64 / parameters as f64)
}
