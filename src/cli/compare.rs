//! `compare`: original against compressed over a text.

use std::path::Path;

use super::args::CompareArgs;
use super::compare_text::text_of;
use super::failure::{Usage, warn};
use super::output;
use super::session::{Opened, Session, read_text};
use crate::checkpoint::Tokenizer;
use crate::control::Need;
use crate::measure::{
    Asked, CompareDocument, CompareOptions, FEW_TOKENS, KeptPasses, Probe, Reference, attention_shift, compare,
    comparing_need, fast_cost, health, layer_errors, parse_probes, probe,
};
use crate::model::Model;
use crate::workbench::{EVALUATION_TEXT, PROBES, PROMPTS, prompts_of};

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
    if comparison.tokens < FEW_TOKENS {
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
    let document = CompareDocument::new(comparison, (&pair.original, &pair.compressed));
    let document = CompareDocument { fast, probes: report, asked, ..document };
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
        let prompts = prompts_of(prompts);
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
