//! How fast memory can be read: the ceiling of decoding.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use crate::control::Control;

/// Bytes read per pass: more than the caches of a desktop hold.
const BUFFER_BYTES: usize = 512 << 20;
/// Passes; the fastest counts.
const PASSES: usize = 6;
/// Words that one task sums.
const CHUNK_WORDS: usize = 1 << 17;

/// Largest sequential read bandwidth seen over a buffer beyond the caches, all threads, bytes/s; 0 when cancelled before
/// the first pass.
pub fn read_bandwidth(control: &Control) -> f64 {
    bandwidth_over(BUFFER_BYTES, control)
}

fn bandwidth_over(bytes: usize, control: &Control) -> f64 {
    let words = vec![1_u64; bytes / size_of::<u64>()];
    let mut best = 0.0_f64;
    for _ in 0..PASSES {
        if control.is_cancelled() {
            break;
        }
        let start = Instant::now();
        let sum: u64 = words.par_chunks(CHUNK_WORDS).map(sum_of).sum();
        black_box(sum);
        best = best.max(bytes as f64 / start.elapsed().as_secs_f64().max(1e-9));
    }
    best
}

/// Four parts side by side, as products read weights: one run alone leaves a core waiting. Sixteen sums, so that adding never does.
fn sum_of(words: &[u64]) -> u64 {
    let (front, back) = words.split_at(words.len() / 2);
    let [(a, b), (c, d)] = [front, back].map(|half| half.split_at(half.len() / 2));
    let [a, b, c, d] = [a, b, c, d].map(|part| part.chunks_exact(4));
    let mut sums = [[0_u64; 4]; 4];
    for ((a, b), (c, d)) in a.zip(b).zip(c.zip(d)) {
        for (sums, words) in sums.iter_mut().zip([a, b, c, d]) {
            sums.iter_mut().zip(words).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        }
    }
    sums.iter().flatten().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_has_a_speed_and_a_cancel_ends_it() {
        let control = Control::new();
        assert!(bandwidth_over(1 << 20, &control) > 0.0);
        assert_eq!(sum_of(&[2; 64]), 128);
        control.cancel();
        assert!(bandwidth_over(1 << 20, &control) <= 0.0);
    }
}
