//! `compare`: original against compressed over a text.

use std::fmt::Write as _;

use serde::Serialize;

use super::args::CompareArgs;
use super::failure::{Usage, warn};
use super::output::{self, figure, percent};
use super::session::{Opened, Session, bits_per_weight, read_text};
use crate::measure::{
    CompareOptions, Comparison, Drift, Kld, Perplexity, Probe, ProbeReport, compare, parse_probes, probe,
};
use crate::model::Model;
use crate::workbench::EVALUATION_TEXT;

/// Norm ratios of a block's state beyond these are named.
const SOUND_NORMS: std::ops::RangeInclusive<f64> = 0.5..=2.0;
/// Fewer scored tokens than this are worth a warning.
const FEW: usize = 100;

#[derive(Debug, Serialize)]
struct Document {
    tokens: usize,
    cosine: Cosine,
    mse: f64,
    mse_se: f64,
    kld: Kld,
    delta_p: DeltaP,
    top1_agreement: f64,
    top1_se: f64,
    perplexity: Perplexity,
    bytes: Bytes,
    bits_per_weight: Option<f64>,
    drift: Vec<Drift>,
    probes: Option<ProbeReport>,
}

#[derive(Debug, Serialize)]
struct Cosine {
    mean: f64,
    min: f64,
}

