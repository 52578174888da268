//! Rotary position embedding (Su et al. 2021).

use std::borrow::Cow;

use super::ModelError;
use super::config::{Config, wrong};
use super::rope_scaling::Scaling;

/// Rotary positions as a config describes them; costs nothing, whatever sizes the config claims.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeSpec {
    pub(super) width: usize,
    pub(super) theta: f64,
    pub(super) scaling: Scaling,
    pub(super) pairs: Pairs,
}

/// Which numbers of a head are turned together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// i and i + d/2.
    Halves,
    /// 2 i and 2 i + 1.
    Neighbours,
}

/// What a config leaves out, and how it calls the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct RopeDefaults {
    /// Key of theta outside the section, and the value where it is missing.
    pub theta: (&'static str, f64),
    /// Key of the share of each head that is turned, and the value where it is missing; `None`: all of it, whatever a config says.
    pub share: Option<(&'static str, f64)>,
    /// Words that mean longrope in this family.
    pub long_names: &'static [&'static str],
    /// The context in training where no key tells it; `None`: the context.
    pub trained: Option<usize>,
}

/// What most families leave out.
pub(super) const USUAL: RopeDefaults =
    RopeDefaults { theta: ("rope_theta", 10000.0), share: None, long_names: &[], trained: None };

impl RopeSpec {
    /// Reads `rope_scaling` (old style, with theta outside), or `rope_parameters` (new style).
    pub(super) fn read(
        config: &Config,
        head_dim: usize,
        context: usize,
        defaults: &RopeDefaults,
    ) -> Result<Self, ModelError> {
        let old = config.object(&["rope_scaling"])?.filter(|section| !section.is_empty());
        let section = old.map_or_else(|| config.object(&["rope_parameters"]), |section| Ok(Some(section)))?;
        Self::read_section(section.as_ref(), config, head_dim, context, defaults)
    }

    /// As [`Self::read`], of a section that is known.
    pub(super) fn read_section(
        section: Option<&Config>,
        config: &Config,
        head_dim: usize,
        context: usize,
        defaults: &RopeDefaults,
    ) -> Result<Self, ModelError> {
        let number = |inner: &'static str, (outer, default): (&'static str, f64)| match section {
            Some(section) if section.value(&[inner]).is_some() => section.positive_or(inner, default),
            _ => config.positive_or(outer, default),
        };
        let theta = number("rope_theta", defaults.theta)?;
        let share = defaults.share.map_or(Ok(1.0), |share| number("partial_rotary_factor", share))?;
        let width = (head_dim as f64 * share) as usize;
        if width > head_dim || width.next_multiple_of(2) > head_dim {
            let says = "rotary positions turn pairs of numbers in each head";
            return Err(wrong(format!("{says}, but {width} of head_dim {head_dim} cannot be turned")));
        }
        let scaling = match section {
            None => Scaling::None,
            Some(section) => Scaling::read(section, config, (theta, width, context), defaults)?,
        };
        Ok(Self { width, theta, scaling, pairs: Pairs::Halves })
    }

    /// How many tokens a model of this context can read with these positions.
    pub(super) fn context(&self, context: usize) -> usize {
        self.scaling.context(context)
    }
}

/// The plain rotary embedding of neighbouring numbers, `width` of each head.
pub(super) fn neighbours(width: usize) -> RopeSpec {
    RopeSpec { width, theta: USUAL.theta.1, scaling: Scaling::None, pairs: Pairs::Neighbours }
}

/// Frequencies of the rotary pairs, in radians per position; f32 as the reference has them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rope {
    spec: RopeSpec,
    frequencies: Vec<f32>,
    /// On cosine and sine.
    scale: f32,
}

impl Rope {
    pub(super) fn new(spec: &RopeSpec) -> Self {
        Self::of_length(spec, 0)
    }

