//! From positions to figures: means with standard errors, percentiles, perplexities.

use serde::Serialize;

use super::PositionStats;

/// `compare`'s JSON `kld`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "percentiles in nats, named as the command prints it")]
pub struct Kld {
    pub mean: f64,
    pub mean_se: f64,
    pub median: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// `compare`'s JSON `perplexity`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as the command prints it")]
pub struct Perplexity {
    pub original: f64,
    pub compressed: f64,
    pub ratio: f64,
    pub ratio_se: f64,
}

impl Kld {
    /// The figures of divergences, in nats.
    pub(super) fn new(values: &[f64]) -> Self {
        let (mean, mean_se) = mean_and_error(values);
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            mean,
            mean_se,
            median: percentile(&sorted, 0.5),
            p90: percentile(&sorted, 0.9),
            p99: percentile(&sorted, 0.99),
            p999: percentile(&sorted, 0.999),
            max: percentile(&sorted, 1.0),
        }
    }
}

impl Perplexity {
    /// Perplexities and their ratio. The error of ln ratio is that of the mean of the differences, which is the
    /// `var_q + var_p - 2 cov` of llama.cpp's `perplexity` tool, taken without cancellation.
    pub(super) fn new(stats: &[PositionStats]) -> Self {
        let nll: Vec<(f64, f64)> = stats.iter().filter_map(|s| s.nll).collect();
        let of = |pick: &dyn Fn(&(f64, f64)) -> f64| mean_and_error(&nll.iter().map(pick).collect::<Vec<_>>());
        let (log_ratio, log_ratio_se) = of(&|(original, compressed)| compressed - original);
        let ratio = log_ratio.exp();
        Self {
            original: of(&|(original, _)| *original).0.exp(),
            compressed: of(&|(_, compressed)| *compressed).0.exp(),
            ratio,
            ratio_se: ratio * log_ratio_se,
        }
    }
}

/// Mean and its standard error sqrt(var / (n - 1)), var over n; NaN where there are too few values.
pub(super) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean, (variance / (n - 1.0)).sqrt())
}

/// A share of `n` and its binomial standard error.
pub(super) fn share_and_error(count: usize, n: usize) -> (f64, f64) {
    let share = count as f64 / n as f64;
    (share, (share * (1.0 - share) / (n as f64 - 1.0)).sqrt())
}

/// The value below which `fraction` of `sorted` lies, interpolated between its neighbours; NaN of nothing.
fn percentile(sorted: &[f64], fraction: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = fraction * last as f64;
    let below = (place.floor() as usize).min(last);
    let part = place - below as f64;
    let at = |index: usize| sorted.get(index.min(last)).copied().unwrap_or(f64::NAN);
    if part == 0.0 { at(below) } else { (1.0 - part) * at(below) + part * at(below + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::compare_position;

    #[test]
    fn percentiles_lie_between_neighbours() {
        let sorted: Vec<f64> = (0..=10).map(f64::from).collect();
        assert!((percentile(&sorted, 0.5) - 5.0).abs() < 1e-12);
        assert!((percentile(&sorted, 0.99) - 9.9).abs() < 1e-12);
        assert!((percentile(&[1.0, 2.0], 0.5) - 1.5).abs() < 1e-12);
        assert!((percentile(&[3.0], 0.999) - 3.0).abs() < 1e-12);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_standard_error_is_that_of_a_mean() {
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0, 4.0]);
        assert!((mean - 2.5).abs() < 1e-12 && (error - (1.25_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!(mean_and_error(&[1.0]).1.is_nan());
        let (share, error) = share_and_error(3, 4);
        assert!((share - 0.75).abs() < 1e-12 && (error - 0.25).abs() < 1e-12);
    }

    #[test]
    fn equal_models_have_a_ratio_of_one_without_error() {
        let logits = [0.3_f32, -1.0, 2.0];
        let stats: Vec<_> = (0..3).map(|next| compare_position(&logits, &logits, Some(next))).collect();
        let perplexity = Perplexity::new(&stats);
        assert_eq!((perplexity.ratio, perplexity.ratio_se), (1.0, 0.0));
        assert!((perplexity.original - perplexity.compressed).abs() < 1e-12 && perplexity.original > 1.0);
    }

    #[test]
    fn the_error_of_the_ratio_knows_the_covariance() {
        let pairs = [([0.3_f32, -1.0], [0.1_f32, -0.5]), ([1.0, 2.0], [0.5, 2.5]), ([-1.0, 0.2], [0.4, 0.3])];
        let stats: Vec<_> = pairs.iter().map(|(p, q)| compare_position(p, q, Some(1))).collect();
        let nll: Vec<(f64, f64)> = stats.iter().filter_map(|s| s.nll).collect();
        let n = nll.len() as f64;
        let mean = |f: &dyn Fn(&(f64, f64)) -> f64| nll.iter().map(f).sum::<f64>() / n;
        let (p, q) = (mean(&|x| x.0), mean(&|x| x.1));
        let covariance = mean(&|x| x.0 * x.1) - p * q;
        let variances = mean(&|x| x.0 * x.0) - p * p + mean(&|x| x.1 * x.1) - q * q;
        let wanted = (q - p).exp() * ((variances - 2.0 * covariance) / (n - 1.0)).sqrt();
        assert!((Perplexity::new(&stats).ratio_se - wanted).abs() < 1e-9);
    }
}
