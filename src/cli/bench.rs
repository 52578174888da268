//! `bench`: how fast, how large.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::args::{BenchArgs, CalibrationArg};
use super::failure::warn;
use super::output::{self, Table, fast_line};
use super::session::Session;
use crate::control::Need;
use crate::measure::{
    BenchOptions, BenchReport, CompareOptions, FastCost, Timing, bench, bench_prompt, fast_cost, writing_need,
};
use crate::model::{CompressedLinear, Model, ModelError};
use crate::workbench::Source;

/// Layers as a policy stores them, by index.
type Weights = Vec<(usize, Arc<CompressedLinear>)>;
/// What is printed.
#[derive(Debug, Serialize)]
struct Document {
    #[serde(flatten)]
    report: BenchReport,
    /// Fast arithmetic against exact over the prompt, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    fast: Option<FastCost>,
}

/// What a row of the table shows of a model.
type Cell = fn(&Timing) -> String;

/// Runs the command.
///
/// # Errors
/// What is wrong with model or policy.
pub fn run(args: &BenchArgs, session: &Session) -> anyhow::Result<()> {
    let BenchArgs { prompt_tokens, max_tokens, runs, .. } = *args;
    let options = BenchOptions { prompt_tokens, max_tokens, runs };
    let (policy, given) = (args.policy.policy.as_deref(), &args.model.model);
    let first = args.policy.original.as_ref().unwrap_or(given);
    let load = |name: &str| -> Result<Model, ModelError> {
        let model = Model::load(&Source::parse(name).open(&session.locations)?)?;
        Ok(model.with_arithmetic(args.fast.arithmetic()))
    };
    let need = need(&load(first)?, prompt_tokens.saturating_add(max_tokens));
    let weights = if let Some(path) = policy {
        weights(session, first, path, &args.policy.statistics, need)?
    } else {
        session.tell_need("measuring", need);
        Weights::new()
    };
    let mut original = || load(first);
    // Under a policy the same model with other weights, else the compressed folder itself.
    let mut compressed = || {
        let put = |model: Model, (index, weight): &(usize, Arc<_>)| model.with_weight(*index, Arc::clone(weight));
        let model = load(if policy.is_some() { first } else { given })?;
        Ok(weights.iter().fold(model, put))
    };
    let both = policy.is_some() || args.policy.original.is_some();
    let (control, progress) = session.phase("measuring");
    let report = bench(&mut original, if both { Some(&mut compressed) } else { None }, options, &control)?;
    drop(progress);
    let cost = |model: Model| {
        let (control, _progress) = session.phase("comparing with exact arithmetic");
        let ids = bench_prompt(prompt_tokens, model.architecture().vocabulary)?;
        fast_cost(&model, &CompareOptions { ids, bos: None, limit: Some(model.architecture().context) }, &control)
    };
    let fast =
        args.fast.fast.then(|| -> anyhow::Result<_> { Ok(cost(if both { compressed()? } else { original()? })?) });
    let document = Document { report, fast: fast.transpose()? };
    if session.common.json { output::json(&document) } else { output::print(&text(&document)) }
}

/// What writing so many tokens takes; warns where the model's context is shorter.
fn need(model: &Model, asked: usize) -> Need {
    let context = model.architecture().context;
    if asked > context {
        warn(format!(
            "the model's context holds {context} tokens, not the {asked} asked for; prompt and text are cut to fit"
        ));
    }
    writing_need(model, asked.min(context))
}

/// The layers that a policy changes, encoded once: what is measured is running them, not making them.
fn weights(
    session: &Session,
    model: &str,
    policy: &Path,
    statistics: &CalibrationArg,
    need: Need,
) -> anyhow::Result<Weights> {
    let opened = session.open(model)?;
    let original = Model::load(&opened.checkpoint)?;
    let model = session.compressed_by(&original, &opened, policy, statistics, ("measuring", need))?;
    let weights = |index| original.weight(index).zip(model.weight(index));
    let changed = (0..opened.layers.len()).filter_map(|index| Some((index, weights(index)?)));
    let changed = changed.filter(|(_, (before, after))| !Arc::ptr_eq(before, after));
    Ok(changed.map(|(index, (_, weight))| (index, Arc::clone(weight))).collect())
}

fn text(Document { report, fast }: &Document) -> String {
    let mut table = Table::new(&["", ">original", ">compressed"]);
    let rows: [(&str, Cell); 8] = [
        ("load", |t| format!("{} s", output::figure(t.load_s))),
        ("prefill", |t| format!("{:.1} tokens/s", t.prefill_tokens_per_s)),
        ("decode", |t| format!("{:.1} tokens/s", t.decode_tokens_per_s)),
        ("  spread", |t| output::percent(t.spread)),
        ("  per token", |t| format!("{:.3} ms", t.decode_ms_per_token)),
        ("  reads", |t| {
            format!(
                "{} a token, {} of the bandwidth",
                output::bytes(t.bytes_per_token),
                output::percent(t.share_of_bandwidth)
            )
        }),
        ("weights", |t| output::bytes(t.weight_bytes)),
        ("peak memory", |t| t.peak_rss_bytes.map_or_else(|| "-".to_owned(), output::bytes)),
    ];
    for (name, cell) in rows {
        let second = report.compressed.as_ref().map(cell).unwrap_or_default();
        table.row(vec![name.to_owned(), cell(&report.original), second]);
    }
    let bandwidth = output::bytes(report.bandwidth_bytes_per_s as u64);
    let fast = fast.as_ref().map(|cost| fast_line(cost) + "\n").unwrap_or_default();
    format!("{} threads, memory reads {bandwidth}/s\n{}{fast}", report.threads, table.text())
}
