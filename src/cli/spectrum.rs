//! `spectrum`: singular values and what they say.

use std::fmt::Write as _;

use serde::Serialize;

use super::args::SpectrumArgs;
use super::figures::Figures;
use super::output::{self, Table};
use super::session::{Session, any_of};
use crate::checkpoint::replace_file;
use crate::measure::{Spectrum, SpectrumLine, spectra_svg};
use crate::model::Layer;

#[derive(Debug, Serialize)]
struct Document<'a> {
    layers: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    shape: [usize; 2],
    #[serde(flatten)]
    figures: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Values<'a>>,
}

/// The values that were asked for; null of a layer whose spectrum cannot be had.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Values<'a>(Option<&'a [f32]>);

/// Runs the command.
///
/// # Errors
/// What is wrong with the model, or with all of the layers; a file that cannot be written.
pub fn run(args: &SpectrumArgs, session: &Session) -> anyhow::Result<()> {
    let opened = session.open(&args.model.model)?;
    let layers = opened.matching(&args.layer)?;
    let spectra = any_of(session.spectra(&opened, &layers)?)?;
    if let Some(path) = &args.svg {
        let line = |(layer, of)| {
            let (layer, of): (&&Layer, &Option<Spectrum>) = (layer, of);
            Some(SpectrumLine { name: &layer.name, spectrum: of.as_ref()?, rank: None })
        };
        let lines: Vec<SpectrumLine<'_>> = layers.iter().zip(&spectra).filter_map(line).collect();
        let drawing = spectra_svg("Singular values", &lines);
        replace_file(path, args.force, &opened.inputs(), |out| out.write_all(drawing.as_bytes()))?;
    }
    let rows = layers.iter().zip(&spectra).map(|(layer, spectrum)| Row {
        name: &layer.name,
        shape: [layer.rows, layer.cols],
        figures: spectrum.as_ref().map(Figures::from).unwrap_or_default(),
        values: args.values.then(|| Values(spectrum.as_ref().map(|spectrum| spectrum.values.as_slice()))),
    });
    let document = Document { layers: rows.collect() };
    if session.common.json { output::json(&document) } else { output::print(&text(&document)) }
}

fn text(document: &Document<'_>) -> String {
    let mut table =
        Table::new(&["layer", ">shape", ">stable", ">effective", ">90 %", ">99 %", ">above noise", ">alpha"]);
    for row in &document.layers {
        table.row([vec![output::name(row.name), output::shape(&row.shape)], row.figures.cells().to_vec()].concat());
    }
    let mut text = table.text();
    for (name, values) in document.layers.iter().filter_map(|row| Some((row.name, row.values.as_ref()?.0?))) {
        let values: Vec<String> = values.iter().map(|s| output::figure(f64::from(*s))).collect();
        let _ = writeln!(text, "\n{}\n{}", output::name(name), values.join(" "));
    }
    text
}
