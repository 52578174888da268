//! How fast the inner loops are: bytes of weights a second (decode), products a second (prefill), decompositions.
#![expect(clippy::expect_used, reason = "a bench has nobody to report an error to")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use half::{bf16, f16};
use rankscope::checkpoint::View;
use rankscope::control::Control;
use rankscope::linalg::{
    Arithmetic, InputStatistics, Matrix, Moments, Order, Values, decompose, decompose_weighted, quantize_groups,
    quantize_rows, quantize4, singular_values,
};

const ROWS: usize = 2048;
const COLS: usize = 8192;

/// Numbers in -1..1, always the same.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// The same matrix in every format.
fn formats() -> Vec<(&'static str, Matrix)> {
    let w = numbers(ROWS * COLS);
    let halves: Vec<f16> = w.iter().map(|x| f16::from_f32(*x)).collect();
    let brain: Vec<bf16> = w.iter().map(|x| bf16::from_f32(*x)).collect();
    let (rows_quant, rows_scales) = quantize_rows(&w, ROWS, COLS);
    let (groups_quant, groups_scales) = quantize_groups(&w, ROWS, COLS, 32);
    let values = |quant: Vec<i8>, scales: Vec<f32>, group| Values::I8 {
        quant: View::copied(&quant),
        scales: View::copied(&scales),
        group,
    };
    let all = [
        ("f32", Order::RowMajor, Values::F32(View::copied(&w))),
        ("f16", Order::RowMajor, Values::F16(View::copied(&halves))),
        ("bf16", Order::RowMajor, Values::Bf16(View::copied(&brain))),
        ("int8", Order::RowMajor, values(rows_quant, rows_scales, None)),
        ("int8_g32", Order::RowMajor, values(groups_quant, groups_scales, Some(32))),
        ("conv1d_f32", Order::ColumnMajor, Values::F32(View::copied(&w))),
        ("conv1d_f16", Order::ColumnMajor, Values::F16(View::copied(&halves))),
    ];
    let int4 = ("int4_g32", quantize4(&w, ROWS, COLS, 32, None).expect("the counts fit"));
    all.into_iter()
        .map(|(name, order, values)| (name, Matrix::new(ROWS, COLS, order, values).expect("the counts fit")))
        .chain([int4])
        .collect()
}

fn products(c: &mut Criterion) {
    let formats = formats();
    let mut group = c.benchmark_group("decode 2048x8192");
    let (x, mut y) = (numbers(COLS), vec![0.0; ROWS]);
    for (name, matrix) in &formats {
        group.throughput(Throughput::Bytes(matrix.bytes()));
        group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| matrix.apply(&x, &mut y)));
        if name.starts_with("int") {
            let fast = |b: &mut criterion::Bencher<'_>| b.iter(|| matrix.apply_in(Arithmetic::Fast, &x, &mut y));
            group.bench_function(BenchmarkId::new("fast", name), fast);
        }
    }
    group.finish();

    let tokens = 256;
    let mut group = c.benchmark_group("prefill 2048x8192, 256 tokens");
    group.sample_size(10);
    let (x, mut y) = (numbers(tokens * COLS), vec![0.0; tokens * ROWS]);
    for (name, matrix) in &formats {
        group.throughput(Throughput::Elements((2 * ROWS * COLS * tokens) as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| matrix.apply(&x, &mut y)));
        let fast = |b: &mut criterion::Bencher<'_>| b.iter(|| matrix.apply_in(Arithmetic::Fast, &x, &mut y));
        group.bench_function(BenchmarkId::new("fast", name), fast);
    }
}

/// Where handing work to other threads begins to pay.
fn small_products(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode f16");
    for size in [128, 256, 384, 512, 1024] {
        let w: Vec<f16> = numbers(size * size).into_iter().map(f16::from_f32).collect();
        let matrix = Matrix::from_f16(size, size, &w).expect("the counts fit");
        let (x, mut y) = (numbers(size), vec![0.0; size]);
        group.throughput(Throughput::Bytes(matrix.bytes()));
        group.bench_function(BenchmarkId::from_parameter(size), |b| b.iter(|| matrix.apply(&x, &mut y)));
    }
}

/// One layer on one thread, by what is wanted of it.
fn decompositions(c: &mut Criterion) {
    for (rows, cols) in [(512, 512), (2048, 512), (512, 2048), (2048, 2048)] {
        let mut group = c.benchmark_group(format!("decompose {rows}x{cols}"));
        group.sample_size(10);
        let (w, control) = (numbers(rows * cols), Control::new());
        group.bench_function("values", |b| b.iter(|| singular_values(&w, rows, cols, &control)));
        group.bench_function("vectors", |b| b.iter(|| decompose(&w, rows, cols, &control)));
        // Inputs of different sizes that do not go together, but are handled as if they might.
        let moment = |i: usize, j: usize| if i == j { (i + 1) as f32 } else { 0.0 };
        let moments = Moments::Gram((0..cols).flat_map(|i| (0..=i).map(move |j| moment(i, j))).collect());
        let statistics = InputStatistics { width: cols, tokens: 1, moments };
        group.bench_function("weighted", |b| b.iter(|| decompose_weighted(&w, rows, cols, &statistics, &control)));
    }
}

criterion_group!(benches, products, small_products, decompositions);
criterion_main!(benches);
