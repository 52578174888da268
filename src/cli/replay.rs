//! `replay`: a session of the workbench done again without its screen.

use std::path::PathBuf;

use serde::Serialize;

use super::output;
use super::report_args::ReplayArgs;
use super::session::{Session, read_text};
use crate::checkpoint::ReportFolder;
use crate::workbench::{Difference, Locations, Replayed, SessionRecord, SessionStep, Source, replay};

#[derive(Debug, Serialize)]
struct Document {
    steps: usize,
    texts: usize,
    same: bool,
    differences: Vec<Difference>,
    out: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with the session, its model or the target; that it came out otherwise.
pub fn run(args: &ReplayArgs, session: &Session) -> anyhow::Result<()> {
    let text = read_text(&args.file)?;
    let file = args.file.display();
    let record = SessionRecord::parse(&text).map_err(|reason| anyhow::anyhow!("{file}: {reason}"))?;
    let model = args.model.as_ref().unwrap_or(&record.model.name);
    let original = args.original.as_ref().or(record.model.original.as_ref());
    if session.common.download {
        std::iter::once(model).chain(original).try_for_each(|name| super::download::fetch(name, &session.interrupt))?;
    }
    let inputs: Vec<PathBuf> = [Some(&args.file), args.statistics.calibration.as_ref()]
        .into_iter()
        .flatten()
        .cloned()
        .chain(std::iter::once(model).chain(original).map(PathBuf::from).filter(|path| path.exists()))
        .collect();
    let folder = args.out.as_ref().map(|out| ReportFolder::create(out, args.force, &inputs)).transpose()?;
    let family = session.locations.family.clone().or_else(|| record.model.family.clone());
    let locations = Locations { family, ..session.locations.clone() };
    let sources = (Source::parse(model), original.map(|name| Source::parse(name)));
    let (control, progress) = session.phase("replaying");
    let replayed = replay(&record, sources, (locations, args.statistics.calibration.clone()), &control)?;
    drop(progress);
    if let Some(mut folder) = folder {
        folder.file("session.json", replayed.record.to_text().as_bytes())?;
        folder.file("policy.json", replayed.policy.as_bytes())?;
        folder.finish(&control)?;
    }
    let document = document(args, &record, replayed);
    if session.common.json {
        output::json(&document)?;
    } else {
        output::print(&text_of(&document))?;
    }
    match document.differences.first() {
        None => Ok(()),
        Some(first) => Err(anyhow::anyhow!("{file} came out otherwise: {first}")),
    }
}

fn document(args: &ReplayArgs, record: &SessionRecord, replayed: Replayed) -> Document {
    Document {
        steps: record.steps.len(),
        texts: record.steps.iter().filter(|step| matches!(step, SessionStep::Write(_))).count(),
        same: replayed.differences.is_empty(),
        differences: replayed.differences,
        out: args.out.as_ref().map(|out| out.display().to_string()),
    }
}

fn text_of(document: &Document) -> String {
    let Document { steps, texts, same, differences, out } = document;
    let told: String = differences.iter().map(|difference| format!("{difference}\n")).collect::<Vec<_>>().concat();
    let wrote = out.as_ref().map_or_else(String::new, |out| format!("; wrote {}", output::name(out)));
    let end = if *same { "all the same" } else { "not all the same" };
    format!("{told}steps: {steps}, of which {texts} write text: {end}{wrote}\n")
}
