//! Where a target lies, and whether it may be written.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::WriteError;
use crate::checkpoint::folder::{INDEX, travels};
use crate::checkpoint::open::POLICY;

/// The one path of `path`: links followed as far as it exists, the rest appended.
pub(super) fn resolved(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let mut missing: Vec<OsString> = Vec::new();
    for ancestor in absolute.ancestors() {
        if let Ok(mut whole) = ancestor.canonicalize() {
            whole.extend(missing.iter().rev());
            return Ok(whole);
        }
        match ancestor.components().next_back() {
            Some(Component::Normal(name)) => missing.push(name.to_owned()),
            _ => break,
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leads through a folder that is not there"))
}

/// Every path under which an input may be met: as it leads by links, and where the links themselves lie.
fn faces(input: &Path) -> Vec<PathBuf> {
    let beside = input.file_name().zip(input.parent()).and_then(|(name, parent)| {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        Some(resolved(parent).ok()?.join(name))
    });
    resolved(input).ok().into_iter().chain(beside).collect()
}

/// Refuses a folder that is, holds or lies in an input.
pub(super) fn refuse_folder_of_inputs(target: &Path, inputs: &[PathBuf]) -> Result<(), WriteError> {
    let touches = |input: &PathBuf| faces(input).iter().any(|i| i.starts_with(target) || target.starts_with(i));
    if inputs.iter().any(touches) { Err(WriteError::IsInput(target.to_owned())) } else { Ok(()) }
}

/// Refuses a file that is an input.
pub(super) fn refuse_inputs(target: &Path, inputs: &[PathBuf]) -> Result<(), WriteError> {
    let is = |input: &PathBuf| faces(input).iter().any(|i| i == target);
    if inputs.iter().any(is) { Err(WriteError::IsInput(target.to_owned())) } else { Ok(()) }
}

/// Whether anything is there, be it a link that leads nowhere.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Checksums of the files of a report, as `sha256sum` writes them.
pub(super) const CHECKSUMS: &str = "SHA256SUMS";

/// What a folder must hold to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// A model: one of its files at least, and nothing else.
    Model,
    /// A report: no file that its checksums do not name.
    Report,
}

/// Whether a folder may be replaced: it holds what it must, or nothing, and no folder of its own.
pub(super) fn holds_only(folder: &Path, holds: Holds) -> bool {
    let is_folder = folder.symlink_metadata().is_ok_and(|about| about.is_dir());
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let mut names = Vec::new();
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.file_type()?.is_dir(), entry.file_name()))) {
            Ok((false, name)) => names.push(name),
            _ => return false,
        }
    }
    let of_a_model = |name: &OsString| name.to_str().is_some_and(is_of_a_model);
    let held = match holds {
        Holds::Model => names.iter().all(of_a_model),
        Holds::Report => {
            let sums = fs::read_to_string(folder.join(CHECKSUMS)).unwrap_or_default();
            let named: Vec<&str> = sums.lines().filter_map(|line| line.split_once("  ")).map(|line| line.1).collect();
            names.iter().all(|name| name == CHECKSUMS || name.to_str().is_some_and(|name| named.contains(&name)))
        }
    };
    is_folder && (names.is_empty() || held)
}

/// Whether an export writes files of that name.
fn is_of_a_model(name: &str) -> bool {
    let weights = Path::new(name).extension().is_some_and(|e| e == "safetensors");
    weights || name == INDEX || name == POLICY || travels(name)
}

/// Name and folder of a resolved target; the folder is created where it is not there.
pub(super) fn prepare(target: &Path) -> Result<(PathBuf, String), WriteError> {
    let nameless = || WriteError::io(target)(io::Error::new(io::ErrorKind::InvalidInput, "the path has no name"));
    let (name, parent) = target.file_name().zip(target.parent()).ok_or_else(nameless)?;
    fs::create_dir_all(parent).map_err(WriteError::io(parent))?;
    Ok((parent.to_owned(), name.to_string_lossy().into_owned()))
}

/// Makes the renames in a folder durable, where the system can.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Renames a folder to where nothing lies; the error is of kind `AlreadyExists` where something does.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match atomically(from, to, Rename::New) {
        Some(renamed) => renamed,
        None if is_there(to) => Err(io::ErrorKind::AlreadyExists.into()),
        None => fs::rename(from, to),
    }
}

/// Lets two folders change places at once; `None` where the system cannot do that.
pub(super) fn exchange(one: &Path, other: &Path) -> Option<io::Result<()>> {
    atomically(one, other, Rename::Exchange)
}

#[derive(Debug, Clone, Copy)]
enum Rename {
    New,
    Exchange,
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn atomically(from: &Path, to: &Path, how: Rename) -> Option<io::Result<()>> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    let flags = match how {
        Rename::New => RenameFlags::NOREPLACE,
        Rename::Exchange => RenameFlags::EXCHANGE,
    };
    match renameat_with(CWD, from, CWD, to, flags) {
        // What a file system says that does not know the flags.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => None,
        renamed => Some(renamed.map_err(io::Error::from)),
    }
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn atomically(_: &Path, _: &Path, _: Rename) -> Option<io::Result<()>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_resolved_as_far_as_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().canonicalize().unwrap();
        assert_eq!(resolved(&folder.path().join("a/b")).unwrap(), whole.join("a/b"));
        assert!(resolved(&folder.path().join("a/../b")).is_err());
        fs::create_dir(folder.path().join("a")).unwrap();
        assert_eq!(resolved(&folder.path().join("a/../b")).unwrap(), whole.join("b"));
    }

    #[test]
    fn only_model_folders_are_replaced_by_models() {
        let folder = tempfile::tempdir().unwrap();
        assert!(holds_only(folder.path(), Holds::Model));
        fs::write(folder.path().join("thesis.txt"), "years").unwrap();
        assert!(!holds_only(folder.path(), Holds::Model));
        fs::write(folder.path().join("policy.json"), "").unwrap();
        assert!(!holds_only(folder.path(), Holds::Model), "what is no model's would be lost with it");
        fs::remove_file(folder.path().join("thesis.txt")).unwrap();
        for name in
            ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.json", "config.json"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(holds_only(folder.path(), Holds::Model));
        fs::write(folder.path().join(CHECKSUMS), "").unwrap();
        assert!(!holds_only(folder.path(), Holds::Model), "a report");
        fs::remove_file(folder.path().join(CHECKSUMS)).unwrap();
        fs::create_dir(folder.path().join("more")).unwrap();
        assert!(!holds_only(folder.path(), Holds::Model));
        assert!(!holds_only(&folder.path().join("policy.json"), Holds::Model));
    }
}
