//! One family a file, each readable as a table.

mod bloom;
mod falcon;
mod gemma2;
mod gemma3_text;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod gptj;
mod granite;
mod llama;
mod mistral;
mod mixtral;
mod olmo2;
mod opt;
mod phi;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod shared;
mod smollm3;
mod stablelm;
mod starcoder2;

use super::family::Family;

/// Every family that runs. Adding one means adding its file and a line here.
pub(super) static FAMILIES: &[&Family] = &[
    &bloom::BLOOM,
    &falcon::FALCON,
    &gemma2::GEMMA2,
    &gemma3_text::GEMMA3_TEXT,
    &gpt2::GPT2,
    &gpt_neo::GPT_NEO,
    &gpt_neox::GPT_NEOX,
    &gptj::GPTJ,
    &granite::GRANITE,
    &llama::LLAMA,
    &mistral::MISTRAL,
    &mixtral::MIXTRAL,
    &olmo2::OLMO2,
    &opt::OPT,
    &phi::PHI,
    &phi3::PHI3,
    &qwen2::QWEN2,
    &qwen3::QWEN3,
    &qwen3_moe::QWEN3_MOE,
    &smollm3::SMOLLM3,
    &stablelm::STABLELM,
    &starcoder2::STARCODER2,
];
