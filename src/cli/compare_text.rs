//! `compare`'s figures for people.

use std::fmt::Write as _;

use super::output::{self, Table, fast_line, figure, percent};
use crate::checkpoint::escaped;
use crate::measure::{AttentionShift, ChangedProbe, CompareDocument, Drift, Health, LayerError, RightModel};

/// Texts shown.
const SHOWN: usize = 5;
/// Characters of a text shown.
const LONG: usize = 100;

/// The whole page.
pub(super) fn text_of(document: &CompareDocument) -> String {
    let (kld, perplexity) = (&document.kld, &document.perplexity);
    let with_error = |value: f64, error: f64| format!("{} ± {}", figure(value), figure(error));
    let lines = [
        ("tokens scored", document.tokens.to_string()),
        ("KLD", format!("{} nats", with_error(kld.mean, kld.mean_se))),
        ("  median, 90 %", format!("{}, {}", figure(kld.median), figure(kld.p90))),
        ("  99 %, 99.9 %, max", format!("{}, {}, {}", figure(kld.p99), figure(kld.p999), figure(kld.max))),
        ("same top token", format!("{} ± {}", percent(document.top1_agreement), percent(document.top1_se))),
        ("perplexity", format!("{} to {}", figure(perplexity.original), figure(perplexity.compressed))),
        ("  ratio", with_error(perplexity.ratio, perplexity.ratio_se)),
        ("change of p", format!("mean {}, rms {}", figure(document.delta_p.mean), figure(document.delta_p.rms))),
        ("cosine of logits", format!("mean {}, least {}", figure(document.cosine.mean), figure(document.cosine.min))),
        ("MSE of logits", with_error(document.mse, document.mse_se)),
        (
            "bytes",
            format!("{} to {}", output::bytes(document.bytes.original), output::bytes(document.bytes.compressed)),
        ),
        ("bits per weight", output::maybe(document.bits_per_weight)),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<20} {value}");
    }
    if let Some(cost) = &document.fast {
        let _ = writeln!(text, "{}", fast_line(cost));
    }
    if let Some(probes) = &document.probes {
        let (original, compressed) = (percent(probes.original), percent(probes.compressed));
        let _ = writeln!(text, "{:<20} {original} to {compressed} of {}", "probes answered", probes.count);
    }
    let mut drift = Table::new(&[">block", ">cosine of states", ">norm ratio"]);
    for row in &document.drift {
        drift.row(vec![row.block.to_string(), figure(row.cosine), figure(row.norm_ratio)]);
    }
    text = text + "\n" + &drift.text() + &strayed(&document.drift);
    text += &document.probes.as_ref().map_or_else(String::new, |probes| changed(&probes.changed));
    let asked = &document.asked;
    let parts = [
        asked.layers.as_deref().map(layers),
        asked.attention.as_deref().map(attention),
        asked.health.as_ref().map(health),
    ];
    parts.into_iter().flatten().for_each(|part| {
        let _ = write!(text, "\n{part}");
    });
    text
}

/// The first probes that only one of the two models answers.
fn changed(cases: &[ChangedProbe]) -> String {
    let mut text = String::new();
    for ChangedProbe { prompt, expected, original, compressed, right } in cases.iter().take(SHOWN) {
        let _ = writeln!(text, "\n> {}", shortened_from_its_end(prompt));
        let _ = writeln!(text, "  expected   {}", shortened(expected));
        for (name, written, of) in
            [("original", original, RightModel::Original), ("compressed", compressed, RightModel::Compressed)]
        {
            let mark = if *right == of { " (right)" } else { "…" };
            let _ = writeln!(text, "  {name:<11}{}{mark}", shortened(written));
        }
    }
    if cases.len() > SHOWN {
        let _ = writeln!(text, "\n{} more changed; --json tells all", cases.len() - SHOWN);
    }
    text
}

/// Names the blocks whose state has less than half or more than twice the original's norm, or none that is a number.
fn strayed(drift: &[Drift]) -> String {
    let mut text = String::new();
    for row in drift.iter().filter(|row| !row.is_sound()) {
        let _ =
            writeln!(text, "block {}: the state's norm is {} times the original's", row.block, figure(row.norm_ratio));
    }
    text
}

/// Output errors, the worst first.
fn layers(errors: &[LayerError]) -> String {
    let mut sorted: Vec<&LayerError> = errors.iter().collect();
    sorted.sort_by(|a, b| b.output_error.total_cmp(&a.output_error));
    let mut table = Table::new(&["layer", ">output error"]);
    for error in sorted {
        table.row(vec![output::name(&error.name), percent(error.output_error)]);
    }
    table.text()
}

