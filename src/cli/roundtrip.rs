//! `roundtrip`: layers there and back.

use anyhow::Context as _;
use rayon::prelude::*;
use serde::Serialize;

use super::args::RoundtripArgs;
use super::output::{self, Table};
use super::session::{Session, any_of};
use crate::compress::{Base, Factors, Plan, Weighting};
use crate::measure::{RoundTrip, round_trip};
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
    /// Null where the layer cannot be compressed so.
    error: Option<f64>,
    predicted_output_error: Option<f64>,
    output_error: Option<f64>,
    bytes: Option<u64>,
    original_bytes: u64,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with the model, with all of the layers, or with the plan.
pub fn run(args: &RoundtripArgs, session: &Session) -> anyhow::Result<()> {
    let opened = session.open(&args.model.model)?;
    let layers = opened.matching(&args.layer)?;
    let work: Vec<(&Layer, usize)> =
        layers.iter().flat_map(|layer| args.rank.iter().map(|rank| (*layer, *rank))).collect();
    let plans: Vec<Plan> = args.rank.iter().map(|rank| plan(args, *rank)).collect();
    let calibration = session.calibration(&opened, &args.statistics, &plans, None)?;
    let (control, progress) = session.phase("compressing");
    control.set_total(work.len() as u64);
    let each: Vec<_> = plans.iter().flat_map(|plan| layers.iter().map(move |layer| (*layer, plan))).collect();
    session.tell_need("compressing", session.coding_need(&opened, calibration.as_ref(), &each));
    let measured = |layer: &Layer, plan: &Plan| {
        let layout = args.layout.into();
        let found = round_trip(&opened.checkpoint, layer, plan, layout, &session.cache, calibration.as_ref(), &control);
        control.advance(1);
        found.with_context(|| output::name(&layer.name))
    };
    let rows = work.par_iter().map(|(layer, rank)| {
        let plan = plan(args, *rank);
        measured(layer, &plan)
    });
    let found: Vec<_> = rows.collect();
    control.check()?;
    let rows =
        work.iter().zip(any_of(found)?).map(|((layer, rank), found)| row(args, layer, &plan(args, *rank), found));
    let document = Document { results: rows.collect() };
    drop(progress);
    if session.common.json { output::json(&document) } else { output::print(&text(&document)) }
}

/// The plan of a row.
fn plan(args: &RoundtripArgs, rank: usize) -> Plan {
    let weighting = args.weighting.into();
    Plan { base: args.base.into(), rank, factors: args.factors.into(), weighting, ..Plan::dense() }
}

fn row(args: &RoundtripArgs, layer: &Layer, plan: &Plan, result: Option<RoundTrip>) -> Row {
    let predicted = result.as_ref().and_then(|result| result.predicted);
    let measured = result.as_ref().map(|result| result.measured);
    Row {
        layer: layer.name.clone(),
        shape: [layer.rows, layer.cols],
        rank: plan.rank,
        base: plan.base,
        factors: (plan.rank > 0).then_some(plan.factors),
        weighting: plan.weighting,
        layout: args.layout.name(),
        predicted_error: predicted.map(|errors| errors.weight),
        error: measured.map(|errors| errors.weight),
        predicted_output_error: predicted.and_then(|errors| errors.output),
        output_error: measured.and_then(|errors| errors.output),
        bytes: result.map(|result| result.bytes),
        original_bytes: layer.bytes,
    }
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
            output::maybe(row.error),
            row.bytes.map_or_else(|| "-".to_owned(), output::bytes),
            output::bytes(row.original_bytes),
            row.bytes.map_or_else(|| "-".to_owned(), |bytes| output::percent(bytes as f64 / row.original_bytes as f64)),
        ];
        cells.extend(output.into_iter().filter(|_| outputs));
        table.row(cells);
    }
    table.text()
}
