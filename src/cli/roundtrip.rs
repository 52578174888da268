//! `roundtrip`: layers there and back.

use anyhow::Context as _;
use rayon::prelude::*;
use serde::Serialize;

use super::args::RoundtripArgs;
use super::output::{self, Table};
use super::session::{Opened, Session};
use crate::compress::{Base, Factors, Plan, Weighting};
use crate::control::Control;
use crate::measure::round_trip;
use crate::model::Layer;

#[derive(Debug, Serialize)]
struct Document {
    results: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    layer: String,
    shape: [usize; 2],
    rank: usize,
    base: Base,
    factors: Option<Factors>,
    weighting: Weighting,
    layout: &'static str,
    predicted_error: Option<f64>,
    error: f64,
    predicted_output_error: Option<f64>,
    output_error: Option<f64>,
    bytes: u64,
    original_bytes: u64,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with model, layers or plan.
pub fn run(args: &RoundtripArgs, session: &Session) -> anyhow::Result<()> {
    let opened = session.open(&args.model.model)?;
    let layers = opened.matching(&args.layer)?;
    let work: Vec<(&Layer, usize)> =
        layers.iter().flat_map(|layer| args.rank.iter().map(|rank| (*layer, *rank))).collect();
    let (control, progress) = session.phase("compressing");
    control.set_total(work.len() as u64);
    let rows = work.par_iter().map(|(layer, rank)| row(args, session, &opened, layer, *rank, &control));
    let document = Document { results: rows.collect::<anyhow::Result<_>>()? };
    drop(progress);
    if session.common.json { output::json(&document) } else { output::print(&text(&document)) }
}

fn row(
    args: &RoundtripArgs,
    session: &Session,
    opened: &Opened,
    layer: &Layer,
    rank: usize,
    control: &Control,
) -> anyhow::Result<Row> {
    let weighting = args.weighting.into();
    let plan = Plan { base: args.base.into(), rank, factors: args.factors.into(), weighting, ..Plan::dense() };
    let result = round_trip(&opened.checkpoint, layer, &plan, args.layout.into(), &session.cache, None, control)
        .with_context(|| output::name(&layer.name))?;
    control.advance(1);
    Ok(Row {
        layer: layer.name.clone(),
        shape: [layer.rows, layer.cols],
        rank,
        base: plan.base,
        factors: (rank > 0).then_some(plan.factors),
        weighting,
        layout: args.layout.name(),
        predicted_error: result.predicted.map(|errors| errors.weight),
        error: result.measured.weight,
        predicted_output_error: result.predicted.and_then(|errors| errors.output),
        output_error: result.measured.output,
        bytes: result.bytes,
        original_bytes: layer.bytes,
    })
}

fn text(document: &Document) -> String {
    let outputs = document.results.iter().any(|row| row.output_error.is_some());
    let output_heads: &[&'static str] = if outputs { &[">predicted out", ">error out"] } else { &[] };
    let heads = ["layer", ">shape", ">rank", ">predicted", ">error", ">bytes", ">original", ">share"];
    let mut table = Table::new(&[&heads[..], output_heads].concat());
    for row in &document.results {
        let output = [row.predicted_output_error, row.output_error].map(output::maybe);
        let mut cells = vec![
            output::name(&row.layer),
            output::shape(&row.shape),
            row.rank.to_string(),
            output::maybe(row.predicted_error),
            output::figure(row.error),
            output::bytes(row.bytes),
            output::bytes(row.original_bytes),
            output::percent(row.bytes as f64 / row.original_bytes as f64),
        ];
        cells.extend(output.into_iter().filter(|_| outputs));
        table.row(cells);
    }
    table.text()
}
