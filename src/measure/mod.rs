//! Measurement: spectra, round trips, logits, perplexity, loops, bench. This room prints nothing.

mod bench;
mod compare;
mod logits;
mod repetition;
mod roundtrip;
mod spectrum;

pub use bench::{BenchOptions, BenchReport, Timing, bench, read_bandwidth};
pub use compare::{CompareOptions, Comparison, Drift, Kld, Perplexity, Probe, ProbeReport, compare, parse_probes, probe, windows};
pub use logits::{PositionStats, compare_position};
pub use repetition::{Loop, Repetition, find_loop, repetition};
pub use roundtrip::{RoundTrip, round_trip};
pub use spectrum::{Spectrum, energy_rank};
