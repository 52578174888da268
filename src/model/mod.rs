//! One decoder that a family's description configures; weights as base + U Vh; KV cache; sampling.

mod activation;
mod attention;
mod config;
mod decoder;
mod error;
mod families;
mod family;
mod forward;
mod fused;
mod generate;
mod health;
mod layers;
mod load;
mod norm;
mod observe;
mod rope;
mod sample;
mod stored;
mod weight;

pub use activation::Activation;
pub use attention::Attending;
pub use decoder::{Cache, Model};
pub use error::ModelError;
pub use family::{Architecture, Attention, NormKind, Positions, supported_families};
pub use fused::{FusedPart, Fusion};
pub use generate::{Generation, Stop};
pub use health::{NonFinite, non_finite};
pub use layers::{Kind, Layer, layers_of};
pub use observe::Observer;
pub use rope::RopeSpec;
pub use sample::{Sampler, Sampling, argmax};
pub use stored::{CLASSIC_META_KEY, Part, PartMeta, StoredLayer, parse_compression_meta, stored_layers};
pub use weight::{CompressedLinear, LowRank};
