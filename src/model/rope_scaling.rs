//! Frequency scalings of rotary positions for longer contexts, by transformers' `modeling_rope_utils.py`.

use std::f64::consts::TAU;

use super::ModelError;
use super::config::{Config, wrong};
use super::rope::RopeDefaults;
use crate::checkpoint::escaped;

/// How frequencies are changed for longer contexts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scaling {
    None,
    Linear {
        factor: f64,
    },
    /// Theta grows with the length of a text beyond `trained`. The keys of tokens that are held keep the theta under which they
    /// were made, as in the reference: so beyond `trained`, and only there, a text read at once is not one read token by token.
    Dynamic {
        factor: f64,
        trained: f64,
    },
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        trained: f64,
    },
    Yarn {
        factor: f64,
        from: f64,
        to: f64,
        attention: f64,
        trained: f64,
    },
    /// Divisors of the frequencies: `short` for texts up to `trained` tokens, `long` for longer ones. Where a text grows beyond
    /// that, the keys of its earlier tokens are made anew (as the reference does), so that it is as if read at once.
    Long {
        short: Vec<f64>,
        long: Vec<f64>,
        trained: f64,
        attention: f64,
    },
}

impl Scaling {
    /// What a section says of frequencies with base `theta`, `width` numbers of a head being turned.
    pub(super) fn read(
        section: &Config,
        config: &Config,
        (theta, width, context): (f64, usize, usize),
        defaults: &RopeDefaults,
    ) -> Result<Self, ModelError> {
        let kind = match section.value(&["rope_type"]) {
            Some(_) => section.word_or("rope_type", "default")?,
            None => section.word_or("type", "default")?,
        };
        let trained = || -> Result<f64, ModelError> {
            const KEY: &str = "original_max_position_embeddings";
            let outer = config.count(&[KEY])?.or(defaults.trained);
            let told = outer.map_or_else(|| section.count(&[KEY]), |outer| Ok(Some(outer)))?;
            Ok(told.unwrap_or(context) as f64)
        };
        match kind {
            "default" => Ok(Self::None),
            "longrope" => Self::long(section, width, trained()?, context as f64),
            other if defaults.long_names.contains(&other) => Self::long(section, width, trained()?, context as f64),
            "linear" => Ok(Self::Linear { factor: needed(section, "factor")? }),
            "dynamic" => Ok(Self::Dynamic { factor: needed(section, "factor")?, trained: context as f64 }),
            "llama3" => Ok(Self::Llama3 {
                factor: needed(section, "factor")?,
                low: needed(section, "low_freq_factor")?,
                high: needed(section, "high_freq_factor")?,
                trained: trained()?,
            }),
            "yarn" => Self::yarn(section, (theta, width), trained()?, context as f64),
            other => Err(wrong(format!(
                "rope scaling \"{}\" is not supported (supported: default, linear, dynamic, llama3, yarn, longrope)",
                escaped(other, 40)
            ))),
        }
    }

    /// `_compute_yarn_parameters` (Peng et al. 2023): between pairs `from` and `to` the blend goes from plain to divided.
    fn yarn(section: &Config, (theta, width): (f64, usize), trained: f64, context: f64) -> Result<Self, ModelError> {
        let factor = above_zero(section, "factor")?.unwrap_or(context / trained);
        let magnitude = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let scales = (section.number("mscale")?, section.number("mscale_all_dim")?);
        let attention = match (section.number("attention_factor")?, scales) {
            (Some(told), _) => told,
            (None, (Some(one), Some(all))) if one != 0.0 && all != 0.0 => magnitude(one) / magnitude(all),
            _ => magnitude(1.0),
        };
        let turns = |key, default| section.number(key).map(|n| n.filter(|n| *n != 0.0).unwrap_or(default));
        let pair = |turns: f64| width as f64 * (trained / (turns * TAU)).ln() / (2.0 * theta.ln());
        let (mut from, mut to) = (pair(turns("beta_fast", 32.0)?), pair(turns("beta_slow", 1.0)?));
        if section.flag("truncate")?.unwrap_or(true) {
            (from, to) = (from.floor(), to.ceil());
        }
        (from, to) = (from.max(0.0), to.min(width as f64 - 1.0));
        if (to - from).abs() < f64::EPSILON {
            to += 0.001;
        }
        Ok(Self::Yarn { factor, from, to, attention, trained })
    }

