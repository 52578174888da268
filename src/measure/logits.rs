//! Two distributions over the vocabulary at one position.

/// What differs at one position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionStats {
    /// Cosine of the logit vectors.
    pub cosine: f64,
    /// Mean squared difference of the logits.
    pub mse: f64,
    /// KL(original || compressed) in nats; never below 0, exactly 0 for equal logits.
    pub kld: f64,
    /// Whether both have the same argmax.
    pub top1: bool,
    /// `p_compressed(next)` - `p_original(next)`, where the next token is known.
    pub delta_p: Option<f64>,
    /// -ln `p_original(next)` and -ln `p_compressed(next)`.
    pub nll: Option<(f64, f64)>,
    /// Rank (0 = best) of the original's best token among the compressed logits.
    pub rank_of_best: usize,
}

/// Compares logits of one position; `next` is the text's own next token. Sums in f64. NaN logits give NaN figures, not panics.
pub fn compare_position(original: &[f32], compressed: &[f32], next: Option<u32>) -> PositionStats {
    compare_distributions(&Distribution::new(original), &Distribution::new(compressed), next)
}

/// As [`compare_position`], of what is known as distributions.
pub(super) fn compare_distributions(p: &Distribution<'_>, q: &Distribution<'_>, next: Option<u32>) -> PositionStats {
    let (original, compressed) = (p.logits, q.logits);
    let next = next.map(|id| id as usize).filter(|id| *id < original.len().min(compressed.len()));
    let nll = next.map(|id| (-p.log_probability(id), -q.log_probability(id)));
    PositionStats {
        cosine: cosine(original, compressed),
        mse: mean_squared_difference(original, compressed),
        kld: divergence(p, q),
        top1: p.best.is_some() && p.best == q.best,
        delta_p: nll.map(|(p, q)| (-q).exp() - (-p).exp()),
        nll,
        rank_of_best: p.best.map_or(0, |best| rank(compressed, best)),
    }
}

/// Cosine of two vectors, summed in f64; 1 where both are zero, 0 where one of them is.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let (mut dot, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        dot += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa == 0.0 && bb == 0.0 {
        return 1.0;
    }
    if aa == 0.0 || bb == 0.0 {
        return 0.0;
    }
    // Equal vectors have cosine 1 to the bit: sqrt of a square is exact.
    (dot / (aa * bb).sqrt()).clamp(-1.0, 1.0)
}

/// Logits with what makes them a distribution.
pub(super) struct Distribution<'a> {
    pub(super) logits: &'a [f32],
    log_sum: f64,
    best: Option<usize>,
}

/// What makes logits a distribution.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogSum {
    /// ln sum exp.
    log_sum: f64,
    /// First index of the largest logit; NaN never is.
    best: Option<usize>,
}

impl LogSum {
    pub(super) fn of(logits: &[f32]) -> Self {
        let mut best: Option<(usize, f32)> = None;
        for (index, logit) in logits.iter().enumerate().filter(|(_, logit)| !logit.is_nan()) {
            if best.is_none_or(|(_, largest)| *logit > largest) {
                best = Some((index, *logit));
            }
        }
        let largest = best.map_or(f64::NAN, |(_, logit)| f64::from(logit));
        let sum: f64 = logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum();
        Self { log_sum: largest + sum.ln(), best: best.map(|(index, _)| index) }
    }
}

impl<'a> Distribution<'a> {
    pub(super) fn new(logits: &'a [f32]) -> Self {
        Self::with(logits, LogSum::of(logits))
    }

    /// Where its sum is known already.
    pub(super) fn with(logits: &'a [f32], LogSum { log_sum, best }: LogSum) -> Self {
        Self { logits, log_sum, best }
    }

    pub(super) fn log_probability(&self, id: usize) -> f64 {
        self.logits.get(id).map_or(f64::NAN, |logit| f64::from(*logit) - self.log_sum)
    }
}

