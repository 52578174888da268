//! Attention with linear biases (Press et al. 2021), by transformers' `build_alibi_tensor`.

use half::bf16;

/// A number per head and key position that is added to the logits of attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alibi {
    heads: usize,
    scale: f32,
    rounded: bool,
}

impl Alibi {
    /// Slopes of `heads` heads; what is added is slope * position * `scale`. `rounded`: slope and product go through bf16, as
    /// Falcon has it.
    pub(super) fn new(heads: usize, scale: f32, rounded: bool) -> Self {
        Self { heads: heads.max(1), scale, rounded }
    }

    /// Powers of a base that depends on the greatest power of two among the heads; the heads beyond that have those between.
    fn slope(self, head: usize) -> f32 {
        let whole = 1_usize << self.heads.ilog2();
        let base = |count: f64| (-(-(count.log2() - 3.0)).exp2()).exp2() as f32;
        if head < whole {
            return base(whole as f64).powf((head + 1) as f32);
        }
        base(2.0 * whole as f64).powf((2 * (head - whole) + 1) as f32)
    }

    /// Adds to `logits` what the keys from position `first` on get in one head.
    pub(super) fn add(self, head: usize, first: usize, logits: &mut [f32]) {
        let round = |x: f32| if self.rounded { bf16::from_f32(x).to_f32() } else { x };
        let slope = round(self.slope(head));
        for (logit, at) in logits.iter_mut().zip(first..) {
            *logit += round(slope * round(at as f32)) * self.scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_reference() {
        let slopes =
            |heads: usize| (0..heads).map(|head| Alibi::new(heads, 1.0, false).slope(head)).collect::<Vec<_>>();
        assert_eq!(slopes(4), [0.25, 0.0625, 0.015_625, 0.003_906_25]);
        assert_eq!(slopes(3), [0.0625, 0.003_906_25, 0.25]);
        assert_eq!(slopes(6)[4..], [0.5, 0.125]);
    }

    #[test]
    fn falcon_rounds_positions() {
        let mut logits = [1.0, 1.0];
        Alibi::new(6, 2.0, true).add(5, 300, &mut logits);
        // 301 needs 9 bits, bf16 has 8: it becomes 300, whose last bit is even.
        assert_eq!(logits.map(f32::to_bits), [76.0_f32; 2].map(f32::to_bits));
    }
}
