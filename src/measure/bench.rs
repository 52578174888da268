//! Load, prefill, decode, memory: original and compressed, interleaved.

use std::time::Instant;

use serde::Serialize;

use super::read_bandwidth;
use crate::control::{Control, OutOfMemory, afford};
use crate::model::{Model, ModelError, argmax};

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct BenchOptions {
    /// Tokens of the prefill.
    pub prompt_tokens: usize,
    /// Tokens decoded.
    pub max_tokens: usize,
    /// Runs; the medians count.
    pub runs: usize,
}

/// One model's figures, as `bench` prints them, medians over runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as the command prints it")]
pub struct Timing {
    pub load_s: f64,
    pub prefill_tokens_per_s: f64,
    pub decode_tokens_per_s: f64,
    pub decode_ms_per_token: f64,
    pub bytes_per_token: u64,
    pub share_of_bandwidth: f64,
    pub weight_bytes: u64,
    /// Where the system tells it (Linux): the largest resident memory between a model's load and its last token.
    pub peak_rss_bytes: Option<u64>,
    /// (max - min) / median of the decode speed over the runs.
    pub spread: f64,
}

/// `bench`'s JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "named as the command prints it")]
pub struct BenchReport {
    pub threads: usize,
    pub bandwidth_bytes_per_s: f64,
    pub original: Timing,
    pub compressed: Option<Timing>,
}

/// Opens a model anew.
pub type Loader<'a> = &'a mut dyn FnMut() -> Result<Model, ModelError>;

/// One run of one model.
#[derive(Debug, Clone, Copy)]
struct Run {
    load_s: f64,
    prefill_per_s: f64,
    decode_per_s: f64,
    bytes_per_token: u64,
    weight_bytes: u64,
    peak_rss: Option<u64>,
}

/// Measures; `load` opens a model anew (for `load_s`), which then reads one token that is not timed, as llama-bench's warm-up does:
/// that maps the file, and brings it from the disk where it lies there. Runs of the two models take turns, so that a machine that grows
/// slower meanwhile harms both alike. Prompt and continuation are cut to the model's context.
///
/// # Errors
/// Model errors.
pub fn bench(
    original: Loader<'_>,
    mut compressed: Option<Loader<'_>>,
    options: BenchOptions,
    control: &Control,
) -> Result<BenchReport, ModelError> {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    control.set_total((options.runs * if compressed.is_some() { 2 } else { 1 }) as u64);
    for _ in 0..options.runs.max(1) {
        first.push(run(original, options, control)?);
        control.advance(1);
        if let Some(load) = compressed.as_mut() {
            second.push(run(&mut **load, options, control)?);
            control.advance(1);
        }
    }
    // Last, because its buffer would count as the models' memory.
    let bandwidth = read_bandwidth(control);
    control.check()?;
    Ok(BenchReport {
        threads: rayon::current_num_threads(),
        bandwidth_bytes_per_s: bandwidth,
        original: timing(&first, bandwidth),
        compressed: compressed.is_some().then(|| timing(&second, bandwidth)),
    })
}

/// The prompt that is timed. Any ids do: how long a token takes does not depend on which it is.
///
/// # Errors
/// More than the machine holds.
pub fn bench_prompt(tokens: usize, vocabulary: usize) -> Result<Vec<u32>, OutOfMemory> {
    afford((tokens as u64).saturating_mul(size_of::<u32>() as u64))?;
    Ok((0..tokens).map(|i| ((i * 7919 + 17) % vocabulary.max(1)) as u32).collect())
}

