//! Files to tensors and back: safetensors, shards, config, tokenizer, the Hugging Face cache, atomic writing.
//! This room computes nothing.

mod bytes;
mod chat;
mod error;
mod faults;
mod file;
mod folder;
mod gpt_files;
mod header;
mod hub;
mod index;
mod json;
mod kept;
#[cfg(test)]
mod kinds;
mod locate;
mod mapped;
mod open;
mod remembered;
mod scales;
mod stream;
mod tensor;
mod text;
mod tokenizer;
mod write;

pub use bytes::{Bytes, View};
pub use chat::{ChatTemplate, Message, strftime};
pub use error::CheckpointError;
pub use hub::{Hub, HubError};
pub use kept::{KeptFolder, Unsound};
pub use locate::locate;
pub use open::{COMPRESSION_META, Checkpoint, Embedded, Sidecar};
pub use safetensors::Dtype;
pub use scales::Scale;
pub use stream::TextStream;
pub use tensor::{Tensor, fingerprint};
pub use text::{escaped, nearest};
pub use tokenizer::Tokenizer;
pub use write::{FolderWriter, ReportFolder, TensorSpec, WriteError, replace_file, sha256, write_safetensors};
