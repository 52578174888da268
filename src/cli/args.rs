//! The command line: one definition of each flag feeds parser, help, man page and completions.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

pub use super::arg_values::{BaseArg, FactorsArg, LayoutArg, LogArg, ModeArg, SchemaFile, WeightingArg};
use super::arg_values::{at_least_one, non_negative, share, size};
use super::report_args::{ReplayArgs, ReportArgs};
use crate::compress::{Budget, Plan};
use crate::linalg::Arithmetic;
use crate::model::{Sampling, supported_families};
use crate::workbench::PLAN_TOKENS;

/// Decide how to compress a language model, layer by layer.
///
/// Without a command, the workbench opens: every layer of the model, its spectrum and its plan, and both models writing side
/// by side. The commands are the same core without a screen.
///
/// MODEL is a folder in Hugging Face layout, one .safetensors file, a folder that `compress` wrote, the name of a repository
/// in the local Hugging Face cache (with --download fetched into it), or the word `demo`, the model embedded in the program. Left out, it is `demo`.
#[derive(Debug, Parser)]
#[command(name = "rankscope", version, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The workbench's options.
    #[command(flatten)]
    pub workbench: WorkbenchArgs,
    /// For every command.
    #[command(flatten)]
    pub common: Common,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Write one JSON document to stdout, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Threads to compute with [default: one per core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub threads: Option<u16>,
    /// How much is written to the log in the state folder: off, error, warn, info, debug, trace [default: info, or
    /// `RANKSCOPE_LOG`]
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true)]
    pub log: Option<LogArg>,
    /// Fetch a MODEL that is named owner/name from the Hugging Face hub into its local cache, as far as it is not there
    #[arg(long, global = true)]
    pub download: bool,
    /// Read models whose config.json names no family that runs as those of this one
    #[arg(long = "as", global = true, value_name = "FAMILY", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(supported_families()))]
    pub family: Option<String>,
}

/// Options of the workbench.
#[derive(Debug, Args)]
pub struct WorkbenchArgs {
    /// The model to open [default: demo]
    pub model: Option<String>,
    /// A policy to begin with
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// For a compressed folder: the model that it came from
    #[arg(long, value_name = "MODEL")]
    pub original: Option<String>,
    /// The colours: dark, light, high-contrast, monochrome, catppuccin, gruvbox, nord, solarized-dark, solarized-light,
    /// tokyo-night, or one of your own
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// Work line by line, without a screen: for screen readers, dumb terminals and pipes
    #[arg(long)]
    pub plain: bool,
    /// Draw ASCII alone
    #[arg(long)]
    pub ascii: bool,
    /// Print the configuration file as it is without one, all commented out
    #[arg(long)]
    pub print_config: bool,
    #[command(flatten)]
    pub statistics: CalibrationArg,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show every layer and tensor: shape, type, bytes, kind, block
    Inspect(InspectArgs),
    /// Show singular values, energy ranks, stable and effective rank, noise edge
    Spectrum(SpectrumArgs),
    /// Compress layers and read them back: the error predicted, and measured as stored
    Roundtrip(RoundtripArgs),
    /// Write text
    Generate(GenerateArgs),
    /// Write the logits of every position to a safetensors file
    Logits(LogitsArgs),
    /// Compare original and compressed, position by position over a text
    Compare(CompareArgs),
    /// Measure what compressing each layer alone does, or what restoring it alone in a policy gains
    Sensitivity(SensitivityArgs),
    /// Compute the input statistics of every layer over a text, for plans weighted by activations
    Calibrate(CalibrateArgs),
    /// Find the best policy within a budget: damages measured, shared out, measured again together
    Plan(PlanArgs),
    /// Write the compressed checkpoint, or a dense one that any tool loads
    Compress(CompressArgs),
    /// Write a report to hand on: a folder with figures, pictures and a page that tells what they mean
    Report(ReportArgs),
    /// Do a session that the workbench saved again, and say what comes out otherwise
    Replay(ReplayArgs),
    /// Measure load, prefill, decode and memory
    Bench(BenchArgs),
    /// Show, check or compare policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Print shell completions
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Print the JSON Schema of a file that people or other programs read and write
    Schema {
        /// Which file
        file: SchemaFile,
    },
}

