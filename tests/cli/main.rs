//! The program from outside: JSON, exit status, stderr.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod export_faults;
mod hub;
mod replay;
mod report;
mod schema;
mod strange_models;
mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::support::{Place, keys, stderr};

const K_PROJ: &str = r#"{"rankscope_policy": 1, "rules": [{"match": "*k_proj*", "rank": 48}]}"#;
const K_PROJ_OF_5: &str = "transformer.h.5.attn.attention.k_proj.weight";

#[test]
fn inspect_lists_layers_and_tensors() {
    let place = Place::new();
    let model = place.json(&["inspect"]);
    assert_eq!(keys(&model), ["model", "architecture", "parameters", "bytes", "dtype", "blocks", "layers", "tensors"]);
    assert_eq!(
        (&model["architecture"], &model["blocks"], &model["dtype"]),
        (&"gpt_neo".into(), &6.into(), &"F16".into())
    );
    let layer = &model["layers"][1];
    assert_eq!(keys(layer), ["name", "block", "kind", "shape", "dtype", "bytes", "parameters"]);
    assert_eq!((&layer["kind"], layer["shape"].to_string()), (&"k".into(), "[128,128]".to_owned()));
    assert_eq!(keys(&model["tensors"][0]), ["name", "shape", "dtype", "bytes"]);
    let total: u64 = model["tensors"].as_array().unwrap().iter().map(|tensor| tensor["bytes"].as_u64().unwrap()).sum();
    assert_eq!(model["bytes"], total);
}

#[test]
fn spectra_have_their_figures_and_a_drawing() {
    let place = Place::new();
    let svg = place.path("s.svg").display().to_string();
    let args = ["spectrum", "demo", "--layer", "*.5.*k_proj*", "--values", "--svg", &svg];
    let document = place.json(&args);
    let figures = [
        "spectral_norm",
        "frobenius_norm",
        "stable_rank",
        "effective_rank",
        "energy_rank",
        "noise_edge_rank",
        "alpha",
        "alpha_distance",
        "values",
    ];
    assert_eq!(keys(&document["layers"][0]), [&["name", "shape"], figures.as_slice()].concat());
    assert_eq!(keys(&document["layers"][0]["energy_rank"]), ["0.5", "0.9", "0.99"]);
    assert_eq!(document["layers"][0]["values"].as_array().unwrap().len(), 128);
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));
    let (status, reason) = place.failure(&args);
    assert!(status == Some(1) && reason.contains("--force"), "{reason}");
    let (status, reason) = place.failure(&["spectrum", "demo", "--layer", "nope"]);
    assert!(status == Some(1) && reason.starts_with("error: no layer matches \"nope\""), "{reason}");
}

#[test]
fn a_round_trip_measures_what_it_predicts() {
    let place = Place::new();
    let factors = ["--factors", "f32"];
    let args = [&["roundtrip", "demo", "--layer", "*.5.*k_proj*", "--rank", "16,48"], factors.as_slice()].concat();
    let document = place.json(&args);
    let rows = document["results"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        keys(&rows[0]),
        [
            "layer",
            "shape",
            "rank",
            "base",
            "factors",
            "weighting",
            "layout",
            "predicted_error",
            "error",
            "predicted_output_error",
            "output_error",
            "bytes",
            "original_bytes"
        ]
    );
    for row in rows {
        let (predicted, error) = (row["predicted_error"].as_f64().unwrap(), row["error"].as_f64().unwrap());
        assert!((predicted - error).abs() < 1e-5, "{row}");
        assert!(row["output_error"].is_null());
    }
    let classic = place.json(&["roundtrip", "demo", "--layer", K_PROJ_OF_5, "--rank", "16", "--layout", "classic"]);
    assert_eq!(classic["results"][0]["bytes"], 16 * (128 + 1 + 128));
    let (status, reason) = place.failure(&["roundtrip", "demo", "--layer", K_PROJ_OF_5, "--rank", "999"]);
    assert!(status == Some(1) && reason.contains("999"), "{reason}");
}

#[test]
fn text_is_written_and_repeats_with_its_seed() {
    let place = Place::new();
    let greedy = ["generate", "demo", "--prompt", "Once upon a time", "--max-tokens", "12"];
    let document = place.json(&greedy);
    assert_eq!(keys(&document), ["prompt_ids", "ids", "text", "stop", "tokens_per_s", "repetition"]);
    assert_eq!(keys(&document["repetition"]), ["looping", "period", "start", "repeats", "distinct_2", "distinct_3"]);
    assert_eq!((document["ids"].as_array().unwrap().len(), &document["stop"]), (12, &"length".into()));
    let streamed = place.run(&greedy);
    assert_eq!(String::from_utf8(streamed.stdout).unwrap().trim_end(), document["text"].as_str().unwrap().trim_end());
    let drawn = || place.json(&[&greedy[..], &["--temperature", "1.5", "--top-k", "50", "--seed", "7"]].concat());
    assert_eq!(drawn()["ids"], drawn()["ids"]);
}

#[test]
fn ids_need_no_tokenizer() {
    let place = Place::new();
    let folder = "tests/data/bad_files/tokenizer_missing";
    let document = place.json(&["generate", folder, "--ids", "1,2,3", "--max-tokens", "4"]);
    assert!(document["text"].is_null());
    assert_eq!(document["ids"].as_array().unwrap().len(), 4);
}

