//! A mapped file, and whether it still is what was mapped.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::Mmap;

use super::faults::{self, Watched};
use super::file::plain_name;
use super::{CheckpointError, escaped};

/// A file that is mapped.
#[derive(Debug)]
pub(super) struct MappedFile {
    // Dropped before the map: a place that is no longer ours must not be filled.
    watched: Watched,
    pub(super) map: Mmap,
    path: PathBuf,
    state: State,
}

/// What stays the same as long as nobody changes a file.
#[derive(Debug, PartialEq, Eq)]
struct State {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Device and inode.
    place: (u64, u64),
}

impl State {
    fn of(about: &Metadata) -> Self {
        #[cfg(unix)]
        let place = (std::os::unix::fs::MetadataExt::dev(about), std::os::unix::fs::MetadataExt::ino(about));
        #[cfg(not(unix))]
        let place = (0, 0);
        Self { bytes: about.len(), modified: about.modified().ok(), place }
    }
}

impl MappedFile {
    /// The map of the file at `path`, of which `about` was told when it was mapped.
    pub(super) fn new(map: Mmap, path: &Path, about: &Metadata) -> Self {
        Self { watched: faults::watch(&map), map, path: path.to_owned(), state: State::of(about) }
    }

    /// Whether what is mapped is all of the file as it was then.
    ///
    /// # Errors
    /// Says that it is not.
    pub(super) fn check_length(&self) -> Result<(), CheckpointError> {
        match self.map.len() as u64 {
            bytes if bytes == self.state.bytes => Ok(()),
            bytes => Err(self.changed(&format!("it had {bytes} bytes and has {}", self.state.bytes))),
        }
    }

    /// Whether the file is as it was when it was mapped, and all that was read of it was there.
    ///
    /// # Errors
    /// Says what changed.
    pub(super) fn check(&self) -> Result<(), CheckpointError> {
        match fs::metadata(&self.path) {
            Err(_) => Err(self.changed("it is gone")),
            Ok(about) => match State::of(&about) {
                now if now.bytes != self.state.bytes => {
                    Err(self.changed(&format!("it had {} bytes and has {}", self.state.bytes, now.bytes)))
                }
                now if now.place != self.state.place => Err(self.changed("another file has its place")),
                now if now != self.state => Err(self.changed("it was written to")),
                _ => self.check_read(),
            },
        }
    }

    /// Whether all that was read of it was there: costs next to nothing.
    ///
    /// # Errors
    /// Says that it was not.
    pub(super) fn check_read(&self) -> Result<(), CheckpointError> {
        if self.watched.faulted() { Err(self.changed("a part of it could not be read")) } else { Ok(()) }
    }

    fn changed(&self, how: &str) -> CheckpointError {
        CheckpointError::Changed { file: escaped(&plain_name(&self.path), 200), how: how.to_owned() }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::super::Bytes;
    use super::super::file::map;
    use super::*;

    const PAGE: usize = 1 << 16;

    fn mapped(folder: &Path) -> (PathBuf, Bytes) {
        let path = folder.join("weights");
        fs::write(&path, vec![7; 4 * PAGE]).unwrap();
        let bytes = map(&path).unwrap();
        bytes.check().unwrap();
        (path, bytes)
    }

    fn said(bytes: &Bytes) -> String {
        bytes.check().unwrap_err().to_string()
    }

    #[test]
    fn what_a_file_has_lost_is_zeros_and_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = mapped(folder.path());
        let (_, other) = mapped(tempfile::tempdir().unwrap().path());
        fs::File::options().write(true).open(&path).unwrap().set_len(PAGE as u64).unwrap();
        assert_eq!(said(&bytes), "weights changed while open: it had 262144 bytes and has 65536; open the model again");
        // Nobody has read what is gone.
        bytes.check_read().unwrap();
        let sum = |bytes: &Bytes| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        assert_eq!(sum(&bytes), 7 * PAGE as u64);
        let read = bytes.check_read().unwrap_err().to_string();
        assert_eq!(read, "weights changed while open: a part of it could not be read; open the model again");
        assert_eq!(sum(&other), 28 * PAGE as u64);
        other.check_read().unwrap();
        // Back as it was: what was read is an error all the same.
        drop((bytes, other));
        let (_, bytes) = mapped(folder.path());
        assert_eq!(sum(&bytes), 28 * PAGE as u64);
        bytes.check().unwrap();
    }

    #[test]
    fn a_file_that_is_gone_replaced_or_written_to_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = mapped(folder.path());
        let other = folder.path().join("other");
        fs::write(&other, vec![8; 4 * PAGE]).unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(said(&bytes).contains("another file has its place"));
        fs::remove_file(&path).unwrap();
        assert!(said(&bytes).contains("it is gone"));
        assert_eq!(bytes[0], 7);
        let (path, bytes) = mapped(folder.path());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(said(&bytes).contains("it was written to"));
    }
}