impl Command {
    /// Its name, as it is typed.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Inspect(_) => "inspect",
            Self::Spectrum(_) => "spectrum",
            Self::Roundtrip(_) => "roundtrip",
            Self::Generate(_) => "generate",
            Self::Logits(_) => "logits",
            Self::Compare(_) => "compare",
            Self::Sensitivity(_) => "sensitivity",
            Self::Calibrate(_) => "calibrate",
            Self::Plan(_) => "plan",
            Self::Compress(_) => "compress",
            Self::Report(_) => "report",
            Self::Replay(_) => "replay",
            Self::Bench(_) => "bench",
            Self::Policy(_) => "policy",
            Self::Completions { .. } => "completions",
            Self::Man => "man",
            Self::Schema { .. } => "schema",
        }
    }

    /// Whether it only prints what is in the program.
    pub const fn is_plain(&self) -> bool {
        matches!(self, Self::Completions { .. } | Self::Man | Self::Schema { .. })
    }
}

/// The model that a command works on.
#[derive(Debug, Args)]
pub struct ModelArg {
    /// The model: a folder, a .safetensors file, a repository in the Hugging Face cache, or demo
    #[arg(value_name = "MODEL", default_value = "demo")]
    pub model: String,
}

/// The policy that a command runs a model under.
#[derive(Debug, Args)]
pub struct PolicyArg {
    /// Run the model compressed by this policy
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// For a compressed folder: the model that it came from, which the policy is then applied to
    #[arg(long, value_name = "MODEL")]
    pub original: Option<String>,
    #[command(flatten)]
    pub statistics: CalibrationArg,
}

impl PolicyArg {
    /// Files that it names.
    pub fn inputs(&self) -> impl Iterator<Item = PathBuf> {
        [&self.policy, &self.statistics.calibration].into_iter().flatten().cloned()
    }
}

/// `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub model: ModelArg,
    /// Decompose every layer and show what its singular values say
    #[arg(long)]
    pub spectrum: bool,
}

/// `spectrum`.
#[derive(Debug, Args)]
pub struct SpectrumArgs {
    #[command(flatten)]
    pub model: ModelArg,
    /// Which layers, by name: * and ? match within a name, {a,b} either
    #[arg(long, value_name = "GLOB")]
    pub layer: String,
    /// List the singular values too
    #[arg(long)]
    pub values: bool,
    /// Draw the spectra into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write over an existing file
    #[arg(long)]
    pub force: bool,
}

/// `roundtrip`.
#[derive(Debug, Args)]
pub struct RoundtripArgs {
    #[command(flatten)]
    pub model: ModelArg,
    /// Which layers, by name: * and ? match within a name, {a,b} either
    #[arg(long, value_name = "GLOB")]
    pub layer: String,
    /// Ranks of the low-rank part; 0 is the base alone
    #[arg(long, value_name = "R", value_delimiter = ',', required = true)]
    pub rank: Vec<usize>,
    /// What the low-rank part is added to
    #[arg(long, default_value = "none")]
    pub base: BaseArg,
    /// Number format of the factors
    #[arg(long, default_value = "int8")]
    pub factors: FactorsArg,
    /// What is minimised
    #[arg(long, default_value = "plain")]
    pub weighting: WeightingArg,
    /// How the factors are stored
    #[arg(long, default_value = "native")]
    pub layout: LayoutArg,
    #[command(flatten)]
    pub statistics: CalibrationArg,
}

/// What is continued.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct PromptArg {
    /// The text to continue
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// The token ids to continue; needs no tokenizer, and does not stop at end-of-text tokens
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub ids: Option<Vec<u32>>,
}

/// How the text is put to the model.
#[derive(Debug, Args)]
pub struct ChatArg {
    /// Take the prompt as what a user says, written as the model's chat template does it
    #[arg(long, conflicts_with = "ids")]
    pub chat: bool,
    /// What the model is told before the chat
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub system: Option<String>,
}

/// `generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    pub model: ModelArg,
    #[command(flatten)]
    pub policy: PolicyArg,
    #[command(flatten)]
    pub fast: FastArg,
    #[command(flatten)]
    pub prompt: PromptArg,
    #[command(flatten)]
    pub chat: ChatArg,
    /// At most this many new tokens
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub max_tokens: usize,
    #[command(flatten)]
    pub sampling: SamplingArgs,
}

