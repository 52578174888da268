//! Models of unknown families, and weights that are no proper numbers.

use std::fs;
use std::path::Path;

use rankscope::checkpoint::{Checkpoint, Dtype};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

use super::support::{Place, stderr};

/// A golden model without tokenizer, its config changed by `config`, the floats of each tensor by `weights`.
fn changed(place: &Place, name: &str, config: impl Fn(&mut Value), weights: impl Fn(&str, &mut [f32])) -> String {
    let (from, to) = (Path::new("tests/data/golden").join(name), place.path("model"));
    fs::create_dir(&to).unwrap();
    let mut told: Value = serde_json::from_slice(&fs::read(from.join("config.json")).unwrap()).unwrap();
    config(&mut told);
    fs::write(to.join("config.json"), told.to_string()).unwrap();
    let bytes = fs::read(from.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let all = file.iter().map(|(name, view)| {
        let floats = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        let mut floats: Vec<f32> = floats.collect();
        weights(name, &mut floats);
        let data: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
        (name.to_owned(), view.shape().to_vec(), data)
    });
    let all: Vec<_> = all.collect();
    let views = all
        .iter()
        .map(|(name, shape, data)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
    safetensors::serialize_to_file(views, None, &to.join("model.safetensors")).unwrap();
    to.display().to_string()
}

fn foo(config: &mut Value) {
    config["model_type"] = "foo".into();
}

#[test]
fn a_model_of_an_unknown_family_is_offered_as_a_known_one_and_runs_as_such_when_asked() {
    let place = Place::new();
    let model = changed(&place, "llama", foo, |_, _| {});
    let generate = ["generate", &model, "--ids", "5,6,7", "--max-tokens", "6"];
    let (status, said) = place.failure(&generate);
    assert!(status == Some(1) && said.contains("with --as llama it runs as such"), "{said}");
    let asked = place.json(&[&generate[..], &["--as", "llama"]].concat());
    let known = place.json(&["generate", "tests/data/golden/llama", "--ids", "5,6,7", "--max-tokens", "6"]);
    assert_eq!(asked["ids"], known["ids"]);
    let text = place.file("text", "words");
    let policy = place.file("policy.json", r#"{"rankscope_policy": 1, "rules": [{"match": "*", "base": "int8"}]}"#);
    let ids = ["--prompt-tokens", "4", "--max-tokens", "2", "--runs", "1"];
    place.json(&[&["--as", "llama", "bench", &model, "--policy", &policy], &ids[..]].concat());
    let out = place.path("logits.safetensors").display().to_string();
    place.json(&["logits", &model, "--as", "llama", "--ids", "1,2", "--out", &out]);
    // It gets as far as the missing tokenizer.
    let compare = ["compare", &model, "--as", "llama", "--policy", &policy, "--text", &text];
    assert!(place.failure(&compare).1.contains("tokenizer.json"));
    // Another family's description does not fit these tensors.
    let (status, said) = place.failure(&[&generate[..], &["--as", "gpt2"]].concat());
    assert!(status == Some(1) && said.lines().count() == 1, "{said}");
    assert_eq!(place.failure(&[&generate[..], &["--as", "lama"]].concat()).0, Some(2));
    // What is known stays what it is, and an export keeps the config that the model came with.
    let known_as = ["generate", "tests/data/golden/llama", "--ids", "5,6,7", "--max-tokens", "6", "--as", "gpt2"];
    assert_eq!(place.json(&known_as)["ids"], known["ids"]);
    let out = place.path("out").display().to_string();
    place.json(&["compress", &model, "--as", "llama", "--policy", &policy, "--out", &out]);
    let written: Value = serde_json::from_slice(&fs::read(place.path("out/config.json")).unwrap()).unwrap();
    assert_eq!(written["model_type"], "foo");
}

const UP: &str = "model.layers.1.mlp.up_proj.weight";

/// Layers of each kind of trouble: NaN, infinity, denormals, zeros, one rank.
fn troubled(place: &Place) -> String {
    changed(
        place,
        "llama",
        |_| {},
        |name, w| match name {
            UP => (w[3], w[40]) = (f32::NAN, f32::NAN),
            "model.layers.1.mlp.down_proj.weight" => w[7] = f32::NEG_INFINITY,
            "model.layers.0.mlp.up_proj.weight" => w.iter_mut().for_each(|x| *x *= 1e-42),
            "model.layers.0.mlp.down_proj.weight" => w.fill(0.0),
            "model.layers.0.mlp.gate_proj.weight" => {
                w.iter_mut().enumerate().for_each(|(at, x)| *x = ((at / 32 + 1) * (at % 32 + 1)) as f32);
            }
            _ => {}
        },
    )
}

#[test]
fn layers_that_are_no_numbers_are_named_and_the_others_go_on() {
    let place = Place::new();
    let model = troubled(&place);
    let output = place.run(&["spectrum", &model, "--layer", "*mlp*", "--json"]);
    let (said, document): (String, Value) = (stderr(&output), serde_json::from_slice(&output.stdout).unwrap());
    assert!(output.status.success() && said.lines().count() == 2, "{said}");
    assert!(said.contains(&format!("{UP}: the matrix holds 2 values that are NaN or infinite")), "{said}");
    assert!(said.contains("layers.1.mlp.down_proj.weight: the matrix holds 1 values"), "{said}");
    let row = |name: &str| -> Value {
        let rows = document["layers"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap().clone()
    };
    assert!(row(UP)["spectral_norm"].is_null() && row(UP)["energy_rank"].is_null());
    assert!(row("model.layers.1.mlp.gate_proj.weight")["spectral_norm"].as_f64().unwrap() > 0.0);
    assert_eq!(row("model.layers.0.mlp.gate_proj.weight")["energy_rank"]["0.99"], 1);
    assert_eq!(row("model.layers.0.mlp.down_proj.weight")["frobenius_norm"], 0.0);
    let tiny = row("model.layers.0.mlp.up_proj.weight")["spectral_norm"].as_f64().unwrap();
    assert!(tiny > 0.0 && tiny < 1e-37, "{tiny}");

    let (status, said) = place.failure(&["spectrum", &model, "--layer", UP]);
    assert!(status == Some(1) && said.starts_with("error: ") && said.contains(UP), "{said}");

    for base in ["none", "int8", "int4"] {
        let args = ["roundtrip", &model, "--layer", "*mlp*", "--rank", "2", "--base", base, "--json"];
        let output = place.run(&args);
        let (said, document): (String, Value) = (stderr(&output), serde_json::from_slice(&output.stdout).unwrap());
        assert!(output.status.success() && said.lines().count() == 2 && said.contains(UP), "{base}: {said}");
        let errors = document["results"].as_array().unwrap().iter();
        let errors: Vec<Option<f64>> = errors.map(|row| row["error"].as_f64()).collect();
        assert_eq!(errors.iter().filter(|error| error.is_none()).count(), 2, "{errors:?}");
    }
}

#[test]
fn layers_that_are_no_numbers_stay_dense_under_a_policy() {
    let place = Place::new();
    let model = troubled(&place);
    for (name, rank) in [("count", "4"), ("energy", r#"{"energy": 0.9}"#)] {
        stays_dense(&place, &model, name, rank);
    }
}

#[test]
fn a_difference_of_policies_names_layers_that_are_no_numbers_once_and_as_dense() {
    let place = Place::new();
    let model = troubled(&place);
    let rule = |rank: &str| format!(r#"{{"rankscope_policy": 1, "rules": [{{"match": "*", "rank": {rank}}}]}}"#);
    let (one, other) = (place.file("one", &rule("4")), place.file("other", &rule(r#"{"energy": 0.9}"#)));
    let output = place.run(&["policy", "diff", &one, &other, &model, "--json"]);
    let (said, document): (String, Value) = (stderr(&output), serde_json::from_slice(&output.stdout).unwrap());
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(&format!("{UP} holds 2 values that are NaN or infinite; it stays dense")).count(), 1);
    let changed = document["changed"].as_array().unwrap();
    assert!(changed.len() > 10 && changed.iter().all(|row| row["name"] != UP), "{changed:?}");
}

fn stays_dense(place: &Place, model: &str, name: &str, rank: &str) {
    let rules = format!(r#"{{"rankscope_policy": 1, "rules": [{{"match": "*", "rank": {rank}}}]}}"#);
    let policy = place.file(name, &rules);
    let out = place.path(&format!("out-{name}")).display().to_string();
    let output = place.run(&["compress", model, "--policy", &policy, "--out", &out, "--json"]);
    let (said, document): (String, Value) = (stderr(&output), serde_json::from_slice(&output.stdout).unwrap());
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!("{UP} holds 2 values that are NaN or infinite; it stays dense")), "{said}");
    let layers = document["layers"].as_array().unwrap();
    assert!(layers.len() > 10 && layers.iter().all(|row| row["name"] != UP));
    assert!(layers.iter().all(|row| row["error"].as_f64().is_some_and(|error| error < 1.0)), "{layers:?}");
    let (from, to) = (Checkpoint::open(model.as_ref()).unwrap(), Checkpoint::open(out.as_ref()).unwrap());
    assert_eq!(from.tensor(UP).unwrap().digest(), to.tensor(UP).unwrap().digest());
    place.json(&["generate", model, "--policy", &policy, "--ids", "1,2", "--max-tokens", "2"]);
}

#[test]
fn a_head_that_is_missing_is_told_and_not_made_up() {
    let place = Place::new();
    let model = changed(&place, "llama", |_| {}, |_, _| {});
    let file = Path::new(&model).join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let whole = SafeTensors::deserialize(&bytes).unwrap();
    let headless = whole.iter().filter(|(name, _)| *name != "lm_head.weight");
    safetensors::serialize_to_file(headless, None, &file).unwrap();
    let generate = ["generate", &model, "--ids", "5,6,7", "--max-tokens", "2"];
    let (status, said) = place.failure(&generate);
    assert!(status == Some(1) && said.contains("lm_head.weight") && said.contains("tie_word_embeddings"), "{said}");
}
