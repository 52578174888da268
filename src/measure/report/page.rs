//! The page: what was compared, what came out, and what each figure means.

use std::fmt::Write as _;

use super::markdown::{block, code, picture, plain, table};
use super::{Report, Writing, beside_name, inside, spectra_name, text_name};
use crate::measure::readable::{bytes, count, figure, maybe, percent};
use crate::measure::{CompareDocument, Health};

/// All of it.
pub(super) fn page(report: &Report) -> String {
    let parts = [
        opening(report),
        section("The figures", &totals(report)),
        section("Other policies beside it", &beside(report)),
        section("What to beware of", &beware(report)),
        section("The map", &map()),
        section("The layers that changed", &changed(report)),
        section("Spectra", &spectra(report)),
        section("Bytes against damage", &frontier(report)),
        section("What both models write", &texts(report)),
        section("Inside, block by block", &blocks(report)),
        section("Inputs and files", &inputs(report)),
    ];
    parts.concat()
}

/// A section; nothing without a text.
fn section(title: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\n## {title}\n\n{text}") }
}

fn opening(report: &Report) -> String {
    let (about, metrics) = (&report.about, &report.metrics);
    let (all, changed) = (report.layers.len(), report.changed().count());
    let text = match &about.text.name {
        Some(name) => format!("the text {}", code(name)),
        None => "the evaluation text that is part of the program".to_owned(),
    };
    let health = metrics.asked.health.as_ref();
    let (prompts, most) = health.map_or((0, 0), |health| (health.prompts, health.max_tokens));
    format!(
        "# {} and its compressed form\n\n\
         This report compares a language model with a smaller form of itself. The *original* is {} (family {}, {} parameters, \
         {}). The *compressed* model is the same but for {changed} of its {all} layers, the matrices that it multiplies by: they \
         are stored as [policy.json](policy.json) says, and take less room.\n\n\
         Both models read {text}. At {} positions of it their probabilities for the next token were compared. Then both went on \
         after {prompts} prompts by at most {most} tokens, always with the token that they find likeliest. All arithmetic was \
         exact: what differs comes from the compression alone.\n\n{}\n",
        code(&about.model),
        code(&about.model),
        code(&about.family),
        count(about.parameters),
        bytes(metrics.bytes.original),
        metrics.tokens,
        in_short(report),
    )
}

/// What somebody who reads no further should know.
fn in_short(report: &Report) -> String {
    let metrics = &report.metrics;
    let share = metrics.bytes.compressed as f64 / metrics.bytes.original.max(1) as f64;
    let heed = match report.warnings().len() {
        0 => "Nothing stands out to beware of.",
        1 => "There is one thing to beware of, told below.",
        _ => "There are things to beware of, told below.",
    };
    format!(
        "**In short:** {} of the original's bytes, and the same next token likeliest at {} of the positions, with a mean KLD of {} \
         nats (0 is equal). {heed}",
        percent(share),
        percent(metrics.top1_agreement),
        figure(metrics.kld.mean),
    )
}

fn totals(report: &Report) -> String {
    let metrics = &report.metrics;
    let with_error = |value: f64, error: f64| format!("{} ± {}", figure(value), figure(error));
    let share = metrics.bytes.compressed as f64 / metrics.bytes.original.max(1) as f64;
    let (kld, perplexity) = (&metrics.kld, &metrics.perplexity);
    let before = &metrics.bytes;
    let mut rows = vec![
        [
            "size".to_owned(),
            format!("{} to {} ({})", bytes(before.original), bytes(before.compressed), percent(share)),
            "bytes of all tensors as they are stored".to_owned(),
        ],
        [
            "bits per weight".to_owned(),
            metrics.bits_per_weight.map_or_else(|| "-".to_owned(), |bits| format!("{bits:.2}")),
            "bits that a number of the layers takes on average, scales included".to_owned(),
        ],
        [
            "KLD".to_owned(),
            format!("{} nats", with_error(kld.mean, kld.mean_se)),
            "how far the compressed model's probabilities lie from the original's, on average over the positions; 0 is equal".to_owned(),
        ],
        [
            "KLD at the worst".to_owned(),
            format!("99 % below {}, largest {}", figure(kld.p99), figure(kld.max)),
            "the same at the few positions where it is largest".to_owned(),
        ],
        [
            "same top token".to_owned(),
            format!("{} ± {}", percent(metrics.top1_agreement), percent(metrics.top1_se)),
            "how often both find the same next token likeliest".to_owned(),
        ],
        [
            "perplexity".to_owned(),
            format!("{} to {}", figure(perplexity.original), figure(perplexity.compressed)),
            "how surprised each model is by the text: as if it had to guess among so many tokens; lower is better".to_owned(),
        ],
        [
            "perplexity ratio".to_owned(),
            with_error(perplexity.ratio, perplexity.ratio_se),
            "the second over the first; 1 is equal".to_owned(),
        ],
    ];
    rows.extend(metrics.asked.health.iter().flat_map(written));
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    let more = "\nWhat follows a ± is one standard error. All figures, with more of them, are in [metrics.json](metrics.json).\n";
    table(&["figure", ">value", "what it means"], &rows) + more
}

