//! Temporaries beside a target. Each is locked as long as its program writes it, so that what a killed program left behind
//! can be told from what another one is writing just now; a lock ends with its program, however that ends.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempDir};

/// What stands between the target's name and the random part of a temporary's.
const MARK: &str = ".part-";
/// Letters and digits in the random part.
const RANDOM: usize = 6;
/// How often a temporary may be taken away by somebody who tidies up before it is locked.
const ATTEMPTS: usize = 16;

/// A temporary with the lock on it, where the system has locks.
#[derive(Debug)]
pub(super) struct Scratch<T> {
    /// The folder or file.
    pub(super) made: T,
    _lock: Option<File>,
}

/// A folder beside `name`; those that killed programs left there go first.
pub(super) fn folder(parent: &Path, name: &str) -> io::Result<Scratch<TempDir>> {
    tidy(parent, Some(name));
    claimed(|| builder(&format!(".{name}{MARK}"), 0o777).tempdir_in(parent), TempDir::path)
}

/// A file beside `name`; those that killed programs left there go first.
pub(super) fn file(parent: &Path, name: &str) -> io::Result<Scratch<NamedTempFile>> {
    tidy(parent, Some(name));
    claimed(|| builder(&format!(".{name}{MARK}"), 0o666).tempfile_in(parent), NamedTempFile::path)
}

/// A builder of temporaries with the permissions that an ordinary file or folder would have.
fn builder(prefix: &str, mode: u32) -> Builder<'_, 'static> {
    let mut builder = Builder::new();
    builder.prefix(prefix).rand_bytes(RANDOM);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

fn claimed<T>(make: impl Fn() -> io::Result<T>, path: fn(&T) -> &Path) -> io::Result<Scratch<T>> {
    for _ in 0..ATTEMPTS {
        let made = make()?;
        match claim(path(&made)) {
            Claim::Taken(lock) => return Ok(Scratch { made, _lock: Some(lock) }),
            Claim::Unknown => return Ok(Scratch { made, _lock: None }),
            Claim::Busy => {}
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "temporaries are taken away as soon as they are made"))
}

enum Claim {
    /// It is ours as long as the file is open.
    Taken(File),
    /// Somebody else has it, or had it and took it away.
    Busy,
    /// This system does not lock such a thing.
    Unknown,
}

fn claim(path: &Path) -> Claim {
    if !cfg!(unix) {
        return Claim::Unknown;
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Claim::Busy,
        Err(_) => return Claim::Unknown,
    };
    match file.try_lock() {
        Ok(()) if is_still(path, &file) => Claim::Taken(file),
        Ok(()) | Err(TryLockError::WouldBlock) => Claim::Busy,
        Err(TryLockError::Error(_)) => Claim::Unknown,
    }
}

/// Whether what was opened is what lies there.
#[cfg(unix)]
fn is_still(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let which = |about: fs::Metadata| (about.dev(), about.ino());
    path.symlink_metadata().map(which).ok().is_some_and(|there| file.metadata().map(which).is_ok_and(|it| it == there))
}

#[cfg(not(unix))]
fn is_still(_: &Path, _: &File) -> bool {
    true
}

/// Removes the temporaries beside `name`, or all in `parent`, that no living program writes. What cannot be removed stays.
pub(in crate::checkpoint) fn tidy(parent: &Path, name: Option<&str>) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let ours = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(|found| is_ours(found, name)));
    ours.for_each(|entry| remove_if_left(&entry.path()));
}

fn is_ours(found: &str, name: Option<&str>) -> bool {
    let parts = found.strip_prefix('.').and_then(|rest| rest.rsplit_once(MARK));
    parts.is_some_and(|(of, random)| {
        let drawn = random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        drawn && name.is_none_or(|name| name == of)
    })
}

fn remove_if_left(path: &Path) {
    let Ok(kind) = path.symlink_metadata().map(|about| about.file_type()) else { return };
    if kind.is_symlink() || (kind.is_dir() && !holds_only_files(path)) {
        return;
    }
    if let Claim::Taken(_lock) = claim(path) {
        let _ = if kind.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// Never more than what a writer makes.
fn holds_only_files(folder: &Path) -> bool {
    let is_folder =
        |entry: io::Result<fs::DirEntry>| entry.and_then(|entry| entry.file_type()).is_ok_and(|t| t.is_dir());
    fs::read_dir(folder).is_ok_and(|mut entries| !entries.any(is_folder))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_program_left_goes_and_what_a_living_one_writes_stays() {
        let room = tempfile::tempdir().unwrap();
        let at = |name: &str| room.path().join(name);
        let living = folder(room.path(), "out").unwrap();
        let other = file(room.path(), "out").unwrap();
        fs::create_dir(at(".out.part-aaaaaa")).unwrap();
        fs::write(at(".out.part-aaaaaa/model.safetensors"), "half").unwrap();
        fs::write(at(".out.part-bbbbbb"), "half").unwrap();
        let kept =
            [".out.part-aaaaaaa", ".out.part-a.b.c.", ".out2.part-aaaaaa", "out.part-aaaaaa", ".out.part-deep00/x"];
        kept.iter().for_each(|name| fs::create_dir_all(at(name)).unwrap());
        std::os::unix::fs::symlink("nowhere", at(".out.part-linked")).unwrap();
        drop(folder(room.path(), "out").unwrap());
        assert!(!at(".out.part-aaaaaa").exists() && !at(".out.part-bbbbbb").exists());
        assert!(living.made.path().exists() && other.made.path().exists());
        assert!(kept.iter().all(|name| at(name).exists()) && at(".out.part-linked").is_symlink());
        tidy(room.path(), None);
        assert!(!at(".out2.part-aaaaaa").exists() && living.made.path().exists());
    }

    #[test]
    fn a_temporary_taken_away_before_it_is_locked_is_made_anew() {
        let room = tempfile::tempdir().unwrap();
        let first = std::cell::Cell::new(true);
        let make = || {
            let made = builder(".out.part-", 0o777).tempdir_in(room.path())?;
            if first.replace(false) {
                fs::remove_dir(made.path())?;
            }
            Ok(made)
        };
        assert!(claimed(make, TempDir::path).unwrap().made.path().exists());
        let gone = || {
            builder(".out.part-", 0o777).tempdir_in(room.path()).inspect(|made| fs::remove_dir(made.path()).unwrap())
        };
        assert_eq!(claimed(gone, TempDir::path).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    }
}
