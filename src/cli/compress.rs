//! `compress`: the compressed checkpoint, or a dense one.

use std::path::Path;

use serde::Serialize;

use super::args::{CompressArgs, LayoutArg};
use super::failure::warn;
use super::output::{self, Table};
use super::plan_json::PlanJson;
use super::session::{Opened, Planned, Session};
use crate::checkpoint::{Checkpoint, WriteError};
use crate::compress::{Calibration, ExportKind, ExportOptions, Plan, Policy, export, export_need, plan_export};
use crate::measure::{CompareOptions, compare, comparing_need};
use crate::model::Model;
use crate::workbench::EVALUATION_TEXT;

/// Tokens of the evaluation text over which the rounding of a coarser form is measured.
const ROUNDING_TOKENS: usize = 2048;

#[derive(Debug, Serialize)]
struct Document<'a> {
    out: String,
    files: Vec<File>,
    bytes: u64,
    original_bytes: u64,
    layers: Vec<Row<'a>>,
    /// Classic and dense: KLD that their rounding adds to the live compressed model, in nats; null where there is none to
    /// measure.
    rounding_kld: Option<f64>,
}

#[derive(Debug, Serialize)]
struct File {
    name: String,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    plan: PlanJson,
    #[serde(skip)]
    shown: String,
    bytes: u64,
    /// Null in a dry run.
    error: Option<f64>,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with model, policy or target.
pub fn run(args: &CompressArgs, session: &Session) -> anyhow::Result<()> {
    let calibration = args.statistics.calibration.as_deref();
    let inputs = [Some(args.policy.as_path()), Some(Path::new(&args.model.model)), calibration];
    refuse_inputs(&args.out, &inputs)?;
    let opened = session.open(args.original.as_ref().unwrap_or(&args.model.model))?;
    opened.warn_unless_it_runs();
    let planned = session.sound_plan(&args.policy, &opened)?;
    let options = ExportOptions {
        kind: if args.dense { ExportKind::Dense } else { ExportKind::Compressed(args.layout.into()) },
        out: args.out.clone(),
        shard_bytes: args.shard_size,
        force: args.force,
    };
    let document = if args.dry_run {
        dry(&opened, &planned.plans(), &options)?
    } else {
        written(args, session, &opened, &planned, &options)?
    };
    if session.common.json { output::json(&document) } else { output::print(&text(&document, args.dry_run)) }
}

/// Refuses a target that is or holds one of these inputs, `--force` or not; the model's own files the export knows.
fn refuse_inputs(out: &Path, inputs: &[Option<&Path>]) -> Result<(), WriteError> {
    let Ok(target) = out.canonicalize() else { return Ok(()) };
    let inside = |input: &&Path| input.canonicalize().is_ok_and(|input| input.starts_with(&target));
    if inputs.iter().flatten().any(inside) { Err(WriteError::IsInput(out.to_path_buf())) } else { Ok(()) }
}

/// What would be written.
fn dry<'a>(opened: &'a Opened, plans: &[Plan], options: &ExportOptions) -> anyhow::Result<Document<'a>> {
    let plan = plan_export(&opened.checkpoint, &opened.layers, plans, options)?;
    let rows = plan.layers.iter().map(|(index, bytes)| (*index, *bytes, None));
    Ok(Document {
        out: options.out.display().to_string(),
        files: files(plan.files),
        bytes: plan.bytes,
        original_bytes: plan.original_bytes,
        layers: rows_of(opened, plans, rows),
        rounding_kld: None,
    })
}

