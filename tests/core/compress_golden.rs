//! The codec against the reference figures of `tests/data/svd_int8`.

use std::path::Path;
use std::sync::Arc;

use rankscope::checkpoint::Checkpoint;
use rankscope::compress::{CompressError, Factors, Layout, Parts, Plan, encode, measured_error};
use rankscope::control::Control;
use rankscope::linalg::{Decomposition, Matrix, decompose};
use serde_json::Value;

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn assert_near(found: f64, wanted: &Value, what: &str) {
    let wanted = wanted.as_f64().unwrap();
    let near = (found - wanted).abs() <= 1e-5 + 1e-3 * wanted;
    assert!(near, "{what}: {found} instead of {wanted}");
}

/// A decomposition and no base.
struct Given(Arc<Decomposition>);

impl Parts for Given {
    fn base(&self) -> Result<Matrix, CompressError> {
        Err(CompressError::Plan("these plans have no base".to_owned()))
    }

    fn factors(&self) -> Result<Arc<Decomposition>, CompressError> {
        Ok(Arc::clone(&self.0))
    }
}

#[test]
fn errors_of_truncation_and_of_both_layouts_are_those_of_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/svd_int8");
    let (summary, native) = (json(&folder.join("summary.json")), json(&folder.join("native.json")));
    let control = Control::new();
    let matrices = summary["matrices"].as_object().unwrap();
    assert_eq!(matrices.len(), 6);
    for (name, about) in matrices {
        let file = Checkpoint::open(&folder.join(format!("{name}.safetensors"))).unwrap();
        let shape = [0, 1].map(|i| usize::try_from(about["shape"][i].as_u64().unwrap()).unwrap());
        let tensor = file.tensor("W").unwrap();
        assert_eq!(tensor.shape, shape);
        let w = Matrix::from_f32(shape[0], shape[1], &tensor.data.view::<f32>().unwrap()).unwrap();
        let parts = Given(Arc::new(decompose(&w.to_f32(), shape[0], shape[1], &control).unwrap()));
        let error = |plan: &Plan, layout| {
            let encoded = encode(&w, plan, layout, None, &parts, &control).unwrap();
            measured_error(&w, &encoded.weight, &control).unwrap()
        };
        for (wanted, wanted_native) in about["ranks"].as_array().unwrap().iter().zip(native[name].as_array().unwrap()) {
            let rank = usize::try_from(wanted["rank"].as_u64().unwrap()).unwrap();
            let plan = Plan::low_rank(rank);
            let f32 = Plan { factors: Factors::F32, ..plan };
            let what = format!("{name} at rank {rank}");
            assert_near(parts.0.error_at(rank), &wanted["err_rank"], &what);
            assert_near(error(&f32, Layout::Native), &wanted["err_rank"], &what);
            assert_near(error(&plan, Layout::Classic), &wanted["err_int8_tensor"], &what);
            assert_near(error(&plan, Layout::Native), &wanted_native["err_native"], &what);
        }
    }
}
