//! `replay` from outside.

use serde_json::{Value, json};

use super::K_PROJ;
use super::support::{Place, keys};

/// A session of one text, as `generate` writes it, under a policy that is there from the beginning.
fn session(place: &Place) -> Value {
    let policy = place.file("p.json", K_PROJ);
    let sampled = ["--temperature", "1.1", "--seed", "5", "--max-tokens", "10"];
    let generate = [&["generate", "demo", "--prompt", "Once upon a time"], &sampled[..]].concat();
    let original = place.json(&generate);
    let compressed = place.json(&[&generate[..], &["--policy", &policy]].concat());
    let shown = place.json(&["policy", "show", "demo", "--policy", &policy]);
    let layers = shown["layers"].as_array().unwrap().iter();
    let changed = layers
        .filter(|layer| layer["plan"]["rank"] == 48)
        .map(|layer| json!({"layer": layer["name"], "base": "none", "rank": 48, "factors": "int8"}));
    let policy: Value = serde_json::from_str(K_PROJ).unwrap();
    let fingerprint = "003241fcf47a2589e889f550d269e2850aa7b25478acec07a4baf67e378ebc85";
    json!({
        "rankscope_session": 1,
        "rankscope_version": "0",
        "model": {"name": "demo", "original": null, "as": null, "fingerprint": fingerprint},
        "calibration": null,
        "start": policy,
        "steps": [{
            "do": "write", "prompt": "Once upon a time", "chat": false, "prompt_ids": original["prompt_ids"], "earlier": 0,
            "max_tokens": 10, "temperature": 1.1, "top_k": null, "top_p": null, "seed": 5,
            "compressed_as": [{"from": 0, "fast": false, "plans": changed.collect::<Vec<_>>()}],
            "original": original["ids"], "compressed": compressed["ids"],
        }],
        "policy": policy,
    })
}

#[test]
fn texts_of_generate_come_out_the_same() {
    let place = Place::new();
    let mut session = session(&place);
    assert_ne!(session["steps"][0]["original"], session["steps"][0]["compressed"]);
    let file = place.file("s.json", &session.to_string());
    let out = place.path("out").display().to_string();
    let document = place.json(&["replay", &file, "--out", &out]);
    assert_eq!(keys(&document), ["steps", "texts", "same", "differences", "out"]);
    assert_eq!((&document["same"], &document["texts"]), (&true.into(), &1.into()));
    let written: Value = serde_json::from_slice(&std::fs::read(place.path("out/session.json")).unwrap()).unwrap();
    assert_eq!(written["steps"][0]["compressed"], session["steps"][0]["compressed"]);
    assert!(place.path("out/policy.json").is_file());
    let (status, reason) = place.failure(&["replay", &file, "--out", &out]);
    assert!(status == Some(1) && reason.contains("exists"), "{reason}");

    session["steps"][0]["original"][2] = 0.into();
    let file = place.file("t.json", &session.to_string());
    let output = place.run(&["replay", &file, "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &document["same"]), (Some(1), &false.into()));
    assert_eq!(document["differences"][0]["step"], 1);
    assert!(super::stderr(&output).contains("came out otherwise: step 1: token 3 of the original's text"));

    session["model"]["fingerprint"] = "f".into();
    let file = place.file("u.json", &session.to_string());
    let (status, reason) = place.failure(&["replay", &file]);
    assert!(status == Some(1) && reason.contains("another model") && reason.contains("--model"), "{reason}");
    let (status, reason) = place.failure(&["replay", &place.file("v.json", "{}")]);
    assert!(status == Some(1) && reason.contains("rankscope_session"), "{reason}");
}
