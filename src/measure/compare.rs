//! Original against compressed, position by position over a text. STUB (room `measure`).

use std::ops::Range;

use serde::Serialize;

use crate::checkpoint::Tokenizer;
use crate::control::Control;
use crate::model::{Model, ModelError};

/// What to compare on.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// Ids of the whole text (no BOS).
    pub ids: Vec<u32>,
    /// BOS that opens each window, where the tokenizer adds one.
    pub bos: Option<u32>,
    /// At most this many ids of the text are used.
    pub limit: Option<usize>,
}

/// `compare`'s JSON `kld`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "percentiles in nats, named as in INTERFACE")]
pub struct Kld { pub mean: f64, pub mean_se: f64, pub median: f64, pub p90: f64, pub p99: f64, pub p999: f64, pub max: f64 }

/// `compare`'s JSON `perplexity`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as in INTERFACE")]
pub struct Perplexity { pub original: f64, pub compressed: f64, pub ratio: f64, pub ratio_se: f64 }

/// Hidden state after one block, original against compressed, over the scored positions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as in INTERFACE")]
pub struct Drift { pub block: usize, pub cosine: f64, pub norm_ratio: f64 }

/// A prompt and its expected continuation.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "named as in the file")]
pub struct Probe { pub prompt: String, pub expected: String }

/// `compare`'s JSON `probes`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as in INTERFACE")]
pub struct ProbeReport { pub count: usize, pub original: f64, pub compressed: f64 }

/// `compare`'s JSON, without bytes (the face adds `bytes` and `bits_per_weight`).
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Scored positions.
    pub tokens: usize,
    /// Mean and least cosine of logits.
    pub cosine: (f64, f64),
    /// Mean squared logit difference and its standard error.
    pub mse: (f64, f64),
    /// KLD.
    pub kld: Kld,
    /// Mean and RMS of p_compressed - p_original of the text's token.
    pub delta_p: (f64, f64),
    /// Top-1 agreement and its binomial standard error.
    pub top1: (f64, f64),
    /// Perplexities.
    pub perplexity: Perplexity,
    /// Per block.
    pub drift: Vec<Drift>,
}

/// The windows of a text: min(512, context) ids each (BOS included where there is one), the second half of each scored;
/// as llama.cpp's perplexity does it. A last, shorter window counts where it has at least 2 ids... (see code).
pub fn windows(_ids: usize, _context: usize, _bos: bool) -> Vec<Range<usize>> { todo!() }

/// Runs both models over the text.
///
/// # Errors
/// Model errors; a text of fewer than 2 ids; vocabularies that differ.
pub fn compare(_original: &Model, _compressed: &Model, _options: &CompareOptions, _control: &Control) -> Result<Comparison, ModelError> { todo!() }

/// Parses a JSON Lines file of probes; errors name the line.
///
/// # Errors
/// `line N: ...`.
pub fn parse_probes(_text: &str) -> Result<Vec<Probe>, String> { todo!() }

/// Share of probes that both continue greedily as expected (the text of as many new tokens as needed starts with it,
/// leading space ignored).
///
/// # Errors
/// Model errors.
pub fn probe(_original: &Model, _compressed: &Model, _tokenizer: &Tokenizer, _probes: &[Probe], _control: &Control) -> Result<ProbeReport, ModelError> { todo!() }
