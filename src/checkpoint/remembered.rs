//! Digests of tensors remembered by the files that they lie in, so that gigabytes are read once to find them in a cache.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use tracing::debug;

use super::{Tensor, file, replace_file};

/// Version of the digests and of their file.
const VERSION: u32 = 1;

/// What is remembered of a checkpoint's files as they are now.
#[derive(Debug)]
pub(super) struct Remembered {
    path: PathBuf,
    files: Vec<FileState>,
}

/// A file that is the same as long as none of this changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileState {
    path: PathBuf,
    bytes: u64,
    modified_ns: u64,
    inode: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    version: u32,
    files: Vec<FileState>,
    digests: BTreeMap<String, String>,
}

impl Remembered {
    /// Of `files`, in `folder`; `None` for a model without files, and where the system does not tell enough about one.
    pub(super) fn new(folder: &Path, files: &[PathBuf]) -> Option<Self> {
        let files: Vec<FileState> = files.iter().map(|file| FileState::of(file)).collect::<Option<_>>()?;
        let mut name = blake3::Hasher::new();
        for file in &files {
            name.update(file.path.as_os_str().as_encoded_bytes()).update(&[0]);
        }
        let path = folder.join(format!("{}.json", name.finalize().to_hex()));
        (!files.is_empty()).then_some(Self { path, files })
    }

    /// Tells the tensors their digests, where the files are those that they were found in.
    pub(super) fn recall(&self, tensors: &[Tensor]) {
        let Some(mut entry) = self.read() else { return };
        for tensor in tensors {
            if let Some(digest) = entry.digests.remove(&tensor.name) {
                tensor.recall_digest(digest);
            }
        }
    }

    fn read(&self) -> Option<Entry> {
        if !self.path.is_file() {
            return None;
        }
        let content = file::read_small(&self.path).ok()?;
        let entry: Option<Entry> = serde_json::from_slice(&content).ok();
        let sound = |entry: &Entry| entry.version == VERSION && entry.digests.values().all(|digest| is_digest(digest));
        if entry.as_ref().is_none_or(|entry| !sound(entry)) {
            debug!(path = ?self.path, "remembered digests are unsound, and found anew");
        }
        entry.filter(|entry| sound(entry) && entry.files == self.files)
    }

    /// Keeps the digests known by now, if the files did not change while they were found.
    pub(super) fn keep(&self, tensors: &[Tensor]) {
        let known = |tensor: &Tensor| Some((tensor.name.clone(), tensor.known_digest()?.to_owned()));
        let digests: BTreeMap<String, String> = tensors.iter().filter_map(known).collect();
        let unchanged = self.files.iter().all(|file| FileState::of(&file.path).as_ref() == Some(file));
        let kept = self.read().map_or(0, |entry| entry.digests.len());
        if !unchanged || digests.len() <= kept {
            return;
        }
        let entry = Entry { version: VERSION, files: self.files.clone(), digests };
        let written = replace_file(&self.path, true, &[], |out| Ok(serde_json::to_writer(out, &entry)?));
        if let Err(error) = written {
            debug!("digests are not remembered: {error}");
        }
    }
}

impl FileState {
    fn of(path: &Path) -> Option<Self> {
        let path = path.canonicalize().ok()?;
        let about = fs::metadata(&path).ok()?;
        let modified = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&about);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { path, bytes: about.len(), modified_ns: modified.as_nanos().try_into().ok()?, inode })
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::super::{Checkpoint, Dtype, TensorSpec, write_safetensors};
    use super::*;

    fn written(path: &Path, value: u8) {
        let spec = TensorSpec { name: "w".into(), dtype: Dtype::U8, shape: vec![1] };
        replace_file(path, true, &[], |out| write_safetensors(out, &[(spec, &[value])], &BTreeMap::new())).unwrap();
    }

    fn opened(path: &Path, folder: &Path) -> Checkpoint {
        Checkpoint::open(path).unwrap().remembering(folder)
    }

    fn known(checkpoint: &Checkpoint) -> Option<&str> {
        checkpoint.tensor("w").unwrap().known_digest()
    }

    #[test]
    fn a_digest_is_known_again_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, memory) = (folder.path().join("m.safetensors"), folder.path().join("digests"));
        written(&path, 1);
        let first = opened(&path, &memory);
        assert_eq!(known(&first), None);
        let fingerprint = first.fingerprint();
        let second = opened(&path, &memory);
        assert_eq!(known(&second), Some(first.tensor("w").unwrap().digest().as_str()));
        assert_eq!(second.fingerprint(), fingerprint);
        written(&path, 2);
        let changed = opened(&path, &memory);
        assert_eq!(known(&changed), None);
        assert_ne!(changed.fingerprint(), fingerprint);
    }

    #[test]
    fn a_file_changed_while_it_was_read_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let (path, memory) = (folder.path().join("m.safetensors"), folder.path().join("digests"));
        written(&path, 1);
        let first = opened(&path, &memory);
        written(&path, 2);
        first.fingerprint();
        assert_eq!(known(&opened(&path, &memory)), None);
        assert!(!memory.exists());
    }

    #[test]
    fn what_is_broken_is_found_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, memory) = (folder.path().join("m.safetensors"), folder.path().join("digests"));
        written(&path, 1);
        let right = opened(&path, &memory).fingerprint();
        let entry = fs::read_dir(&memory).unwrap().next().unwrap().unwrap().path();
        let text = fs::read_to_string(&entry).unwrap();
        for broken in [text[..20].to_owned(), text.replace("\"w\":\"", "\"w\":\"../")] {
            fs::write(&entry, broken).unwrap();
            let again = opened(&path, &memory);
            assert_eq!(known(&again), None);
            assert_eq!(again.fingerprint(), right);
            assert_eq!(fs::read_to_string(&entry).unwrap(), text);
        }
    }
}