/// The demo in a folder of its own, with these files beside it.
fn demo_folder(place: &Place, name: &str, files: &[(&str, &str)]) -> String {
    let folder = place.path(name);
    std::fs::create_dir(&folder).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(Path::new("assets/demo").join(file), folder.join(file)).unwrap();
    }
    files.iter().for_each(|(file, text)| std::fs::write(folder.join(file), text).unwrap());
    folder.display().to_string()
}

#[test]
fn a_chat_is_written_by_the_models_template() {
    let place = Place::new();
    let template =
        "{{ bos_token }}{% for m in messages %}{{ m.role ~ ': ' ~ m.content ~ '\\n' }}{% endfor %}assistant:";
    let mut tokenizer: Value = serde_json::from_slice(&std::fs::read("assets/demo/tokenizer.json").unwrap()).unwrap();
    let sequence = |id: &str, kind: u32| serde_json::json!({"Sequence": {"id": id, "type_id": kind}});
    let end = "<|endoftext|>";
    tokenizer["post_processor"] = serde_json::json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": end, "type_id": 0}}, sequence("A", 0)], "pair": [sequence("A", 0), sequence("B", 1)],
        "special_tokens": {end: {"id": end, "ids": [0], "tokens": [end]}}});
    let settings = serde_json::json!({"bos_token": {"content": end}, "chat_template": [{"name": "default", "template": template}]});
    let files = [("tokenizer_config.json", &*settings.to_string()), ("tokenizer.json", &*tokenizer.to_string())];
    let folder = demo_folder(&place, "chat", &files);
    let ids = |args: &[&str]| {
        let document = place.json(&[&["generate", &folder, "--max-tokens", "2"], args].concat());
        document["prompt_ids"].clone()
    };
    // The template's own BOS is the only one; the post-processor adds its own to plain text.
    let chat = ids(&["--prompt", "Hi", "--chat"]);
    assert_eq!(chat, ids(&["--prompt", "user: Hi\nassistant:"]));
    assert_eq!((&chat[0], chat[1] == chat[0]), (&0.into(), false));
    let told = ids(&["--prompt", "Hi", "--chat", "--system", "Be brief."]);
    assert_eq!(told, ids(&["--prompt", "system: Be brief.\nuser: Hi\nassistant:"]));
    let (status, reason) = place.failure(&["generate", "--prompt", "Hi", "--chat"]);
    assert!(status == Some(1) && reason.contains("no chat template"), "{reason}");
    for wrong in [&["generate", "--ids", "1", "--chat"][..], &["generate", "--prompt", "Hi", "--system", "Be brief."]] {
        assert_eq!(place.failure(wrong).0, Some(2), "{wrong:?}");
    }
}

#[test]
fn logits_are_those_of_the_reference() {
    let place = Place::new();
    let folder = Path::new("tests/data/golden/gpt_neo");
    let reference = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let reference = safetensors::SafeTensors::deserialize(&reference).unwrap();
    let ids = reference.tensor("input_ids").unwrap();
    let ids: Vec<String> =
        ids.data().chunks_exact(8).map(|id| i64::from_le_bytes(id.try_into().unwrap()).to_string()).collect();
    let out = place.path("l.safetensors").display().to_string();
    let (model, ids) = (folder.display().to_string(), ids.join(","));
    let document = place.json(&["logits", &model, "--ids", &ids, "--out", &out, "--hidden"]);
    assert_eq!(keys(&document["tensors"]), ["hidden_states", "logits"]);
    let written = std::fs::read(&out).unwrap();
    let written = safetensors::SafeTensors::deserialize(&written).unwrap();
    for name in ["logits", "hidden_states"] {
        let (ours, theirs) = (written.tensor(name).unwrap(), reference.tensor(name).unwrap());
        assert_eq!(ours.shape(), theirs.shape());
        let floats = |data: &[u8]| -> Vec<f32> {
            data.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect()
        };
        let pairs = floats(ours.data()).into_iter().zip(floats(theirs.data()));
        let worst = pairs.map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{name}: {worst}");
    }
    let (status, reason) = place.failure(&["logits", &model, "--ids", &ids, "--out", &out]);
    assert!(status == Some(1) && reason.contains("nothing is written over without --force"), "{reason}");
}

#[test]
fn a_comparison_has_every_figure() {
    let place = Place::new();
    let policy = place.file("p.json", K_PROJ);
    let probes: String = include_str!("../../assets/text/probes.jsonl").split_inclusive('\n').take(2).collect();
    let probes = place.file("probes.jsonl", &probes);
    let document = place.json(&["compare", "demo", "--policy", &policy, "--tokens", "512", "--probes", &probes]);
    assert_eq!(
        keys(&document),
        [
            "tokens",
            "cosine",
            "mse",
            "mse_se",
            "kld",
            "delta_p",
            "top1_agreement",
            "top1_se",
            "perplexity",
            "bytes",
            "bits_per_weight",
            "drift",
            "probes"
        ]
    );
    assert_eq!(keys(&document["kld"]), ["mean", "mean_se", "median", "p90", "p99", "p999", "max"]);
    assert_eq!(keys(&document["perplexity"]), ["original", "compressed", "ratio", "ratio_se"]);
    assert_eq!((&document["tokens"], &document["probes"]["count"]), (&255.into(), &2.into()));
    assert_eq!(document["drift"].as_array().unwrap().len(), 6);
    let kld = document["kld"]["mean"].as_f64().unwrap();
    assert!(kld > 1e-6 && kld < 0.1, "{kld}");
    assert!(document["bytes"]["compressed"].as_u64() < document["bytes"]["original"].as_u64());
}