/// What other policies come to on the same text.
fn beside(report: &Report) -> String {
    if report.beside.is_empty() {
        return String::new();
    }
    let row = |name: String, metrics: &CompareDocument| {
        let with_error = |value: String, error: String| format!("{value} ± {error}");
        let (kld, ratio) = (&metrics.kld, &metrics.perplexity);
        vec![
            name,
            bytes(metrics.bytes.compressed),
            maybe(metrics.bits_per_weight),
            with_error(figure(kld.mean), figure(kld.mean_se)),
            with_error(percent(metrics.top1_agreement), percent(metrics.top1_se)),
            with_error(figure(ratio.ratio), figure(ratio.ratio_se)),
        ]
    };
    let mut rows = vec![row("[this one](policy.json)".to_owned(), &report.metrics)];
    for (index, other) in report.beside.iter().enumerate() {
        let (policy, metrics) = (beside_name(index, "policy"), beside_name(index, "metrics"));
        rows.push(row(format!("{} ([policy]({policy}), [metrics]({metrics}))", code(&other.name)), &other.metrics));
    }
    let head = ["policy", ">size", ">bits per weight", ">KLD", ">same top token", ">perplexity ratio"];
    "The same original and the same text, compared with what other policies make of the model. All else on this page is about this one.\n\n"
        .to_owned()
        + &table(&head, &rows)
}

/// Figures of the texts that were written.
fn written(health: &Health) -> [[String; 3]; 2] {
    let (before, after) = (percent(health.original.loop_rate), percent(health.compressed.loop_rate));
    let same = percent(health.same);
    [
        [
            "loops".to_owned(),
            format!("{before} to {after}"),
            "texts that end up repeating themselves, a common sign of damage".to_owned(),
        ],
        [
            "texts part after".to_owned(),
            format!("{:.1} tokens (median), {same} never", health.median_divergence),
            "how long both write the very same text; a text that parts may still be as good".to_owned(),
        ],
    ]
}

fn beware(report: &Report) -> String {
    let warnings = report.warnings();
    let mut text = if warnings.is_empty() {
        "Nothing stands out: enough positions were scored, no block's state or attention strays, and the compressed model's texts \
         loop no more often than the original's.\n"
            .to_owned()
    } else {
        warnings.iter().fold(String::new(), |text, warning| format!("{text}- {}\n", plain(warning)))
    };
    if !report.was_scanned() && report.changed().next().is_some() {
        text += "\nLayers were not tried one by one with these plans, so nothing is known of *pillars*: layers whose compression costs far more \
                 than the size of its error tells.\n";
    }
    text
}

fn map() -> String {
    "Each row is a block of the model, each column a kind of layer: queries, keys, values and output of the attention (q, k, v, \
     o), then the parts of the feed-forward network. The error is that of the layer's output on the text: the length of what \
     changed over the length of what was.\n\n"
        .to_owned()
        + &picture("Error of each layer's output, blocks by kinds", "map-error.svg")
        + "\n"
        + &picture("Bytes left of each layer, blocks by kinds", "map-bytes.svg")
}

