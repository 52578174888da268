//! What the comparison says, line by line.

use super::paint::fit_end;
use crate::checkpoint::escaped;
use crate::measure::{AttentionShift, Comparison, Drift, Health, LayerError, Notation, TextOf, TextPair};
use crate::tui::format::{figure, percent};
use crate::tui::theme::Role;
use crate::workbench::Compared;

/// Pieces of a line, one after another.
pub type Line = Vec<(String, Role)>;

/// Columns of a figure's name.
const NAMES: usize = 19;
/// From this width on blocks show their largest weights too.
const WIDE: u16 = 66;
/// Characters of a text that may be shown.
const LONG: usize = 400;

/// The page, `width` columns wide.
pub fn lines(found: &Compared, width: u16) -> Vec<Line> {
    let mut lines = figures(&found.comparison);
    if let Some(fast) = &found.fast {
        let cost = format!("{} nats against exact", alike([fast.kld.mean, fast.kld.mean_se]).join(" ± "));
        lines.push(named("fast arithmetic", cost));
    }
    let text = found
        .text
        .as_ref()
        .map_or("evaluation text in the program".to_owned(), |path| escaped(&path.display().to_string(), LONG));
    lines.push(named("text", format!("{text}, {} tokens scored", found.comparison.tokens)));
    lines.push(Line::new());
    lines.extend(blocks(&found.comparison.drift, found.attention.as_deref(), width >= WIDE));
    if let Some(layers) = found.layers.as_deref().filter(|layers| !layers.is_empty()) {
        lines.push(Line::new());
        lines.push(vec![(format!("{:<46}{:>8}", "changed layers", "output error"), Role::Dim)]);
        let notation = Notation::of_shares(layers.iter().map(|layer| layer.output_error));
        lines.extend(layers.iter().map(|one| layer(one, notation)));
    }
    if let Some(health) = &found.health {
        lines.push(Line::new());
        lines.extend(texts(health));
    }
    lines
}

fn named(name: &str, value: String) -> Line {
    vec![(format!("{name:<NAMES$}"), Role::Dim), (value, Role::Text)]
}

fn figures(comparison: &Comparison) -> Vec<Line> {
    let Comparison { cosine, mse, kld, delta_p, top1, perplexity, .. } = comparison;
    let with_error = |value: f64, error: f64| alike([value, error]).join(" ± ");
    let mut first = named("KLD", format!("{} nats", with_error(kld.mean, kld.mean_se)));
    if let Some((_, role)) = first.get_mut(1) {
        *role = Role::Title;
    }
    let [mean, rms] = alike([delta_p.0, delta_p.1]);
    vec![
        first,
        named("  median, 90%", alike([kld.median, kld.p90]).join(", ")),
        named("  99%, 99.9%, max", alike([kld.p99, kld.p999, kld.max]).join(", ")),
        named("same top token", format!("{} ± {}", percent(top1.0), percent(top1.1))),
        named("perplexity", format!("{:.4} → {:.4}", perplexity.original, perplexity.compressed)),
        named("  ratio", format!("{:.5} ± {:.5}", perplexity.ratio, perplexity.ratio_se)),
        named("change of p", format!("mean {mean}, rms {rms}")),
        named("cosine of logits", format!("mean {:.6}, least {:.6}", cosine.0, cosine.1)),
        named("MSE of logits", with_error(mse.0, mse.1)),
    ]
}

/// Figures of one line, written alike.
fn alike<const N: usize>(values: [f64; N]) -> [String; N] {
    let notation = Notation::of(values);
    values.map(|value| notation.inline(value))
}

/// State and attention of each block; those that strayed are marked.
fn blocks(drift: &[Drift], attention: Option<&[AttentionShift]>, wide: bool) -> Vec<Line> {
    let head = format!("{:>5}{:>10}{:>7}", "block", "cosine", "norm");
    let more = format!("{:>16}{:>16}", "entropy", "scale");
    let most = if wide { format!("{:>16}", "largest weight") } else { String::new() };
    let head = if attention.is_some() { head + &more + &most } else { head };
    let row = |drift: &Drift| {
        let shift = attention.and_then(|shifts| shifts.get(drift.block));
        let stray = !drift.is_sound() || shift.is_some_and(|shift| !shift.is_sound());
        let mut line = vec![(if stray { "!" } else { " " }.to_owned(), Role::Bad)];
        line.extend(state_of(drift));
        line.extend(shift.map(|shift| attention_of(shift, wide)).unwrap_or_default());
        line
    };
    std::iter::once(vec![(head, Role::Dim)]).chain(drift.iter().map(row)).collect()
}

fn state_of(drift: &Drift) -> Line {
    let norm = if drift.is_sound() { Role::Text } else { Role::Bad };
    vec![
        (format!("{:>4}{:>10.6}", drift.block, drift.cosine), Role::Text),
        (format!("{:>7}", format!("{:.3}×", drift.norm_ratio)), norm),
    ]
}

fn attention_of(shift: &AttentionShift, wide: bool) -> Line {
    let AttentionShift { original, compressed, .. } = shift;
    let pair = |before: f64, after: f64| format!("{:>16}", alike([before, after]).join(" → "));
    let scale = if shift.is_sound() { Role::Text } else { Role::Bad };
    let mut line =
        vec![(pair(original.entropy, compressed.entropy), Role::Text), (pair(original.scale, compressed.scale), scale)];
    if wide {
        line.push((pair(original.top, compressed.top), Role::Text));
    }
    line
}

fn layer(error: &LayerError, notation: Notation) -> Line {
    let name = fit_end(&escaped(&error.name, LONG), 44);
    vec![(format!("{name:<46}"), Role::Text), (format!("{:>12}", notation.write(error.output_error)), Role::Text)]
}

/// Loops, diversity, and the texts that part.
fn texts(health: &Health) -> Vec<Line> {
    let Health { prompts, max_tokens, original, compressed, median_divergence, same, texts } = health;
    let shown = |value: Option<f64>| value.map_or("–".to_owned(), figure);
    let pair = |before, after| format!("{} → {}", shown(before), shown(after));
    let worse = compressed.loop_rate > original.loop_rate;
    let loops = format!("{} → {}", percent(original.loop_rate), percent(compressed.loop_rate));
    let head = [
        named("texts", format!("{prompts} prompts, at most {max_tokens} tokens each, greedy")),
        vec![(format!("{:<NAMES$}", "looping"), Role::Dim), (loops, if worse { Role::Bad } else { Role::Text })],
        named("distinct 2-grams", pair(original.distinct_2, compressed.distinct_2)),
        named("distinct 3-grams", pair(original.distinct_3, compressed.distinct_3)),
        named("part after", format!("{median_divergence} tokens (median); {} never do", percent(*same))),
    ];
    let parted = texts.iter().filter(|pair| pair.divergence.is_some());
    head.into_iter().chain(parted.flat_map(texts_of)).collect()
}

fn texts_of(pair: &TextPair) -> Vec<Line> {
    let begun = if pair.parting() > 0 { "…" } else { "" };
    let line = |name: &str, of: &TextOf| {
        let told = escaped(of.text.get(pair.parting()..).unwrap_or_default().trim(), LONG);
        let looping = if of.looping { ("↻ ".to_owned(), Role::Bad) } else { (String::new(), Role::Text) };
        vec![(format!("  {name:<12}"), Role::Dim), looping, (format!("{begun}{told}"), Role::Text)]
    };
    vec![
        Line::new(),
        vec![(escaped(pair.prompt.trim(), LONG), Role::Title)],
        line("original", &pair.original),
        line("compressed", &pair.compressed),
    ]
}