#[test]
fn probes_that_only_one_model_answers_are_told() {
    let place = Place::new();
    let policy = place.file("p.json", &K_PROJ.replace("48", "12"));
    let probes: String = include_str!("../../assets/text/probes.jsonl").split_inclusive('\n').take(3).collect();
    let probes = place.file("probes.jsonl", &probes);
    let command = ["compare", "demo", "--policy", &policy, "--tokens", "128", "--probes", &probes];
    let document = place.json(&command);
    let probes = &document["probes"];
    assert_eq!(keys(probes), ["count", "original", "compressed", "changed"]);
    assert_eq!((&probes["original"], &probes["compressed"]), (&1.0.into(), &(1.0 / 3.0).into()));
    assert_eq!(probes["changed"].as_array().unwrap().len(), 2);
    let case = &probes["changed"][0];
    assert_eq!(keys(case), ["prompt", "expected", "original", "compressed", "right"]);
    assert_eq!((&case["expected"], &case["right"]), (&case["original"], &"original".into()));
    assert_ne!(case["compressed"], case["original"]);
    let text = String::from_utf8(place.run(&command).stdout).unwrap();
    assert!(text.contains("What did Jack lose?\n  expected   Jack lost the silver book.\n"), "{text}");
}

#[test]
fn a_comparison_tells_more_where_it_is_asked() {
    let place = Place::new();
    let policy = place.file("p.json", K_PROJ);
    let prompts = place.file("prompts.txt", "Once upon a time\n\nLong ago, a child\n");
    let asked = ["--tokens", "512", "--probes", "demo", "--attention", "--layers", "--health", "--max-tokens", "8"];
    let command = [&["compare", "demo", "--policy", &policy, "--prompts", &prompts][..], &asked].concat();
    let document = place.json(&command);
    assert_eq!(document["probes"]["count"], 200);
    let attention = document["attention"].as_array().unwrap();
    assert_eq!((attention.len(), &attention[3]["block"]), (6, &3.into()));
    assert_eq!(keys(&attention[0]["compressed"]), ["entropy", "scale", "top"]);
    let layers = document["layers"].as_array().unwrap();
    assert!(layers.len() == 6 && layers.iter().all(|layer| layer["output_error"].as_f64().unwrap() > 0.0));
    let health = &document["health"];
    assert_eq!((&health["prompts"], &health["max_tokens"]), (&2.into(), &8.into()));
    assert_eq!(keys(&health["original"]), ["loop_rate", "distinct_2", "distinct_3"]);
    assert_eq!(health["texts"][1]["original"]["tokens"], 8);
    let text = String::from_utf8(place.run(&command).stdout).unwrap();
    for heading in ["scale of logits", "output error", "distinct bigrams", "texts part after"] {
        assert!(text.contains(heading), "{heading} is missing in {text}");
    }
    let empty = place.file("none.txt", "\n");
    let (status, reason) =
        place.failure(&["compare", "demo", "--policy", &policy, "--tokens", "64", "--health", "--prompts", &empty]);
    assert!(status == Some(1) && reason.contains("there are no prompts"), "{reason}");
}

