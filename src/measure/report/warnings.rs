//! What a reader should beware of.

use super::{Report, ReportLayer};
use crate::checkpoint::escaped;
use crate::measure::readable::{figure, percent};
use crate::measure::{FEW_TOKENS, PILLAR};

/// Least share of the whole KLD that a pillar costs alone to be named here.
const WORTH_NAMING: f64 = 0.01;
/// Layers and blocks that are named one by one.
const NAMED: usize = 12;

impl ReportLayer {
    /// Whether compressing it alone does far more damage than noise of the same size.
    pub fn is_pillar(&self) -> bool {
        self.damage.and_then(|damage| damage.over_noise).is_some_and(|ratio| ratio > PILLAR)
    }
}

impl Report {
    /// What stands out, each in one sentence of plain text.
    pub fn warnings(&self) -> Vec<String> {
        let metrics = &self.metrics;
        let mut found = Vec::new();
        if metrics.tokens < FEW_TOKENS {
            let count = metrics.tokens;
            found.push(format!("Only {count} positions were scored: the figures are rough, and so are their errors."));
        }
        if !metrics.kld.mean.is_finite() {
            found.push("The KLD is no number: the compressed model does not work.".to_owned());
        }
        found.extend(self.loops());
        let costs = |layer: &ReportLayer| layer.damage.is_some_and(|d| d.kld >= WORTH_NAMING * metrics.kld.mean);
        let pillars = self.changed().filter(|(_, layer)| layer.is_pillar() && costs(layer));
        let pillars: Vec<String> = pillars.map(|(_, layer)| pillar(layer)).collect();
        found.extend(some("layers like this are compressed", pillars));
        let strayed = metrics.drift.iter().filter(|row| !row.is_sound()).map(|row| {
            format!(
                "Block {}: its state has {} times the size that it has in the original.",
                row.block,
                figure(row.norm_ratio)
            )
        });
        found.extend(some("blocks like this", strayed.collect()));
        let attention = metrics.asked.attention.iter().flatten().filter(|shift| !shift.is_sound()).map(|shift| {
            let ratio = figure(shift.scale_ratio());
            format!("Block {}: the logits of its attention have {ratio} times the original's scale.", shift.block)
        });
        found.extend(some("blocks like this", attention.collect()));
        found.extend(some("layers like this", self.about.left.clone()));
        found
    }

    fn loops(&self) -> Option<String> {
        let health = self.metrics.asked.health.as_ref()?;
        let (before, after) = (health.original.loop_rate, health.compressed.loop_rate);
        (after > before).then(|| {
            format!(
                "{} of the texts that the compressed model writes end up repeating themselves, against {} of the original's.",
                percent(after),
                percent(before)
            )
        })
    }
}

fn pillar(layer: &ReportLayer) -> String {
    let damage = layer.damage.map_or(f64::NAN, |damage| damage.kld);
    let ratio = layer.damage.and_then(|damage| damage.over_noise).unwrap_or(f64::NAN);
    format!(
        "Layer {} is a pillar: compressing it alone costs a KLD of {}, {ratio:.0} times what noise of the same size does.",
        escaped(&layer.layer.name, 200),
        figure(damage),
    )
}

/// The first of many, and how many more there are.
fn some(like: &str, mut all: Vec<String>) -> Vec<String> {
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    if more > 0 {
        all.push(format!("{more} more {like}."));
    }
    all
}
