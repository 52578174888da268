//! A report of a comparison to hand on: figures, pictures and a page for people who have never seen the program. The same bytes
//! again for the same models, text and prompts.

mod about;
mod inside;
mod map_picture;
mod markdown;
mod page;
mod run;
mod text_picture;
mod warnings;
mod wrap;

pub use about::{ReportAbout, ReportText};
pub use run::{
    ReportBeside, ReportDamage, ReportLayer, ReportOther, ReportRequest, ReportedLayer, Writing, measure_report,
};

use self::map_picture::{MapFigure, map_svg};
use super::{
    CompareDocument, FrontierPoint, LayerDamage, Mode, Spectrum, SpectrumLine, frontier_json, frontier_svg, spectra_svg,
};
use crate::model::Kind;

/// Name of the page.
pub const PAGE: &str = "report.md";

/// All that a report tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was compared.
    pub about: ReportAbout,
    /// The comparison, with texts, attention and output errors.
    pub metrics: CompareDocument,
    /// Other policies on the same text.
    pub beside: Vec<ReportBeside>,
    /// Every layer, in the model's order.
    pub layers: Vec<ReportLayer>,
    /// Spectra of changed layers, by index.
    pub spectra: Vec<(usize, Spectrum)>,
    /// Texts that are drawn.
    pub writings: Vec<Writing>,
    /// Bytes against KLD of several policies; empty where they were not measured.
    pub frontier: Vec<FrontierPoint>,
}

impl Report {
    /// The layers that the policy changes, with their indexes.
    pub fn changed(&self) -> impl Iterator<Item = (usize, &ReportLayer)> {
        self.layers.iter().enumerate().filter(|(_, layer)| layer.is_changed())
    }

    /// Whether changed layers were tried one by one.
    pub fn was_scanned(&self) -> bool {
        self.changed().any(|(_, layer)| layer.damage.is_some())
    }

    /// Kinds of the layers whose spectra are drawn, each once.
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> =
            self.spectra.iter().filter_map(|(index, _)| Some(self.layers.get(*index)?.layer.kind)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The spectra of one kind in one picture.
    fn spectra_of(&self, kind: Kind) -> String {
        let line = |(index, spectrum)| {
            let (index, spectrum): (&usize, &Spectrum) = (index, spectrum);
            let layer = self.layers.get(*index).filter(|layer| layer.layer.kind == kind)?;
            let rank = Some(layer.plan.rank).filter(|rank| *rank > 0);
            Some(SpectrumLine { name: &layer.layer.name, spectrum, rank })
        };
        let lines: Vec<SpectrumLine<'_>> = self.spectra.iter().map(|(i, s)| (i, s)).filter_map(line).collect();
        spectra_svg(&format!("Singular values of the changed layers of kind {}", kind.name()), &lines)
    }

    /// Takes in what single layers do.
    pub fn take_damages(&mut self, damages: &[LayerDamage]) {
        for damage in damages {
            let over_noise = damage.over_noise(Mode::Only, f64::NAN);
            if let Some(row) = self.layers.get_mut(damage.layer).filter(|row| row.plan == damage.plan) {
                row.damage = Some(ReportDamage { kld: damage.change.kld.0, over_noise });
            }
        }
    }

    /// Every file of the folder, checksums apart.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![
            ("policy.json".to_owned(), self.about.policy.clone()),
            ("metrics.json".to_owned(), json(&self.metrics)),
            ("inputs.json".to_owned(), json(&self.about.inputs())),
            ("map-error.svg".to_owned(), map_svg(&self.layers, MapFigure::Error)),
            ("map-bytes.svg".to_owned(), map_svg(&self.layers, MapFigure::Bytes)),
            (PAGE.to_owned(), page::page(self)),
        ];
        files.extend(self.kinds().into_iter().map(|kind| (spectra_name(kind), self.spectra_of(kind))));
        files
            .extend(self.writings.iter().enumerate().map(|(index, of)| (text_name(index), text_picture::text_svg(of))));
        for (index, other) in self.beside.iter().enumerate() {
            files.push((beside_name(index, "policy"), other.policy.clone()));
            files.push((beside_name(index, "metrics"), json(&other.metrics)));
        }
        if !self.frontier.is_empty() {
            files.push(("frontier.svg".to_owned(), frontier_svg(&self.about.model, &self.frontier)));
            files.push(("frontier.json".to_owned(), frontier_json(&self.about.model, &self.frontier)));
        }
        files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
    }
}

/// File name of the spectra of a kind.
fn spectra_name(kind: Kind) -> String {
    format!("spectra-{}.svg", kind.name())
}

/// File name of the picture of a text, counted from 1.
fn text_name(index: usize) -> String {
    format!("text-{}.svg", index + 1)
}

/// File name of what belongs to another policy, counted from 1: its name may be anything.
fn beside_name(index: usize, what: &str) -> String {
    format!("beside-{}-{what}.json", index + 1)
}

/// A document on lines of its own; numbers, strings and lists alone cannot fail to be written.
fn json(document: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
