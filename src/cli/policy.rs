//! `policy show`, `check` and `diff`.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::args::PolicyCommand;
use super::failure::{Found, say, warn};
use super::output::{self, Table};
use super::plan_json::PlanJson;
use super::session::{Session, located, read_text};
use crate::compress::{Issue, Plan, Policy, Resolved, diff};
use crate::measure::bits_per_weight;
use crate::model::Layer;

#[derive(Debug, Serialize)]
struct Shown<'a> {
    layers: Vec<Row<'a>>,
    bytes: u64,
    bits_per_weight: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    plan: PlanJson,
    #[serde(skip)]
    shown: String,
    bytes: u64,
    /// Index of the rule that won, from 0; null where none matched.
    rule: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Checked {
    errors: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Differing<'a> {
    changed: Vec<Change<'a>>,
}

#[derive(Debug, Serialize)]
struct Change<'a> {
    name: &'a str,
    from: PlanJson,
    to: PlanJson,
    #[serde(skip)]
    shown: [String; 2],
}

/// Runs the command.
///
/// # Errors
/// What is wrong with model or policy.
pub fn run(command: &PolicyCommand, session: &Session) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Show { model, policy } => show(&model.model, policy, session),
        PolicyCommand::Check { model, policy } => check(model.as_deref(), policy, session),
        PolicyCommand::Diff { from, to, model } => differ(&model.model, from, to, session),
    }
}

fn show(model: &str, path: &Path, session: &Session) -> anyhow::Result<()> {
    let opened = session.open(model)?;
    let planned = session.sound_plan(path, &opened)?;
    let size = |(layer, resolved): (&Layer, &Resolved)| resolved.plan.bytes(layer.rows, layer.cols, layer.bytes);
    let sizes: Vec<u64> = opened.layers.iter().zip(&planned.resolved).map(size).collect();
    let before: u64 = opened.layers.iter().map(|layer| layer.bytes).sum();
    let after: u64 = sizes.iter().sum();
    let rows = opened.layers.iter().zip(&planned.resolved).zip(&sizes).map(|((layer, resolved), bytes)| Row {
        name: &layer.name,
        plan: PlanJson::from(&resolved.plan),
        shown: resolved.plan.to_string(),
        bytes: *bytes,
        rule: resolved.rule,
    });
    let shown = Shown {
        layers: rows.collect(),
        bytes: opened.checkpoint.total_bytes() - before + after,
        bits_per_weight: bits_per_weight(after, &opened.layers),
    };
    if session.common.json {
        return output::json(&shown);
    }
    let mut table = Table::new(&["layer", "plan", ">bytes", ">rule"]);
    for row in &shown.layers {
        let rule = row.rule.map_or_else(|| "-".to_owned(), |rule| (rule + 1).to_string());
        table.row(vec![output::name(row.name), row.shown.clone(), output::bytes(row.bytes), rule]);
    }
    let (bytes, bits) = (output::bytes(shown.bytes), output::maybe(shown.bits_per_weight));
    output::print(&format!("{}\n{bytes} in all, {bits} bits per weight\n", table.text()))
}

fn check(model: Option<&str>, path: &Path, session: &Session) -> anyhow::Result<()> {
    let text = read_text(path)?;
    let opened = model.map(|model| session.open(model)).transpose()?;
    let checked = Policy::parse(&text).and_then(|policy| match &opened {
        Some(opened) => session.resolve(&policy, opened).map(|(_, warnings)| warnings),
        None => Ok(Vec::new()),
    });
    let lines = |issues: &[Issue]| issues.iter().map(located).collect::<Vec<String>>();
    let checked = match checked {
        Ok(warnings) => Checked { errors: Vec::new(), warnings: lines(&warnings) },
        Err(error) => Checked { errors: lines(&error.issues), warnings: Vec::new() },
    };
    if session.common.json {
        output::json(&checked)?;
    } else {
        let shown = |issue: &String| format!("{}: {issue}", path.display());
        checked.errors.iter().for_each(|issue| say(format!("error: {}", output::name(&shown(issue)))));
        checked.warnings.iter().for_each(|issue| warn(shown(issue)));
        if checked.errors.is_empty() && checked.warnings.is_empty() {
            output::print("no errors\n")?;
        }
    }
    if checked.errors.is_empty() { Ok(()) } else { Err(Found.into()) }
}

fn differ(model: &str, from: &Path, to: &Path, session: &Session) -> anyhow::Result<()> {
    let opened = session.open(model)?;
    let (mut before, mut after) = (session.plan(from, &opened)?, session.plan(to, &opened)?);
    // A layer that both policies compress is named once.
    let lines: BTreeSet<String> = [&mut before, &mut after].into_iter().flat_map(|of| of.keep_sound(&opened)).collect();
    lines.iter().for_each(warn);
    let change = |(index, from, to): &(usize, _, _)| {
        let layer = opened.layers.get(*index)?;
        let shown = [from, to].map(|plan: &Plan| plan.to_string());
        Some(Change { name: &layer.name, from: PlanJson::from(from), to: PlanJson::from(to), shown })
    };
    let [from, to] = [&before, &after].map(|of| of.resolved.iter().map(|one| one.plan).collect::<Vec<_>>());
    let changed = diff(&from, &to);
    let differing = Differing { changed: changed.iter().filter_map(change).collect() };
    if session.common.json {
        return output::json(&differing);
    }
    let mut table = Table::new(&["layer", "from", "to"]);
    for change in &differing.changed {
        let [from, to] = change.shown.clone();
        table.row(vec![output::name(change.name), from, to]);
    }
    output::print(&if differing.changed.is_empty() { "no layer differs\n".to_owned() } else { table.text() })
}
