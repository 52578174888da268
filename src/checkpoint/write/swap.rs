//! Putting a folder that was written beside its target in the target's place.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

use super::WriteError;
use super::place::{Holds, exchange, holds_only, is_there, rename_new, sync_folder};
use super::scratch::Scratch;

/// Whether what lies at the target may be replaced by a folder that holds the like.
pub(super) fn may_replace(target: &Path, force: bool, holds: Holds) -> Result<(), WriteError> {
    match (force, holds) {
        (false, _) => Err(WriteError::Exists(target.to_owned())),
        (true, _) if holds_only(target, holds) => Ok(()),
        (true, Holds::Model) => Err(WriteError::NotAModel(target.to_owned())),
        (true, Holds::Report) => Err(WriteError::NotAReport(target.to_owned())),
    }
}

/// Syncs a file; its length.
pub(super) fn close(file: &File) -> io::Result<u64> {
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// Puts the temporary where the target is to be. What is there already changes places with it, and is removed.
pub(super) fn put_in_place(
    temporary: Scratch<TempDir>,
    target: &Path,
    force: bool,
    holds: Holds,
) -> Result<(), WriteError> {
    let parent = target.parent().unwrap_or(target);
    let made = temporary.made.path();
    sync_folder(made).map_err(WriteError::io(target))?;
    match rename_new(made, target) {
        Ok(()) => {
            // The rename took the temporary away: there is nothing left to remove.
            let _ = temporary.made.keep();
        }
        Err(error) if !is_there(target) => return Err(WriteError::io(target)(error)),
        Err(_) => {
            // Once more: it may have come, or changed, while the files were written.
            may_replace(target, force, holds)?;
            match exchange(made, target) {
                Some(exchanged) => exchanged.map_err(WriteError::io(target))?,
                None => replace_in_steps(made, target)?,
            }
        }
    }
    sync_folder(parent).map_err(WriteError::io(target))
}

/// Where two folders cannot change places at once: the old one goes aside first and is removed last, and comes back where
/// the second rename fails.
fn replace_in_steps(made: &Path, target: &Path) -> Result<(), WriteError> {
    let fail = || WriteError::io(target);
    let parent = target.parent().unwrap_or(target);
    let aside = tempfile::Builder::new().prefix(".replaced-").tempdir_in(parent).map_err(fail())?;
    let old = aside.path().join("old");
    fs::rename(target, &old).map_err(fail())?;
    if let Err(error) = fs::rename(made, target) {
        if fs::rename(&old, target).is_err() {
            // Better a stray folder than a lost one.
            let _ = aside.keep();
        }
        return Err(fail()(error));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::scratch;
    use super::*;

    #[test]
    fn a_folder_is_replaced_at_once_or_in_steps() {
        let room = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = room.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("model.safetensors"), name).unwrap();
            path
        };
        let target = folder("target");
        let held = || fs::read_to_string(target.join("model.safetensors")).unwrap();
        replace_in_steps(&folder("steps"), &target).unwrap();
        assert_eq!(held(), "steps");
        assert!(replace_in_steps(&room.path().join("nowhere"), &target).is_err());
        assert_eq!(held(), "steps");
        let scratch = scratch::folder(room.path(), "target").unwrap();
        fs::write(scratch.made.path().join("model.safetensors"), "at once").unwrap();
        put_in_place(scratch, &target, true, Holds::Model).unwrap();
        assert_eq!(held(), "at once");
        let scratch = scratch::folder(room.path(), "target").unwrap();
        let refused = put_in_place(scratch, &target, false, Holds::Model);
        assert!(matches!(refused, Err(WriteError::Exists(_))));
        let scratch = scratch::folder(room.path(), "target").unwrap();
        assert!(matches!(put_in_place(scratch, &target, true, Holds::Report), Err(WriteError::NotAReport(_))));
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
    }
}