#[test]
fn a_model_compared_with_itself_does_not_differ() {
    let place = Place::new();
    let output = place.run(&["compare", "demo", "--with", "demo", "--tokens", "100", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((document["kld"]["max"].as_f64(), document["top1_agreement"].as_f64()), (Some(0.0), Some(1.0)));
    assert_eq!((document["perplexity"]["ratio"].as_f64(), &document["probes"]), (Some(1.0), &Value::Null));
    assert!(stderr(&output).contains("warning: only 49 tokens are scored"), "{}", stderr(&output));
}

#[test]
fn figures_do_not_depend_on_the_number_of_threads() {
    let place = Place::new();
    let policy = place.file("p.json", K_PROJ);
    let with = |threads| place.json(&["compare", "--policy", &policy, "--tokens", "256", "--threads", threads]);
    assert_eq!(with("1"), with("3"));
}

#[test]
fn policies_are_shown_checked_and_told_apart() {
    let place = Place::new();
    let policy = place.file("p.json", K_PROJ);
    let shown = place.json(&["policy", "show", "demo", "--policy", &policy]);
    assert_eq!(keys(&shown), ["layers", "bytes", "bits_per_weight"]);
    let layer = &shown["layers"][1];
    assert_eq!(keys(layer), ["name", "plan", "bytes", "rule"]);
    assert_eq!(
        (&layer["plan"]["rank"], &layer["plan"]["base"], &layer["rule"]),
        (&48.into(), &"none".into(), &0.into())
    );
    assert_eq!(shown["layers"][0]["rule"], Value::Null);
    let dense = place.file("dense.json", r#"{"rankscope_policy": 1, "rules": []}"#);
    let changed = place.json(&["policy", "diff", &policy, &dense, "demo"]);
    assert_eq!(changed["changed"].as_array().unwrap().len(), 6);
    assert_eq!(keys(&changed["changed"][0]), ["name", "from", "to"]);
    let wrong = place.file("wrong.json", "{\"rankscope_policy\": 1, \"rules\": [\n{\"match\": \"*\", \"rnak\": 4}]}");
    let checked = place.run(&["policy", "check", "--policy", &wrong, "--json"]);
    let issues: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!((checked.status.code(), keys(&issues)), (Some(1), vec!["errors", "warnings"]));
    assert!(issues["errors"][0].as_str().unwrap().starts_with("line 2: unknown key \"rnak\""), "{issues}");
    let idle = place.file("idle.json", r#"{"rankscope_policy": 1, "rules": [{"match": "nope", "rank": 4}]}"#);
    let checked = place.json(&["policy", "check", "demo", "--policy", &idle]);
    assert_eq!((checked["errors"].as_array().unwrap().len(), checked["warnings"].as_array().unwrap().len()), (0, 1));
}

#[test]
fn a_folder_with_compressed_parts_counts_what_they_stand_for() {
    let place = Place::new();
    let policy = r#"{"rankscope_policy": 1, "rules": [{"match": "*c_attn*#k", "rank": 4}, {"match": "*c_fc*", "base": "int4"}]}"#;
    let (policy, out) = (place.file("policy.json", policy), place.path("out").display().to_string());
    let model = "tests/data/golden/gpt2";
    place.json(&["compress", model, "--policy", &policy, "--out", &out]);
    assert_eq!(place.json(&["inspect", &out])["parameters"], place.json(&["inspect", model])["parameters"]);
}

#[test]
fn no_file_that_a_command_reads_is_written_over() {
    let place = Place::new();
    let golden = std::path::Path::new("tests/data/golden/llama");
    std::fs::create_dir(place.path("model")).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(golden.join(name), place.path("model").join(name)).unwrap();
    }
    place.file("model/tokenizer.json", "{}");
    let policy = place.file("policy.json", r#"{"rankscope_policy": 1, "rules": [{"match": "*", "base": "int8"}]}"#);
    let model = place.path("model").display().to_string();
    for read in ["config.json", "model.safetensors", "tokenizer.json", "../policy.json"] {
        let target = format!("{model}/{read}");
        let before = std::fs::read(&target).unwrap();
        let logits = ["logits", &model, "--ids", "1,2", "--policy", &policy, "--out", &target, "--force"];
        let spectrum = ["spectrum", &model, "--layer", "*.0.*q_proj*", "--svg", &target, "--force"];
        for args in [&logits[..], &spectrum[..]] {
            if args[0] == "spectrum" && read == "../policy.json" {
                continue;
            }
            let (status, reason) = place.failure(args);
            assert!(status == Some(1) && reason.contains("is an input"), "{args:?}: {reason}");
        }
        assert_eq!(std::fs::read(&target).unwrap(), before);
    }
}

#[test]
fn masks_and_frequencies_are_no_parameters() {
    let place = Place::new();
    for (name, parameters) in [("gpt2_original", 47648), ("gpt_neo_f16", 38384), ("gpt_neox", 38180)] {
        assert_eq!(place.json(&["inspect", &format!("tests/data/golden/{name}")])["parameters"], parameters, "{name}");
    }
}

#[test]
fn what_cannot_be_run_can_be_inspected_and_is_warned_of() {
    let place = Place::new();
    let bytes = std::fs::read("tests/data/golden/llama/model.safetensors").unwrap();
    let config = std::fs::read_to_string("tests/data/golden/llama/config.json").unwrap();
    std::fs::create_dir(place.path("model")).unwrap();
    std::fs::write(place.path("model/model.safetensors"), bytes).unwrap();
    let model = place.path("model").display().to_string();
    let said = |config: &str| {
        place.file("model/config.json", config);
        let output = place.run(&["inspect", &model, "--json"]);
        assert!(output.status.success());
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(!document["layers"].as_array().unwrap().is_empty());
        stderr(&output)
    };
    assert_eq!(said(&config), "");
    assert!(said("{").contains("warning: this model cannot be run"));
    let mut tall: Value = serde_json::from_str(&config).unwrap();
    tall["num_hidden_layers"] = 9.into();
    assert!(said(&tall.to_string()).contains("warning: this model cannot be run"));
}

#[test]
fn a_compressed_folder_is_written_read_and_never_written_over() {
    let place = Place::new();
    let policy = place.file("p.json", K_PROJ);
    let out = place.path("out").display().to_string();
    let args = ["compress", "demo", "--policy", &policy, "--out", &out];
    let planned = place.json(&[&args[..], &["--dry-run"]].concat());
    assert!(!place.path("out").exists());
    let written = place.json(&args);
    assert_eq!(keys(&written)[..5], ["out", "files", "bytes", "original_bytes", "layers"]);
    assert_eq!(keys(&written["layers"][0]), ["name", "plan", "bytes", "error"]);
    assert_eq!((&written["bytes"], written["layers"].as_array().unwrap().len()), (&planned["bytes"], 6));
    assert_eq!(place.json(&["inspect", &out])["bytes"], written["bytes"]);
    let (status, reason) = place.failure(&args);
    assert!(status == Some(1) && reason.contains("--force"), "{reason}");

    let inside = place.path("out/policy.json").display().to_string();
    let (status, reason) = place.failure(&["compress", "demo", "--policy", &inside, "--out", &out, "--force"]);
    assert!(status == Some(1) && reason.contains("is an input"), "{reason}");
    assert_eq!(place.json(&[&args[..], &["--force"]].concat())["files"], written["files"]);
    std::fs::create_dir(place.path("report")).unwrap();
    for name in ["policy.json", "report.md", "SHA256SUMS"] {
        place.file(&format!("report/{name}"), "{}");
    }
    let report = place.path("report").display().to_string();
    let (status, reason) = place.failure(&["compress", "demo", "--policy", &policy, "--out", &report, "--force"]);
    assert!(status == Some(1) && reason.contains("and nothing else"), "{reason}");
    assert!(place.path("report/report.md").is_file());

    let prompt = ["--prompt", "Once upon a time", "--max-tokens", "16"];
    let live = place.json(&[&["generate", "demo", "--policy", &policy], &prompt[..]].concat());
    let read = place.json(&[&["generate", &out], &prompt[..]].concat());
    assert_eq!(live["ids"], read["ids"]);
    let against = |other: &[&str]| place.json(&[&["compare", "--tokens", "256"], other].concat());
    assert_eq!(against(&["demo", "--policy", &policy])["kld"], against(&[&out, "--original", "demo"])["kld"]);
}

#[test]
fn coarser_forms_say_what_their_rounding_costs() {
    let place = Place::new();
    let policy = place.file("p.json", K_PROJ);
    for form in [&["--dense"][..], &["--layout", "classic"]] {
        let out = place.path(form[form.len() - 1]).display().to_string();
        let written = place.json(&[&["compress", "demo", "--policy", &policy, "--out", &out], form].concat());
        let kld = written["rounding_kld"].as_f64().unwrap();
        assert!(kld > 0.0 && kld < 0.01, "{form:?}: {kld}");
    }
}

#[test]
fn fast_arithmetic_tells_what_it_costs() {
    let place = Place::new();
    let policy = place.file("int8.json", r#"{"rankscope_policy":1,"rules":[{"match":"*","base":"int8"}]}"#);
    let sizes = ["--prompt-tokens", "40", "--max-tokens", "4", "--runs", "1"];
    for command in [
        &["generate", "demo", "--ids", "20,30,40", "--max-tokens", "20"][..],
        &["compare", "demo", "--tokens", "400"],
        &[&["bench", "demo"][..], &sizes].concat(),
    ] {
        let exact = place.json(&[command, &["--policy", &policy]].concat());
        assert!(exact.get("fast").is_none(), "{command:?}");
        let fast = place.json(&[command, &["--policy", &policy, "--fast"]].concat());
        let kld = fast["fast"]["kld"]["mean"].as_f64().unwrap();
        assert!(kld > 0.0 && kld < 0.01, "{command:?}: {kld}");
        // Weights as they are stored are rounded for long prompts alone, where the processor multiplies bfloat16.
        if command[0] != "compare" {
            let plain = place.json(&[command, &["--fast"]].concat());
            let (kld, most) =
                (plain["fast"]["kld"]["max"].as_f64().unwrap(), if command[0] == "bench" { 1e-3 } else { 0.0 });
            assert!(kld <= most, "{command:?}: {kld}");
        }
    }
}

#[test]
fn a_benchmark_measures_both_models() {
    let place = Place::new();
    let policy = place.file("p.json", K_PROJ);
    let sizes = ["--prompt-tokens", "8", "--max-tokens", "4", "--runs", "2"];
    let document = place.json(&[&["bench", "demo", "--policy", &policy], sizes.as_slice()].concat());
    assert_eq!(keys(&document), ["threads", "bandwidth_bytes_per_s", "original", "compressed"]);
    assert_eq!(
        keys(&document["compressed"]),
        [
            "load_s",
            "prefill_tokens_per_s",
            "decode_tokens_per_s",
            "decode_ms_per_token",
            "bytes_per_token",
            "share_of_bandwidth",
            "weight_bytes",
            "peak_rss_bytes",
            "spread"
        ]
    );
    assert!(document["compressed"]["bytes_per_token"].as_u64() < document["original"]["bytes_per_token"].as_u64());
}

#[test]
fn a_frontier_is_written_by_its_extension_and_never_over_a_file_unasked() {
    let place = Place::new();
    let path = |name: &str| place.path(name).display().to_string();
    let (svg, json, other) = (path("frontier.svg"), path("frontier.json"), path("frontier.png"));
    let text = place.file("text", &"w1 w8 w15 w22 w6 w13 ".repeat(10));
    let model = "tests/data/bad_files/ok_base";
    let to = ["plan", model, "--text", &text, "--frontier"];
    let found = place.json(&[&to[..], &[&json]].concat());
    assert_eq!(keys(&found["points"][0]), ["kind", "label", "bytes", "bits_per_weight", "kld"]);
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(&json).unwrap()).unwrap(), found);
    assert_eq!(place.failure(&[&to[..], &[&json]].concat()).0, Some(1));
    place.json(&[&to[..], &[&svg]].concat());
    assert!(std::fs::read_to_string(&svg).unwrap().contains("<polyline"));
    assert_eq!(place.failure(&[&to[..], &[&other]].concat()).0, Some(2));
    assert_eq!(place.failure(&[&to[..], &[&svg, "--budget", "4bpw"]].concat()).0, Some(2));
    assert_eq!(place.failure(&["plan", model]).0, Some(2));
}

#[test]
fn a_planned_policy_fits_its_budget_and_is_an_ordinary_one() {
    let place = Place::new();
    let out = place.path("policy.json").display().to_string();
    let text = place.file("text", &"w1 w8 w15 w22 w6 w13 ".repeat(10));
    let model = "tests/data/bad_files/ok_base";
    let plan = |budget: &str| -> Vec<String> {
        ["plan", model, "--budget", budget, "--text", &text, "--out", &out, "--force"].map(String::from).to_vec()
    };
    let args = |budget: &str| plan(budget);
    let found = place.json(&args("60%").iter().map(String::as_str).collect::<Vec<_>>());
    assert!(found["bytes"].as_u64() <= found["budget_bytes"].as_u64());
    assert!(found["kld"].is_f64() && found["predicted_kld"].is_f64() && found["bits_per_weight"].is_f64());
    let rows = found["layers"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["plan"]["base"].is_string() && row["predicted_damage"].is_number()));
    let shown = place.json(&["policy", "show", model, "--policy", &out]);
    assert_eq!(shown["bytes"], found["bytes"]);
    let narrow: Vec<String> =
        args("80%").into_iter().chain(["--layer", "*proj*", "--base", "none"].map(String::from)).collect();
    let found = place.json(&narrow.iter().map(String::as_str).collect::<Vec<_>>());
    let rows = found["layers"].as_array().unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row["name"].as_str().is_some_and(|name| name.contains("proj"))));
    assert!(rows.iter().all(|row| row["plan"]["base"] == "none" || row["plan"]["base"] == "dense"), "{rows:?}");
    assert!(rows.iter().any(|row| row["plan"]["base"] == "none"), "{rows:?}");
    let small = args("1B");
    let (status, reason) = place.failure(&small.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(status == Some(1) && reason.contains("raise it"), "{reason}");
    let wrong = args("small");
    assert_eq!(place.failure(&wrong.iter().map(String::as_str).collect::<Vec<_>>()).0, Some(2));
}

#[test]
fn sensitivity_tries_every_layer_alone_and_restored() {
    let place = Place::new();
    let text = place.file("text", &"w1 w8 w15 w22 w6 w13 w2 w9 ".repeat(10));
    let model = "tests/data/bad_files/ok_base";
    let args = ["sensitivity", model, "--text", &text];
    let only = place.json(&args);
    assert_eq!(keys(&only)[..4], ["mode", "plan", "baseline", "layers"]);
    assert_eq!((&only["mode"], &only["baseline"]["kld"]), (&"only".into(), &0.0.into()));
    let rows = only["layers"].as_array().unwrap();
    let wanted = [
        "name",
        "kld",
        "cosine",
        "mse",
        "perplexity_ratio",
        "top1_agreement",
        "looping",
        "weight_error",
        "output_error",
        "kld_iso",
        "bytes_saved",
        "pillar",
    ];
    assert!(wanted.iter().all(|key| keys(&rows[0]).contains(key)), "{}", rows[0]);
    let klds: Vec<f64> = rows.iter().map(|row| row["kld"].as_f64().unwrap()).collect();
    assert!(klds.is_sorted_by(|a, b| a >= b) && klds[0] > 0.0);
    assert!((only["interaction"]["sum"].as_f64().unwrap() - klds.iter().sum::<f64>()).abs() < 1e-12);
    assert!(only["interaction"]["together"].as_f64().unwrap() > 0.0);
    assert_eq!(place.json(&[&args[..], &["--threads", "1"]].concat()), only);
    assert_eq!(Place::new().json(&[&args[..], &["--threads", "1"]].concat()), only);
    let mut alone = only.clone();
    for row in alone["layers"].as_array_mut().unwrap() {
        ["kld_iso", "pillar", "looping"].into_iter().for_each(|name| row[name] = serde_json::Value::Null);
    }
    alone["interaction"] = serde_json::Value::Null;
    let quick = [&args[..], &["--quick"]].concat();
    for place in [&place, &Place::new()] {
        assert_eq!(place.json(&quick), alone);
        let table = String::from_utf8(place.run(&quick).stdout).unwrap();
        assert!(table.contains("same top") && !table.contains("noise") && !table.contains("together"), "{table}");
    }

    let policy = place.file("p.json", r#"{"rankscope_policy": 1, "rules": [{"match": "*", "base": "int4"}]}"#);
    let without = place.json(&[&args[..], &["--policy", &policy, "--mode", "without"]].concat());
    let judged = place.json(&["compare", model, "--policy", &policy, "--text", &text]);
    assert_eq!(without["baseline"]["kld"], judged["kld"]["mean"]);
    assert!(without["interaction"].is_null() && without["plan"].is_null());
    let one = [&args[..], &["--plan", "rank=9999"]].concat();
    let (status, reason) = place.failure(&one);
    assert!(status == Some(1) && reason.contains("at most rank"), "{reason}");
    assert_eq!(place.failure(&[&args[..], &["--mode", "without"]].concat()).0, Some(2));
}

#[test]
fn wrong_use_is_2_and_failure_is_1() {
    let place = Place::new();
    for wrong in [
        &["inspect", "--nope"][..],
        &["generate", "demo"],
        &["compare", "demo"],
        &["generate", "--prompt", "a", "--top-k", "3"],
        &["--policy", "p.json", "inspect"],
        &["demo"],
        &["--threads", "0", "inspect"],
    ] {
        assert_eq!(place.failure(wrong).0, Some(2), "{wrong:?}");
    }
    let (_, reason) = place.failure(&[]);
    assert_eq!(
        reason,
        "error: the workbench needs a terminal; see 'rankscope help' for commands without a screen, or try --plain\n"
    );
    for mistyped in [&["inspct"][..], &["inspct", "demo", "--json"]] {
        let (status, reason) = place.failure(mistyped);
        assert!(status == Some(2) && reason.contains("did you mean 'rankscope inspect'?"), "{reason}");
    }
    for failing in [&["inspect", "./nope"][..], &["generate", "--ids", "99999"], &["compare", "--policy", "nope.json"]]
    {
        let (status, reason) = place.failure(failing);
        assert!(status == Some(1) && reason.starts_with("error: "), "{failing:?}: {reason}");
    }
}

#[test]
fn what_packagers_want_is_printed() {
    let place = Place::new();
    let text = |args: &[&str]| String::from_utf8(place.run(args).stdout).unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(text(&["completions", shell]).contains("roundtrip"), "{shell}");
    }
    let page = text(&["man"]);
    assert!(
        page.contains(".TH rankscope 1") && page.contains(".SH RANKSCOPE COMPARE") && page.contains("shard\\-size")
    );
    assert!(place.json(&["schema", "policy"])["properties"]["rules"].is_object());
    assert!(place.json(&["schema", "config"])["properties"]["theme"].is_object());
}

#[test]
fn bad_files_are_told_in_a_line() {
    let place = Place::new();
    let mut cases = 0;
    for entry in std::fs::read_dir("tests/data/bad_files").unwrap() {
        let folder = entry.unwrap().path();
        let Ok(expected) = std::fs::read_to_string(folder.join("EXPECT.txt")) else { continue };
        let output = place.run(&["generate", folder.to_str().unwrap(), "--prompt", "a", "--max-tokens", "2"]);
        let (status, said) = (output.status.code(), stderr(&output));
        let name = folder.display();
        match expected.split(':').next().unwrap() {
            "ERROR" => assert!(status == Some(1) && said.starts_with("error: "), "{name}: {status:?} {said}"),
            "WARN" => assert!(status == Some(0) && said.starts_with("warning: "), "{name}: {status:?} {said}"),
            "OK" => assert!(status == Some(0) && said.is_empty(), "{name}: {status:?} {said}"),
            other => panic!("{name} expects {other}"),
        }
        assert!(said.lines().count() <= 3 && !said.contains('\u{1b}') && !said.contains("panicked"), "{name}: {said}");
        cases += 1;
    }
    assert!(cases >= 70, "only {cases} cases");
}

#[test]
fn names_with_escape_codes_are_shown_escaped() {
    let place = Place::new();
    let output = place.run(&["inspect", "tests/data/bad_files/ok_control_characters_in_name"]);
    assert!(output.status.success() && !output.stdout.contains(&0x1b));
    assert!(String::from_utf8(output.stdout).unwrap().contains("\\u{1b}"));
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130() {
    use std::io::Read;
    let place = Place::new();
    let policy = place.file("p.json", K_PROJ);
    // Long enough that the signal comes in the middle of it.
    let text = place.file("text.txt", &include_str!("../../assets/text/evaluation.txt").repeat(8));
    let mut child = place.command();
    let child = child.args(["compare", "--policy", &policy, "--text", &text]).stderr(std::process::Stdio::piped());
    let mut child = child.stdout(std::process::Stdio::null()).spawn().unwrap();
    // It listens before it decomposes anything, and what it decomposes goes into the cache.
    while !place.path("cache/rankscope").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(130), "interrupted\n"));
}

