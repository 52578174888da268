//! Files to tensors and back: safetensors, shards, config, tokenizer, the Hugging Face cache, atomic writing.
//! This room computes nothing.

mod bytes;
mod error;
mod open;
mod text;
mod tokenizer;
mod write;

pub use bytes::{Bytes, View};
pub use error::CheckpointError;
pub use open::{Checkpoint, Embedded, Sidecar, Tensor, locate};
pub use safetensors::Dtype;
pub use text::escaped;
pub use tokenizer::{TextStream, Tokenizer};
pub use write::{FolderWriter, TensorSpec, WriteError, replace_file};
