//! The targets of `tests/fuzz`, guided by coverage. Which one: `RANKSCOPE_FUZZ_TARGET`.
#![no_main]

#[path = "../../tests/fuzz/fault.rs"]
mod fault;
#[path = "../../tests/fuzz/mutate.rs"]
mod mutate;
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use tempfile::TempDir;

use self::fault::fault;
use self::mutate::{Draw, made};
use self::targets::{Target, all};

/// The folder of the package.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The target that was asked for, and the folder that it writes into.
static CHOSEN: OnceLock<(Target, TempDir)> = OnceLock::new();

fn target() -> &'static Target {
    &CHOSEN.get_or_init(chosen).0
}

fn chosen() -> (Target, TempDir) {
    let name = std::env::var("RANKSCOPE_FUZZ_TARGET").unwrap_or_default();
    let room = tempfile::tempdir().unwrap();
    let mut targets = all(&room);
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let Some(at) = names.iter().position(|known| *known == name) else {
        eprintln!("RANKSCOPE_FUZZ_TARGET must be one of: {}", names.join(" "));
        std::process::exit(2)
    };
    (targets.swap_remove(at), room)
}

/// Puts the seeds, and what was found before, where the run begins from.
fn sow() {
    let target = target();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(&target.name);
    fs::create_dir_all(&folder).unwrap();
    let kept = target.kept().into_iter().map(|(_, input)| input);
    for (index, input) in target.seeds.iter().cloned().chain(kept).enumerate() {
        fs::write(folder.join(format!("seed_{index}")), input).unwrap();
    }
}

fuzz_target!(init: sow(), |input: &[u8]| {
    if let Some(why) = fault(target(), input) {
        panic!("{why}");
    }
});

// Half of the changes keep JSON that is JSON, and the length before a header right: bytes alone seldom do.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut draw = Draw(seed.into());
    if draw.below(2) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let input = made(&mut draw, &[data[..size].to_vec()], target().framed, max_size);
    data[..input.len()].copy_from_slice(&input);
    input.len()
});
