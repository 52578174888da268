//! A theme of one's own: its file is read again when it changes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::colour::Depth;
use super::theme::Theme;

/// The file of the theme in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTheme {
    name: String,
    path: PathBuf,
    changed: Option<SystemTime>,
}

impl OwnTheme {
    /// The theme in this file, not read yet.
    pub fn new(name: &str, path: PathBuf) -> Self {
        Self { name: name.to_owned(), path, changed: None }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file.
    ///
    /// # Errors
    /// A file that cannot be read, or is no theme.
    pub fn read(&mut self, depth: Depth) -> anyhow::Result<Theme> {
        self.changed = self.stamp();
        Ok(Theme::parse(&self.name, &std::fs::read_to_string(&self.path)?, depth)?)
    }

    /// Whether the file has changed since it was read.
    pub fn is_stale(&self) -> bool {
        let now = self.stamp();
        now.is_some() && now != self.changed
    }

    fn stamp(&self) -> Option<SystemTime> {
        std::fs::metadata(&self.path).and_then(|file| file.modified()).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_changed_file_is_seen_and_a_broken_one_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        fs::write(&path, "text = { fg = \"red\" }").unwrap();
        let mut own = OwnTheme::new("mine", path.clone());
        assert_eq!(own.read(Depth::True).unwrap().name, "mine");
        assert!(!own.is_stale());
        fs::write(&path, "txet = {}").unwrap();
        File::open(&path).unwrap().set_modified(SystemTime::now() + Duration::from_secs(9)).unwrap();
        assert!(own.is_stale());
        assert!(own.read(Depth::True).unwrap_err().to_string().contains("txet"));
        assert!(!own.is_stale(), "a mistake is told once");
        fs::remove_file(&path).unwrap();
        assert!(!own.is_stale());
    }
}
