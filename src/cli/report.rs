//! `report`: a folder to hand on, with figures, pictures and a page that tells what they mean.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::warn;
use super::output::{self, Table};
use super::report_args::ReportArgs;
use super::session::{Opened, Session, read_text};
use crate::checkpoint::ReportFolder;
use crate::compress::{Plan, Policy, Weighting};
use crate::measure::{
    BytesOfBoth, CompareOptions, Depth, KeptPasses, LayerDamage, Mode, ModelMeter, PAGE, Report, ReportAbout,
    ReportOther, ReportRequest, ReportText, SensitivityOptions, comparing_need, measure_report, sensitivity,
};
use crate::model::Model;
use crate::workbench::{DRAWN_TEXTS, EVALUATION_TEXT, PROMPTS, prompts_of};

#[derive(Debug, Serialize)]
struct Document {
    out: String,
    files: Vec<File>,
    tokens: usize,
    kld: f64,
    bytes: BytesOfBoth,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct File {
    name: String,
    bytes: u64,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with model, policy, text, statistics or target.
pub fn run(args: &ReportArgs, session: &Session) -> anyhow::Result<()> {
    let text = args.text.as_ref().map(|path| read_text(path)).transpose()?;
    let opened = session.open(args.original.as_ref().unwrap_or(&args.model.model))?;
    // Refused before all the work.
    let mut folder = ReportFolder::create(&args.out, args.force, &inputs(args, &opened))?;
    let report = measured(args, session, &opened, text.as_deref().unwrap_or(EVALUATION_TEXT))?;
    let (control, _progress) = session.phase("writing");
    report.files().iter().try_for_each(|(name, data)| folder.file(name, data))?;
    opened.checkpoint.check()?;
    let files = folder.finish(&control)?;
    let document = Document {
        out: args.out.display().to_string(),
        files: files.into_iter().map(|(name, bytes)| File { name, bytes }).collect(),
        tokens: report.metrics.tokens,
        kld: report.metrics.kld.mean,
        bytes: report.metrics.bytes,
        warnings: report.warnings(),
    };
    if session.common.json { output::json(&document) } else { output::print(&text_of(&document)) }
}

/// Files that are read, and so never written over.
fn inputs(args: &ReportArgs, opened: &Opened) -> Vec<PathBuf> {
    let given = [Some(&args.policy), args.text.as_ref(), args.statistics.calibration.as_ref()];
    let given = given.into_iter().chain(args.beside.iter().map(Some));
    let model = PathBuf::from(&args.model.model);
    let given = given.flatten().cloned().chain(Some(model).filter(|model| model.exists()));
    opened.inputs().into_iter().chain(given).collect()
}

/// All that the report tells.
fn measured(args: &ReportArgs, session: &Session, opened: &Opened, words: &str) -> anyhow::Result<Report> {
    let model = Model::load(&opened.checkpoint)?;
    let tokenizer = opened.tokenizer(&model)?;
    let text =
        CompareOptions { ids: tokenizer.encode_plain(words)?, bos: tokenizer.opening(), limit: Some(args.tokens) };
    let mut planned = session.plan(&args.policy, opened)?;
    let left = planned.keep_sound(opened);
    left.iter().for_each(warn);
    let plans = planned.plans();
    // The best policies of a frontier are weighted by inputs.
    let weighted = Plan { weighting: Weighting::Activations, ..Plan::low_rank(1) };
    let wanted: Vec<Plan> = plans.iter().copied().chain(args.frontier.then_some(weighted)).collect();
    let calibration = session.calibration(opened, &args.statistics, &wanted, Some(&planned.policy))?;
    let used = calibration.as_ref().map(|used| used.fingerprint().to_owned());
    let made_with = used.clone().filter(|_| plans.iter().any(Plan::needs_statistics));
    let policy = Policy { calibration: made_with, ..planned.policy };
    let passes = session.passes(opened, &model);
    let meter = ModelMeter {
        checkpoint: &opened.checkpoint,
        model: &model,
        cache: &session.cache,
        calibration: calibration.as_ref(),
        text: &text,
        passes: passes.as_ref(),
    };
    let need = comparing_need(&model, &text);
    let compressed = session.compressed(&model, opened, &plans, calibration.as_ref(), ("comparing", need))?;
    let name = args.text.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let words = ReportText::new(name, words);
    let about = ReportAbout {
        tokens: args.tokens,
        calibration: used,
        left,
        ..ReportAbout::of(
            &opened.checkpoint,
            env!("CARGO_PKG_VERSION"),
            model.architecture().family,
            policy.to_text(),
            words,
        )
    };
    let (prompts, drawn) = match args.prompt.as_slice() {
        [] => (prompts_of(PROMPTS), DRAWN_TEXTS),
        given => (given.to_vec(), given.len()),
    };
    let max_tokens = args.max_tokens;
    let mut others = Vec::new();
    for path in &args.beside {
        let planned = session.sound_plan(path, opened)?;
        let plans = planned.plans();
        let statistics = session.calibration(opened, &args.statistics, &plans, Some(&planned.policy))?;
        let compressed = session.compressed(
            &model,
            opened,
            &plans,
            statistics.as_ref(),
            ("comparing", comparing_need(&model, &text)),
        )?;
        others.push((
            path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            planned.policy.to_text(),
            compressed,
        ));
    }
    let beside: Vec<ReportOther<'_>> = others
        .iter()
        .map(|(name, policy, model)| ReportOther { name: name.clone(), policy: policy.clone(), model })
        .collect();
    let request = ReportRequest {
        meter,
        compressed: &compressed,
        plans: &plans,
        tokenizer: &tokenizer,
        prompts: &prompts,
        max_tokens,
        drawn,
        beside: &beside,
    };
    let (control, progress) = session.phase("measuring");
    let mut report = measure_report(&request, about, &control)?;
    drop(progress);
    if args.sensitivity {
        report.take_damages(&damages(session, &request)?);
    }
    if args.frontier {
        session.tell_need("planning", meter.planning_need());
        let (control, _progress) = session.phase("measuring the frontier");
        report.frontier = meter.frontier(&plans, &|_| {}, &control)?;
    }
    passes.iter().filter_map(KeptPasses::note).for_each(warn);
    Ok(report)
}

/// What each changed layer does alone.
fn damages(session: &Session, request: &ReportRequest<'_>) -> anyhow::Result<Vec<LayerDamage>> {
    let meter = request.meter;
    let layers = request.plans.iter().copied().zip(meter.model.layers()).enumerate();
    let changed = layers.filter(|(_, (plan, layer))| !plan.is_dense() && !layer.fixed);
    let plans: Vec<(usize, Plan)> = changed.map(|(index, (plan, _))| (index, plan)).collect();
    let tried: Vec<usize> = plans.iter().map(|(index, _)| *index).collect();
    let prompt = request.tokenizer.encode(request.prompts.first().map_or("", String::as_str))?;
    let folder = session.locations.cache.as_ref().map(|cache| cache.join("sensitivity"));
    let options = SensitivityOptions {
        meter,
        mode: Mode::Only,
        depth: Depth::Whole,
        plans: &plans,
        tried: &tried,
        prompt: &prompt,
        folder: folder.as_deref(),
    };
    let (control, _progress) = session.phase("trying layers");
    let (damages, notes) = sensitivity(&options, meter.model, &|_| {}, &control)?;
    notes.iter().for_each(warn);
    Ok(damages)
}

fn text_of(document: &Document) -> String {
    let mut files = Table::new(&["file", ">bytes"]);
    for file in &document.files {
        files.row(vec![output::name(&file.name), output::bytes(file.bytes)]);
    }
    let Document { out, kld, bytes, warnings, .. } = document;
    let told: String = warnings.iter().flat_map(|warning| [warning.as_str(), "\n"]).collect();
    format!(
        "{}\n{told}KLD {} nats, {} to {}; wrote {}, begin with {PAGE}\n",
        files.text(),
        output::figure(*kld),
        output::bytes(bytes.original),
        output::bytes(bytes.compressed),
        output::name(out),
    )
}