fn run(load: Loader<'_>, options: BenchOptions, control: &Control) -> Result<Run, ModelError> {
    reset_peak_rss();
    let (model, load_s) = timed(load);
    let model = model?;
    let (vocabulary, context) = (model.architecture().vocabulary, model.architecture().context);
    let prompt_tokens = options.prompt_tokens.clamp(1, context.saturating_sub(1).max(1));
    let new_tokens = options.max_tokens.clamp(1, context.saturating_sub(prompt_tokens).max(1));
    let prompt = bench_prompt(prompt_tokens, vocabulary)?;
    model.forward(prompt.get(..1).unwrap_or_default(), &mut model.cache(), control)?;
    let mut cache = model.cache();
    let (logits, prefill_s) = timed(|| model.forward(&prompt, &mut cache, control));
    let mut logits = logits?;
    let (decoded, decode_s) = timed(|| -> Result<(), ModelError> {
        for _ in 0..new_tokens {
            logits = model.forward(&[argmax(&logits)], &mut cache, control)?;
        }
        Ok(())
    });
    decoded?;
    Ok(Run {
        load_s,
        prefill_per_s: prompt_tokens as f64 / prefill_s,
        decode_per_s: new_tokens as f64 / decode_s,
        bytes_per_token: model.bytes_per_token(),
        weight_bytes: model.weight_bytes(),
        peak_rss: peak_rss(),
    })
}

/// What `work` gives, and its wall time in seconds (never 0).
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64().max(1e-9))
}

fn timing(runs: &[Run], bandwidth: f64) -> Timing {
    let of = |pick: fn(&Run) -> f64| median(runs.iter().map(pick).collect());
    let decode = of(|run| run.decode_per_s);
    let speeds = runs.iter().map(|run| run.decode_per_s);
    let (slowest, fastest) = (speeds.clone().fold(f64::INFINITY, f64::min), speeds.fold(0.0, f64::max));
    let bytes_per_token = runs.first().map_or(0, |run| run.bytes_per_token);
    Timing {
        load_s: of(|run| run.load_s),
        prefill_tokens_per_s: of(|run| run.prefill_per_s),
        decode_tokens_per_s: decode,
        decode_ms_per_token: 1000.0 / decode,
        bytes_per_token,
        share_of_bandwidth: bytes_per_token as f64 * decode / bandwidth,
        weight_bytes: runs.first().map_or(0, |run| run.weight_bytes),
        peak_rss_bytes: runs.iter().filter_map(|run| run.peak_rss).max(),
        spread: (fastest - slowest) / decode,
    }
}

/// The middle value, or the mean of the middle two; NaN of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { at(middle) } else { f64::midpoint(at(middle.wrapping_sub(1)), at(middle)) }
}

/// Lets the peak begin anew, where the system allows it (Linux); else it is that of the whole process.
fn reset_peak_rss() {
    if cfg!(target_os = "linux") {
        // Refused in some containers: then the figure is the process' own peak, as documented.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }
}

/// Peak resident memory of this process since the last reset, in bytes; `None` where the system does not tell.
fn peak_rss() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spread_come_from_all_runs() {
        let run = |load_s, decode_per_s| Run {
            load_s,
            prefill_per_s: 10.0,
            decode_per_s,
            bytes_per_token: 100,
            weight_bytes: 200,
            peak_rss: Some(decode_per_s as u64),
        };
        let timing = timing(&[run(3.0, 8.0), run(1.0, 12.0), run(2.0, 10.0)], 4000.0);
        assert_eq!((timing.load_s, timing.decode_tokens_per_s, timing.decode_ms_per_token), (2.0, 10.0, 100.0));
        assert_eq!((timing.spread, timing.share_of_bandwidth), (0.4, 0.25));
        assert_eq!((timing.peak_rss_bytes, timing.weight_bytes), (Some(12), 200));
        assert!((median(vec![1.0, 2.0]) - 1.5).abs() < 1e-12 && median(Vec::new()).is_nan());
    }

    #[test]
    fn the_peak_is_read_in_bytes() {
        assert_eq!(parse_peak("Name:\tx\nVmHWM:\t  1234 kB\n"), Some(1234 * 1024));
        assert_eq!(parse_peak("VmHWM: lots\n"), None);
    }
}
