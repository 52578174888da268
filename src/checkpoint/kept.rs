//! Results kept by content, so that they are computed once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tracing::info;

use super::WriteError;
use super::write::{replace_kept, tidy};

/// Length of a key: a BLAKE3 digest in hexadecimal digits.
const DIGITS: usize = 64;

/// A folder of kept results, one file each, named by the digest of what they depend on. At most so many bytes stay there: the
/// files that were not used for longest leave first. Files of other names are left alone.
#[derive(Debug, Clone)]
pub struct KeptFolder {
    folder: PathBuf,
    ending: &'static str,
    limit: u64,
    /// Bytes that may be written before the folder is looked through again: that takes as long as it has files.
    room: Arc<AtomicU64>,
}

/// A kept result is not what was written, and was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a kept result is unsound, and computed anew")]
pub struct Unsound;

impl KeptFolder {
    /// At most `limit` bytes in `folder` (made when first written), in files called `KEY.ending`.
    pub fn new(folder: PathBuf, ending: &'static str, limit: u64) -> Self {
        Self { folder, ending, limit, room: Arc::default() }
    }

    /// Where the result under a key lies, or would.
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.{}", self.ending))
    }

    /// Notes that a result was used now.
    pub fn used(&self, key: &str) {
        let file = File::options().append(true).open(self.path(key));
        let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// The bytes that [`KeptFolder::write`] kept under a key.
    ///
    /// # Errors
    /// [`Unsound`].
    pub fn read(&self, key: &str) -> Result<Option<Vec<u8>>, Unsound> {
        let path = self.path(key);
        let Ok(mut bytes) = fs::read(&path) else { return Ok(None) };
        let sound = bytes.split_at_checked(blake3::OUT_LEN).is_some_and(|(sealed, rest)| seal(key, &[rest]) == *sealed);
        if !sound {
            let _ = fs::remove_file(path);
            return Err(Unsound);
        }
        self.used(key);
        bytes.drain(..blake3::OUT_LEN);
        Ok(Some(bytes))
    }

    /// Keeps bytes, `parts` one after another, under a key, sealed by a digest; older files make room.
    ///
    /// # Errors
    /// The system's; the work can go on without.
    pub fn write(&self, key: &str, parts: &[&[u8]]) -> Result<(), WriteError> {
        let write = |out: &mut dyn std::io::Write| {
            out.write_all(seal(key, parts).as_bytes())?;
            parts.iter().try_for_each(|part| out.write_all(part))
        };
        fs::create_dir_all(&self.folder).map_err(|source| WriteError::Io { path: self.folder.clone(), source })?;
        replace_kept(&self.path(key), write)?;
        self.grew(parts.iter().map(|part| part.len() as u64).sum::<u64>() + blake3::OUT_LEN as u64);
        Ok(())
    }

    /// Notes that a file of so many bytes was written: where they may not fit, the files that were not used for longest leave.
    pub fn grew(&self, bytes: u64) {
        let left = |room: u64| room.checked_sub(bytes);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err() {
            self.make_room();
        }
    }

    /// Removes the files that were not used for longest, until the rest fits; the newest stays. What killed programs left
    /// half-written goes too.
    pub fn make_room(&self) {
        tidy(&self.folder, None);
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| self.is_ours(path))
            .filter_map(|path| {
                let about = path.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
                Some((about.modified().ok()?, about.len(), path))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        // The newest stays, whatever it takes: somebody just made it.
        files.pop();
        let (mut left, before) = (0, total);
        for (_, bytes, path) in files {
            if total <= self.limit {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= bytes;
                left += 1;
            }
        }
        if left > 0 {
            let freed = before - total;
            info!(folder = ?self.folder, files = left, bytes = freed, "kept results made room for newer ones");
        }
        // Others may write here, too: the limit is passed by no more than they write before each looks again.
        self.room.store(self.limit.saturating_sub(total) / 2, Ordering::Relaxed);
    }

    /// Whether a file's name begins with a digest and ends as those of this folder do.
    fn is_ours(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digest = name.get(..DIGITS).is_some_and(|digest| digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let ending = name.strip_suffix(self.ending).is_some_and(|rest| rest.ends_with('.'));
        digest && ending
    }
}

fn seal(key: &str, parts: &[&[u8]]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.as_bytes());
    parts.iter().for_each(|part| {
        hasher.update(part);
    });
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(digit: char) -> String {
        std::iter::repeat_n(digit, DIGITS).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = KeptFolder::new(place.path().join("made/when/needed"), "kept", u64::MAX);
        assert_eq!(folder.read(&key('a')), Ok(None));
        folder.write(&key('a'), &[&[1, 2], &[], &[3]]).unwrap();
        assert_eq!(folder.read(&key('a')), Ok(Some(vec![1, 2, 3])));
    }

    #[test]
    fn broken_files_and_those_of_another_key_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let folder = KeptFolder::new(place.path().to_owned(), "kept", u64::MAX);
        folder.write(&key('a'), &[&[7; 100]]).unwrap();
        let whole = fs::read(folder.path(&key('a'))).unwrap();
        let mut bent = whole.clone();
        bent[40] ^= 1;
        for (name, bytes) in [('a', &bent[..]), ('a', &whole[..50]), ('a', &[]), ('b', &whole)] {
            fs::write(folder.path(&key(name)), bytes).unwrap();
            assert_eq!(folder.read(&key(name)), Err(Unsound));
            assert!(!folder.path(&key(name)).exists());
        }
    }

    #[test]
    fn those_not_used_for_longest_make_room() {
        let place = tempfile::tempdir().unwrap();
        let others = ["notes.kept".to_owned(), format!("{}.lock", key('e')), format!("{}kept", key('f'))];
        others.iter().for_each(|name| fs::write(place.path().join(name), [0; 5000]).unwrap());
        let unlimited = KeptFolder::new(place.path().to_owned(), "kept", u64::MAX);
        let past = SystemTime::now() - Duration::from_secs(1000);
        for (age, digit) in ['a', 'b', 'c'].into_iter().enumerate() {
            unlimited.write(&key(digit), &[&[1; 100]]).unwrap();
            let file = File::options().append(true).open(unlimited.path(&key(digit))).unwrap();
            file.set_modified(past + Duration::from_secs(age as u64)).unwrap();
        }
        unlimited.read(&key('a')).unwrap().unwrap();
        KeptFolder::new(place.path().to_owned(), "kept", 2 * 132).write(&key('c'), &[&[1; 100]]).unwrap();
        assert_eq!(['a', 'b', 'c'].map(|digit| unlimited.path(&key(digit)).exists()), [true, false, true]);
        assert!(others.iter().all(|name| place.path().join(name).exists()));
    }

    #[test]
    fn the_folder_is_within_its_limit_after_every_file() {
        let place = tempfile::tempdir().unwrap();
        let folder = KeptFolder::new(place.path().to_owned(), "kept", 10_000);
        for i in 0..120_u32 {
            let name = format!("{i:064x}");
            folder.write(&name, &[&vec![1; 17 * i as usize]]).unwrap();
            assert!(folder.path(&name).exists());
            let sizes = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
            assert!(sizes.sum::<u64>() <= 10_000, "after file {i}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), "").unwrap();
        let folder = KeptFolder::new(place.path().join("file/inside"), "kept", 0);
        assert!(folder.write(&key('a'), &[&[1]]).unwrap_err().to_string().contains("file/inside"));
        assert_eq!(folder.read(&key('a')), Ok(None));
    }
}