/// How products are computed.
#[derive(Debug, Clone, Copy, Args)]
pub struct FastArg {
    /// Round inputs to INT8 where weights are INT8 or INT4, and of long prompts to bfloat16 elsewhere: faster; its cost in
    /// KLD is told
    #[arg(long)]
    pub fast: bool,
}

impl FastArg {
    /// The arithmetic.
    pub fn arithmetic(self) -> Arithmetic {
        if self.fast { Arithmetic::Fast } else { Arithmetic::Exact }
    }
}

/// How tokens are chosen.
#[derive(Debug, Args)]
pub struct SamplingArgs {
    /// Draw tokens at this temperature; without it, the likeliest is taken
    #[arg(long, value_name = "T", value_parser = non_negative)]
    pub temperature: Option<f32>,
    /// Draw from the K likeliest
    #[arg(long, value_name = "K", requires = "temperature", value_parser = at_least_one)]
    pub top_k: Option<usize>,
    /// Draw from the likeliest whose probabilities sum to P
    #[arg(long, value_name = "P", requires = "temperature", value_parser = share)]
    pub top_p: Option<f32>,
    /// Seed of the random numbers
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

impl SamplingArgs {
    /// For the model.
    pub fn sampling(&self) -> Sampling {
        Sampling { temperature: self.temperature, top_k: self.top_k, top_p: self.top_p, seed: self.seed }
    }
}

/// `logits`.
#[derive(Debug, Args)]
pub struct LogitsArgs {
    #[command(flatten)]
    pub model: ModelArg,
    #[command(flatten)]
    pub policy: PolicyArg,
    #[command(flatten)]
    pub prompt: PromptArg,
    #[command(flatten)]
    pub chat: ChatArg,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Write the hidden states too
    #[arg(long)]
    pub hidden: bool,
    /// Write over an existing file
    #[arg(long)]
    pub force: bool,
}

/// `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    pub model: ModelArg,
    #[command(flatten)]
    pub policy: PolicyArg,
    #[command(flatten)]
    pub fast: FastArg,
    /// Compare with this model instead, of the same vocabulary
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["policy", "original"])]
    pub with: Option<String>,
    /// The text to compare on [default: the evaluation text in the program]
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Use at most this many tokens of the text
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub tokens: Option<usize>,
    /// JSON Lines of "prompt" and "expected": also count how many are continued as expected ("demo": those of the demo)
    #[arg(long, value_name = "FILE")]
    pub probes: Option<PathBuf>,
    /// Also let both models write after prompts: how many texts loop, how varied they are, where they part
    #[arg(long)]
    pub health: bool,
    /// Prompts for --health, one a line [default: those in the program]
    #[arg(long, value_name = "FILE", requires = "health")]
    pub prompts: Option<PathBuf>,
    /// Most tokens written after each prompt
    #[arg(long, value_name = "N", default_value_t = 96, value_parser = at_least_one, requires = "health")]
    pub max_tokens: usize,
    /// Also compare each block's attention: entropy, scale of its logits, largest weight
    #[arg(long)]
    pub attention: bool,
    /// Also measure the output error of every changed layer on the text
    #[arg(long)]
    pub layers: bool,
}

/// `sensitivity`.
#[derive(Debug, Args)]
pub struct SensitivityArgs {
    #[command(flatten)]
    pub model: ModelArg,
    #[command(flatten)]
    pub policy: PolicyArg,
    /// What is done to each layer
    #[arg(long, default_value = "only")]
    pub mode: ModeArg,
    /// How each layer is compressed [default: as the policy says; without one, base=none,factors=int8 and a quarter of the
    /// full rank]
    #[arg(long, value_name = "PLAN", conflicts_with = "policy")]
    pub plan: Option<Plan>,
    /// Which layers to try, by name: * and ? match within a name, {a,b} either [default: all]
    #[arg(long, value_name = "GLOB")]
    pub layer: Option<String>,
    /// Only what each change does, without the noise and the text that it is held against and without all of them together,
    /// which are null in --json: half of the time or less
    #[arg(long)]
    pub quick: bool,
    /// The text to measure on [default: the evaluation text in the program]
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Use at most this many tokens of the text
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = at_least_one)]
    pub tokens: usize,
}

