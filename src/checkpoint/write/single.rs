//! One file, replaced whole.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::WriteError;
use super::place::{is_there, prepare, refuse_inputs, resolved, sync_folder};
use super::scratch;

/// Writes one file by a synced temporary and a rename (this module's head says what that does not promise). Refuses an
/// existing one unless `force`, any of `inputs` always. A link is followed: what it leads to is replaced.
///
/// # Errors
/// As above, and the system's.
pub fn replace_file(
    path: &Path,
    force: bool,
    inputs: &[PathBuf],
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    let folder = replace(path, force, inputs, |file| {
        fill(file, write)?;
        file.as_file().sync_all()
    })?;
    sync_folder(&folder).map_err(WriteError::io(folder))
}

/// As [`replace_file`] with `force`, without waiting for the disk: after a crash of the machine the file may hold anything,
/// so it must be one whose content is checked when it is read, and that can be made again.
///
/// # Errors
/// As [`replace_file`].
pub fn replace_kept(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), WriteError> {
    replace(path, true, &[], |file| fill(file, write)).map(drop)
}

/// Replaces a file by what `make` makes of a new one beside it; the folder that it lies in.
fn replace(
    path: &Path,
    force: bool,
    inputs: &[PathBuf],
    make: impl FnOnce(&mut NamedTempFile) -> io::Result<()>,
) -> Result<PathBuf, WriteError> {
    let target = resolved(path).map_err(WriteError::io(path))?;
    refuse_inputs(&target, inputs)?;
    let before = target.symlink_metadata().ok();
    if before.as_ref().is_some_and(|about| !about.is_file()) {
        return Err(WriteError::NotAFile(target));
    }
    if is_there(path) && !force {
        return Err(WriteError::Exists(target));
    }
    let (folder, name) = prepare(&target)?;
    let fail = || WriteError::io(&target);
    let mut scratch = scratch::file(&folder, &name).map_err(fail())?;
    make(&mut scratch.made).map_err(fail())?;
    let file = scratch.made;
    if let Some(before) = before {
        fs::set_permissions(file.path(), before.permissions()).map_err(fail())?;
    }
    let moved = if force { file.persist(&target) } else { file.persist_noclobber(&target) };
    match moved {
        Ok(_) => Ok(folder),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(WriteError::Exists(target)),
        Err(error) => Err(fail()(error.error)),
    }
}

fn fill(file: &mut NamedTempFile, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = BufWriter::new(file.as_file_mut());
    write(&mut buffer)?;
    buffer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, force: bool, inputs: &[PathBuf], text: &str) -> Result<(), WriteError> {
        replace_file(path, force, inputs, |out| out.write_all(text.as_bytes()))
    }

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/policy.json");
        put(&path, false, &[], "one").unwrap();
        assert!(matches!(put(&path, false, &[], "two"), Err(WriteError::Exists(_))));
        let broken = replace_file(&path, true, &[], |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(broken.unwrap_err().to_string().ends_with("policy.json: the disk is full"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        put(&path, true, &[], "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn inputs_and_folders_are_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        put(&path, false, &[], "weights").unwrap();
        let crooked = folder.path().join("../").join(folder.path().file_name().unwrap()).join("model.safetensors");
        assert!(matches!(put(&crooked, true, std::slice::from_ref(&path), "x"), Err(WriteError::IsInput(_))));
        assert!(matches!(put(folder.path(), true, &[], "x"), Err(WriteError::NotAFile(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "weights");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        put(&real, false, &[], "one").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&real, &link).unwrap();
        assert!(matches!(put(&link, true, std::slice::from_ref(&link), "x"), Err(WriteError::IsInput(_))));
        put(&link, true, &[], "two").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "two");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
