//! Parity with Hugging Face transformers: logits, hidden states and greedy tokens of tiny random models.

use std::path::PathBuf;

use rankscope::checkpoint::Checkpoint;
use rankscope::control::Control;
use rankscope::model::{Generation, Kind, Model, Observer, Sampling};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

/// All of them.
pub const FOLDERS: [&str; 34] = [
    "bloom",
    "falcon",
    "falcon_new_decoder",
    "gemma2",
    "gemma3_text",
    "gpt2",
    "gpt2_original",
    "gpt_neo",
    "gpt_neo_bf16",
    "gpt_neo_f16",
    "gpt_neox",
    "gpt_neox_sequential",
    "gptj",
    "granite",
    "llama",
    "llama3_rope",
    "llama_bf16",
    "llama_f16",
    "llama_sharded",
    "llama_tied",
    "mistral",
    "mixtral",
    "olmo2",
    "opt",
    "opt_350m_style",
    "phi",
    "phi3",
    "phi3_longrope",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "smollm3",
    "stablelm",
    "starcoder2",
];

/// Relative to 1 + |reference|: the reference's own f32 rounding is 4e-6, the smallest mistake known moves a logit by 4e-4.
const TOLERANCE: f32 = 1e-4;

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/data/golden", name].iter().collect()
}

struct Golden {
    ids: Vec<u32>,
    logits: Vec<f32>,
    hidden: Vec<f32>,
    greedy: Vec<u32>,
}

