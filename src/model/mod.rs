//! One decoder that a family's description configures; weights as base + U Vh; KV cache; sampling.

mod attention;
mod config;
mod decoder;
mod error;
mod family;
mod layers;
mod load;
mod rope;
mod sample;
mod stored;
mod weight;

pub use decoder::{Cache, HiddenSink, Model};
pub use error::ModelError;
pub use family::{Architecture, supported_families};
pub use layers::{Kind, Layer, layers_of};
pub use sample::{Sampler, Sampling, argmax};
pub use stored::{CLASSIC_META_KEY, Part, PartMeta, StoredLayer, parse_compression_meta, stored_layers};
pub use weight::{CompressedLinear, LowRank};
