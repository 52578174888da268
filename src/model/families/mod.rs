//! One family a file, each readable as a table.

mod gpt2;
mod gpt_neo;
mod llama;
mod mistral;

pub(super) use gpt_neo::GPT_NEO;
pub(super) use gpt2::GPT2;
pub(super) use llama::LLAMA;
pub(super) use mistral::MISTRAL;
