//! `report` from outside.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::K_PROJ;
use super::support::{Place, keys};

/// A model small enough to be measured at once.
const QUICK: [&str; 6] = ["--tokens", "300", "--max-tokens", "12", "--prompt", "Once upon a time"];

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Panics where a document is no well-formed XML: elements that do not nest, attributes without quotes, bare `&` or `<`.
fn check_xml(text: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (words, after) = rest.split_at(at);
        check_words(words);
        let end = after.find('>').unwrap();
        let tag = &after[1..end];
        rest = &after[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let (inner, empty) = tag.strip_suffix('/').map_or((tag, false), |inner| (inner, true));
        let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{tag}");
        let parts: Vec<&str> = attributes.split('"').collect();
        assert!(parts.len() % 2 == 1 && parts.last().unwrap().trim().is_empty(), "{tag}");
        parts.iter().step_by(2).take(parts.len() / 2).for_each(|name| assert!(name.trim().ends_with('='), "{tag}"));
        parts.iter().skip(1).step_by(2).for_each(|value| check_words(value));
        if !empty {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
}

fn check_words(words: &str) {
    let known = |after: &str| ["amp;", "lt;", "gt;", "quot;"].iter().any(|entity| after.starts_with(entity));
    assert!(words.split('&').skip(1).all(known), "{words}");
    assert!(!words.chars().any(|c| c.is_control() && c != '\n'), "{words:?}");
}

#[test]
fn a_report_is_whole_and_the_same_again() {
    let place = Place::new();
    let policy = place.file("p.json", K_PROJ);
    let report = |out: &str, more: &[&str]| {
        let out = place.path(out).display().to_string();
        place.json(
            &[&["report", "demo", "--policy", &policy, "--beside", &policy, "--out", &out], &QUICK[..], more].concat(),
        )
    };
    let document = report("one", &["--sensitivity"]);
    assert_eq!(keys(&document), ["out", "files", "tokens", "kld", "bytes", "warnings"]);
    let folder = place.path("one");
    let expected = [
        "SHA256SUMS",
        "beside-1-metrics.json",
        "beside-1-policy.json",
        "inputs.json",
        "map-bytes.svg",
        "map-error.svg",
        "metrics.json",
        "policy.json",
        "report.md",
        "spectra-k.svg",
        "text-1.svg",
    ];
    assert_eq!(names(&folder), expected.map(str::to_owned).into());
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), expected.len() - 1);
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let digest = rankscope::checkpoint::sha256(&fs::read(folder.join(name)).unwrap());
        assert_eq!(sum, digest, "{name}");
    }
    let page = fs::read_to_string(folder.join("report.md")).unwrap();
    let links: Vec<&str> = page.split("](").skip(1).map(|rest| rest.split_once(')').unwrap().0).collect();
    assert!(links.len() >= expected.len() - 2);
    links.iter().for_each(|link| assert!(folder.join(link).is_file(), "{link}"));
    assert!(page.contains("transformer.h.5.attn.attention.k_proj.weight") && page.contains("KLD alone"));
    for name in expected.iter().filter(|name| name.contains(".svg")) {
        check_xml(&fs::read_to_string(folder.join(name)).unwrap());
    }
    let metrics: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("metrics.json")).unwrap()).unwrap();
    assert_eq!((&metrics["tokens"], &metrics["kld"]["mean"]), (&document["tokens"], &document["kld"]));
    assert_eq!(metrics["health"]["prompts"], 1);
    let beside: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("beside-1-metrics.json")).unwrap()).unwrap();
    assert_eq!((&beside["kld"], &beside["bytes"]), (&metrics["kld"], &metrics["bytes"]));

    report("two", &["--sensitivity", "--threads", "1"]);
    for name in expected {
        assert_eq!(fs::read(folder.join(name)).unwrap(), fs::read(place.path("two").join(name)).unwrap(), "{name}");
    }
}

#[test]
fn a_report_is_written_over_by_force_alone_and_an_input_never() {
    let place = Place::new();
    fs::create_dir(place.path("work")).unwrap();
    let policy = place.file("work/p.json", K_PROJ);
    let out = |name: &str| place.path(name).display().to_string();
    let run = |out: &str, more: &[&str]| {
        place.failure(&[&["report", "demo", "--policy", &policy, "--out", out], &QUICK[..], more].concat())
    };
    let (status, reason) = run(&out("work"), &["--force"]);
    assert!(status == Some(1) && reason.contains("is an input"), "{reason}");
    fs::create_dir(place.path("photos")).unwrap();
    fs::write(place.path("photos/a.jpg"), "years").unwrap();
    let (status, reason) = run(&out("photos"), &[]);
    assert!(status == Some(1) && reason.contains("--force"), "{reason}");
    let (status, reason) = run(&out("photos"), &["--force"]);
    assert!(status == Some(1) && reason.contains("SHA256SUMS"), "{reason}");
    let short = place.file("short.txt", "a");
    let (status, reason) = run(&out("new"), &["--text", &short]);
    assert!(status == Some(1) && reason.contains("too few"), "{reason}");
    assert_eq!(names(&place.path("photos")), ["a.jpg".to_owned()].into());
    assert!(!place.path("new").exists());
    assert!(!names(&place.path("")).iter().any(|name| name.contains(".part-")));
}
