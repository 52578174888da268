//! `plan --frontier`: bytes against KLD of uniform and planned policies, drawn or as data.

use std::path::Path;

use super::args::PlanArgs;
use super::failure::Usage;
use super::output::{self, Table, figure};
use super::plan;
use super::session::{Opened, Session};
use crate::checkpoint::{WriteError, replace_file};
use crate::measure::{FrontierDocument, frontier_json, frontier_svg};

/// Measures the frontier and writes it to `path`, as SVG or JSON by its extension.
///
/// # Errors
/// What is wrong with model, text, statistics or target.
pub fn run(args: &PlanArgs, session: &Session, opened: &Opened, path: &Path) -> anyhow::Result<()> {
    let write = match path.extension().and_then(|extension| extension.to_str()) {
        Some("svg") => frontier_svg,
        Some("json") => frontier_json,
        _ => return Err(Usage("--frontier takes a path that ends in .svg or .json".into()).into()),
    };
    if path.symlink_metadata().is_ok() && !args.force {
        return Err(WriteError::Exists(path.to_owned()).into());
    }
    let points = plan::measured(args, session, opened, |meter, control| meter.frontier(&[], &|_| {}, control))?;
    let model = opened.checkpoint.label();
    let text = write(model, &points);
    replace_file(path, args.force, &plan::inputs(args, opened), |out| out.write_all(text.as_bytes()))?;
    if session.common.json {
        return output::json(&FrontierDocument { model, points: &points });
    }
    let mut table = Table::new(&["policy", ">bytes", ">bits/weight", ">KLD"]);
    for point in &points {
        let name = format!("{} {}", point.kind.name(), point.label);
        let bits = output::maybe(Some(point.bits_per_weight));
        table.row(vec![name.trim_end().to_owned(), output::bytes(point.bytes), bits, figure(point.kld)]);
    }
    output::print(&format!("{}\nwrote {}\n", table.text(), path.display()))
}