/// sum p (ln p - ln q); a token of probability 0 in the original adds nothing.
fn divergence(p: &Distribution<'_>, q: &Distribution<'_>) -> f64 {
    let terms = p.logits.iter().zip(q.logits).map(|(a, b)| {
        let log_p = f64::from(*a) - p.log_sum;
        let probability = log_p.exp();
        if probability == 0.0 { 0.0 } else { probability * (log_p - (f64::from(*b) - q.log_sum)) }
    });
    let sum: f64 = terms.sum();
    // Rounding may go below 0; `f64::max` would turn NaN into 0.
    if sum < 0.0 { 0.0 } else { sum }
}

fn mean_squared_difference(a: &[f32], b: &[f32]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum();
    sum / a.len().min(b.len()).max(1) as f64
}

/// How many come before `id` when sorted by logit, ties by index.
fn rank(logits: &[f32], id: usize) -> usize {
    let Some(own) = logits.get(id) else { return 0 };
    let before = |(index, other): &(usize, &f32)| if *index < id { *other >= own } else { *other > own };
    logits.iter().enumerate().filter(before).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_distributions_give_known_figures() {
        let p = [0.5_f32.ln(), 0.25_f32.ln(), 0.25_f32.ln()];
        let q = [0.25_f32.ln() + 3.0, 0.5_f32.ln() + 3.0, 0.25_f32.ln() + 3.0];
        let stats = compare_position(&p, &q, Some(1));
        assert!((stats.kld - 0.25 * 2.0_f64.ln()).abs() < 1e-6, "{}", stats.kld);
        assert!((stats.delta_p.unwrap() - 0.25).abs() < 1e-6);
        let (original, compressed) = stats.nll.unwrap();
        assert!((original - 4.0_f64.ln()).abs() < 1e-6 && (compressed - 2.0_f64.ln()).abs() < 1e-6);
        assert!(!stats.top1);
        assert_eq!(stats.rank_of_best, 1);
    }

    #[test]
    fn equal_logits_are_exactly_equal() {
        let logits = [0.1_f32, -3.7, 12.5, 12.5, 1e-9];
        let stats = compare_position(&logits, &logits, None);
        assert_eq!((stats.kld, stats.mse, stats.top1, stats.rank_of_best), (0.0, 0.0, true, 0));
        assert!((stats.cosine - 1.0).abs() < 1e-15);
        assert_eq!((stats.delta_p, stats.nll), (None, None));
    }

    #[test]
    fn nan_gives_nan_and_no_panic() {
        let stats = compare_position(&[1.0, 2.0], &[f32::NAN, f32::NAN], Some(0));
        assert!(stats.kld.is_nan() && stats.cosine.is_nan() && stats.mse.is_nan());
        assert!(!stats.top1);
        let stats = compare_position(&[], &[], Some(7));
        assert_eq!((stats.delta_p, stats.top1), (None, false));
    }

    #[test]
    fn an_impossible_token_of_the_original_adds_nothing() {
        let stats = compare_position(&[0.0, f32::NEG_INFINITY], &[0.0, 0.0], None);
        assert!((stats.kld - 2.0_f64.ln()).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn a_divergence_is_never_negative_and_ignores_a_common_offset(
            pairs in proptest::collection::vec((-20.0_f32..20.0, -20.0_f32..20.0), 1..50), offset in -8.0_f32..8.0,
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let moved: Vec<f32> = b.iter().map(|x| x + offset).collect();
            let (plain, shifted) = (compare_position(&a, &b, Some(0)), compare_position(&a, &moved, Some(0)));
            prop_assert!(plain.kld >= 0.0);
            prop_assert!((plain.kld - shifted.kld).abs() < 1e-4 * (1.0 + plain.kld));
            prop_assert_eq!(plain.top1, plain.rank_of_best == 0);
            prop_assert!((-1.0..=1.0).contains(&plain.cosine));
        }
    }
}