#[derive(Debug, Serialize)]
struct DeltaP {
    mean: f64,
    rms: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Bytes {
    original: u64,
    compressed: u64,
}

/// The two models, and the sizes that cannot be seen from them alone.
#[derive(Debug)]
struct Pair {
    opened: Opened,
    original: Model,
    compressed: Model,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with models, policy, text or probes.
pub fn run(args: &CompareArgs, session: &Session) -> anyhow::Result<()> {
    let probes = args
        .probes
        .as_ref()
        .map(|path| parse_probes(&read_text(path)?).map_err(|reason| anyhow::anyhow!("{}: {reason}", path.display())));
    let probes: Option<Vec<Probe>> = probes.transpose()?;
    let text = args.text.as_ref().map(|path| read_text(path)).transpose()?;
    let pair = pair(args, session)?;
    let tokenizer = pair.opened.tokenizer(&pair.original)?;
    let ids = tokenizer.encode_plain(text.as_deref().unwrap_or(EVALUATION_TEXT))?;
    let options = CompareOptions { ids, bos: tokenizer.opening(), limit: args.tokens };
    let (control, progress) = session.phase("comparing");
    let comparison = compare(&pair.original, &pair.compressed, &options, &control)?;
    drop(progress);
    if comparison.tokens < FEW {
        warn(format!(
            "only {} tokens are scored: the figures are rough, their errors too; give a longer text",
            comparison.tokens
        ));
    }
    let (control, progress) = session.phase("probing");
    let report =
        probes.map(|probes| probe(&pair.original, &pair.compressed, &tokenizer, &probes, &control)).transpose()?;
    drop(progress);
    let document = document(comparison, report, &pair);
    if session.common.json { output::json(&document) } else { output::print(&text_of(&document)) }
}

/// MODEL under a policy; MODEL and another; or what MODEL came from and MODEL.
fn pair(args: &CompareArgs, session: &Session) -> anyhow::Result<Pair> {
    let model = &args.model.model;
    let (opened, other) = match (&args.policy.policy, &args.policy.original, &args.with) {
        (None, None, None) => {
            return Err(Usage("compare needs --policy FILE, --with MODEL2, or --original MODEL".into()).into());
        }
        (Some(_), original, _) => (session.open(original.as_ref().unwrap_or(model))?, None),
        (None, Some(original), _) => (session.open(original)?, Some(model)),
        (None, None, Some(with)) => (session.open(model)?, Some(with)),
    };
    let original = Model::load(&opened.checkpoint)?;
    let compressed = match (other, &args.policy.policy) {
        (Some(other), _) => Model::load(&session.open(other)?.checkpoint)?,
        (None, Some(path)) => session.compressed_by(&original, &opened, path, &args.policy.statistics)?,
        (None, None) => original.clone(),
    };
    Ok(Pair { opened, original, compressed })
}

fn document(comparison: Comparison, probes: Option<ProbeReport>, pair: &Pair) -> Document {
    let layers = pair.compressed.layers();
    let stored: u64 = (0..layers.len()).filter_map(|index| pair.compressed.weight(index)).map(|w| w.bytes()).sum();
    Document {
        tokens: comparison.tokens,
        cosine: Cosine { mean: comparison.cosine.0, min: comparison.cosine.1 },
        mse: comparison.mse.0,
        mse_se: comparison.mse.1,
        kld: comparison.kld,
        delta_p: DeltaP { mean: comparison.delta_p.0, rms: comparison.delta_p.1 },
        top1_agreement: comparison.top1.0,
        top1_se: comparison.top1.1,
        perplexity: comparison.perplexity,
        bytes: Bytes { original: pair.original.weight_bytes(), compressed: pair.compressed.weight_bytes() },
        bits_per_weight: bits_per_weight(stored, layers),
        drift: comparison.drift,
        probes,
    }
}

fn text_of(document: &Document) -> String {
    let (kld, perplexity) = (&document.kld, &document.perplexity);
    let with_error = |value: f64, error: f64| format!("{} ± {}", figure(value), figure(error));
    let lines = [
        ("tokens scored", document.tokens.to_string()),
        ("KLD", format!("{} nats", with_error(kld.mean, kld.mean_se))),
        ("  median, 90 %", format!("{}, {}", figure(kld.median), figure(kld.p90))),
        ("  99 %, 99.9 %, max", format!("{}, {}, {}", figure(kld.p99), figure(kld.p999), figure(kld.max))),
        ("same top token", format!("{} ± {}", percent(document.top1_agreement), percent(document.top1_se))),
        ("perplexity", format!("{} to {}", figure(perplexity.original), figure(perplexity.compressed))),
        ("  ratio", with_error(perplexity.ratio, perplexity.ratio_se)),
        ("change of p", format!("mean {}, rms {}", figure(document.delta_p.mean), figure(document.delta_p.rms))),
        ("cosine of logits", format!("mean {}, least {}", figure(document.cosine.mean), figure(document.cosine.min))),
        ("MSE of logits", with_error(document.mse, document.mse_se)),
        (
            "bytes",
            format!("{} to {}", output::bytes(document.bytes.original), output::bytes(document.bytes.compressed)),
        ),
        ("bits per weight", output::maybe(document.bits_per_weight)),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<20} {value}");
    }
    if let Some(probes) = &document.probes {
        let (original, compressed) = (percent(probes.original), percent(probes.compressed));
        let _ = writeln!(text, "{:<20} {original} to {compressed} of {}", "probes answered", probes.count);
    }
    let mut drift = output::Table::new(&[">block", ">cosine of states", ">norm ratio"]);
    for row in &document.drift {
        drift.row(vec![row.block.to_string(), figure(row.cosine), figure(row.norm_ratio)]);
    }
    text + "\n" + &drift.text() + &strayed(&document.drift)
}

/// Names the blocks whose state has less than half or more than twice the original's norm, or none that is a number.
fn strayed(drift: &[Drift]) -> String {
    let mut text = String::new();
    for row in drift.iter().filter(|row| !SOUND_NORMS.contains(&row.norm_ratio)) {
        let _ =
            writeln!(text, "block {}: the state's norm is {} times the original's", row.block, figure(row.norm_ratio));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_whose_norm_explodes_or_fades_are_named() {
        let norms = [1.0, 2.5, 0.5, 0.4, f64::NAN, 2.0].into_iter().enumerate();
        let drift: Vec<Drift> = norms.map(|(block, norm_ratio)| Drift { block, cosine: 1.0, norm_ratio }).collect();
        let named: Vec<String> = strayed(&drift).lines().map(|line| line.chars().take(8).collect()).collect();
        assert_eq!(named, ["block 1:", "block 3:", "block 4:"]);
        assert!(strayed(&drift).contains("2.5000 times"));
    }
}
