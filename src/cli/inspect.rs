//! `inspect`: every layer and tensor.

use std::collections::BTreeMap;

use serde::Serialize;

use super::args::InspectArgs;
use super::failure::warn;
use super::figures::Figures;
use super::output::{self, Table};
use super::session::{Opened, Session};
use crate::checkpoint::Checkpoint;
use crate::model::Layer;

#[derive(Debug, Serialize)]
struct Document<'a> {
    model: &'a str,
    architecture: Option<&'a str>,
    parameters: u64,
    bytes: u64,
    dtype: Option<String>,
    blocks: usize,
    layers: Vec<LayerRow<'a>>,
    tensors: Vec<TensorRow<'a>>,
}

#[derive(Debug, Serialize)]
struct LayerRow<'a> {
    name: &'a str,
    block: Option<usize>,
    kind: &'static str,
    shape: [usize; 2],
    dtype: String,
    bytes: u64,
    parameters: u64,
    #[serde(flatten)]
    figures: Option<Figures>,
}

#[derive(Debug, Serialize)]
struct TensorRow<'a> {
    name: &'a str,
    shape: &'a [usize],
    dtype: String,
    bytes: u64,
}

/// Runs the command.
///
/// # Errors
/// What is wrong with the model.
pub fn run(args: &InspectArgs, session: &Session) -> anyhow::Result<()> {
    let opened = session.open(&args.model.model)?;
    opened.warn_unless_it_runs();
    let figures = if args.spectrum { figures(session, &opened)? } else { BTreeMap::new() };
    let document = document(&opened, figures);
    if session.common.json { output::json(&document) } else { output::print(&text(&document)) }
}

/// Figures by layer name. Those of a layer that is stored compressed are empty, and of one that cannot be decomposed: a warning
/// says why.
fn figures(session: &Session, opened: &Opened) -> anyhow::Result<BTreeMap<String, Figures>> {
    let layers: Vec<&Layer> = opened.layers.iter().filter(|layer| !layer.fixed).collect();
    let all = session.spectra(opened, &layers)?;
    let known = layers.iter().zip(all).filter_map(|(layer, spectrum)| match spectrum {
        Ok(spectrum) => Some((layer.name.clone(), Figures::from(&spectrum))),
        Err(error) => {
            warn(format!("{error:#}"));
            None
        }
    });
    let mut found: BTreeMap<String, Figures> = known.collect();
    for layer in &opened.layers {
        found.entry(layer.name.clone()).or_default();
    }
    Ok(found)
}

fn document(opened: &Opened, mut figures: BTreeMap<String, Figures>) -> Document<'_> {
    let checkpoint = &opened.checkpoint;
    let tensors = checkpoint.tensors().iter();
    Document {
        model: checkpoint.label(),
        architecture: checkpoint.config().ok().and_then(|config| config.get("model_type")?.as_str()),
        parameters: parameters(opened),
        bytes: checkpoint.total_bytes(),
        dtype: prevailing_dtype(checkpoint),
        blocks: opened.blocks(),
        layers: opened.layers.iter().map(|layer| layer_row(layer, figures.remove(&layer.name))).collect(),
        tensors: tensors
            .map(|tensor| TensorRow {
                name: &tensor.name,
                shape: &tensor.shape,
                dtype: tensor.dtype.to_string(),
                bytes: tensor.data.len() as u64,
            })
            .collect(),
    }
}

fn layer_row(layer: &Layer, figures: Option<Figures>) -> LayerRow<'_> {
    LayerRow {
        name: &layer.name,
        block: layer.block,
        kind: layer.kind.name(),
        shape: [layer.rows, layer.cols],
        dtype: layer.dtype.to_string(),
        bytes: layer.bytes,
        parameters: layer.parameters(),
        figures,
    }
}

/// Elements of all tensors that are weights; of a layer that is stored compressed, those of the matrix that it stands for.
fn parameters(opened: &Opened) -> u64 {
    let fixed: Vec<&Layer> = opened.layers.iter().filter(|layer| layer.fixed).collect();
    // A fused tensor may be compressed as a whole, whose layers its parts are.
    let whole = |layer: &Layer| layer.part.as_ref()?.tensor.strip_suffix(".weight").map(str::to_owned);
    let stems: Vec<String> = fixed.iter().flat_map(|layer| [layer.stem(), whole(layer)]).flatten().collect();
    let is_part = |name: &str| {
        let parts = [".U", ".S", ".Vh", ".base"];
        let ends = |rest: &str| rest == ".weight" || parts.iter().any(|part| rest.starts_with(part));
        let of = |stem: &String| name.strip_prefix(stem.as_str()).is_some_and(ends);
        stems.iter().any(of)
    };
    let tensors = opened.checkpoint.weights().filter(|tensor| !is_part(&tensor.name));
    let plain: u64 = tensors.map(|tensor| tensor.elements() as u64).sum();
    plain + fixed.iter().map(|layer| layer.parameters()).sum::<u64>()
}

/// The type of most bytes.
fn prevailing_dtype(checkpoint: &Checkpoint) -> Option<String> {
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    for tensor in checkpoint.tensors() {
        *bytes.entry(tensor.dtype.to_string()).or_default() += tensor.data.len() as u64;
    }
    bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(dtype, _)| dtype)
}

fn text(document: &Document<'_>) -> String {
    let mut layers = Table::new(&[
        "layer",
        ">block",
        "kind",
        ">shape",
        "type",
        ">bytes",
        ">stable",
        ">effective",
        ">90 %",
        ">99 %",
        ">above noise",
        ">alpha",
    ]);
    for row in &document.layers {
        let mut cells = vec![
            output::name(row.name),
            row.block.map_or_else(String::new, |block| block.to_string()),
            row.kind.to_owned(),
            output::shape(&row.shape),
            row.dtype.clone(),
            output::bytes(row.bytes),
        ];
        cells.extend(row.figures.as_ref().map(Figures::cells).into_iter().flatten());
        layers.row(cells);
    }
    let mut tensors = Table::new(&["tensor that is no layer", ">shape", "type", ">bytes"]);
    let is_layer = |name: &str| document.layers.iter().any(|layer| layer.name == name);
    for row in document.tensors.iter().filter(|row| !is_layer(row.name)) {
        tensors.row(vec![
            output::name(row.name),
            output::shape(row.shape),
            row.dtype.clone(),
            output::bytes(row.bytes),
        ]);
    }
    format!(
        "{} ({}), {} parameters, {}, {}, {} blocks, {} layers\n\n{}\n{}",
        output::name(document.model),
        document.architecture.map_or_else(|| "unknown architecture".to_owned(), output::name),
        output::count(document.parameters),
        output::bytes(document.bytes),
        document.dtype.as_deref().unwrap_or("no tensors"),
        document.blocks,
        document.layers.len(),
        layers.text(),
        tensors.text(),
    )
}
