//! `plan`: the best policy found within a budget.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::arg_values::WeightingArg;
use super::args::PlanArgs;
use super::failure::{Usage, warn};
use super::frontier;
use super::output::{self, Table, figure};
use super::plan_json::PlanJson;
use super::session::{Opened, Session, read_text};
use crate::checkpoint::replace_file;
use crate::compress::{Budget, Plan, Policy, Sizes, Weighting};
use crate::control::Control;
use crate::measure::{
    CompareOptions, KeptPasses, MeasureError, ModelMeter, Notation, Priced, Proposal, Scope, WithinBudget,
    bits_per_weight, check_budget,
};
use crate::model::{Layer, Model};
use crate::workbench::EVALUATION_TEXT;

#[derive(Debug, Serialize)]
struct Document<'a> {
    budget_bytes: u64,
    bytes: u64,
    bits_per_weight: Option<f64>,
    /// Sum of the layers' damages, in nats.
    predicted_kld: f64,
    /// Measured, all together.
    kld: f64,
    layers: Vec<Row<'a>>,
    out: String,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    plan: PlanJson,
    #[serde(skip)]
    shown: String,
    bytes: u64,
    predicted_damage: f64,
    /// The next smaller and larger plans worth anything, null where there is none.
    rejected: Rejected,
}

#[derive(Debug, Serialize)]
struct Rejected {
    smaller: Option<Offer>,
    larger: Option<Offer>,
}

/// A plan with its price.
#[derive(Debug, Serialize)]
struct Offer {
    plan: PlanJson,
    #[serde(skip)]
    shown: String,
    bytes: u64,
    predicted_damage: f64,
}

impl From<Priced> for Offer {
    fn from(priced: Priced) -> Self {
        let Priced { plan, bytes, damage } = priced;
        Self { plan: PlanJson::from(&plan), shown: plan.to_string(), bytes, predicted_damage: damage }
    }
}

/// Runs the command.
///
/// # Errors
/// What is wrong with model, text, statistics or target; a budget below what is possible.
pub fn run(args: &PlanArgs, session: &Session) -> anyhow::Result<()> {
    let opened = session.open(&args.model.model)?;
    match (&args.frontier, &args.budget, &args.out) {
        (Some(path), ..) => frontier::run(args, session, &opened, path),
        (None, Some(budget), Some(out)) => within(args, session, &opened, budget, out),
        _ => Err(Usage("give --budget and --out, or --frontier".into()).into()),
    }
}

fn within(args: &PlanArgs, session: &Session, opened: &Opened, budget: &Budget, out: &Path) -> anyhow::Result<()> {
    let sizes = Sizes::new(opened.checkpoint.total_bytes(), &opened.layers);
    let scope = scope(args, opened)?;
    check_budget(budget, &sizes, &opened.layers, &scope)?;
    let (found, fingerprint) = measured(args, session, opened, |meter, control| {
        let found = meter.propose_within(budget, &[], &scope, control)?;
        Ok((found, meter.calibration.map(|calibration| calibration.fingerprint().to_owned())))
    })?;
    for name in &found.left {
        warn(format!("{} holds NaN or infinities and stays dense", output::name(name)));
    }
    let policy = policy(&opened.layers, &found.proposal, fingerprint);
    replace_file(out, args.force, &inputs(args, opened), |out| out.write_all(policy.to_text().as_bytes()))?;
    let document = document(out, &opened.layers, &found);
    if session.common.json { output::json(&document) } else { output::print(&text_of(&document)) }
}

fn scope(args: &PlanArgs, opened: &Opened) -> anyhow::Result<Scope> {
    let layers = args.layer.as_ref().map(|glob| opened.indices(glob)).transpose()?;
    let plain = args.weighting == WeightingArg::Plain;
    Ok(Scope { layers: layers.map(|found| found.into_iter().collect()), base: args.base.map(Into::into), plain })
}

/// Files that are read, and so never written over.
pub(super) fn inputs(args: &PlanArgs, opened: &Opened) -> Vec<PathBuf> {
    let given = [&args.text, &args.statistics.calibration].into_iter().flatten().cloned();
    opened.inputs().into_iter().chain(given).collect()
}

