//! The rooms and who may know whom: each knows only those below it.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. `tui` and `cli` are the two faces; `cli` starts `tui`, since a command without a subcommand opens it.
const ROOMS: [&str; 9] = ["control", "checkpoint", "linalg", "model", "compress", "measure", "workbench", "tui", "cli"];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The room that a source file belongs to: the first part of its path below `src`.
fn room_of(path: &Path, src: &Path) -> Option<usize> {
    let first = path.strip_prefix(src).ok()?.components().next()?.as_os_str().to_str()?.to_owned();
    ROOMS.iter().position(|room| first == *room || first == format!("{room}.rs"))
}

/// Rooms named as `crate::room` in a source text.
fn rooms_named(text: &str) -> Vec<usize> {
    let named = |(index, room): (usize, &&str)| text.contains(&format!("crate::{room}")).then_some(index);
    let grouped = text.split("use crate::{").skip(1).filter_map(|rest| rest.split("};").next());
    let in_groups: String = grouped.collect();
    let in_group = |room: &str| in_groups.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == room);
    let mut found: Vec<usize> = ROOMS.iter().enumerate().filter_map(named).collect();
    found.extend(ROOMS.iter().enumerate().filter(|(_, room)| in_group(room)).map(|(index, _)| index));
    found
}

fn all_sources() -> Vec<(PathBuf, Option<usize>, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| {
        let (room, text) = (room_of(&path, &src), fs::read_to_string(&path).unwrap());
        (path, room, text)
    };
    sources(&src).into_iter().map(read).collect()
}

#[test]
fn a_room_knows_only_those_below_it() {
    let mut seen = [false; ROOMS.len()];
    for (path, room, text) in all_sources() {
        let Some(room) = room else { continue };
        seen[room] = true;
        for named in rooms_named(&text) {
            assert!(named <= room, "{} knows {}, which lies above it", path.display(), ROOMS[named]);
        }
    }
    assert_eq!(seen, [true; ROOMS.len()], "a room of the list has no source");
}

#[test]
fn below_the_faces_nothing_reads_the_environment_or_prints() {
    let faces = ROOMS.iter().position(|room| *room == "tui").unwrap();
    for (path, room, text) in all_sources() {
        if room.is_none_or(|room| room >= faces) {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for word in ["std::env::", "println!", "print!(", "directories::", "crossterm", "ratatui"] {
            assert!(!code.contains(word), "{} uses {word}", path.display());
        }
    }
}

#[test]
fn unsafe_lives_in_kernels_and_the_memory_map_alone() {
    for (path, _, text) in all_sources() {
        let allowed = path.to_string_lossy().contains("kernels")
            || ["checkpoint/file.rs", "checkpoint/faults.rs"].iter().any(|file| path.ends_with(file));
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        assert!(allowed || !code.clone().any(|line| line.contains("unsafe ")), "{} uses unsafe", path.display());
    }
}
