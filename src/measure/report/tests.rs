//! Reports put together by hand.

use super::*;
use crate::compress::Plan;
use crate::measure::{
    Asked, AttentionFigures, AttentionShift, BytesOfBoth, CosineFigures, DeltaP, Drift, FrontierKind, Health, Kld,
    Loop, Perplexity, PositionStats, Written,
};

fn metrics() -> CompareDocument {
    let kld = Kld { mean: 0.02, mean_se: 0.001, median: 0.01, p90: 0.1, p99: 0.5, p999: 0.9, max: 1.5 };
    let written = |loop_rate| Written { loop_rate, distinct_2: Some(0.9), distinct_3: None };
    let health = Health {
        prompts: 4,
        max_tokens: 8,
        original: written(0.0),
        compressed: written(0.25),
        median_divergence: 3.0,
        same: 0.0,
        texts: Vec::new(),
    };
    let figures = |scale| AttentionFigures { entropy: 1.0, scale, top: 0.5 };
    let shift = |block, scale| AttentionShift { block, original: figures(1.0), compressed: figures(scale) };
    let drift = |block, norm_ratio| Drift { block, cosine: 0.9, norm_ratio };
    CompareDocument {
        tokens: 40,
        cosine: CosineFigures { mean: 0.99, min: 0.9 },
        mse: 0.1,
        mse_se: 0.01,
        kld,
        delta_p: DeltaP { mean: 0.0, rms: 0.1 },
        top1_agreement: 0.95,
        top1_se: 0.02,
        perplexity: Perplexity { original: 5.0, compressed: 5.5, ratio: 1.1, ratio_se: 0.01 },
        bytes: BytesOfBoth { original: 2000, compressed: 1000 },
        bits_per_weight: Some(4.5),
        drift: vec![drift(0, 1.0), drift(1, 2.5)],
        probes: None,
        fast: None,
        asked: Asked { health: Some(health), attention: Some(vec![shift(0, 1.0), shift(1, 1.6)]), layers: None },
    }
}

fn layer(name: &str, block: Option<usize>, kind: Kind, plan: Plan) -> ReportLayer {
    let layer = ReportedLayer { name: name.into(), block, kind, rows: 8, cols: 8, bytes: 128, fixed: false };
    ReportLayer { layer, plan, bytes: 64, weight_error: Some(0.1), output_error: Some(0.2), damage: None }
}

fn report() -> Report {
    let changed = layer("a|<b>`c", Some(0), Kind::K, Plan::low_rank(3));
    let dense = ReportLayer {
        bytes: 128,
        weight_error: None,
        output_error: None,
        ..layer("head", None, Kind::LmHead, Plan::dense())
    };
    let stats =
        |kld, top1| PositionStats { cosine: 1.0, mse: 0.0, kld, top1, delta_p: None, nll: None, rank_of_best: 0 };
    let writing = Writing {
        prompt: "Once <upon>\nthere".into(),
        original: vec![" a".into(), " b&".into(), "\u{1b}".into()],
        compressed: vec![" a".into(), " c".into()],
        divergence: Some(1),
        loops: [None, Some(Loop { period: 1, start: 1, repeats: 4 })],
        stats: vec![stats(0.0, true), stats(2.5, false), stats(f64::NAN, false)],
    };
    let point =
        FrontierPoint { kind: FrontierKind::Int8, label: String::new(), bytes: 9, bits_per_weight: 8.0, kld: 0.1 };
    Report {
        about: ReportAbout {
            version: "1".into(),
            model: "m_x".into(),
            fingerprint: "f".into(),
            family: "llama".into(),
            parameters: 128,
            policy: "{}\n".into(),
            text: ReportText::new(None, "words"),
            tokens: 100,
            calibration: None,
            left: vec!["x holds 1 values that are NaN or infinite; it stays dense".into()],
        },
        metrics: metrics(),
        beside: vec![ReportBeside { name: "A|b".into(), policy: "{}\n".into(), metrics: metrics() }],
        layers: vec![changed, dense],
        spectra: vec![(0, Spectrum::new(vec![3.0, 2.0, 1.0, 0.5], 8, 8))],
        writings: vec![writing],
        frontier: vec![point],
    }
}

fn file(report: &Report, name: &str) -> String {
    let found = report.files().into_iter().find(|file| file.0 == name).unwrap();
    String::from_utf8(found.1).unwrap()
}

