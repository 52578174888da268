//! What a person waits for between two tokens: a token of the built-in model by plan and arithmetic, and the change of a
//! layer's rank where its factors are kept.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on fails")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use half::f16;
use rankscope::checkpoint::Checkpoint;
use rankscope::compress::{FactorCache, Layout, Plan, compressed_weight};
use rankscope::control::Control;
use rankscope::linalg::Arithmetic;
use rankscope::model::{Model, argmax, layers_of};
use rankscope::workbench::DEMO;
use safetensors::tensor::{Dtype, TensorView};

/// Tokens before the one that is timed.
const CONTEXT: usize = 64;

/// The model with every layer by one plan.
fn compressed(checkpoint: &Checkpoint, plan: &Plan) -> Model {
    let (model, cache, control) = (Model::load(checkpoint).unwrap(), FactorCache::new(None), Control::new());
    if plan.is_dense() {
        return model;
    }
    layers_of(checkpoint).iter().enumerate().fold(model, |model, (index, layer)| {
        let weight = compressed_weight(checkpoint, layer, plan, Layout::Native, &cache, None, &control).unwrap();
        model.with_weight(index, Arc::new(weight))
    })
}

fn decode(c: &mut Criterion) {
    let checkpoint = Checkpoint::embedded(DEMO).unwrap();
    let control = Control::new();
    let mut group = c.benchmark_group("a token of the built-in model");
    for text in ["base=dense", "base=int8", "base=int4", "base=int4,rank=8", "base=none,rank=32"] {
        let exact = compressed(&checkpoint, &text.parse().unwrap());
        for (name, arithmetic) in [("exact", Arithmetic::Exact), ("fast", Arithmetic::Fast)] {
            let model = exact.with_arithmetic(arithmetic);
            let mut cache = model.cache();
            let prompt: Vec<u32> = (0..CONTEXT as u32).collect();
            let next = argmax(&model.forward(&prompt, &mut cache, &control).unwrap());
            group.throughput(Throughput::Bytes(model.bytes_per_token()));
            group.bench_function(BenchmarkId::new(name, text), |b| {
                b.iter(|| {
                    cache.truncate(CONTEXT);
                    black_box(model.forward(&[next], &mut cache, &control).unwrap());
                });
            });
        }
    }
}

/// A file with one layer.
fn layer_of(folder: &std::path::Path, rows: usize, cols: usize) -> Checkpoint {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f16::from_f32((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
    };
    let bytes: Vec<u8> = (0..rows * cols).flat_map(|_| next().to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F16, vec![rows, cols], &bytes).unwrap();
    let path = folder.join(format!("{rows}x{cols}.safetensors"));
    safetensors::serialize_to_file([("model.layers.0.self_attn.q_proj.weight", view)], None, &path).unwrap();
    Checkpoint::open(&path).unwrap()
}

fn rank_changes(c: &mut Criterion) {
    let (folder, control) = (tempfile::tempdir().unwrap(), Control::new());
    let mut group = c.benchmark_group("another rank, factors kept");
    group.sample_size(20);
    for (rows, cols) in [(2048, 2048), (8192, 2048)] {
        let checkpoint = layer_of(folder.path(), rows, cols);
        let layer = layers_of(&checkpoint).remove(0);
        let cache = FactorCache::new(None);
        let mut rank = 0;
        for text in ["base=none", "base=none,factors=f16", "base=int4"] {
            group.bench_function(BenchmarkId::new(text, format!("{rows}x{cols}")), |b| {
                b.iter(|| {
                    // In turns, so that nothing that is kept of the last one answers.
                    rank = if rank == 128 { 160 } else { 128 };
                    let plan: Plan = format!("{text},rank={rank}").parse().unwrap();
                    compressed_weight(&checkpoint, &layer, &plan, Layout::Native, &cache, None, &control).unwrap()
                });
            });
        }
    }
}

criterion_group!(benches, decode, rank_changes);
criterion_main!(benches);
