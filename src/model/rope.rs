//! Rotary position embedding (Su et al. 2021), with the frequency scalings of transformers' `modeling_rope_utils.py`.

use std::f64::consts::TAU;

use super::ModelError;
use super::config::{Config, wrong};
use crate::checkpoint::escaped;

/// Rotary positions as a config describes them; costs nothing, whatever sizes the config claims.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeSpec {
    head_dim: usize,
    theta: f64,
    scaling: Scaling,
}

/// How frequencies are changed for longer contexts.
#[derive(Debug, Clone, PartialEq)]
enum Scaling {
    None,
    Linear { factor: f64 },
    Llama3 { factor: f64, low: f64, high: f64, trained: f64 },
}

impl RopeSpec {
    /// Reads `rope_parameters` (new style), or `rope_theta` with `rope_scaling` (old style).
    pub(super) fn read(config: &Config, head_dim: usize) -> Result<Self, ModelError> {
        let section = config.object(&["rope_parameters", "rope_scaling"])?;
        let inner = match &section {
            Some(section) if section.has(&["rope_theta"]) => Some(section.positive_or("rope_theta", 10000.0)?),
            _ => None,
        };
        let theta = inner.map_or_else(|| config.positive_or("rope_theta", 10000.0), Ok)?;
        let scaling = section.map_or(Ok(Scaling::None), |section| Scaling::read(&section))?;
        Ok(Self { head_dim, theta, scaling })
    }
}

impl Scaling {
    fn read(section: &Config) -> Result<Self, ModelError> {
        let kind = match section.value(&["rope_type"]) {
            Some(_) => section.word_or("rope_type", "default")?,
            None => section.word_or("type", "default")?,
        };
        match kind {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear { factor: needed(section, "factor")? }),
            "llama3" => Ok(Self::Llama3 {
                factor: needed(section, "factor")?,
                low: needed(section, "low_freq_factor")?,
                high: needed(section, "high_freq_factor")?,
                trained: needed(section, "original_max_position_embeddings")?,
            }),
            other => Err(wrong(format!(
                "rope scaling \"{}\" is not supported (supported: default, linear, llama3)",
                escaped(other, 40)
            ))),
        }
    }

    /// The frequency that stands for `plain`. Llama 3 (`_compute_llama3_parameters`): long wavelengths are divided by
    /// `factor`, short ones stay, those between are blended.
    fn apply(&self, plain: f64) -> f64 {
        match *self {
            Self::None => plain,
            Self::Linear { factor } => plain / factor,
            Self::Llama3 { factor, low, high, trained } => {
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
        }
    }
}

/// Frequencies of the rotary pairs (i, i + d/2): radians per position, d/2 of them; f32 as the reference has them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rope {
    frequencies: Vec<f32>,
}

impl Rope {
    pub(super) fn new(spec: &RopeSpec) -> Self {
        let exponent = |pair: usize| 2.0 * pair as f32 / spec.head_dim as f32;
        let plain = |pair| (spec.theta as f32).powf(exponent(pair)).recip();
        let scaled = |pair| spec.scaling.apply(f64::from(plain(pair))) as f32;
        Self { frequencies: (0..spec.head_dim / 2).map(scaled).collect() }
    }

    /// Turns the pairs of each head of `x` [heads, d] for position `at`.
    pub(super) fn turn(&self, x: &mut [f32], at: usize) {
        let half = self.frequencies.len();
        let angles = self.frequencies.iter().map(|f| (at as f32 * f).sin_cos());
        let turns: Vec<(f32, f32)> = angles.collect();
        for head in x.chunks_exact_mut((2 * half).max(1)) {
            let (low, high) = head.split_at_mut(half);
            for ((a, b), (sin, cos)) in low.iter_mut().zip(high).zip(&turns) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }
}

fn needed(scaling: &Config, key: &'static str) -> Result<f64, ModelError> {
    match scaling.number(key)? {
        Some(value) if value > 0.0 => Ok(value),
        Some(value) => Err(wrong(format!("rope scaling: {key} is {value}, a number above 0 is needed"))),
        None => Err(wrong(format!("rope scaling needs {key}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_keeps_lengths_and_position_zero() {
        let map = serde_json::Map::new();
        let rope = Rope::new(&RopeSpec::read(&Config::new(&map), 4).unwrap());
        let mut x = [1.0, 2.0, 3.0, 4.0];
        rope.turn(&mut x, 0);
        assert!(x.iter().zip([1.0, 2.0, 3.0, 4.0]).all(|(x, y)| (x - y).abs() < 1e-7));
        rope.turn(&mut x, 7);
        let norm: f32 = x.iter().map(|v| v * v).sum();
        assert!((norm - 30.0).abs() < 1e-4);
    }
}
