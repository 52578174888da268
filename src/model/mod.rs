//! One decoder that a family's description configures; weights as base + U Vh; KV cache; sampling.

mod activation;
mod alibi;
mod architecture;
mod attention;
mod block;
mod buffers;
mod config;
mod decoder;
mod error;
mod experts;
mod families;
mod family;
mod formats;
mod forward;
mod fused;
mod generate;
mod health;
mod kv_cache;
mod layers;
mod load;
mod norm;
mod observe;
mod resemble;
mod rope;
mod rope_scaling;
mod sample;
mod stored;
mod together;
mod weight;

pub use activation::Activation;
pub use alibi::Alibi;
pub use architecture::{
    Architecture, Attention, Experts, HeadNorm, NormKind, Norms, Place, Positions, Residual, Scales,
};
pub use attention::Attending;
pub use decoder::{Cache, Model};
pub use error::ModelError;
pub use family::supported_families;
pub use fused::{FusedPart, Fusion};
pub use generate::{Generation, Stop};
pub use health::{NonFinite, non_finite};
pub use layers::{Kind, Layer, layers_of};
pub use observe::Observer;
pub use resemble::read_as;
pub use rope::{Pairs, RopeSpec};
pub use sample::{Sampler, Sampling, argmax};
pub use stored::{Part, PartMeta, StoredLayer, parse_compression_meta, stored_layers};
pub use weight::{CompressedLinear, LowRank};
