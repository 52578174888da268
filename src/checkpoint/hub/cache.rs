//! One repository's folder in the cache.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::HubError;
use super::listing::is_tag;
use super::transfer::Blob;
use crate::checkpoint::replace_file;
use crate::control::Control;

/// How often a lock is asked for.
const PERIOD: Duration = Duration::from_millis(100);

/// `models--OWNER--NAME`, and where its files are locked.
#[derive(Debug)]
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

impl Repository {
    pub(super) fn new(cache: &Path, folder: &str) -> Self {
        Self { folder: cache.join(folder), locks: cache.join(".locks").join(folder) }
    }

    /// Where the content with that tag lies, once it is whole.
    pub(super) fn blob(&self, tag: &str) -> PathBuf {
        self.folder.join("blobs").join(tag)
    }

    /// Where it lies until then.
    pub(super) fn part(&self, tag: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{tag}.incomplete"))
    }

    /// Bytes of a file that are still to come.
    pub(super) fn missing(&self, blob: &Blob) -> u64 {
        let length = |path: PathBuf| path.metadata().map_or(0, |about| about.len());
        let here = length(self.blob(&blob.tag)).max(length(self.part(&blob.tag)));
        blob.bytes.saturating_sub(here)
    }

    /// Bytes that the disk has left, where the system tells.
    pub(super) fn free(&self) -> Option<u64> {
        let there = self.folder.ancestors().find(|folder| folder.exists())?;
        free_in(there)
    }

    /// Keeps other programs (`huggingface_hub` too) from fetching the same content, as long as the file is open.
    pub(super) fn lock(&self, tag: &str, control: &Control) -> Result<File, HubError> {
        let path = self.locks.join(format!("{tag}.lock"));
        fs::create_dir_all(&self.locks).map_err(HubError::io(&self.locks))?;
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(HubError::io(&path))?;
        loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    control.check()?;
                    std::thread::sleep(PERIOD);
                }
                // Where there are no locks, two programs may fetch the same; what they fetch is checked all the same.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
            }
        }
    }

    fn snapshot(&self, revision: &str) -> PathBuf {
        self.folder.join("snapshots").join(revision)
    }

    /// The content that a snapshot has under that name already.
    pub(super) fn linked(&self, revision: &str, name: &str) -> Option<Blob> {
        let target = fs::read_link(self.snapshot(revision).join(name)).ok()?;
        let tag = target.file_name()?.to_str().filter(|tag| is_tag(tag))?;
        let about = self.blob(tag).metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Blob { name: name.to_owned(), tag: tag.to_owned(), bytes: about.len() })
    }

    /// Links the files of a revision by their names, and lets `refs/main` name it; returns its folder.
    pub(super) fn publish<'a>(
        &self,
        revision: &str,
        files: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<PathBuf, HubError> {
        let snapshot = self.snapshot(revision);
        fs::create_dir_all(&snapshot).map_err(HubError::io(&snapshot))?;
        for (name, tag) in files {
            let link = snapshot.join(name);
            match link_to(&self.blob(tag), tag, &link) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&link)
                        .and_then(|()| link_to(&self.blob(tag), tag, &link))
                        .map_err(HubError::io(&link))?;
                }
                linked => linked.map_err(HubError::io(&link))?,
            }
        }
        replace_file(&self.folder.join("refs/main"), true, &[], |out| out.write_all(revision.as_bytes()))?;
        Ok(snapshot)
    }
}

/// A link that goes with the cache when it is moved.
#[cfg(unix)]
fn link_to(_: &Path, tag: &str, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(Path::new("../../blobs").join(tag), link)
}

#[cfg(not(unix))]
fn link_to(blob: &Path, _: &str, link: &Path) -> io::Result<()> {
    fs::hard_link(blob, link)
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn free_in(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    about.f_bavail.checked_mul(about.f_frsize)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn free_in(_: &Path) -> Option<u64> {
    None
}
