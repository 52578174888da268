//! Values of flags: the words that each takes, and how numbers and sizes are read.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

use crate::compress::{Base, Factors, Layout, Weighting};
use crate::measure::Mode;

/// A file with a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SchemaFile {
    /// The policy file
    Policy,
    /// The configuration, config.toml
    Config,
    /// The session that the workbench saves and replay does again
    Session,
}

/// `--base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BaseArg {
    None,
    Dense,
    Int8,
    Int4,
}

impl From<BaseArg> for Base {
    fn from(base: BaseArg) -> Self {
        match base {
            BaseArg::None => Self::None,
            BaseArg::Dense => Self::Dense,
            BaseArg::Int8 => Self::Int8,
            BaseArg::Int4 => Self::Int4,
        }
    }
}

/// `--factors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FactorsArg {
    F32,
    F16,
    Int8,
}

impl From<FactorsArg> for Factors {
    fn from(factors: FactorsArg) -> Self {
        match factors {
            FactorsArg::F32 => Self::F32,
            FactorsArg::F16 => Self::F16,
            FactorsArg::Int8 => Self::Int8,
        }
    }
}

/// `--weighting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightingArg {
    /// The error of the weight itself
    Plain,
    /// The error of the layer's output over calibration inputs
    Activations,
}

impl From<WeightingArg> for Weighting {
    fn from(weighting: WeightingArg) -> Self {
        match weighting {
            WeightingArg::Plain => Self::Plain,
            WeightingArg::Activations => Self::Activations,
        }
    }
}

/// `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// Compress it alone
    Only,
    /// Restore it alone in the policy
    Without,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Only => Self::Only,
            ModeArg::Without => Self::Without,
        }
    }
}

/// `--layout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutArg {
    /// One scale per row of each factor
    Native,
    /// The older U, S, Vh with one scale each: svd + int8 layers alone, and coarser
    Classic,
}

impl LayoutArg {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Classic => "classic",
        }
    }
}

impl From<LayoutArg> for Layout {
    fn from(layout: LayoutArg) -> Self {
        match layout {
            LayoutArg::Native => Self::Native,
            LayoutArg::Classic => Self::Classic,
        }
    }
}

/// How much is written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogArg {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// Warnings too.
    Warn,
    /// What was done too.
    Info,
    /// And how.
    Debug,
    /// And every step of it.
    Trace,
}

impl LogArg {
    /// What is let through; `None`: nothing.
    pub const fn filter(self) -> Option<LevelFilter> {
        match self {
            Self::Off => None,
            Self::Error => Some(LevelFilter::ERROR),
            Self::Warn => Some(LevelFilter::WARN),
            Self::Info => Some(LevelFilter::INFO),
            Self::Debug => Some(LevelFilter::DEBUG),
            Self::Trace => Some(LevelFilter::TRACE),
        }
    }
}

/// A temperature: finite, 0 or more.
pub(super) fn non_negative(text: &str) -> Result<f32, String> {
    let number: Option<f32> = text.parse().ok().filter(|t: &f32| t.is_finite() && *t >= 0.0);
    number.ok_or_else(|| "a number of at least 0 is needed".to_owned())
}

/// A share above 0, up to 1.
pub(super) fn share(text: &str) -> Result<f32, String> {
    let number: Option<f32> = text.parse().ok().filter(|p: &f32| *p > 0.0 && *p <= 1.0);
    number.ok_or_else(|| "a number above 0 and up to 1 is needed".to_owned())
}

/// A count of 1 or more.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "a whole number of at least 1 is needed".to_owned())
}

/// `5GB`, `300MB`, `4096`: MB = 10^6 bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || "a size such as 5GB, 300MB or 4096 (bytes) is needed".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase().as_str() {
        "" | "B" => 1_u64,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number * unit as f64;
    if bytes >= 1.0 && bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_units() {
        assert_eq!(size("5GB"), Ok(5_000_000_000));
        assert_eq!(size("1.5mb"), Ok(1_500_000));
        assert_eq!(size("4096"), Ok(4096));
        for wrong in ["", "GB", "5XB", "-1", "0", "1e40"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_and_temperatures_are_checked() {
        assert!(non_negative("0").is_ok() && non_negative("-1").is_err() && non_negative("NaN").is_err());
        assert!(share("1").is_ok() && share("0").is_err() && share("1.1").is_err());
    }
}