    /// `_compute_longrope_parameters` (Ding et al. 2024).
    fn long(section: &Config, width: usize, trained: f64, context: f64) -> Result<Self, ModelError> {
        let list = |key: &'static str| -> Result<Vec<f64>, ModelError> {
            let list = section.numbers(key)?.ok_or_else(|| wrong(format!("rope scaling needs {key}")))?;
            let pairs = width.div_ceil(2);
            if list.len() == pairs && list.iter().all(|n| *n > 0.0) {
                return Ok(list);
            }
            Err(wrong(format!("rope scaling: {key} needs {pairs} numbers above 0")))
        };
        let factor = above_zero(section, "factor")?.unwrap_or(context / trained);
        let usual = if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / trained.ln()).sqrt() };
        let attention = section.number("attention_factor")?.unwrap_or(usual);
        Ok(Self::Long { short: list("short_factor")?, long: list("long_factor")?, trained, attention })
    }

    /// How many tokens a model can read whose config says `context`: the reference has no bound, and configs with a scaling
    /// may give the context before it.
    pub(super) fn context(&self, context: usize) -> usize {
        let reached = match self {
            Self::Linear { factor } => factor * context as f64,
            Self::Dynamic { factor, trained }
            | Self::Llama3 { factor, trained, .. }
            | Self::Yarn { factor, trained, .. } => factor * trained,
            Self::None | Self::Long { .. } => 0.0,
        };
        context.max(reached as usize)
    }

    /// Whether a text of `tokens` has the frequencies that one of no tokens has.
    pub(super) fn is_usual(&self, tokens: usize) -> bool {
        match self {
            Self::Dynamic { trained, .. } => tokens as f64 <= *trained,
            _ => !self.is_long(tokens),
        }
    }

    /// Whether a text of `tokens` has longrope's long frequencies.
    pub(super) fn is_long(&self, tokens: usize) -> bool {
        matches!(self, Self::Long { trained, .. } if tokens as f64 > *trained)
    }

    /// The base of the frequencies for a text of `tokens` (`_compute_dynamic_ntk_parameters`).
    pub(super) fn theta(&self, theta: f64, width: usize, tokens: usize) -> f64 {
        match self {
            Self::Dynamic { factor, trained } if !self.is_usual(tokens) => {
                let (width, tokens) = (width as f64, tokens as f64);
                theta * (factor * tokens / trained - (factor - 1.0)).powf(width / (width - 2.0))
            }
            _ => theta,
        }
    }

    /// Factor on cosine and sine.
    pub(super) fn attention(&self) -> f64 {
        match self {
            Self::Yarn { attention, .. } | Self::Long { attention, .. } => *attention,
            _ => 1.0,
        }
    }

    /// The frequency that stands for `plain`, that of `pair`, in a text of `tokens`.
    pub(super) fn apply(&self, pair: usize, tokens: usize, plain: f64) -> f64 {
        match self {
            Self::None | Self::Dynamic { .. } => plain,
            Self::Linear { factor } => plain / factor,
            Self::Llama3 { factor, low, high, trained } => llama3(plain, *factor, (*low, *high), *trained),
            Self::Yarn { factor, from, to, .. } => {
                let divided = ((pair as f64 - from) / (to - from)).clamp(0.0, 1.0);
                plain / factor * divided + plain * (1.0 - divided)
            }
            Self::Long { short, long, .. } => {
                let divisors = if self.is_long(tokens) { long } else { short };
                plain / divisors.get(pair).copied().unwrap_or(1.0)
            }
        }
    }
}

/// `_compute_llama3_parameters`: long wavelengths are divided by `factor`, short ones stay, those between are blended.
fn llama3(plain: f64, factor: f64, (low, high): (f64, f64), trained: f64) -> f64 {
    let wavelength = TAU / plain;
    if wavelength > trained / low {
        plain / factor
    } else if wavelength < trained / high {
        plain
    } else {
        let smooth = (trained / wavelength - low) / (high - low);
        (1.0 - smooth) * plain / factor + smooth * plain
    }
}

fn needed(section: &Config, key: &'static str) -> Result<f64, ModelError> {
    above_zero(section, key)?.ok_or_else(|| wrong(format!("rope scaling needs {key}")))
}

fn above_zero(section: &Config, key: &'static str) -> Result<Option<f64>, ModelError> {
    match section.number(key)? {
        Some(value) if value <= 0.0 => {
            Err(wrong(format!("rope scaling: {key} is {value}, a number above 0 is needed")))
        }
        value => Ok(value),
    }
}
