//! A folder of small files with their checksums.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::WriteError;
use super::place::{CHECKSUMS, Holds, is_there, prepare, refuse_folder_of_inputs, resolved};
use super::scratch::{self, Scratch};
use super::swap::{close, may_replace, put_in_place};
use crate::checkpoint::escaped;
use crate::checkpoint::index::is_plain;
use crate::control::Control;

/// Writes the files of a report into a temporary beside the target, then renames. Dropped before [`ReportFolder::finish`], it
/// removes the temporary and leaves the target as it was.
#[derive(Debug)]
pub struct ReportFolder {
    target: PathBuf,
    force: bool,
    /// Bytes and SHA-256 of each file.
    files: BTreeMap<String, (u64, String)>,
    temporary: Scratch<TempDir>,
}

impl ReportFolder {
    /// Refuses an existing target unless `force`, and any target that is, holds or lies in one of `inputs`. With `force` only a
    /// folder is replaced whose every file its `SHA256SUMS` names.
    ///
    /// # Errors
    /// As above; the system's.
    pub fn create(target: &Path, force: bool, inputs: &[PathBuf]) -> Result<Self, WriteError> {
        let given = target;
        let target = resolved(given).map_err(WriteError::io(given))?;
        refuse_folder_of_inputs(&target, inputs)?;
        if is_there(given) || is_there(&target) {
            may_replace(&target, force, Holds::Report)?;
        }
        let (parent, name) = prepare(&target)?;
        let temporary = scratch::folder(&parent, &name).map_err(WriteError::io(&target))?;
        Ok(Self { target, force, files: BTreeMap::new(), temporary })
    }

    /// Writes one file.
    ///
    /// # Errors
    /// A name that is a path or taken, or the system's.
    pub fn file(&mut self, name: &str, data: &[u8]) -> Result<(), WriteError> {
        if name == CHECKSUMS || self.files.contains_key(name) || !is_plain(name) {
            let name = escaped(name, 200);
            return Err(WriteError::Invalid(format!("a file of a report cannot be called {name}")));
        }
        self.write(name, data)
    }

    fn write(&mut self, name: &str, data: &[u8]) -> Result<(), WriteError> {
        let write = |path: PathBuf| {
            let mut file = File::create_new(path)?;
            file.write_all(data)?;
            close(&file)
        };
        let bytes = write(self.temporary.made.path().join(name)).map_err(WriteError::io(self.target.join(name)))?;
        self.files.insert(name.to_owned(), (bytes, sha256(data)));
        Ok(())
    }

    /// Adds `SHA256SUMS`, as `sha256sum` writes it, and renames to the target; (file name, bytes) sorted by name.
    ///
    /// # Errors
    /// The system's, cancelled; the temporary is removed.
    pub fn finish(mut self, control: &Control) -> Result<Vec<(String, u64)>, WriteError> {
        let line = |text: String, (name, (_, sum)): (&String, &(u64, String))| format!("{text}{sum}  {name}\n");
        let sums = self.files.iter().fold(String::new(), line);
        self.write(CHECKSUMS, sums.as_bytes())?;
        control.check()?;
        let Self { target, force, files, temporary } = self;
        put_in_place(temporary, &target, force, Holds::Report)?;
        Ok(files.into_iter().map(|(name, (bytes, _))| (name, bytes)).collect())
    }
}

/// SHA-256, hex.
pub fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(target: &Path, force: bool, inputs: &[PathBuf], text: &str) -> Result<Vec<(String, u64)>, WriteError> {
        let mut folder = ReportFolder::create(target, force, inputs)?;
        folder.file("report.md", text.as_bytes())?;
        folder.finish(&Control::new())
    }

    #[test]
    fn a_report_is_written_whole_with_its_checksums() {
        let room = tempfile::tempdir().unwrap();
        let target = room.path().join("report");
        let files = put(&target, false, &[], "abc").unwrap();
        assert_eq!(files.iter().map(|file| file.0.as_str()).collect::<Vec<_>>(), ["SHA256SUMS", "report.md"]);
        let sums = fs::read_to_string(target.join(CHECKSUMS)).unwrap();
        assert_eq!(sums, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  report.md\n");
        assert!(matches!(put(&target, false, &[], "more"), Err(WriteError::Exists(_))));
        put(&target, true, &[], "more").unwrap();
        assert_eq!(fs::read_to_string(target.join("report.md")).unwrap(), "more");
        let cancelled = Control::new();
        cancelled.cancel();
        assert!(ReportFolder::create(&target, true, &[]).unwrap().finish(&cancelled).is_err());
        assert_eq!(fs::read_to_string(target.join("report.md")).unwrap(), "more");
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_a_report_and_never_an_input_is_replaced() {
        let room = tempfile::tempdir().unwrap();
        let target = room.path().join("report");
        put(&target, false, &[], "abc").unwrap();
        fs::write(target.join("notes.txt"), "my own").unwrap();
        assert!(matches!(put(&target, true, &[], "x"), Err(WriteError::NotAReport(_))));
        let policy = room.path().join("work/policy.json");
        fs::create_dir(policy.parent().unwrap()).unwrap();
        fs::write(&policy, "{}").unwrap();
        let work = policy.parent().unwrap().to_owned();
        assert!(matches!(put(&work, true, &[policy], "x"), Err(WriteError::IsInput(_))));
        assert!(matches!(put(&work, true, &[], "x"), Err(WriteError::NotAReport(_))));
        for name in ["SHA256SUMS", "a/b", "..", "report.md"] {
            let mut folder = ReportFolder::create(&room.path().join("new"), false, &[]).unwrap();
            folder.file("report.md", b"").unwrap();
            assert!(folder.file(name, b"").is_err(), "{name}");
        }
    }
}
