//! Measurement: spectra, round trips, logits, perplexity, loops, bench. This room prints nothing.

mod bandwidth;
mod bench;
mod calibrate;
mod calibrate_run;
mod compare;
mod damage;
mod error;
mod logits;
mod meter;
mod power_law;
mod probe;
mod propose;
mod repetition;
mod roundtrip;
mod sensitivity;
mod sensitivity_kept;
mod spectrum;
mod statistics;
mod trial;

pub use bandwidth::read_bandwidth;
pub use bench::{BenchOptions, BenchReport, Loader, Timing, bench};
pub use calibrate::{CalibrateOptions, Calibrated, WIDEST_INPUT, calibrate};
pub use compare::{CompareOptions, Comparison, Drift, WindowPass, compare, run_window, windows};
pub use damage::DamageCurve;
pub use error::MeasureError;
pub use logits::{PositionStats, compare_position, cosine};
pub use meter::ModelMeter;
pub use power_law::PowerLaw;
pub use probe::{Probe, ProbeReport, parse_probes, probe};
pub use propose::{Compressible, DamageMeter, Priced, Proposal, ProposedLayer, propose};
pub use repetition::{Loop, Repetition, find_loop, repetition};
pub use roundtrip::{RoundTrip, round_trip};
pub use sensitivity::{LayerDamage, Mode, PILLAR, SensitivityOptions, sensitivity};
pub use spectrum::{ENERGY_SHARES, Spectrum, energy_rank};
pub use statistics::{Kld, Perplexity};
pub use trial::{Effect, Trial, TrialResult, run_trials};
