//! `compare`: original against compressed over a text.

use std::path::Path;

use serde::Serialize;

use super::args::CompareArgs;
use super::compare_text::text_of;
use super::failure::{Usage, warn};
use super::output;
use super::session::{Opened, Session, bits_per_weight, read_text};
use crate::checkpoint::Tokenizer;
use crate::control::Need;
use crate::measure::{
    AttentionShift, CompareOptions, Comparison, Drift, FastCost, Health, KeptPasses, Kld, LayerError, Perplexity,
    Probe, ProbeReport, Reference, attention_shift, compare, comparing_need, fast_cost, health, layer_errors,
    parse_probes, probe,
};
use crate::model::Model;
use crate::workbench::{EVALUATION_TEXT, PROBES, PROMPTS};

/// Fewer scored tokens than this are worth a warning.
const FEW: usize = 100;

#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub(super) tokens: usize,
    pub(super) cosine: Cosine,
    pub(super) mse: f64,
    pub(super) mse_se: f64,
    pub(super) kld: Kld,
    pub(super) delta_p: DeltaP,
    pub(super) top1_agreement: f64,
    pub(super) top1_se: f64,
    pub(super) perplexity: Perplexity,
    pub(super) bytes: Bytes,
    pub(super) bits_per_weight: Option<f64>,
    pub(super) drift: Vec<Drift>,
    pub(super) probes: Option<ProbeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fast: Option<FastCost>,
    #[serde(flatten)]
    pub(super) asked: Asked,
}

#[derive(Debug, Serialize)]
pub(super) struct Cosine {
    pub(super) mean: f64,
    pub(super) min: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct DeltaP {
    pub(super) mean: f64,
    pub(super) rms: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Bytes {
    pub(super) original: u64,
    pub(super) compressed: u64,
}

/// What is measured only where it is asked for.
#[derive(Debug, Default, Serialize)]
pub(super) struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) health: Option<Health>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attention: Option<Vec<AttentionShift>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layers: Option<Vec<LayerError>>,
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
    let probes = args.probes.as_deref().map(read_probes).transpose()?;
    let prompts = args.prompts.as_ref().map(|path| read_text(path)).transpose()?;
    let text = args.text.as_ref().map(|path| read_text(path)).transpose()?;
    let (opened, other) = opened(args, session)?;
    let original = Model::load(&opened.checkpoint)?;
    let tokenizer = opened.tokenizer(&original)?;
    let ids = tokenizer.encode_plain(text.as_deref().unwrap_or(EVALUATION_TEXT))?;
    let options = CompareOptions { ids, bos: tokenizer.opening(), limit: args.tokens };
    let need = comparing_need(&original, &options);
    let pair = pair(args, session, (opened, original, other), need)?;
    let passes = session.passes(&pair.opened, &pair.original);
    let reference = Reference { model: &pair.original, passes: passes.as_ref() };
    let (control, progress) = session.phase("comparing");
    let comparison = compare(reference, &pair.compressed, &options, &control)?;
    drop(progress);
    let (control, progress) = session.phase("comparing with exact arithmetic");
    let fast = args.fast.fast.then(|| fast_cost(&pair.compressed, &options, &control)).transpose()?;
    drop(progress);
    passes.iter().filter_map(KeptPasses::note).for_each(warn);
    if comparison.tokens < FEW {
        let scored = match comparison.tokens {
            1 => "1 token is".to_owned(),
            count => format!("{count} tokens are"),
        };
        warn(format!("only {scored} scored: the figures are rough, their errors too; give a longer text"));
    }
    let (control, progress) = session.phase("probing");
    let report =
        probes.map(|probes| probe(&pair.original, &pair.compressed, &tokenizer, &probes, &control)).transpose()?;
    drop(progress);
    let asked = asked(args, session, &pair, (&tokenizer, &options), prompts.as_deref().unwrap_or(PROMPTS))?;
    let document = Document { fast, ..document(comparison, report, asked, &pair) };
    if session.common.json { output::json(&document) } else { output::print(&text_of(&document)) }
}

/// The probes of a file; those of the demo by its name.
fn read_probes(path: &Path) -> anyhow::Result<Vec<Probe>> {
    if path == Path::new("demo") && !path.exists() {
        return parse_probes(PROBES).map_err(anyhow::Error::msg);
    }
    parse_probes(&read_text(path)?).map_err(|reason| anyhow::anyhow!("{}: {reason}", path.display()))
}

/// What the flags ask for beyond the comparison.
fn asked(
    args: &CompareArgs,
    session: &Session,
    Pair { original, compressed, .. }: &Pair,
    (tokenizer, text): (&Tokenizer, &CompareOptions),
    prompts: &str,
) -> anyhow::Result<Asked> {
    let mut asked = Asked::default();
    if args.health {
        let (control, _progress) = session.phase("writing");
        let prompts: Vec<String> = prompts.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        asked.health = Some(health((original, compressed), tokenizer, &prompts, args.max_tokens, &control)?);
    }
    if args.attention {
        let (control, _progress) = session.phase("watching attention");
        asked.attention = Some(attention_shift((original, compressed), text, &control)?);
    }
    if args.layers {
        let (control, _progress) = session.phase("measuring layers");
        asked.layers = Some(layer_errors((original, compressed), text, &control)?);
    }
    Ok(asked)
}

/// MODEL under a policy; MODEL and another; or what MODEL came from and MODEL: the first, and the other's name.
fn opened<'a>(args: &'a CompareArgs, session: &Session) -> anyhow::Result<(Opened, Option<&'a str>)> {
    let model = &args.model.model;
    Ok(match (&args.policy.policy, &args.policy.original, &args.with) {
        (None, None, None) => {
            return Err(Usage("compare needs --policy FILE, --with MODEL2, or --original MODEL".into()).into());
        }
        (Some(_), original, _) => (session.open(original.as_ref().unwrap_or(model))?, None),
        (None, Some(original), _) => (session.open(original)?, Some(model)),
        (None, None, Some(with)) => (session.open(model)?, Some(with)),
    })
}

/// Both models; `need` is what comparing them needs.
fn pair(
    args: &CompareArgs,
    session: &Session,
    (opened, original, other): (Opened, Model, Option<&str>),
    need: Need,
) -> anyhow::Result<Pair> {
    let compressed = match other {
        Some(other) => {
            session.tell_need("comparing", need);
            Model::load(&session.open(other)?.checkpoint)?
        }
        None => session.under(&args.policy, original.clone(), &opened, ("comparing", need))?,
    };
    let compressed = compressed.with_arithmetic(args.fast.arithmetic());
    Ok(Pair { opened, original, compressed })
}

fn document(comparison: Comparison, probes: Option<ProbeReport>, asked: Asked, pair: &Pair) -> Document {
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
        fast: None,
        asked,
    }
}