/// Measures on the model and the text with the statistics that planning needs.
pub(super) fn measured<T>(
    args: &PlanArgs,
    session: &Session,
    opened: &Opened,
    work: impl FnOnce(&ModelMeter<'_>, &Control) -> Result<T, MeasureError>,
) -> anyhow::Result<T> {
    let text = args.text.as_ref().map(|path| read_text(path)).transpose()?;
    let model = Model::load(&opened.checkpoint)?;
    let tokenizer = opened.tokenizer(&model)?;
    let ids = tokenizer.encode_plain(text.as_deref().unwrap_or(EVALUATION_TEXT))?;
    let text = CompareOptions { ids, bos: tokenizer.opening(), limit: Some(args.tokens) };
    let wanted = Plan { weighting: Weighting::Activations, ..Plan::low_rank(1) };
    let calibration = session.calibration(opened, &args.statistics, &[wanted], None)?;
    let passes = session.passes(opened, &model);
    let meter = ModelMeter {
        checkpoint: &opened.checkpoint,
        model: &model,
        cache: &session.cache,
        calibration: calibration.as_ref(),
        text: &text,
        passes: passes.as_ref(),
    };
    session.tell_need("planning", meter.planning_need());
    let (control, progress) = session.phase("planning");
    let found = work(&meter, &control)?;
    drop(progress);
    passes.iter().filter_map(KeptPasses::note).for_each(warn);
    Ok(found)
}

fn policy(layers: &[Layer], proposal: &Proposal, fingerprint: Option<String>) -> Policy {
    let mut wanted = vec![Plan::dense(); layers.len()];
    for layer in &proposal.layers {
        if let Some(slot) = wanted.get_mut(layer.layer) {
            *slot = layer.chosen.plan;
        }
    }
    let mut policy = Policy::default().with_plans(layers, &vec![Plan::dense(); layers.len()], &wanted);
    if wanted.iter().any(Plan::needs_statistics) {
        policy.calibration = fingerprint;
    }
    policy
}

fn document<'a>(out: &Path, layers: &'a [Layer], found: &WithinBudget) -> Document<'a> {
    let rows = found.proposal.layers.iter().filter_map(|layer| {
        let Offer { plan, shown, bytes, predicted_damage } = layer.chosen.into();
        let name = &layers.get(layer.layer)?.name;
        let rejected = Rejected { smaller: layer.smaller.map(Offer::from), larger: layer.larger.map(Offer::from) };
        Some(Row { name, plan, shown, bytes, predicted_damage, rejected })
    });
    Document {
        budget_bytes: found.budget.model_bytes(&found.sizes),
        bytes: found.bytes(),
        bits_per_weight: bits_per_weight(found.layer_bytes, layers),
        predicted_kld: found.proposal.predicted,
        kld: found.proposal.measured,
        layers: rows.collect(),
        out: out.display().to_string(),
    }
}

fn text_of(document: &Document<'_>) -> String {
    let mut table = Table::new(&["layer", "plan", ">bytes", ">KLD alone", "rather than"]);
    let notation = Notation::of(document.layers.iter().map(|row| row.predicted_damage));
    for row in &document.layers {
        let told = |sign: &str, offer: &Option<Offer>| {
            offer.as_ref().map(|Offer { shown, bytes, predicted_damage, .. }| {
                format!("{sign} {shown} ({}, {})", output::bytes(*bytes), notation.inline(*predicted_damage))
            })
        };
        let rejected = [told("<", &row.rejected.smaller), told(">", &row.rejected.larger)];
        table.row(vec![
            output::name(row.name),
            row.shown.clone(),
            output::bytes(row.bytes),
            notation.write(row.predicted_damage),
            rejected.into_iter().flatten().collect::<Vec<_>>().join("  "),
        ]);
    }
    let Document { budget_bytes, bytes, bits_per_weight, predicted_kld, kld, out, .. } = document;
    format!(
        "{}\n{} of {} allowed, {} bits per weight; KLD {} nats (sum of single damages {}); wrote {out}\n",
        table.text(),
        output::bytes(*bytes),
        output::bytes(*budget_bytes),
        output::maybe(*bits_per_weight),
        figure(*kld),
        figure(*predicted_kld),
    )
}