#[test]
fn calibrate_writes_the_statistics_of_every_layer() {
    let place = Place::new();
    let text = place.file("text.txt", &"Once upon a time there was a little red fox. It lived in a wood. ".repeat(40));
    let out = place.path("c.safetensors").display().to_string();
    let args = ["calibrate", "demo", "--text", &text, "--tokens", "300", "--out", &out];
    let document = place.json(&args);
    assert_eq!(keys(&document)[..4], ["text", "tokens", "inputs", "fingerprint"]);
    assert_eq!(document["text"], text.as_str());
    let inputs = document["inputs"].as_array().unwrap();
    assert_eq!(keys(&inputs[0])[..4], ["name", "width", "layers", "kind"]);
    assert_eq!((inputs.len(), inputs[0]["layers"].as_array().unwrap().len()), (4 * 6, 3));
    assert_eq!((&inputs[0]["kind"], &inputs[0]["width"]), (&"gram".into(), &128.into()));
    let (status, reason) = place.failure(&args);
    assert!(status == Some(1) && reason.contains("--force"), "{reason}");
    let first = std::fs::read(&out).unwrap();
    let again = place.json(&[args.as_slice(), &["--force", "--threads", "1"]].concat());
    assert_eq!((again["fingerprint"] == document["fingerprint"], std::fs::read(&out).unwrap() == first), (true, true));
    let (status, reason) = place.failure(&["calibrate", "demo", "--text", &text, "--force", "--out", &text]);
    assert!(status == Some(1) && reason.contains("is an input"), "{reason}");
    let empty = place.file("empty.txt", "");
    let elsewhere = place.path("e.safetensors").display().to_string();
    let (status, reason) = place.failure(&["calibrate", "demo", "--text", &empty, "--out", &elsewhere]);
    assert!(status == Some(1) && reason.contains("0 tokens"), "{reason}");
}