fn golden(name: &str) -> Golden {
    let bytes = std::fs::read(folder(name).join("golden.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |key: &str| -> Vec<f32> {
        let data = file.tensor(key).map_or(&[][..], |tensor| tensor.data());
        data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let ids = |key: &str| -> Vec<u32> {
        let tensor = file.tensor(key).unwrap();
        let width = tensor.data().len() / tensor.shape().iter().product::<usize>();
        tensor.data().chunks_exact(width).map(|b| u32::from_le_bytes(b[..4].try_into().unwrap())).collect()
    };
    Golden {
        ids: ids("input_ids"),
        logits: floats("logits"),
        hidden: [floats("hidden_states"), floats("last_hidden_state")].concat(),
        greedy: ids("greedy_ids"),
    }
}

#[derive(Default)]
struct States(Vec<f32>);

impl Observer for States {
    fn hidden(&mut self, _index: usize, state: &[f32]) {
        self.0.extend_from_slice(state);
    }
}

fn load(name: &str) -> Model {
    Model::load(&Checkpoint::open(&folder(name)).unwrap()).unwrap()
}

/// Largest |found - wanted| / (1 + |wanted|).
fn distance(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let each = found.iter().zip(wanted).map(|(f, w)| (f - w).abs() / (1.0 + w.abs()));
    each.fold(0.0, |a, b| if b.is_nan() { f32::INFINITY } else { a.max(b) })
}

#[test]
fn logits_and_hidden_states_are_those_of_transformers() {
    for name in FOLDERS {
        let (model, golden, control) = (load(name), golden(name), Control::new());
        let mut states = States::default();
        let logits = model.forward_all(&golden.ids, &mut model.cache(), Some(&mut states), &control).unwrap();
        let (logits, hidden) = (distance(&logits, &golden.logits), distance(&states.0, &golden.hidden));
        println!("{name}: logits {logits:.1e}, hidden states {hidden:.1e}");
        assert!(logits < TOLERANCE, "{name}: logits differ by {logits}");
        assert!(hidden < TOLERANCE, "{name}: hidden states differ by {hidden}");
    }
}

#[test]
fn greedy_tokens_are_those_of_transformers() {
    for name in FOLDERS {
        let (model, golden, control) = (load(name), golden(name), Control::new());
        let (prompt, new) = golden.greedy.split_at(6);
        let mut text = Generation::start(&model, prompt, Sampling::default(), new.len(), &control).unwrap();
        let mut written = Vec::new();
        while let Some(id) = text.next(&model, &control).unwrap() {
            written.push(id);
        }
        // The reference wrote on where a model would end a text.
        let ended = written.len() < new.len();
        let ends_there = new.get(written.len()).is_some_and(|id| model.architecture().eos.contains(id));
        assert!(!ended || ends_there, "{name}: ended after {} tokens", written.len());
        assert_eq!(written, new[..written.len()], "{name}");
    }
}

#[test]
fn token_by_token_equals_all_at_once_to_the_bit() {
    for name in FOLDERS {
        let (model, golden, control) = (load(name), golden(name), Control::new());
        let all = model.forward_all(&golden.ids, &mut model.cache(), None, &control).unwrap();
        let mut cache = model.cache();
        let single: Vec<f32> =
            golden.ids.iter().flat_map(|id| model.forward(&[*id], &mut cache, &control).unwrap()).collect();
        assert_eq!(all, single, "{name}");
    }
}

#[test]
fn a_text_longer_than_the_context_is_refused_and_the_cache_kept() {
    let (model, control) = (load("gpt2"), Control::new());
    let mut cache = model.cache();
    model.forward(&[1, 2, 3], &mut cache, &control).unwrap();
    let error = model.forward(&[1; 40], &mut cache, &control).unwrap_err().to_string();
    assert_eq!(error, "the text has 43 tokens, but the model's context is 40; shorten it");
    assert_eq!(cache.len(), 3);
    assert!(model.forward(&[256], &mut cache, &control).is_err());
    assert!(model.forward(&[], &mut cache, &control).is_err());
}

/// A model and the folder that it lies in, which must stay.
#[derive(Debug)]
struct Held {
    model: Model,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Held {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

/// A copy of `gpt2_original`, whose head is tied by default, with another tensor and no embedding if `moved`.
fn with_head(values: Option<&[u8]>, moved: bool) -> Held {
    let (source, target) = (folder("gpt2_original"), tempfile::tempdir().unwrap());
    let bytes = std::fs::read(source.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let embedding = file.tensor("wte.weight").unwrap();
    let values = values.unwrap_or(embedding.data());
    let head = TensorView::new(embedding.dtype(), embedding.shape().to_vec(), values).unwrap();
    let mut tensors = file.tensors();
    tensors.retain(|(name, _)| !moved || name != "wte.weight");
    tensors.push(("lm_head.weight".to_owned(), head));
    safetensors::serialize_to_file(tensors, None, &target.path().join("model.safetensors")).unwrap();
    std::fs::copy(source.join("config.json"), target.path().join("config.json")).unwrap();
    Held { model: Model::load(&Checkpoint::open(target.path()).unwrap()).unwrap(), _folder: target }
}

#[test]
fn a_stored_copy_of_a_tied_head_is_no_layer_and_changes_nothing() {
    let golden = golden("gpt2_original");
    for moved in [false, true] {
        let model = with_head(None, moved);
        assert!(model.layers().iter().all(|layer| layer.kind != Kind::LmHead));
        let logits = model.forward_all(&golden.ids, &mut model.cache(), None, &Control::new()).unwrap();
        assert!(distance(&logits, &golden.logits) < TOLERANCE);
    }
}

#[test]
fn a_stored_head_that_differs_from_the_embedding_is_a_head_whatever_the_config_says() {
    let zeros = vec![0; 4 * load("gpt2_original").architecture().vocabulary * 32];
    let model = with_head(Some(&zeros), false);
    assert!(model.layers().iter().any(|layer| layer.kind == Kind::LmHead));
    let logits = model.forward(&[1, 2, 3], &mut model.cache(), &Control::new()).unwrap();
    assert!(logits.iter().all(|logit| *logit == 0.0));
}

/// A folder made of a golden one: another config, other names, and what the metadata says.
fn remade(
    name: &str,
    config: impl Fn(serde_json::Value) -> serde_json::Value,
    rename: impl Fn(&str) -> String,
    alias: &[(&str, &str)],
) -> Result<Held, String> {
    let (source, target) = (folder(name), tempfile::tempdir().unwrap());
    let bytes = std::fs::read(source.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: Vec<_> = file.tensors().into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect();
    let metadata = alias.iter().map(|(gone, kept)| ((*gone).to_owned(), (*kept).to_owned())).collect();
    safetensors::serialize_to_file(tensors, Some(metadata), &target.path().join("model.safetensors")).unwrap();
    let text = std::fs::read_to_string(source.join("config.json")).unwrap();
    let text = config(serde_json::from_str(&text).unwrap()).to_string();
    std::fs::write(target.path().join("config.json"), text).unwrap();
    let model = Model::load(&Checkpoint::open(target.path()).unwrap()).map_err(|e| e.to_string())?;
    Ok(Held { model, _folder: target })
}

fn is_golden(model: &Model, name: &str) {
    let golden = golden(name);
    let logits = model.forward_all(&golden.ids, &mut model.cache(), None, &Control::new()).unwrap();
    assert!(distance(&logits, &golden.logits) < TOLERANCE, "{name}");
}

#[test]
fn the_text_model_of_one_that_sees_runs() {
    for (name, outer) in [("gemma3_text", "gemma3"), ("llama", "llava")] {
        let nested = |text: serde_json::Value| serde_json::json!({ "model_type": outer, "text_config": text });
        let old = |name: &str| format!("language_model.{name}");
        let new = |name: &str| name.replacen("model.", "model.language_model.", 1);
        is_golden(&remade(name, nested, old, &[]).unwrap(), name);
        is_golden(&remade(name, nested, new, &[]).unwrap(), name);
    }
}

#[test]
fn the_only_copy_of_a_tied_matrix_may_bear_the_heads_name() {
    let silent = |mut config: serde_json::Value| {
        config.as_object_mut().unwrap().remove("tie_word_embeddings");
        config
    };
    let (embedding, head) = ("model.embed_tokens.weight", "lm_head.weight");
    let rename = |name: &str| if name == embedding { head.to_owned() } else { name.to_owned() };
    let model = remade("llama_tied", silent, rename, &[(embedding, head)]).unwrap();
    is_golden(&model, "llama_tied");
    assert!(model.layers().iter().all(|layer| layer.kind != Kind::LmHead));
    assert!(remade("llama_tied", silent, rename, &[]).unwrap_err().contains("embed_tokens.weight"));
}

#[test]
fn an_unknown_family_is_told_which_one_it_resembles() {
    let foo = |mut config: serde_json::Value| {
        config["model_type"] = "foo".into();
        config
    };
    let error = remade("llama", foo, str::to_owned, &[]).unwrap_err();
    assert!(error.contains("its tensors are those of llama, and with --as llama it runs as such"), "{error}");
    let nameless = |mut config: serde_json::Value| {
        config.as_object_mut().unwrap().remove("model_type");
        config
    };
    let error = remade("llama", nameless, str::to_owned, &[]).unwrap_err();
    assert!(error.contains("no model_type") && error.contains("--as llama"), "{error}");
    let renamed = |name: &str| name.replace("q_proj", "asking");
    let error = remade("llama", foo, renamed, &[]).unwrap_err();
    assert!(!error.contains("its tensors are"), "{error}");
}

#[test]
fn a_text_that_grows_beyond_longropes_training_is_as_if_read_at_once() {
    let short = |mut config: serde_json::Value| {
        config["original_max_position_embeddings"] = 12.into();
        config
    };
    let (model, control) = (remade("phi3_longrope", short, str::to_owned, &[]).unwrap(), Control::new());
    let ids = golden("phi3_longrope").ids;
    let mut cache = model.cache();
    for end in 1..=ids.len() {
        let grown = model.forward(&ids[end - 1..end], &mut cache, &control).unwrap();
        assert_eq!(grown, model.forward(&ids[..end], &mut model.cache(), &control).unwrap(), "{end} tokens");
    }
    cache.truncate(5);
    let back = model.forward(&ids[5..9], &mut cache, &control).unwrap();
    assert_eq!(back, model.forward(&ids[..9], &mut model.cache(), &control).unwrap());
}
