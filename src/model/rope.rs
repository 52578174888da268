//! Rotary position embedding (Su et al. 2021), with the frequency scalings of transformers' `modeling_rope_utils.py`.

use std::f64::consts::TAU;

use super::ModelError;
use super::config::{Config, wrong};
use crate::checkpoint::escaped;

/// Frequencies of the rotary pairs (i, i + d/2).
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Radians per position of pair i, d/2 of them; f32 as the reference has them.
    frequencies: Vec<f32>,
}

impl Rope {
    /// Reads `rope_parameters` (new style), or `rope_theta` with `rope_scaling` (old style).
    pub(super) fn read(config: &Config, head_dim: usize) -> Result<Self, ModelError> {
        let scaling = config.object(&["rope_parameters", "rope_scaling"])?;
        let inner = match &scaling {
            Some(scaling) => scaling.number("rope_theta")?,
            None => None,
        };
        let theta = match inner {
            Some(theta) if theta > 0.0 => theta,
            Some(theta) => return Err(wrong(format!("rope_theta is {theta}, a number above 0 is needed"))),
            None => config.positive_or("rope_theta", 10000.0)?,
        };
        let exponent = |pair: usize| 2.0 * pair as f32 / head_dim as f32;
        let mut frequencies: Vec<f32> =
            (0..head_dim / 2).map(|pair| (theta as f32).powf(exponent(pair)).recip()).collect();
        if let Some(scaling) = scaling {
            rescale(&scaling, &mut frequencies)?;
        }
        Ok(Self { frequencies })
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

/// Applies the scaling that `rope_type` names.
fn rescale(scaling: &Config, frequencies: &mut [f32]) -> Result<(), ModelError> {
    let kind = match scaling.value(&["rope_type"]) {
        Some(_) => scaling.word_or("rope_type", "default")?,
        None => scaling.word_or("type", "default")?,
    };
    match kind {
        "default" => Ok(()),
        "linear" => {
            let factor = needed(scaling, "factor")? as f32;
            frequencies.iter_mut().for_each(|f| *f /= factor);
            Ok(())
        }
        "llama3" => llama3(scaling, frequencies),
        other => Err(wrong(format!(
            "rope scaling \"{}\" is not supported (supported: default, linear, llama3)",
            escaped(other, 40)
        ))),
    }
}

/// Long wavelengths are divided by `factor`, short ones stay, those between are blended (`_compute_llama3_parameters`).
fn llama3(scaling: &Config, frequencies: &mut [f32]) -> Result<(), ModelError> {
    let factor = needed(scaling, "factor")?;
    let low = needed(scaling, "low_freq_factor")?;
    let high = needed(scaling, "high_freq_factor")?;
    let trained = needed(scaling, "original_max_position_embeddings")?;
    for f in frequencies {
        let plain = f64::from(*f);
        let wavelength = TAU / plain;
        let scaled = if wavelength > trained / low {
            plain / factor
        } else if wavelength < trained / high {
            plain
        } else {
            let smooth = (trained / wavelength - low) / (high - low);
            (1.0 - smooth) * plain / factor + smooth * plain
        };
        *f = scaled as f32;
    }
    Ok(())
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
        let rope = Rope::read(&Config::new(&map), 4).unwrap();
        let mut x = [1.0, 2.0, 3.0, 4.0];
        rope.turn(&mut x, 0);
        assert_eq!(x, [1.0, 2.0, 3.0, 4.0]);
        rope.turn(&mut x, 7);
        let norm: f32 = x.iter().map(|v| v * v).sum();
        assert!((norm - 30.0).abs() < 1e-4);
    }
}