#[test]
fn a_report_has_its_files_and_the_page_shows_every_picture() {
    let report = report();
    let files = report.files();
    let names: Vec<&str> = files.iter().map(|file| file.0.as_str()).collect();
    let expected = [
        "policy.json",
        "metrics.json",
        "inputs.json",
        "map-error.svg",
        "map-bytes.svg",
        "report.md",
        "spectra-k.svg",
        "text-1.svg",
        "beside-1-policy.json",
        "beside-1-metrics.json",
        "frontier.svg",
        "frontier.json",
    ];
    assert_eq!(names, expected);
    let page = file(&report, PAGE);
    for name in names.iter().filter(|name| **name != PAGE) {
        assert!(page.contains(&format!("]({name})")), "{name} is not linked");
    }
    let row = page.lines().find(|line| line.starts_with("| `A\\|b`")).unwrap();
    assert!(row.ends_with("| 1.00 kB | 4.5000 | 0.0200 ± 0.0010 | 95.0 % ± 2.0 % | 1.1000 ± 0.0100 |"), "{row}");
    let inputs: serde_json::Value = serde_json::from_str(&file(&report, "inputs.json")).unwrap();
    assert_eq!((&inputs["rankscope_report"], &inputs["text"]["name"]), (&1.into(), &"built-in".into()));
    assert_eq!(inputs["policy"]["sha256"], crate::checkpoint::sha256(b"{}\n"));
}

#[test]
fn what_stands_out_is_told() {
    let mut report = report();
    let told = |report: &Report, part: &str| report.warnings().iter().any(|warning| warning.contains(part));
    for part in
        ["Only 40", "25.0 % of the texts", "Block 1: its state has 2.5", "Block 1: the logits", "x holds 1 values"]
    {
        assert!(told(&report, part), "{part}: {:?}", report.warnings());
    }
    assert!(
        !told(&report, "Block 0") && !told(&report, "pillar") && file(&report, PAGE).contains("not tried one by one")
    );
    report.layers[0].damage = Some(ReportDamage { kld: 0.5, over_noise: Some(11.0) });
    assert!(told(&report, "is a pillar") && !file(&report, PAGE).contains("not tried one by one"));
    report.layers[0].damage = Some(ReportDamage { kld: 0.5, over_noise: Some(9.0) });
    assert!(!told(&report, "is a pillar"));
    (report.metrics.tokens, report.metrics.kld.mean) = (1000, f64::NAN);
    assert!(!told(&report, "Only") && told(&report, "does not work"));
}

#[test]
fn many_blocks_are_named_by_the_first_and_their_number() {
    let mut report = report();
    report.metrics.drift = (0..20).map(|block| Drift { block, cosine: 0.0, norm_ratio: 9.0 }).collect();
    let warnings = report.warnings();
    assert!(warnings.iter().any(|w| w.contains("Block 11:")) && !warnings.iter().any(|w| w.contains("Block 12:")));
    assert!(warnings.contains(&"8 more blocks like this.".to_owned()), "{warnings:?}");
}

#[test]
fn pictures_show_what_differs() {
    let report = report();
    let map = file(&report, "map-error.svg");
    assert!(map.contains(">20.0 %<") && map.contains("128 B to 64 B, error 20.0 %") && map.contains(">none<"));
    assert!(file(&report, "map-bytes.svg").contains(">50.0 %<"));
    assert!(file(&report, "spectra-k.svg").contains("rank 3 is kept"));
    let text = file(&report, "text-1.svg");
    assert!(text.contains("loops: the same 1 tokens 4 times") && text.contains("Once &lt;upon&gt;"), "{text}");
    assert!(
        text.contains(" b&amp;<")
            && text.contains(">\\u{1b}<")
            && text.contains("token 2: KLD 2.5000")
            && !text.contains("NaN")
    );
    assert_eq!(text.matches("\"underline\"").count(), 1);
}

#[test]
fn a_policy_that_changes_nothing_makes_a_report_too() {
    let mut report = report();
    report.layers.remove(0);
    (report.spectra, report.writings, report.frontier) = (Vec::new(), Vec::new(), Vec::new());
    report.beside.clear();
    let page = file(&report, PAGE);
    assert!(
        page.contains("The policy changes no layer.")
            && !page.contains("beside")
            && !page.contains("spectra-")
            && !page.contains("frontier")
    );
    assert!(!file(&report, "map-error.svg").contains("NaN"));
}
