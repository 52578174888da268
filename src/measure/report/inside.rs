//! The parts of the page that go by layer and by block.

use super::Report;
use super::markdown::{code, table};
use crate::measure::readable::{bytes, figure, maybe, percent};
use crate::measure::{AttentionShift, Drift};

/// The changed layers, and their sum.
pub(super) fn layers(report: &Report) -> String {
    let scanned = report.was_scanned();
    let or_dash = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    let mut rows = Vec::new();
    let (mut before, mut after) = (0, 0);
    for (_, row) in report.changed() {
        let layer = &row.layer;
        (before, after) = (before + layer.bytes, after + row.bytes);
        let mut cells = vec![
            code(&layer.name),
            layer.kind.name().to_owned(),
            format!("{} x {}", layer.rows, layer.cols),
            row.plan.in_words(),
            bytes(layer.bytes),
            bytes(row.bytes),
            or_dash(row.weight_error),
            or_dash(row.output_error),
        ];
        if scanned {
            let mark = if row.is_pillar() { " (pillar)" } else { "" };
            cells.push(format!("{}{mark}", maybe(row.damage.map(|damage| damage.kld))));
        }
        rows.push(cells);
    }
    let mut sum = vec!["**sum**".to_owned(), String::new(), String::new(), String::new(), bytes(before), bytes(after)];
    sum.resize(if scanned { 9 } else { 8 }, String::new());
    rows.push(sum);
    let mut headings =
        vec!["layer", "kind", "shape", "plan", ">bytes before", ">bytes after", ">weight error", ">output error"];
    if scanned {
        headings.push(">KLD alone");
    }
    table(&headings, &rows)
}

/// State and attention of each block.
pub(super) fn blocks(report: &Report) -> String {
    let attention = report.metrics.asked.attention.as_deref().unwrap_or_default();
    let row = |drift: &Drift| {
        let shift = attention.iter().find(|shift| shift.block == drift.block);
        let of = |value: fn(&AttentionShift) -> f64| maybe(shift.map(value));
        vec![
            drift.block.to_string(),
            figure(drift.cosine),
            figure(drift.norm_ratio),
            of(|shift| shift.original.entropy),
            of(|shift| shift.compressed.entropy),
            of(AttentionShift::scale_ratio),
        ]
    };
    let headings =
        [">block", ">cosine of states", ">norm ratio", ">attention entropy", ">after", ">scale of its logits, ratio"];
    table(&headings, &report.metrics.drift.iter().map(row).collect::<Vec<_>>())
}
