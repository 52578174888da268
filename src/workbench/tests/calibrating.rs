//! Input statistics in the background.

use super::*;
use crate::checkpoint::Checkpoint;
use crate::compress::{Plan, Weighting};
use crate::control::Control;
use crate::measure::{CalibrateOptions, WIDEST_INPUT, calibrate};
use crate::model::Model;

/// A calibration file of a model, over a few ids; its fingerprint.
pub(super) fn calibration_file(checkpoint: &Checkpoint, folder: &Path) -> (PathBuf, String) {
    let model = Model::load(checkpoint).unwrap();
    let options = CalibrateOptions { ids: (0..200).collect(), bos: None, limit: None, widest: WIDEST_INPUT };
    let control = Control::new();
    let found = calibrate(&model, &checkpoint.fingerprint(), &options, (folder, None), &control).unwrap();
    let path = folder.join("given.safetensors");
    found.file.copy_to(&path, true, &[]).unwrap();
    (path, found.file.calibration.fingerprint().to_owned())
}

fn weighted(rank: usize) -> Plan {
    Plan { weighting: Weighting::Activations, ..Plan::low_rank(rank) }
}

#[test]
fn the_first_weighted_plan_brings_statistics_and_output_errors() {
    let folder = tempfile::tempdir().unwrap();
    let (path, fingerprint) = calibration_file(&Checkpoint::embedded(DEMO).unwrap(), folder.path());
    let mut bench = Bench::demo();
    bench.workbench.use_calibration(path);
    let (k, v) = (bench.layer(Kind::K), bench.layer(Kind::V));
    bench.workbench.set_plans("k", &[(k, Plan::low_rank(16))]);
    bench.encoded();
    assert!(!bench.workbench.calibrated() && bench.workbench.rows()[k].output_error.is_none());
    assert_eq!(bench.workbench.policy().calibration, None);
    bench.workbench.set_plans("v", &[(v, weighted(16))]);
    bench.until("calibrated", Workbench::calibrated);
    bench.encoded();
    let of = |layer: usize| bench.workbench.rows()[layer].clone();
    for layer in [k, v] {
        let (output, Measured::Error(weight)) = (of(layer).output_error.unwrap(), of(layer).measured) else {
            panic!("{:?}", of(layer).measured)
        };
        assert!(output > 0.0 && output < 1.0 && weight > 0.0, "{output} {weight}");
        // INT8 factors add less than a hundredth.
        let (of_weight, of_output) = (of(layer).predicted.unwrap(), of(layer).predicted_output.unwrap());
        assert!((of_weight - weight).abs() < 0.01 && (of_output - output).abs() < 0.01, "{of_weight} {of_output}");
    }
    let plain_before = of(v).output_error.unwrap();
    bench.workbench.set_plans("v", &[(v, Plan::low_rank(16))]);
    bench.encoded();
    let plain = bench.workbench.rows()[v].output_error.unwrap();
    assert!(plain_before < plain, "weighted {plain_before}, plain {plain}");
    bench.workbench.undo();
    assert_eq!(bench.workbench.policy().calibration, Some(fingerprint));
}

#[test]
fn without_statistics_a_weighted_plan_says_why_it_waits_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = calibration_file(&Checkpoint::open(&golden("gpt2")).unwrap(), folder.path());
    for (given, reason) in [(Some(path), "another model"), (None, "no cache folder")] {
        let mut bench = Bench::demo();
        if let Some(path) = given {
            bench.workbench.use_calibration(path);
        }
        let k = bench.layer(Kind::K);
        bench.workbench.set_plans("k", &[(k, weighted(16))]);
        bench.encoded();
        let measured = bench.workbench.rows()[k].measured.clone();
        assert!(matches!(&measured, Measured::Failed(why) if why.contains(reason)), "{measured:?}");
        bench.until("told", |bench| bench.messages().iter().any(|message| message.text.contains(reason)));
    }
}