fn changed(report: &Report) -> String {
    if report.changed().next().is_none() {
        return "The policy changes no layer.\n".to_owned();
    }
    let mut text = "A plan says how a layer is stored: as numbers rounded to 8 or 4 bits (*int8*, *int4*; those of a group share a scale), as \
                    a product of two thin matrices (*rank 48* is their width, and what follows the type of their numbers), or as both \
                    added up. What is *weighted by inputs* was chosen to keep what the layer makes of its usual inputs; where *U* is \
                    *refitted*, the first of the two matrices makes up for the rounding of the second. The weight error is that of the \
                    matrix itself, the output error that of what it makes of the inputs it gets on the text.\n\n"
        .to_owned();
    text += &inside::layers(report);
    if report.was_scanned() {
        text += "\n*KLD alone* is what compressing this layer and no other costs.\n";
    }
    text
}

fn spectra(report: &Report) -> String {
    if report.spectra.is_empty() {
        return String::new();
    }
    let mut text = "The singular values of a matrix, the largest first, on a logarithmic scale: the faster they fall, the less is lost \
                    by a low rank. A ring marks the rank that is kept, a dot the largest value that noise of the same size would have.\n"
        .to_owned();
    for kind in report.kinds() {
        let shows = format!("Singular values of the changed layers of kind {}", kind.name());
        let _ = write!(text, "\n{}", picture(&shows, &spectra_name(kind)));
    }
    text
}

fn frontier(report: &Report) -> String {
    if report.frontier.is_empty() {
        return String::new();
    }
    "What other policies would give on the same model and text: the further down and to the left, the better. The numbers are in \
     [frontier.json](frontier.json).\n\n"
        .to_owned()
        + &picture("Bytes against KLD of several policies", "frontier.svg")
}

fn texts(report: &Report) -> String {
    if report.writings.is_empty() {
        return String::new();
    }
    let mut text = "Coloured words come after the first difference. The ground behind the original's words is the darker the larger \
                    the KLD there; the strip below shows it token by token.\n"
        .to_owned();
    for (index, writing) in report.writings.iter().enumerate() {
        let _ = write!(text, "\n### Text {}\n\n{}", index + 1, one_text(index, writing));
    }
    text
}

fn one_text(index: usize, writing: &Writing) -> String {
    let parts = match writing.divergence {
        Some(at) => format!("The texts part at token {}.", at + 1),
        None => "The texts are the same.".to_owned(),
    };
    let mut text =
        format!("{}\n{parts}\n", picture(&format!("Both texts after prompt {}", index + 1), &text_name(index)));
    let pieces = [("Prompt", writing.prompt.clone()), ("Original", writing.original.concat())];
    let last = writing.divergence.map(|_| ("Compressed", writing.compressed.concat()));
    for (name, words) in pieces.into_iter().chain(last) {
        let _ = write!(text, "\n{name}:\n\n{}", block(&words));
    }
    text
}

fn blocks(report: &Report) -> String {
    "The state is what one block hands on to the next. Its cosine with the original's (1 is equal) and the ratio of their lengths \
     (1 is equal) say where the two models begin to differ. The entropy of the attention says how widely it looks: a fall after \
     compression means that it fixes on fewer tokens.\n\n"
        .to_owned()
        + &inside::blocks(report)
}

fn inputs(report: &Report) -> String {
    let about = &report.about;
    let mut rows = vec![
        vec!["program".to_owned(), format!("rankscope {}", about.version), String::new()],
        vec!["model".to_owned(), code(&about.model), code(&about.fingerprint)],
        vec!["policy".to_owned(), "[policy.json](policy.json)".to_owned(), code(&about.policy_sha256())],
        vec![
            "text".to_owned(),
            about.text.name.as_deref().map_or_else(|| "in the program".to_owned(), code),
            code(&about.text.sha256),
        ],
    ];
    let statistics =
        about.calibration.as_deref().map(|known| vec!["input statistics".into(), String::new(), code(known)]);
    rows.extend(statistics);
    format!(
        "{}\nThese digests are in [inputs.json](inputs.json) too. `sha256sum -c SHA256SUMS` in this folder checks that its files are as \
         they were written; the same program with the same inputs writes the same files again.\n",
        table(&["input", "name", "fingerprint"], &rows)
    )
}
