//! Choosing the next token.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How the next token is chosen. Temperature 0 (or `None`) is greedy.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sampling {
    /// Softmax temperature; `None` or 0: greedy.
    pub temperature: Option<f32>,
    /// Keep the k likeliest.
    pub top_k: Option<usize>,
    /// Keep the likeliest whose probabilities sum to p.
    pub top_p: Option<f32>,
    /// Seed of the random numbers.
    pub seed: u64,
}

/// Chooses tokens; two samplers of one seed make the same choices on the same logits, on every machine.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    random: ChaCha8Rng,
}

impl Sampler {
    /// A sampler from its start.
    pub fn new(sampling: Sampling) -> Self {
        Self { sampling, random: ChaCha8Rng::seed_from_u64(sampling.seed) }
    }

    /// A sampler that has made so many choices already.
    pub fn after(sampling: Sampling, choices: usize) -> Self {
        let mut sampler = Self::new(sampling);
        (0..choices).for_each(|_| {
            sampler.random.next_u64();
        });
        sampler
    }

    /// The next token id. Temperature, then top-k, then top-p, as transformers' `generate` orders them.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        let temperature = f64::from(self.sampling.temperature.unwrap_or_default());
        if temperature.is_nan() || temperature <= 0.0 {
            return argmax(logits);
        }
        let kept = self.likeliest(logits, temperature);
        let total: f64 = kept.iter().map(|(_, p)| p).sum();
        let unit = (self.random.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64);
        let mut left = unit * total;
        for (id, p) in &kept {
            left -= p;
            if left < 0.0 {
                return *id;
            }
        }
        kept.last().map_or(0, |(id, _)| *id)
    }

    /// (id, unnormalised probability), likeliest first, after top-k and top-p.
    fn likeliest(&self, logits: &[f32], temperature: f64) -> Vec<(u32, f64)> {
        let mut order: Vec<u32> = (0..logits.len() as u32).filter(|i| !at(logits, *i).is_nan()).collect();
        let descending = |a: &u32, b: &u32| at(logits, *b).total_cmp(&at(logits, *a)).then(a.cmp(b));
        let keep = self.sampling.top_k.unwrap_or(order.len()).clamp(1, order.len().max(1));
        if keep < order.len() {
            order.select_nth_unstable_by(keep - 1, descending);
            order.truncate(keep);
        }
        order.sort_unstable_by(descending);
        let top = order.first().map_or(0.0, |id| f64::from(at(logits, *id)));
        let weight = |id: u32| ((f64::from(at(logits, id)) - top) / temperature).exp();
        let mut kept: Vec<(u32, f64)> = order.into_iter().map(|id| (id, weight(id))).collect();
        if let Some(share) = self.sampling.top_p.filter(|p| *p < 1.0) {
            let enough = f64::from(share) * kept.iter().map(|(_, p)| p).sum::<f64>();
            let mut sum = 0.0;
            let within = kept.iter().take_while(|(_, p)| {
                let wanted = sum < enough;
                sum += p;
                wanted
            });
            let count = within.count().max(1);
            kept.truncate(count);
        }
        kept
    }
}

fn at(logits: &[f32], id: u32) -> f32 {
    logits.get(id as usize).copied().unwrap_or(f32::NAN)
}

/// Index of the largest value, the first one on ties; NaN never wins.
pub fn argmax(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (i, &value) in logits.iter().enumerate() {
        if value > best.1 {
            best = (i as u32, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 2.0, 1.0, f32::NAN, 2.0];

    fn drawn(sampling: Sampling) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        (0..200).map(|_| sampler.next(&LOGITS)).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_equals_and_no_nan() {
        assert_eq!(argmax(&LOGITS), 1);
        assert_eq!(drawn(Sampling::default()), [1; 200]);
    }

    #[test]
    fn top_k_and_top_p_cut() {
        let base = Sampling { temperature: Some(1.0), seed: 7, ..Sampling::default() };
        assert!(drawn(Sampling { top_k: Some(1), ..base }).iter().all(|id| *id == 1));
        assert!(drawn(Sampling { top_p: Some(0.5), ..base }).iter().all(|id| [1, 4].contains(id)));
        let free = drawn(base);
        assert!([0, 1, 2, 4].iter().all(|id| free.contains(id)) && !free.contains(&3));
    }

    #[test]
    fn a_seed_repeats() {
        let base = Sampling { temperature: Some(0.8), seed: 42, ..Sampling::default() };
        assert_eq!(drawn(base), drawn(base));
        assert_ne!(drawn(base), drawn(Sampling { seed: 43, ..base }));
        let mut later = Sampler::after(base, 150);
        assert_eq!((0..50).map(|_| later.next(&LOGITS)).collect::<Vec<_>>(), drawn(base)[150..]);
    }
}