/// `calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    #[command(flatten)]
    pub model: ModelArg,
    /// The text to calibrate on [default: the calibration text in the program]
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Use at most this many tokens of the text
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub tokens: Option<usize>,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Write over an existing file
    #[arg(long)]
    pub force: bool,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub model: ModelArg,
    /// How small: a share (40%), a size (900MB) of the whole model, or bits a weight of its layers (4.5bpw)
    #[arg(long, value_name = "BUDGET", required_unless_present = "frontier", requires = "out")]
    pub budget: Option<Budget>,
    /// Measure bytes against KLD of uniform policies and of the best found for several budgets instead, and write them to
    /// this .svg or .json
    #[arg(long, value_name = "FILE", conflicts_with_all = ["budget", "out"])]
    pub frontier: Option<PathBuf>,
    /// Change only the layers of these names: * and ? match within a name, {a,b} either
    #[arg(long, value_name = "GLOB", conflicts_with = "frontier")]
    pub layer: Option<String>,
    /// Try this base alone, beside layers that stay as they are: none is a low rank by itself
    #[arg(long, conflicts_with = "frontier")]
    pub base: Option<BaseArg>,
    /// What low ranks minimise the error of
    #[arg(long, default_value = "activations", conflicts_with = "frontier")]
    pub weighting: WeightingArg,
    /// The text to measure damages on [default: the evaluation text in the program]
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Use at most this many tokens of the text
    #[arg(long, value_name = "N", default_value_t = PLAN_TOKENS, value_parser = at_least_one)]
    pub tokens: usize,
    #[command(flatten)]
    pub statistics: CalibrationArg,
    /// The policy file to write
    #[arg(long, value_name = "POLICY")]
    pub out: Option<PathBuf>,
    /// Write over an existing file
    #[arg(long)]
    pub force: bool,
}

/// Where input statistics come from.
#[derive(Debug, Clone, Default, Args)]
pub struct CalibrationArg {
    /// Input statistics that `calibrate` wrote [default: those over the calibration text in the program, where needed]
    #[arg(long, value_name = "FILE")]
    pub calibration: Option<PathBuf>,
}

/// `compress`.
#[derive(Debug, Args)]
pub struct CompressArgs {
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
    /// Write ordinary tensors, rebuilt in the original type
    #[arg(long, conflicts_with = "layout")]
    pub dense: bool,
    /// How compressed layers are stored
    #[arg(long, default_value = "native")]
    pub layout: LayoutArg,
    /// Largest size of a file's tensors: bytes, or with KB, MB, GB
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = size)]
    pub shard_size: u64,
    /// Write over an existing folder
    #[arg(long)]
    pub force: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub statistics: CalibrationArg,
}

/// `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    pub model: ModelArg,
    #[command(flatten)]
    pub policy: PolicyArg,
    #[command(flatten)]
    pub fast: FastArg,
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = at_least_one)]
    pub prompt_tokens: usize,
    /// Tokens to decode
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub max_tokens: usize,
    /// Runs of each model, each after a token that is not timed; the medians count
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = at_least_one)]
    pub runs: usize,
}

/// `policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show the plan that a policy gives every layer
    Show {
        #[command(flatten)]
        model: ModelArg,
        /// The policy
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
    },
    /// Check a policy, by itself or against a model
    Check {
        /// The model to check it against
        #[arg(value_name = "MODEL")]
        model: Option<String>,
        /// The policy
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
    },
    /// Show the layers whose plans differ between two policies
    Diff {
        /// The first policy
        #[arg(value_name = "A")]
        from: PathBuf,
        /// The second policy
        #[arg(value_name = "B")]
        to: PathBuf,
        #[command(flatten)]
        model: ModelArg,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_model_may_stand_where_a_command_may() {
        let cli = Cli::try_parse_from(["rankscope", "./folder", "--policy", "p.json"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.workbench.model.as_deref(), Some("./folder"));
        let cli = Cli::try_parse_from(["rankscope", "inspect", "demo", "--json"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Inspect(_))) && cli.common.json);
    }
}
