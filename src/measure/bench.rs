//! Load, prefill, decode, memory: original and compressed, interleaved. STUB (room `measure`).

use serde::Serialize;

use crate::control::Control;
use crate::model::{Model, ModelError};

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct BenchOptions {
    /// Tokens of the prefill.
    pub prompt_tokens: usize,
    /// Tokens decoded.
    pub max_tokens: usize,
    /// Runs; the medians count.
    pub runs: usize,
}

/// One model's figures (INTERFACE `bench`), medians over runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as in INTERFACE")]
pub struct Timing {
    pub load_s: f64,
    pub prefill_tokens_per_s: f64,
    pub decode_tokens_per_s: f64,
    pub decode_ms_per_token: f64,
    pub bytes_per_token: u64,
    pub share_of_bandwidth: f64,
    pub weight_bytes: u64,
    pub peak_rss_bytes: Option<u64>,
    /// (max - min) / median of the decode speed over the runs.
    pub spread: f64,
}

/// `bench`'s JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as in INTERFACE")]
pub struct BenchReport { pub threads: usize, pub bandwidth_bytes_per_s: f64, pub original: Timing, pub compressed: Option<Timing> }

/// Largest sequential read bandwidth seen over a buffer beyond the caches, all threads, bytes/s.
pub fn read_bandwidth(_control: &Control) -> f64 { todo!() }

/// Measures; `load` opens a model anew (for `load_s`).
///
/// # Errors
/// Model errors.
pub fn bench(
    _original: &mut dyn FnMut() -> Result<Model, ModelError>, _compressed: Option<&mut dyn FnMut() -> Result<Model, ModelError>>,
    _options: BenchOptions, _control: &Control,
) -> Result<BenchReport, ModelError> { todo!() }