    fn of_length(spec: &RopeSpec, tokens: usize) -> Self {
        let exponent = |pair: usize| 2.0 * pair as f32 / spec.width as f32;
        let theta = spec.scaling.theta(spec.theta, spec.width, tokens) as f32;
        let plain = |pair| theta.powf(exponent(pair)).recip();
        let scaled = |pair| spec.scaling.apply(pair, tokens, f64::from(plain(pair))) as f32;
        let frequencies = (0..spec.width.div_ceil(2)).map(scaled).collect();
        Self { spec: spec.clone(), frequencies, scale: spec.scaling.attention() as f32 }
    }

    /// The frequencies for a text of `tokens`, those of this pass included.
    pub(super) fn at(&self, tokens: usize) -> Cow<'_, Self> {
        if self.spec.scaling.is_usual(tokens) {
            return Cow::Borrowed(self);
        }
        Cow::Owned(Self::of_length(&self.spec, tokens))
    }

    /// Whether keys that were made for a text of `held` tokens are to be made anew once it has `tokens`.
    pub(super) fn renews(&self, held: usize, tokens: usize) -> bool {
        self.spec.scaling.is_long(held) != self.spec.scaling.is_long(tokens)
    }

    /// Turns the pairs of each head of `x` [heads, d] for position `at`.
    pub(super) fn turn(&self, x: &mut [f32], d: usize, at: usize) {
        let angles = self.frequencies.iter().map(|f| (at as f32 * f).sin_cos());
        let turns: Vec<(f32, f32)> = angles.map(|(sin, cos)| (sin * self.scale, cos * self.scale)).collect();
        let half = turns.len();
        for head in x.chunks_exact_mut(d.max(1)) {
            let turned = head.get_mut(..2 * half).unwrap_or_default();
            match self.spec.pairs {
                Pairs::Halves => {
                    let (low, high) = turned.split_at_mut(half);
                    low.iter_mut().zip(high).zip(&turns).for_each(|((a, b), turn)| rotate(a, b, *turn));
                }
                Pairs::Neighbours => {
                    for (pair, turn) in turned.chunks_exact_mut(2).zip(&turns) {
                        if let [a, b] = pair {
                            rotate(a, b, *turn);
                        }
                    }
                }
            }
        }
    }
}

fn rotate(a: &mut f32, b: &mut f32, (sin, cos): (f32, f32)) {
    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(json: &str, head_dim: usize, defaults: &RopeDefaults) -> Rope {
        let map = serde_json::from_str(json).unwrap();
        Rope::new(&RopeSpec::read(&Config::new(&map), head_dim, 64, defaults).unwrap())
    }

    #[test]
    fn turning_keeps_lengths_and_position_zero() {
        let rope = rope("{}", 4, &USUAL);
        let mut x = [1.0, 2.0, 3.0, 4.0];
        rope.turn(&mut x, 4, 0);
        assert!(x.iter().zip([1.0, 2.0, 3.0, 4.0]).all(|(x, y)| (x - y).abs() < 1e-7));
        rope.turn(&mut x, 4, 7);
        let norm: f32 = x.iter().map(|v| v * v).sum();
        assert!((norm - 30.0).abs() < 1e-4);
    }

    #[test]
    fn more_than_a_head_cannot_be_turned() {
        let defaults = RopeDefaults { share: Some(("rotary_pct", 0.25)), ..USUAL };
        for share in ["1.5", "1e300"] {
            let map = serde_json::from_str(&format!("{{\"rotary_pct\": {share}}}")).unwrap();
            let error = RopeSpec::read(&Config::new(&map), 4, 64, &defaults).unwrap_err().to_string();
            assert!(error.contains("of head_dim 4 cannot be turned"), "{error}");
        }
    }

    #[test]
    fn a_part_of_a_head_is_turned_and_the_rest_stays() {
        let defaults = RopeDefaults { share: Some(("rotary_pct", 0.25)), ..USUAL };
        let rope = rope(r#"{"rotary_pct": 0.5}"#, 4, &defaults);
        let mut x = [1.0, 0.0, 5.0, 6.0];
        rope.turn(&mut x, 4, 1);
        assert!((x[0] - 1.0_f32.cos()).abs() < 1e-6 && (x[1] - 1.0_f32.sin()).abs() < 1e-6);
        assert_eq!(x[2..], [5.0, 6.0]);
    }
}
