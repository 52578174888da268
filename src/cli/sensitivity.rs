//! `sensitivity`: the damage of compressing each layer alone, or the gain of restoring it alone in a policy.

use serde::Serialize;
use serde_json::{Value, json};

use super::args::SensitivityArgs;
use super::failure::{Usage, warn};
use super::output::{self, Table, figure, percent};
use super::plan_json::PlanJson;
use super::session::{Opened, Session, read_text};
use crate::compress::{Calibration, Plan};
use crate::control::free_memory;
use crate::measure::{
    CompareOptions, Comparison, Depth, KeptPasses, LayerDamage, Mode, ModelMeter, Notation, PILLAR, Scope,
    SensitivityOptions, compare, sensitivity,
};
use crate::model::{Layer, Model};
use crate::workbench::{EVALUATION_TEXT, PROMPTS};

/// Layers by index, each with its plan.
type Plans = Vec<(usize, Plan)>;

#[derive(Debug, Serialize)]
struct Document<'a> {
    mode: Mode,
    plan: Value,
    baseline: Baseline,
    layers: Vec<Row<'a>>,
    interaction: Option<Interaction>,
    /// What output errors are of: `calibration` or `text`.
    output_error_over: &'static str,
}

/// The model that is changed, against the original.
#[derive(Debug, Serialize)]
struct Baseline {
    tokens: usize,
    kld: f64,
    kld_se: f64,
    cosine: f64,
    mse: f64,
    perplexity: f64,
    perplexity_ratio: f64,
    top1_agreement: f64,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    kld: f64,
    kld_se: f64,
    cosine: f64,
    mse: f64,
    perplexity_ratio: f64,
    top1_agreement: f64,
    looping: Option<bool>,
    weight_error: f64,
    output_error: f64,
    kld_iso: Option<f64>,
    pillar: Option<bool>,
    bytes_saved: i64,
    plan: PlanJson,
    #[serde(skip)]
    shown: String,
}