/// Attention of each block, before and after, and those whose logits grew or shrank.
fn attention(shifts: &[AttentionShift]) -> String {
    let mut table =
        Table::new(&[">block", ">entropy", ">after", ">scale of logits", ">after", ">largest weight", ">after"]);
    for AttentionShift { block, original, compressed } in shifts {
        let pairs = [
            (original.entropy, compressed.entropy),
            (original.scale, compressed.scale),
            (original.top, compressed.top),
        ];
        let cells = pairs.iter().flat_map(|(before, after)| [figure(*before), figure(*after)]);
        table.row(std::iter::once(block.to_string()).chain(cells).collect());
    }
    let mut text = table.text();
    for shift in shifts.iter().filter(|shift| !shift.is_sound()) {
        let (block, ratio) = (shift.block, figure(shift.scale_ratio()));
        let _ = writeln!(text, "block {block}: the logits of its attention have {ratio} times the original's scale");
    }
    text
}

/// Loops, diversity, and where texts part.
fn health(health: &Health) -> String {
    let Health { prompts, max_tokens, original, compressed, median_divergence, same, texts } = health;
    let pair =
        |before: Option<f64>, after: Option<f64>| format!("{} to {}", output::maybe(before), output::maybe(after));
    let lines = [
        ("texts", format!("{prompts} of at most {max_tokens} tokens, greedy")),
        ("looping", format!("{} to {}", percent(original.loop_rate), percent(compressed.loop_rate))),
        ("distinct bigrams", pair(original.distinct_2, compressed.distinct_2)),
        ("distinct trigrams", pair(original.distinct_3, compressed.distinct_3)),
        ("texts part after", format!("{} tokens (median); {} never do", figure(*median_divergence), percent(*same))),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<20} {value}");
    }
    let shown = texts.iter().filter(|pair| pair.divergence.is_some()).take(SHOWN);
    for pair in shown {
        let _ = writeln!(text, "\n> {}", shortened(&pair.prompt));
        let parts = pair.parting();
        for (name, of) in [("original", &pair.original), ("compressed", &pair.compressed)] {
            let mark = if of.looping { " (loops)" } else { "" };
            let begun = if parts > 0 { "…" } else { "" };
            let told = shortened(of.text.get(parts..).unwrap_or_default());
            let _ = writeln!(text, "  {name:<11}{begun}{told}{mark}");
        }
    }
    text
}

/// The beginning of a text on one line, safe to print.
fn shortened(text: &str) -> String {
    escaped(text.trim(), LONG)
}

/// The end of a text on one line, safe to print: the question that a probe asks.
fn shortened_from_its_end(text: &str) -> String {
    let text = escaped(text.trim(), usize::MAX);
    let over = text.chars().count().saturating_sub(LONG);
    if over == 0 { text } else { std::iter::once('…').chain(text.chars().skip(over + 1)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::AttentionFigures;

    #[test]
    fn probes_that_changed_are_shown_by_their_question() {
        let case = |right| ChangedProbe {
            prompt: format!("{} What did Jack lose?", "x".repeat(LONG)),
            expected: "His book.".into(),
            original: "His book.".into(),
            compressed: "His sp".into(),
            right,
        };
        let text = changed(&vec![case(RightModel::Original); SHOWN + 2]);
        assert_eq!(text.matches("xxx What did Jack lose?\n").count(), SHOWN, "{text}");
        assert!(
            text.contains("  expected   His book.\n  original   His book. (right)\n  compressed His sp…\n"),
            "{text}"
        );
        assert!(text.ends_with("\n2 more changed; --json tells all\n"), "{text}");
        assert_eq!(shortened_from_its_end(&"y".repeat(2 * LONG)).chars().count(), LONG);
        assert_eq!(changed(&[]), "");
    }

    #[test]
    fn blocks_whose_norm_explodes_or_fades_are_named() {
        let norms = [1.0, 2.5, 0.5, 0.4, f64::NAN, 2.0].into_iter().enumerate();
        let drift: Vec<Drift> = norms.map(|(block, norm_ratio)| Drift { block, cosine: 1.0, norm_ratio }).collect();
        let named: Vec<String> = strayed(&drift).lines().map(|line| line.chars().take(8).collect()).collect();
        assert_eq!(named, ["block 1:", "block 3:", "block 4:"]);
        assert!(strayed(&drift).contains("2.5000 times"));
    }

    #[test]
    fn blocks_whose_attention_grew_are_named() {
        let figures = |scale| AttentionFigures { entropy: 1.0, scale, top: 0.5 };
        let shift = |block, scale| AttentionShift { block, original: figures(2.0), compressed: figures(scale) };
        let text = attention(&[shift(0, 2.1), shift(1, 3.4), shift(2, 1.0)]);
        assert!(!text.contains("block 0:") && text.contains("block 1:") && text.contains("block 2:"), "{text}");
        assert!(text.contains("1.7000 times"), "{text}");
    }
}
