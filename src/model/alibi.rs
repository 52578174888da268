//! Attention with linear biases (Press et al. 2021), by transformers' `build_alibi_tensor`.

use half::bf16;

/// A number per head and key position that is added to the logits of attention.
#[derive(Debug, Clone, PartialEq)]
pub struct Alibi {
    slopes: Vec<f32>,
    scale: f32,
    rounded: bool,
}

impl Alibi {
    /// Slopes of `heads` heads; what is added is slope * position * `scale`. `rounded`: slope and product go through bf16, as
    /// Falcon has it.
    pub(super) fn new(heads: usize, scale: f32, rounded: bool) -> Self {
        let whole = 1_usize << heads.max(1).ilog2();
        let base = |count: usize| (-(-((count as f64).log2() - 3.0)).exp2()).exp2() as f32;
        let even = (1..=whole).map(|power| base(whole).powf(power as f32));
        let odd = (0..heads - whole).map(|i| base(2 * whole).powf((2 * i + 1) as f32));
        Self { slopes: even.chain(odd).collect(), scale, rounded }
    }

    /// What a key at `position` gets in one head.
    pub(super) fn bias(&self, head: usize, position: usize) -> f32 {
        let slope = self.slopes.get(head).copied().unwrap_or_default();
        let round = |x: f32| if self.rounded { bf16::from_f32(x).to_f32() } else { x };
        round(round(slope) * round(position as f32)) * self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_reference() {
        assert_eq!(Alibi::new(4, 1.0, false).slopes, [0.25, 0.0625, 0.015_625, 0.003_906_25]);
        assert_eq!(Alibi::new(3, 1.0, false).slopes, [0.0625, 0.003_906_25, 0.25]);
        let six = Alibi::new(6, 2.0, true);
        assert!((six.slopes[5] - 0.125).abs() < 1e-7);
        // 301 needs 9 bits, bf16 has 8: it becomes 300, whose last bit is even.
        assert!((six.bias(5, 301) - 75.0).abs() < 1e-6, "{}", six.bias(5, 301));
    }
}
