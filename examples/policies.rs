//! The policies of the experiment that this project began with, as one table: truncated SVD with INT8 factors at a quarter of
//! the full rank, on the key projections, all attention, all layers, and block by block, with and without norm correction.
//!
//! `cargo run --release --example policies [MODEL] > assets/report/policies.md`

use anyhow::Context as _;
use rankscope::checkpoint::{Checkpoint, Tokenizer};
use rankscope::compress::{FactorCache, Plan, measured_error};
use rankscope::control::Control;
use rankscope::measure::{CompareOptions, ModelMeter, attention_shift, compare, health, layer_errors};
use rankscope::model::{Kind, Model};
use rankscope::workbench::{DEMO, EVALUATION_TEXT, PROMPTS};

/// Most tokens of the evaluation text.
const TOKENS: usize = 8192;
/// Tokens written after each prompt.
const WRITTEN: usize = 96;
/// Characters of a text shown.
const SHOWN: usize = 96;

/// A policy: its name and the plans of the layers that it changes.
struct Policy {
    name: String,
    plans: Vec<(usize, Plan)>,
}

fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1);
    let checkpoint = match &name {
        None => Checkpoint::embedded(DEMO)?,
        Some(path) => Checkpoint::open(path.as_ref()).with_context(|| path.clone())?,
    };
    let model = Model::load(&checkpoint)?;
    let tokenizer = checkpoint.tokenizer()?;
    let ids = tokenizer.encode_plain(EVALUATION_TEXT)?;
    let text = CompareOptions { ids, bos: tokenizer.opening(), limit: Some(TOKENS) };
    let cache = FactorCache::new(None);
    let meter = ModelMeter {
        checkpoint: &checkpoint,
        model: &model,
        cache: &cache,
        calibration: None,
        text: &text,
        passes: None,
    };
    println!("# The source report's policies on {}\n", checkpoint.label());
    println!(
        "Truncated SVD, rank a quarter of min(m, n), INT8 factors; \"corrected\": norm correction. {TOKENS} tokens of the evaluation\n\
         text; errors are means over the changed layers (of the output: on that text); loops of 96 greedy tokens after each bundled\n\
         prompt; scale: the largest change of any block's attention logits. Made by `cargo run --release --example policies`.\n"
    );
    println!(
        "| policy | bytes | weight error | output error | cosine | MSE | KLD | perplexity | loops | scale | text |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|");
    for policy in policies(&model) {
        println!("{}", row(&policy, &meter, &tokenizer)?);
    }
    Ok(())
}

/// None, three groups and every block's keys, each plain and corrected.
fn policies(model: &Model) -> Vec<Policy> {
    let mut all = vec![Policy { name: "original".to_owned(), plans: Vec::new() }];
    let attention = [Kind::Q, Kind::K, Kind::V, Kind::O, Kind::Qkv];
    let mut add = |name: &str, wanted: &dyn Fn(Kind, Option<usize>) -> bool| {
        for norm_correction in [false, true] {
            let layers = model.layers().iter().enumerate();
            let plans =
                layers.filter(|(_, layer)| !layer.fixed && wanted(layer.kind, layer.block)).map(|(index, layer)| {
                    let rank = (layer.rows.min(layer.cols) / 4).max(1);
                    (index, Plan { norm_correction, ..Plan::low_rank(rank) })
                });
            let name = if norm_correction { format!("{name}, corrected") } else { name.to_owned() };
            all.push(Policy { name, plans: plans.collect() });
        }
    };
    add("keys", &|kind, _| kind == Kind::K);
    add("attention", &|kind, _| attention.contains(&kind));
    add("all layers", &|_, _| true);
    for left in 0..model.architecture().blocks {
        add(&format!("keys but block {left}'s"), &|kind, block| kind == Kind::K && block != Some(left));
    }
    for only in 0..model.architecture().blocks {
        add(&format!("keys of block {only}"), &|kind, block| kind == Kind::K && block == Some(only));
    }
    all
}

fn row(policy: &Policy, meter: &ModelMeter<'_>, tokenizer: &Tokenizer) -> anyhow::Result<String> {
    let (control, original) = (Control::new(), meter.model);
    let compressed = meter.compressed(&policy.plans, &control)?;
    let weight_errors = policy.plans.iter().filter_map(|(index, _)| {
        let layer = original.layers().get(*index)?;
        let matrix = layer.matrix(meter.checkpoint)?;
        measured_error(&matrix, compressed.weight(*index)?, &control).ok()
    });
    let weight_error = mean(&weight_errors.collect::<Vec<_>>());
    let output_errors = layer_errors((original, &compressed), meter.text, &control)?;
    let output_error = mean(&output_errors.iter().map(|layer| layer.output_error).collect::<Vec<_>>());
    let shifts = attention_shift((original, &compressed), meter.text, &control)?;
    let far = |ratio: f64| ratio.ln().abs();
    let scale =
        shifts.iter().map(rankscope::measure::AttentionShift::scale_ratio).max_by(|a, b| far(*a).total_cmp(&far(*b)));
    let found = compare(original, &compressed, meter.text, &control)?;
    let prompts: Vec<String> = PROMPTS.lines().map(str::to_owned).collect();
    let written = health((original, &compressed), tokenizer, &prompts, WRITTEN, &control)?;
    let first = written.texts.first().map_or("", |pair| pair.compressed.text.trim());
    let shown: String = first.chars().take(SHOWN).collect::<String>().replace('|', "\\|").replace('\n', " ");
    Ok(format!(
        "| {} | {} | {} | {} | {:.4} | {} | {} | {:.3} | {:.0}% | {:.2} | {shown} |",
        policy.name,
        compressed.weight_bytes(),
        share(weight_error),
        share(output_error),
        found.cosine.0,
        small(found.mse.0),
        small(found.kld.mean),
        found.perplexity.compressed,
        100.0 * written.compressed.loop_rate,
        scale.unwrap_or(1.0),
    ))
}

fn mean(values: &[f64]) -> f64 {
    // The sum of nothing is -0.
    (values.iter().sum::<f64>() + 0.0) / values.len().max(1) as f64
}

fn share(value: f64) -> String {
    format!("{:.1}%", 100.0 * value)
}

fn small(value: f64) -> String {
    if value == 0.0 || value >= 0.01 { format!("{value:.3}") } else { format!("{value:.1e}") }
}