/// The KLDs of single layers, summed, and that of all of them compressed.
#[derive(Debug, Serialize)]
struct Interaction {
    sum: f64,
    together: f64,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with model, policy, plan, statistics or text.
pub fn run(args: &SensitivityArgs, session: &Session) -> anyhow::Result<()> {
    let mode = Mode::from(args.mode);
    if mode == Mode::Without && args.policy.policy.is_none() {
        return Err(Usage("--mode without restores layers of a policy; give it with --policy FILE".into()).into());
    }
    let opened = session.open_for(&args.model.model, &args.policy)?;
    let text = args.text.as_ref().map(|path| read_text(path)).transpose()?;
    let model = Model::load(&opened.checkpoint)?;
    let tokenizer = opened.tokenizer(&model)?;
    let ids = tokenizer.encode_plain(text.as_deref().unwrap_or(EVALUATION_TEXT))?;
    let text = CompareOptions { ids, bos: tokenizer.opening(), limit: Some(args.tokens) };
    let prompt = tokenizer.encode(PROMPTS.lines().next().unwrap_or_default())?;
    let wanted = wanted(args, &opened)?;
    let (plans, calibration) = plans(args, &opened, &wanted, session)?;
    let passes = session.passes(&opened, &model);
    let meter = ModelMeter {
        checkpoint: &opened.checkpoint,
        model: &model,
        cache: &session.cache,
        calibration: calibration.as_ref(),
        text: &text,
        passes: passes.as_ref(),
    };
    let plans = sound(&meter, plans, &wanted);
    let tried: Vec<usize> = plans.iter().map(|(layer, _)| *layer).filter(|layer| wanted.contains(layer)).collect();
    if tried.is_empty() {
        anyhow::bail!("no layer to try: the policy, or --layer, leaves none that is compressed");
    }
    let depth = if args.quick { Depth::Change } else { Depth::Whole };
    // A quick scan of single layers leaves out the model with all of them compressed.
    let with_all = mode == Mode::Without || !args.quick;
    let free = free_memory();
    let trying = meter.trying_need(&plans, free);
    let need = if with_all { meter.compressed_need(&plans, trying, free) } else { trying };
    session.tell_need("trying layers", need);
    let alone = |(layer, _): &&(usize, Plan)| mode == Mode::Without || tried.contains(layer);
    let together = with_all.then(|| {
        let counted: Vec<(usize, Plan)> = plans.iter().filter(alone).copied().collect();
        let (control, _progress) = session.phase("compressing");
        meter.compressed(&counted, &control)
    });
    let together = together.transpose()?;
    let base = together.as_ref().filter(|_| mode == Mode::Without).unwrap_or(&model);
    let folder = session.locations.cache.as_ref().map(|cache| cache.join("sensitivity"));
    let (plans, tried, prompt, folder) = (&plans[..], &tried[..], &prompt[..], folder.as_deref());
    let options = SensitivityOptions { meter, mode, depth, plans, tried, prompt, folder };
    let (control, progress) = session.phase("trying layers");
    let (damages, notes) = sensitivity(&options, base, &|_| {}, &control)?;
    drop(progress);
    notes.iter().for_each(warn);
    // After the scan, which keeps the original's pass as it makes its own.
    let baseline = compared(session, &meter, base)?;
    passes.iter().filter_map(KeptPasses::note).for_each(warn);
    let interaction = together.as_ref().filter(|_| mode == Mode::Only).map(|together| {
        let sum = damages.iter().map(|damage| damage.change.kld.0).sum();
        Ok::<_, anyhow::Error>(Interaction { sum, together: compared(session, &meter, together)?.kld.mean })
    });
    let interaction = interaction.transpose()?;
    let document = Document {
        mode,
        plan: plan_json(args),
        layers: damages.iter().filter_map(|damage| row(damage, mode, &opened.layers, baseline.kld.mean)).collect(),
        baseline: Baseline::from(&baseline),
        interaction,
        output_error_over: if calibration.is_some() { "calibration" } else { "text" },
    };
    if session.common.json { output::json(&document) } else { output::print(&text_of(&document)) }
}

fn compared(session: &Session, meter: &ModelMeter<'_>, other: &Model) -> anyhow::Result<Comparison> {
    let (control, _progress) = session.phase("comparing");
    Ok(compare(meter.reference(), other, meter.text, &control)?)
}

/// Indexes of the layers that `--layer` names; all without it.
fn wanted(args: &SensitivityArgs, opened: &Opened) -> anyhow::Result<Vec<usize>> {
    let Some(glob) = &args.layer else { return Ok((0..opened.layers.len()).collect()) };
    opened.indices(glob)
}

/// The plans of the layers that change: those of the policy; or the one given, or a quarter of the full rank, for every layer
/// that is asked for.
fn plans(
    args: &SensitivityArgs,
    opened: &Opened,
    wanted: &[usize],
    session: &Session,
) -> anyhow::Result<(Plans, Option<Calibration>)> {
    let planned = args.policy.policy.as_ref().map(|path| session.sound_plan(path, opened)).transpose()?;
    let plans: Plans = match &planned {
        Some(planned) => planned.plans().into_iter().enumerate().filter(|(_, plan)| !plan.is_dense()).collect(),
        None => wanted
            .iter()
            .filter_map(|index| Some((*index, opened.layers.get(*index).filter(|layer| !layer.fixed)?)))
            .map(|(index, layer)| Ok((index, plan_of(args, layer)?)))
            .collect::<anyhow::Result<_>>()?,
    };
    let all: Vec<Plan> = plans.iter().map(|(_, plan)| *plan).collect();
    let policy = planned.as_ref().map(|planned| &planned.policy);
    let calibration = session.calibration(opened, &args.policy.statistics, &all, policy)?;
    Ok((plans, calibration))
}

fn plan_of(args: &SensitivityArgs, layer: &Layer) -> anyhow::Result<Plan> {
    let most = layer.rows.min(layer.cols);
    let plan = args.plan.unwrap_or_else(|| Plan::low_rank((most / 4).max(1)));
    if plan.rank > most {
        let name = output::name(&layer.name);
        anyhow::bail!("{name} has at most rank {most}; give a smaller rank in --plan, or choose layers with --layer");
    }
    Ok(plan)
}

/// Leaves out layers of NaN or infinities that the scan itself would compress, and says so.
fn sound(meter: &ModelMeter<'_>, plans: Plans, wanted: &[usize]) -> Plans {
    let (_, left) = meter.compressible(&[], &Scope::default());
    let name = |index: usize| meter.model.layers().get(index).map(|layer| &layer.name);
    let is_left = |index: usize| name(index).is_some_and(|name| left.contains(name));
    let (out, kept): (Vec<_>, Vec<_>) = plans.into_iter().partition(|(index, _)| is_left(*index));
    for (index, _) in out.iter().filter(|(index, _)| wanted.contains(index)) {
        let name = name(*index).map_or_else(String::new, |name| output::name(name));
        warn(format!("{name} holds NaN or infinities and stays dense"));
    }
    kept
}

/// The plan of every layer, or null where a policy has one for each.
fn plan_json(args: &SensitivityArgs) -> Value {
    match (&args.plan, &args.policy.policy) {
        (Some(plan), _) => json!(PlanJson::from(plan)),
        (None, None) => json!({"base": "none", "rank": {"ratio": 0.25}, "factors": "int8"}),
        (None, Some(_)) => Value::Null,
    }
}

impl From<&Comparison> for Baseline {
    fn from(found: &Comparison) -> Self {
        Self {
            tokens: found.tokens,
            kld: found.kld.mean,
            kld_se: found.kld.mean_se,
            cosine: found.cosine.0,
            mse: found.mse.0,
            perplexity: found.perplexity.compressed,
            perplexity_ratio: found.perplexity.ratio,
            top1_agreement: found.top1.0,
        }
    }
}

fn row<'a>(damage: &LayerDamage, mode: Mode, layers: &'a [Layer], together: f64) -> Option<Row<'a>> {
    let layer = layers.get(damage.layer)?;
    let bytes = damage.plan.bytes(layer.rows, layer.cols, layer.bytes);
    Some(Row {
        name: &layer.name,
        kld: damage.change.kld.0,
        kld_se: damage.change.kld.1,
        cosine: damage.change.cosine,
        mse: damage.change.mse,
        perplexity_ratio: damage.change.perplexity_ratio,
        top1_agreement: damage.change.top1,
        looping: damage.looping,
        weight_error: damage.weight_error,
        output_error: damage.output_error,
        kld_iso: damage.kld_iso,
        pillar: damage.kld_iso.map(|_| damage.over_noise(mode, together).is_some_and(|ratio| ratio > PILLAR)),
        bytes_saved: i64::try_from(layer.bytes).ok()? - i64::try_from(bytes).ok()?,
        plan: PlanJson::from(&damage.plan),
        shown: damage.plan.to_string(),
    })
}

