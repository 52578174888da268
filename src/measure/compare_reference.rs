//! Every statistic of a comparison, against values worked out independently in Python from the definitions: softmax and sums
//! in f64, variances as E[x^2] - E[x]^2, the ratio's error from variances and covariance.

use super::{Comparison, Tally, WindowPass};

const WINDOWS: [[u32; 12]; 2] = [[2, 2, 0, 3, 1, 0, 1, 0, 2, 3, 1, 3], [0, 1, 0, 1, 3, 2, 1, 3, 1, 0, 1, 3]];
const ORIGINAL: [[f32; 20]; 2] = [
    [
        -2.0, -2.0, -3.0, -3.0, -1.375, -1.375, -1.75, -1.75, -0.75, -0.5, -1.5, 1.25, 2.375, 2.0, -1.375, -1.625, 2.5,
        -1.5, 0.0, -0.625,
    ],
    [
        -2.875, -0.125, 0.25, -1.75, -1.875, -1.0, -2.5, -0.375, -0.625, 1.75, 1.625, -3.0, 1.75, 2.375, 2.625, -0.375,
        -2.5, -0.625, -0.25, -0.625,
    ],
];
const COMPRESSED: [[f32; 20]; 2] = [
    [
        -1.9375, -1.6875, -3.0625, -3.25, -1.3125, -1.3125, -1.4375, -2.0, -1.125, -0.625, -1.875, 1.5625, 2.3125, 2.0,
        -1.75, -1.5, 2.875, -1.5, -0.0625, -0.625,
    ],
    [
        -2.6875, -0.5, 0.3125, -2.125, -1.5625, -1.25, -2.3125, -0.5625, -0.9375, 2.125, 1.4375, -2.9375, 1.6875, 2.5,
        2.5625, -0.25, -2.625, -0.25, -0.1875, -0.9375,
    ],
];
/// After each of two blocks, by window.
const STATES: [[[f32; 15]; 2]; 2] = [
    [
        [1.625, 2.875, -0.125, -0.75, -2.75, 0.375, -2.375, -1.375, -0.375, 1.0, 1.875, -0.125, -1.875, -0.375, -0.875],
        [2.5, 1.25, -2.375, -0.625, 2.375, -0.5, -0.625, -1.625, -2.375, 2.0, -1.875, 2.75, 2.5, -0.625, 0.75],
    ],
    [
        [-1.75, 2.75, -2.625, -2.375, 1.75, 1.25, 0.125, -2.75, -1.125, 2.875, 1.75, -0.25, -1.0, 0.625, 2.125],
        [0.25, -1.875, -2.625, 2.0, -2.75, 0.875, -0.375, -1.375, -2.0, 2.75, 1.5, -2.0, 2.0, 0.25, -2.25],
    ],
];
const COMPRESSED_STATES: [[[f32; 15]; 2]; 2] = [
    [
        [
            2.3125, 4.4375, -0.125, -1.25, -4.375, 0.6875, -3.5625, -2.1875, -0.375, 1.375, 3.0625, 0.0, -2.625, -0.5,
            -1.125,
        ],
        [
            3.75, 1.875, -3.375, -0.8125, 3.4375, -0.9375, -0.8125, -2.1875, -3.6875, 3.1875, -2.75, 4.0, 3.5625,
            -0.75, 1.125,
        ],
    ],
    [
        [
            -2.375, 4.375, -3.6875, -3.5, 2.4375, 1.9375, -0.0625, -4.125, -1.625, 4.5625, 2.625, -0.1875, -1.5,
            0.9375, 3.25,
        ],
        [0.25, -3.0625, -3.75, 3.25, -4.125, 1.375, -0.5625, -1.875, -3.0, 4.375, 2.3125, -2.9375, 3.0, 0.4375, -3.25],
    ],
];

fn comparison() -> Comparison {
    let pass = |logits: &[f32], states: &[[f32; 15]]| WindowPass {
        logits: logits.to_vec(),
        // State 0 is the embeddings.
        states: std::iter::once(vec![1.0; 15]).chain(states.iter().map(|state| state.to_vec())).collect(),
    };
    let mut tally = Tally::default();
    for window in 0..2 {
        let original = pass(&ORIGINAL[window], &STATES[window]);
        let compressed = pass(&COMPRESSED[window], &COMPRESSED_STATES[window]);
        tally.add(&WINDOWS[window], &original, &compressed, 4);
    }
    tally.finish()
}

#[test]
fn every_statistic_is_that_of_the_definitions() {
    let found = comparison();
    assert_eq!(found.tokens, 10);
    let cases = [
        ("cosine.0", found.cosine.0, 0.993_069_955_799),
        ("cosine.1", found.cosine.1, 0.984_083_531_226),
        ("mse.0", found.mse.0, 0.054_003_906_250),
        ("mse.1", found.mse.1, 0.008_020_043_272),
        ("kld.mean", found.kld.mean, 0.019_559_171_289),
        ("kld.mean_se", found.kld.mean_se, 0.004_051_994_273),
        ("kld.median", found.kld.median, 0.018_829_449_336),
        ("kld.p90", found.kld.p90, 0.033_760_055_526),
        ("kld.p99", found.kld.p99, 0.039_963_105_385),
        ("kld.p999", found.kld.p999, 0.040_583_410_370),
        ("kld.max", found.kld.max, 0.040_652_333_147),
        ("delta_p.0", found.delta_p.0, 0.002_095_313_342),
        ("delta_p.1", found.delta_p.1, 0.049_885_145_136),
        ("top1.0", found.top1.0, 0.900_000_000_000),
        ("top1.1", found.top1.1, 0.100_000_000_000),
        ("perplexity.original", found.perplexity.original, 5.144_205_393_427),
        ("perplexity.compressed", found.perplexity.compressed, 5.744_813_413_107),
        ("perplexity.ratio", found.perplexity.ratio, 1.116_754_284_431),
        ("perplexity.ratio_se", found.perplexity.ratio_se, 0.084_959_506_435),
        ("drift[0].cosine", found.drift[0].cosine, 0.998_745_436_526),
        ("drift[0].norm_ratio", found.drift[0].norm_ratio, 1.510_288_493_105),
        ("drift[1].cosine", found.drift[1].cosine, 0.998_874_807_392),
        ("drift[1].norm_ratio", found.drift[1].norm_ratio, 1.484_556_494_696),
    ];
    for (name, found, wanted) in cases {
        assert!((found - wanted).abs() < 1e-9, "{name}: {found}, not {wanted}");
    }
}
