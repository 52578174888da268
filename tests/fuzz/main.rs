//! Whatever bytes come from outside: no panic, and no more than 64 MB for a small input.
//!
//! A run of a few seconds with fixed seeds is part of the tests. A long one:
//! `RANKSCOPE_FUZZ_SECONDS=3600 cargo test --release --test fuzz -- --nocapture`, which keeps the cases it finds under
//! `target/tmp/fuzz/`; those of `tests/data/fuzz/TARGET/` are run every time. `fuzz/` runs the same targets guided by coverage.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panic")]

mod fault;
mod mutate;
mod targets;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use self::fault::{PLACE, SMALL, fault};
use self::mutate::{Draw, made};
use self::targets::{Target, all};

/// The folder of the package.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Longest input.
const LONGEST: usize = 8 << 10;
/// Inputs to each target in the short run.
const CASES: usize = 400;

/// Keeps a case for whoever looks at it.
fn keep(target: &Target, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz").join(&target.name);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(blake3::hash(input).to_hex().get(..16).unwrap_or_default());
    fs::write(&path, input).unwrap();
    path
}

/// How long a long run takes, and the seed that it begins with.
fn asked() -> Option<Duration> {
    std::env::var("RANKSCOPE_FUZZ_SECONDS").ok()?.parse().ok().map(Duration::from_secs)
}

#[test]
fn no_input_makes_a_parser_panic_or_take_much_memory() {
    let room = tempfile::tempdir().unwrap();
    let only = std::env::var("RANKSCOPE_FUZZ_TARGET").ok();
    let mut targets = all(&room);
    targets.retain(|target| only.as_ref().is_none_or(|only| target.name.starts_with(only)));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        *PLACE.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
    let mut found: BTreeMap<(String, String), PathBuf> = BTreeMap::new();
    for target in &targets {
        for (path, input) in target.kept() {
            fault(target, &input)
                .into_iter()
                .for_each(|why| drop(found.insert((target.name.clone(), why), path.clone())));
        }
        let (began, time) = (Instant::now(), asked().map(|time| time / targets.len() as u32));
        let mut draw = Draw(time.map_or(1, |time| time.as_secs()));
        let (mut cases, mut slowest) = (0_usize, (Duration::ZERO, Vec::new()));
        while time.map_or(cases < CASES, |time| began.elapsed() < time) {
            let longest = if draw.below(4) == 0 { LONGEST } else { SMALL };
            let input = match cases.checked_sub(target.seeds.len()) {
                None => target.seeds.get(cases).cloned().unwrap_or_default(),
                Some(_) => made(&mut draw, &target.seeds, target.framed, longest),
            };
            if time.is_some() {
                // What ends the program at once is found here.
                fs::write(room.path().join("current"), &input).unwrap();
            }
            let start = Instant::now();
            if let Some(why) = fault(target, &input) {
                found.entry((target.name.clone(), why)).or_insert_with(|| keep(target, &input));
            }
            cases += 1;
            if start.elapsed() > slowest.0 {
                slowest = (start.elapsed(), input);
            }
        }
        let (time, input) = slowest;
        let slow =
            if time > Duration::from_secs(1) { keep(target, &input).display().to_string() } else { String::new() };
        eprintln!("{:24} {cases:>9} cases, slowest {:.3} s {slow}", target.name, time.as_secs_f64());
    }
    std::panic::set_hook(hook);
    assert!(found.is_empty(), "{found:#?}");
}
