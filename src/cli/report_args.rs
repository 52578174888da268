//! What `report` and `replay` are asked.

use std::path::PathBuf;

use clap::Args;

use super::arg_values::at_least_one;
use super::args::{CalibrationArg, ModelArg};
use crate::workbench::PLAN_TOKENS;

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub model: ModelArg,
    /// The policy
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    /// For a compressed folder: the model that it came from, which the policy is then applied to
    #[arg(long, value_name = "MODEL")]
    pub original: Option<String>,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The text to compare on [default: the evaluation text in the program]
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Use at most this many tokens of the text
    #[arg(long, value_name = "N", default_value_t = PLAN_TOKENS, value_parser = at_least_one)]
    pub tokens: usize,
    /// What both models go on after; may be given several times [default: the prompts in the program, the first of which are
    /// drawn]
    #[arg(long, value_name = "TEXT")]
    pub prompt: Vec<String>,
    /// Most tokens written after each prompt
    #[arg(long, value_name = "N", default_value_t = 96, value_parser = at_least_one)]
    pub max_tokens: usize,
    /// Another policy to compare on the same text; may be given several times
    #[arg(long, value_name = "FILE")]
    pub beside: Vec<PathBuf>,
    /// Also measure bytes against KLD of other policies on the same text
    #[arg(long)]
    pub frontier: bool,
    /// Also try every changed layer alone, and name those that matter more than their error tells
    #[arg(long)]
    pub sensitivity: bool,
    /// Write over an existing report
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub statistics: CalibrationArg,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The session
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the session's model lies now [default: as the session names it]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Where the original of its compressed folder lies now [default: as the session names it]
    #[arg(long, value_name = "MODEL")]
    pub original: Option<String>,
    /// Write the session as it came out, and its last policy, to this folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write over what an earlier replay wrote
    #[arg(long, requires = "out")]
    pub force: bool,
    #[command(flatten)]
    pub statistics: CalibrationArg,
}