#[test]
fn statistics_give_output_errors_and_weighted_plans() {
    let place = Place::new();
    let text = place.file("text.txt", &"Once upon a time there was a little red fox. It lived in a wood. ".repeat(40));
    let out = place.path("c.safetensors").display().to_string();
    let fingerprint = place.json(&["calibrate", "demo", "--text", &text, "--out", &out])["fingerprint"].clone();
    let args = ["roundtrip", "demo", "--layer", K_PROJ_OF_5, "--rank", "16"];
    let plain = place.json(&args)["results"][0].clone();
    assert!(plain["output_error"].is_null() && plain["predicted_output_error"].is_null());
    let given = [&args, ["--calibration", out.as_str()].as_slice()].concat();
    let known = place.json(&given)["results"][0].clone();
    assert_eq!(known["error"], plain["error"]);
    let weighted = place.json(&[&given, ["--weighting", "activations"].as_slice()].concat())["results"][0].clone();
    let output = |row: &Value| row["output_error"].as_f64().unwrap();
    assert!(output(&weighted) < output(&known), "{weighted} {known}");
    assert_eq!(weighted["weighting"], "activations");

    let policy = r#"{"rankscope_policy": 1, "calibration": "f00d", "rules": [{"match": "*.5.*k_proj*", "rank": 16, "weighting": "activations"}]}"#;
    let policy = place.file("p.json", policy);
    let folder = place.path("out").display().to_string();
    let run = place.run(&["compress", "demo", "--policy", &policy, "--calibration", &out, "--out", &folder]);
    assert!(run.status.success() && stderr(&run).contains("other input statistics"), "{}", stderr(&run));
    let kept: Value = serde_json::from_slice(&std::fs::read(place.path("out/policy.json")).unwrap()).unwrap();
    assert_eq!(kept["calibration"], fingerprint);
    let live = ["generate", "demo", "--policy", &policy, "--calibration", &out, "--ids", "1,2,3", "--max-tokens", "8"];
    let read = ["generate", &folder, "--ids", "1,2,3", "--max-tokens", "8"];
    assert_eq!(place.json(&live)["ids"], place.json(&read)["ids"]);
    let dry = place.run(&["compress", "demo", "--policy", &policy, "--dry-run", "--out", "elsewhere"]);
    assert!(dry.status.success() && stderr(&dry).is_empty(), "{}", stderr(&dry));

    let other = ["roundtrip", "tests/data/golden/gpt2", "--layer", "*", "--rank", "1", "--calibration", &out];
    let (status, reason) = place.failure(&other);
    assert!(status == Some(1) && reason.contains("of another model"), "{reason}");
}