fn written<'a>(
    args: &CompressArgs,
    session: &Session,
    opened: &'a Opened,
    planned: &Planned,
    options: &ExportOptions,
) -> anyhow::Result<Document<'a>> {
    let (plans, checkpoint) = (planned.plans(), &opened.checkpoint);
    let calibration = session.calibration(opened, &args.statistics, &plans, Some(&planned.policy))?;
    let used = calibration.as_ref().filter(|_| plans.iter().any(Plan::needs_statistics));
    let policy = Policy { calibration: used.map(|used| used.fingerprint().to_owned()), ..planned.policy.clone() };
    session.tell_need("compressing", export_need(checkpoint, opened.work(&plans), rayon::current_num_threads()));
    let (control, progress) = session.phase("compressing");
    let source = (&session.cache, calibration.as_ref());
    let exported = export(checkpoint, &opened.layers, &plans, &policy, source, options, &control)?;
    drop(progress);
    let coarser = args.dense || args.layout == LayoutArg::Classic;
    let rows = exported.layers.iter().map(|layer| (layer.index, layer.bytes, Some(layer.error)));
    Ok(Document {
        out: exported.out.display().to_string(),
        files: files(exported.files),
        bytes: exported.bytes,
        original_bytes: exported.original_bytes,
        layers: rows_of(opened, &plans, rows),
        rounding_kld: if coarser {
            rounding(session, opened, &plans, calibration.as_ref(), &exported.out)
        } else {
            None
        },
    })
}

/// KLD between the live compressed model and what was written; nothing where the model does not run, with a warning.
fn rounding(
    session: &Session,
    opened: &Opened,
    plans: &[Plan],
    calibration: Option<&Calibration>,
    out: &Path,
) -> Option<f64> {
    let measured = || -> anyhow::Result<f64> {
        let original = Model::load(&opened.checkpoint)?;
        let tokenizer = opened.tokenizer(&original)?;
        let (ids, bos) = (tokenizer.encode_plain(EVALUATION_TEXT)?, tokenizer.opening());
        let options = CompareOptions { ids, bos, limit: Some(ROUNDING_TOKENS) };
        let need = comparing_need(&original, &options);
        let live = session.compressed(&original, opened, plans, calibration, ("comparing", need))?;
        let read = Model::load(&Checkpoint::open(out)?)?;
        let (control, _progress) = session.phase("comparing");
        Ok(compare(&live, &read, &options, &control)?.kld.mean)
    };
    match measured() {
        Ok(kld) => Some(kld),
        Err(error) => {
            warn(format!("what the rounding costs is not known: {error:#}"));
            None
        }
    }
}

fn files(files: Vec<(String, u64)>) -> Vec<File> {
    files.into_iter().map(|(name, bytes)| File { name, bytes }).collect()
}

fn rows_of<'a>(
    opened: &'a Opened,
    plans: &[Plan],
    rows: impl Iterator<Item = (usize, u64, Option<f64>)>,
) -> Vec<Row<'a>> {
    let row = |(index, bytes, error): (usize, u64, Option<f64>)| {
        let (layer, plan) = (opened.layers.get(index)?, plans.get(index)?);
        Some(Row { name: &layer.name, plan: PlanJson::from(plan), shown: plan.to_string(), bytes, error })
    };
    rows.filter_map(row).collect()
}

fn text(document: &Document<'_>, dry: bool) -> String {
    let mut layers = Table::new(&["layer", "plan", ">bytes", ">error"]);
    for row in &document.layers {
        let error = row.error.map(output::figure).unwrap_or_default();
        layers.row(vec![output::name(row.name), row.shown.clone(), output::bytes(row.bytes), error]);
    }
    let mut files = Table::new(&["file", ">bytes"]);
    for file in &document.files {
        files.row(vec![output::name(&file.name), output::bytes(file.bytes)]);
    }
    let share = output::percent(document.bytes as f64 / document.original_bytes.max(1) as f64);
    let rounding = document
        .rounding_kld
        .map(|kld| format!("the rounding of this form adds a KLD of {} nats\n", output::figure(kld)));
    format!(
        "{}\n{}\n{}{} {}: {} of {} ({share})\n",
        layers.text(),
        files.text(),
        rounding.unwrap_or_default(),
        if dry { "would write" } else { "wrote" },
        output::name(&document.out),
        output::bytes(document.bytes),
        output::bytes(document.original_bytes),
    )
}
