//! What fast arithmetic costs.

use serde::Serialize;

use super::{CompareOptions, Kld, MeasureError, compare};
use crate::control::Control;
use crate::linalg::Arithmetic;
use crate::model::Model;

/// A model in fast arithmetic against itself in exact arithmetic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FastCost {
    /// Scored positions.
    pub tokens: usize,
    /// KLD.
    pub kld: Kld,
    /// Share of positions whose likeliest token is the same.
    pub top1_agreement: f64,
}

/// Runs the model in both arithmetics over a text, as [`compare`] does: each half of a window at once, so that from 64 tokens on
/// the rounding of many is counted, also for what was written token by token.
///
/// # Errors
/// Model errors, a text too short to score, cancelled.
pub fn fast_cost(model: &Model, text: &CompareOptions, control: &Control) -> Result<FastCost, MeasureError> {
    let [exact, fast] = [Arithmetic::Exact, Arithmetic::Fast].map(|arithmetic| model.with_arithmetic(arithmetic));
    let comparison = compare(&exact, &fast, text, control)?;
    Ok(FastCost { tokens: comparison.tokens, kld: comparison.kld, top1_agreement: comparison.top1.0 })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::linalg::{Matrix, quantize_rows};
    use crate::model::CompressedLinear;

    #[test]
    fn it_costs_something_and_little() {
        let model = Model::load(&Checkpoint::open("assets/demo".as_ref()).unwrap()).unwrap();
        let text = CompareOptions { ids: (0..64).map(|i| 40 + i * 7 % 90).collect(), bos: None, limit: None };
        let plain = fast_cost(&model, &text, &Control::new()).unwrap();
        // Nothing at all where the processor does not multiply bfloat16.
        assert!(plain.kld.max < 1e-3 && plain.top1_agreement > 0.9, "{plain:?}");
        let short = CompareOptions { limit: Some(24), ..text.clone() };
        assert_eq!(fast_cost(&model, &short, &Control::new()).unwrap().kld.max.to_bits(), 0);
        let int8 = (0..model.layers().len()).fold(model.clone(), |model, layer| {
            let weight = model.weight(layer).unwrap();
            let (rows, cols) = weight.shape();
            let (quant, scales) = quantize_rows(&weight.to_f32(), rows, cols);
            let weight = CompressedLinear::dense(Matrix::from_i8(rows, cols, &quant, &scales, None).unwrap());
            model.with_weight(layer, Arc::new(weight))
        });
        let cost = fast_cost(&int8, &text, &Control::new()).unwrap();
        assert!(cost.kld.mean > 0.0 && cost.kld.mean < 0.01 && cost.tokens == plain.tokens, "{cost:?}");
    }
}