fn text_of(document: &Document<'_>) -> String {
    let mut table = Table::new(&[
        "layer",
        "plan",
        ">KLD",
        ">noise of that size",
        ">same top",
        ">weight error",
        ">output error",
        ">saved",
        "",
    ]);
    let notation = Notation::of(document.layers.iter().flat_map(|row| [Some(row.kld), row.kld_iso]).flatten());
    for row in &document.layers {
        let saved = output::bytes(row.bytes_saved.unsigned_abs());
        let marks = [(row.pillar == Some(true), "pillar"), (row.looping == Some(true), "loops")];
        let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        table.row(vec![
            output::name(row.name),
            row.shown.clone(),
            notation.write(row.kld),
            row.kld_iso.map_or_else(String::new, |kld| notation.write(kld)),
            percent(row.top1_agreement),
            percent(row.weight_error),
            percent(row.output_error),
            if row.bytes_saved < 0 { format!("-{saved}") } else { saved },
            marks.join(", "),
        ]);
    }
    let baseline = &document.baseline;
    let before = match document.mode {
        Mode::Only => format!("the original's perplexity is {}", figure(baseline.perplexity)),
        Mode::Without => format!("the policy's KLD is {} nats; above, with that layer restored", figure(baseline.kld)),
    };
    let interaction = document.interaction.as_ref().map_or_else(String::new, |found| {
        format!("; single KLDs sum to {}, together {}", figure(found.sum), figure(found.together))
    });
    format!("{}\n{} tokens scored; {before}{interaction}\n", table.text(), baseline.tokens)
}
