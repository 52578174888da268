//! `calibrate`: the input statistics of every layer, as a file; and where other commands have theirs from.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::{CalibrateArgs, CalibrationArg};
use super::failure::warn;
use super::output::{self, Table};
use super::session::{Opened, Session, read_text};
use crate::checkpoint::WriteError;
use crate::compress::{CalibratedInput, Calibration, CalibrationFile, InputKind, Plan, Policy};
use crate::measure::{CalibrateOptions, WIDEST_INPUT, calibrate, calibrating_need, is_calibrated};
use crate::model::Model;
use crate::workbench::CALIBRATION_TEXT;

/// What JSON calls the text that is part of the program.
const BUILT_IN: &str = "built-in";

#[derive(Debug, Serialize)]
struct Document<'a> {
    text: String,
    tokens: u64,
    inputs: &'a [CalibratedInput],
    fingerprint: &'a str,
    windows: u64,
    /// Layers without statistics.
    left_out: &'a [String],
    out: String,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with model, text or target.
pub fn run(args: &CalibrateArgs, session: &Session) -> anyhow::Result<()> {
    if args.out.symlink_metadata().is_ok() && !args.force {
        return Err(WriteError::Exists(args.out.clone()).into());
    }
    let opened = session.open(&args.model.model)?;
    let text = args.text.as_ref().map(|path| read_text(path)).transpose()?;
    let file = statistics(session, &opened, text.as_deref().unwrap_or(CALIBRATION_TEXT), args.tokens)?;
    let inputs: Vec<PathBuf> = opened.inputs().into_iter().chain(args.text.clone()).collect();
    file.copy_to(&args.out, args.force, &inputs)?;
    let document = Document {
        text: args.text.as_ref().map_or_else(|| BUILT_IN.to_owned(), |path| path.display().to_string()),
        tokens: file.about.tokens,
        inputs: &file.about.inputs,
        fingerprint: file.calibration.fingerprint(),
        windows: file.about.windows,
        left_out: &file.about.left_out,
        out: args.out.display().to_string(),
    };
    if session.common.json { output::json(&document) } else { output::print(&text_of(&document)) }
}

/// Statistics over a text, from the cache where they lie there already.
fn statistics(session: &Session, opened: &Opened, text: &str, limit: Option<usize>) -> anyhow::Result<CalibrationFile> {
    let model = Model::load(&opened.checkpoint)?;
    let tokenizer = opened.tokenizer(&model)?;
    let (ids, bos) = (tokenizer.encode_plain(text)?, tokenizer.opening());
    let options = CalibrateOptions { ids, bos, limit, widest: WIDEST_INPUT };
    let folder = session.locations.calibrations().ok_or_else(|| {
        anyhow::anyhow!("there is no cache folder to compute input statistics in; set HOME or XDG_CACHE_HOME")
    })?;
    let digests = session.locations.digests();
    let source = opened.checkpoint.fingerprint();
    if !is_calibrated(&model, &source, &options, &folder) {
        session.tell_need("calibrating", calibrating_need(&model, options.widest));
    }
    let (control, _progress) = session.phase("calibrating");
    let found = calibrate(&model, &source, &options, (&folder, digests.as_deref()), &control)?;
    found.notes.iter().for_each(warn);
    Ok(found.file)
}

impl Session {
    /// The statistics that a command works with: those of `--calibration`, or, where a plan needs some, those over the
    /// calibration text in the program. A policy that was made with others is told apart.
    ///
    /// # Errors
    /// A calibration file that is not of this model; a model that cannot run.
    pub fn calibration(
        &self,
        opened: &Opened,
        given: &CalibrationArg,
        plans: &[Plan],
        policy: Option<&Policy>,
    ) -> anyhow::Result<Option<Calibration>> {
        let needed = plans.iter().any(Plan::needs_statistics);
        let found = match &given.calibration {
            Some(path) => Some(self.read_calibration(opened, path)?),
            None if needed => Some(
                statistics(self, opened, CALIBRATION_TEXT, None)
                    .map_err(|error| error.context("a plan is weighted by activations and needs input statistics"))?
                    .calibration,
            ),
            None => None,
        };
        let made_with = policy.and_then(|policy| policy.calibration.as_deref());
        if let (Some(made_with), Some(found)) = (made_with.filter(|_| needed), &found)
            && made_with != found.fingerprint()
        {
            warn(
                "the policy was made with other input statistics than those in use; give them with --calibration FILE",
            );
        }
        Ok(found)
    }

    fn read_calibration(&self, opened: &Opened, path: &Path) -> anyhow::Result<Calibration> {
        let digests = self.locations.digests();
        let file = CalibrationFile::open(path, &opened.checkpoint.fingerprint(), digests.as_deref())?;
        file.about.notes().iter().for_each(warn);
        Ok(file.calibration)
    }
}

fn text_of(document: &Document<'_>) -> String {
    let mut table = Table::new(&["input of", ">layers", ">numbers", ">tokens", "kept"]);
    for input in document.inputs {
        let kept = match input.kind {
            InputKind::Gram => "second moments",
            InputKind::Diagonal => "mean squares",
        };
        table.row(vec![
            output::name(&input.name),
            input.layers.len().to_string(),
            input.width.to_string(),
            input.tokens.to_string(),
            kept.to_owned(),
        ]);
    }
    let Document { tokens, windows, fingerprint, out, .. } = document;
    format!("{}\n{tokens} tokens in {windows} windows; fingerprint {fingerprint}; wrote {out}\n", table.text())
}
