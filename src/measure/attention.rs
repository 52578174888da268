//! What compression does to attention: how wide it looks, and how large the numbers are that it is made of.

use rayon::prelude::*;
use serde::Serialize;

use super::compare::{scored_pass, text_windows};
use super::{CompareOptions, MeasureError};
use crate::control::Control;
use crate::model::{Attending, Model, Observer};

/// A block's attention, means over heads and scored positions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AttentionFigures {
    /// Entropy of the attention weights, in nats: 0 looks at one token, ln t at t tokens alike.
    pub entropy: f64,
    /// Standard deviation of the logits that the softmax gets: what a factor on the keys multiplies.
    pub scale: f64,
    /// Largest weight.
    pub top: f64,
}

/// A block's attention in both models.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AttentionShift {
    /// Block.
    pub block: usize,
    /// The original's.
    pub original: AttentionFigures,
    /// The compressed model's.
    pub compressed: AttentionFigures,
}

impl AttentionShift {
    /// Whether the scale stayed: ratios that leave 0.9 to 1.1 are named.
    pub fn is_sound(&self) -> bool {
        (0.9..=1.1).contains(&self.scale_ratio())
    }

    /// The compressed model's scale over the original's; 1 where both are 0.
    pub fn scale_ratio(&self) -> f64 {
        let (before, after) = (self.original.scale, self.compressed.scale);
        if before == 0.0 && after == 0.0 { 1.0 } else { after / before }
    }
}

/// The attention of every block in both models, over the scored positions of a text. Entropy and scale tell two ways of going
/// wrong apart: keys that are too long (a norm correction in a model that does not scale its attention) make the scale grow
/// and the entropy fall; keys that lost directions make the scale shrink and the entropy rise.
///
/// # Errors
/// Model errors, a text too short to score, cancelled.
pub fn attention_shift(
    (original, compressed): (&Model, &Model),
    text: &CompareOptions,
    control: &Control,
) -> Result<Vec<AttentionShift>, MeasureError> {
    let context = original.architecture().context.min(compressed.architecture().context);
    let windows = text_windows(context, text)?;
    control.set_total(2 * windows.len() as u64);
    let (before, after) = (figures(original, &windows, control)?, figures(compressed, &windows, control)?);
    let pairs = before.into_iter().zip(after).enumerate();
    Ok(pairs.map(|(block, (original, compressed))| AttentionShift { block, original, compressed }).collect())
}

fn figures(model: &Model, windows: &[Vec<u32>], control: &Control) -> Result<Vec<AttentionFigures>, MeasureError> {
    let mut sums = Sums(vec![Sum::default(); model.architecture().blocks]);
    for window in windows {
        scored_pass(model, window, &mut sums, control)?;
        control.advance(1);
    }
    Ok(sums.0.into_iter().map(Sum::mean).collect())
}

/// Sums of one block.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: usize,
    entropy: f64,
    scale: f64,
    top: f64,
}

impl Sum {
    fn mean(self) -> AttentionFigures {
        let mean = |sum: f64| sum / self.count.max(1) as f64;
        AttentionFigures { entropy: mean(self.entropy), scale: mean(self.scale), top: mean(self.top) }
    }
}

/// The sums of every block.
#[derive(Debug)]
struct Sums(Vec<Sum>);

impl Observer for Sums {
    fn attending(&mut self, block: usize, attending: &Attending<'_>) {
        let Some(sum) = self.0.get_mut(block) else { return };
        let heads = attending.heads();
        let each = (0..attending.tokens() * heads).into_par_iter();
        let found: Vec<AttentionFigures> = each.map(|i| of(&attending.logits(i / heads, i % heads))).collect();
        for figures in found {
            sum.count += 1;
            sum.entropy += figures.entropy;
            sum.scale += figures.scale;
            sum.top += figures.top;
        }
    }
}

/// Of one query's logits. H = ln Z - sum p (l - max), with Z = sum exp(l - max).
fn of(logits: &[f32]) -> AttentionFigures {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let n = logits.len().max(1) as f64;
    let mean = logits.iter().map(|l| f64::from(*l)).sum::<f64>() / n;
    let (mut z, mut weighted, mut squares) = (0.0, 0.0, 0.0);
    for logit in logits {
        let below = f64::from(*logit) - f64::from(highest);
        z += below.exp();
        weighted += below.exp() * below;
        squares += (f64::from(*logit) - mean).powi(2);
    }
    AttentionFigures { entropy: z.ln() - weighted / z, scale: (squares / n).sqrt(), top: z.recip() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::linalg::Matrix;
    use crate::model::{CompressedLinear, Kind};

    #[test]
    fn figures_of_known_logits() {
        let equal = of(&[3.0; 8]);
        assert!((equal.entropy - 8.0_f64.ln()).abs() < 1e-12 && (equal.top - 0.125).abs() < 1e-12);
        assert!(equal.scale.abs() < 1e-12);
        let sharp = of(&[0.0, 100.0]);
        assert!(sharp.entropy < 1e-12 && (sharp.top - 1.0).abs() < 1e-12 && (sharp.scale - 50.0).abs() < 1e-12);
        let (p, q) = (0.75_f64, 0.25_f64);
        let two = of(&[3.0_f32.ln(), 0.0]);
        assert!((two.entropy + p * p.ln() + q * q.ln()).abs() < 1e-7 && (two.top - p).abs() < 1e-7);
    }

    fn model(name: &str) -> Model {
        Model::load(&Checkpoint::open(format!("tests/data/golden/{name}").as_ref()).unwrap()).unwrap()
    }

    fn text() -> CompareOptions {
        CompareOptions { ids: (0..60).map(|i| i * 7 % 31).collect(), bos: None, limit: None }
    }

    #[test]
    fn a_model_against_itself_does_not_shift() {
        for name in ["gpt_neo", "gpt2", "llama", "mistral"] {
            let model = model(name);
            let found = attention_shift((&model, &model), &text(), &Control::new()).unwrap();
            assert_eq!(found.len(), model.architecture().blocks);
            assert!(found.iter().all(|shift| shift.original == shift.compressed && shift.original.entropy > 0.0));
        }
    }

    #[test]
    fn longer_keys_of_one_block_widen_its_scale_alone() {
        let model = model("gpt_neo");
        let layer = model.layers().iter().position(|layer| layer.kind == Kind::K && layer.block == Some(1)).unwrap();
        let weight = model.weight(layer).unwrap();
        let longer: Vec<f32> = weight.to_f32().iter().map(|w| 1.7 * w).collect();
        let (rows, cols) = weight.shape();
        let weight = CompressedLinear::dense(Matrix::from_f32(rows, cols, &longer).unwrap());
        let changed = model.with_weight(layer, Arc::new(weight));
        let found = attention_shift((&model, &changed), &text(), &Control::new()).unwrap();
        assert!((found[1].scale_ratio() - 1.7).abs() < 1e-4, "{found:?}");
        assert!(found[1].compressed.entropy < found[1].original.entropy);
        assert_eq!(found[0].original, found[0].compressed);
    }
}