/// The whole task without a screen: choose, compress, see the texts, undo, save.
#[test]
fn the_workbench_works_line_by_line() {
    let place = Place::new();
    let policy = place.path("policy.json").display().to_string();
    let lines = format!(
        "layers kind:k block:0\nselect kind:k\nrank 16\nmax-tokens 20\nedit-prompt Once upon a time\nundo\nredo\n\
         rank nothing\nrnak 3\nsteps\nsave policy {policy}\nsave policy {policy}x dense\nhelp weighting\nlog write both\nquit\nlayers\n"
    );
    let mut child = place
        .command()
        .arg("--plain")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{text}{}", stderr(&output));
    for wanted in [
        "1: transformer.h.0.attn.attention.k_proj.weight",
        "6 selected",
        "6 layers changed, unsaved",
        "compressed: ",
        "over 20 tokens: cosine 0.",
        "undone: ",
        "done again: ",
        "refused: type a whole number",
        "did you mean rank?",
        "1: r16 int8 on 6 layers",
        "saved the policy",
        "weighting: Weights the error",
        "write both texts is done after",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}') && text.matches("36 layers").count() == 1, "{text}");
    assert!(std::fs::read_to_string(&policy).unwrap().contains("\"rank\": 16"));
}

/// What helps whoever looks into a fault, and nothing of what a person asked.
#[test]
fn the_log_says_what_was_done_and_no_prompt() {
    let place = Place::new();
    let path = place.path(".local/state/rankscope/rankscope.log");
    let prompt = ["generate", "demo", "--prompt", "xylophone", "--max-tokens", "2"];
    assert!(place.run(&[&prompt[..], &["--log", "off"]].concat()).status.success());
    assert!(!path.exists());
    assert!(place.run(&prompt).status.success());
    let failed = place.run(&["inspect", "no/such", "--json"]);
    assert!(stderr(&failed).lines().count() == 1 || !stderr(&failed).contains("INFO"), "{}", stderr(&failed));
    let log = std::fs::read_to_string(&path).unwrap();
    let version = format!("rankscope {} begins: generate, ", env!("CARGO_PKG_VERSION"));
    for wanted in
        [&version, "model=demo tensors=", "family=\"gpt_neo\" layers=36 blocks=6", "ERROR", "error: no", "ends after"]
    {
        assert!(log.contains(wanted), "{wanted:?} is not in\n{log}");
    }
    assert!(!log.contains("xylophone") && !log.contains("DEBUG"), "{log}");
    let fine =
        place.command().args(["spectrum", "demo", "--layer", "*.0.*k_proj*"]).env("RANKSCOPE_LOG", "debug").output();
    assert!(fine.unwrap().status.success());
    let strange = place.command().args(["inspect", "demo"]).env("RANKSCOPE_LOG", "loud").output().unwrap();
    assert!(strange.status.success() && stderr(&strange).contains("which is no level"));
    assert_eq!(place.failure(&["inspect", "demo", "--log", "loud"]).0, Some(2));
}

