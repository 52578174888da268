//! The rules of `deny.toml`, held without cargo-deny: licences, sources, versions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn rules() -> toml::Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    fs::read_to_string(path).unwrap().parse().unwrap()
}

fn texts(list: &toml::Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The packages that a build for this machine takes, as far as they lie here anyway.
fn packages() -> Vec<Value> {
    let rustc = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into())).arg("-vV").output().unwrap();
    let told = String::from_utf8(rustc.stdout).unwrap();
    let host = told.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let args = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host];
    let output = Command::new(env!("CARGO")).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["packages"].as_array().unwrap().clone()
}

/// Whether a licence expression (SPDX, or of old with a slash for OR) is satisfied by those allowed.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "~");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at, allowed);
    met && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = every(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= every(words, at, allowed);
    }
    met
}

fn every(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word != "(" {
        return allowed.contains(&word.replace('~', " WITH "));
    }
    let met = any(words, at, allowed);
    *at += 1;
    met
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "A WITH e".to_owned()]);
    for met in ["MIT", "GPL/MIT", "(GPL OR MIT) AND MIT", "A WITH e", "GPL AND GPL OR MIT"] {
        assert!(satisfied(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL", "MIT AND GPL", "A", "MIT OR", "MIT)", "(GPL OR MIT) AND GPL"] {
        assert!(!satisfied(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn every_dependency_is_one_that_the_rules_allow() {
    let rules = rules();
    let (licences, registries) = (texts(&rules["licenses"]["allow"]), texts(&rules["sources"]["allow-registry"]));
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(satisfied(licence, &licences), "{name} has the licence '{licence}'");
        let source = package["source"].as_str().map(|source| source.strip_prefix("registry+").unwrap_or(source));
        assert!(source.is_none_or(|source| registries.contains(source)), "{name} comes from {source:?}");
        versions.entry(name.to_owned()).or_default().insert(package["version"].as_str().unwrap().to_owned());
    }
    let skipped = rules["bans"]["skip"].as_array().unwrap().iter();
    let skipped: BTreeSet<&str> = skipped.map(|skip| skip["crate"].as_str().unwrap()).collect();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let without = versions.iter().filter(|version| !skipped.contains(format!("{name}@{version}").as_str())).count();
        assert!(without == 1, "{name} is there as {versions:?}; deny.toml says why for all but one of them");
    }
}