/// While something is at work, its job is listed and cancelled by its number; what was typed after it is done afterwards.
#[test]
fn a_job_is_cancelled_by_its_number_line_by_line() {
    let place = Place::new();
    let mut child = place
        .command()
        .args(["--plain", "--log", "off"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut told = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap())).map(Result::unwrap);
    let mut until = |wanted: &dyn Fn(&str) -> bool| told.find(|line| wanted(line)).expect("it never comes");
    until(&|line| line.starts_with("help lists"));
    std::io::Write::write_all(&mut input, b"try-alone\njobs\n").unwrap();
    let running = until(&|line| line.contains(", at work") && !line.contains("decompose"));
    let number = running.split(':').next().unwrap().to_owned();
    let rest = format!("cancel 0\ncancel {number}\ncancel {number}\nlayer 3\njobs\nretry x\nquit\n");
    std::io::Write::write_all(&mut input, rest.as_bytes()).unwrap();
    until(&|line| line == "no job has the number \"0\"; jobs lists them");
    until(&|line| line.ends_with("is told to stop"));
    until(&|line| line.contains(", plan "));
    until(&|line| line.starts_with(&format!("{number}: ")) && line.ends_with(", cancelled"));
    until(&|line| line.starts_with("no job has the number \"x\""));
    assert!(child.wait().unwrap().success());
}
