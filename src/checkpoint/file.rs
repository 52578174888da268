//! Reading files: whole small ones, and mapped large ones.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use super::mapped::MappedFile;
use super::{Bytes, CheckpointError};

/// Largest small file (config, tokenizer, index, policy) that is read whole.
pub(super) const MAX_SMALL: u64 = 64 << 20;

/// The last part of a path, for messages about the file.
pub(super) fn plain_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Whether something of that name is there, be it a link that leads nowhere.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Maps a file of weights; one too short to be mapped comes back empty.
pub(super) fn map(path: &Path) -> Result<Bytes, CheckpointError> {
    let length = regular(path)?;
    if length == 0 {
        return Ok(Bytes::from_static(&[]));
    }
    let file = File::open(path).map_err(|e| CheckpointError::read(path, e))?;
    // SAFETY: the map is read-only and its bytes only ever become numbers, for which every bit pattern is valid; text
    // is copied before it is checked. Whoever changes the file meanwhile changes those numbers; where it is shortened, zeros
    // are read (`faults`); both are noticed by `Bytes::check`.
    let map = unsafe { Mmap::map(&file) }.map_err(|e| CheckpointError::read(path, e))?;
    let about = file.metadata().map_err(|e| CheckpointError::read(path, e))?;
    let file = MappedFile::new(map, path, &about);
    // It may have changed between the two.
    file.check_length()?;
    Ok(Bytes::mapped(file))
}

/// Takes the pages of `range` out of this program's memory; whoever looks at them has them read from the file again.
pub(super) fn release(map: &Mmap, range: &Range<usize>) {
    // SAFETY: the map is shared and read-only, so nothing is lost with the pages: they come back as the file has them,
    // under the same promises as when they were mapped.
    #[cfg(unix)]
    let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
    #[cfg(not(unix))]
    let _ = (map, range);
}

/// Reads a small file whole.
pub(super) fn read_small(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let name = plain_name(path);
    let too_large = || {
        CheckpointError::invalid(
            &name,
            format!("the file is larger than {} MiB, which no such file is", MAX_SMALL >> 20),
        )
    };
    if regular(path)? > MAX_SMALL {
        return Err(too_large());
    }
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SMALL + 1).read_to_end(&mut content))
        .map_err(|e| CheckpointError::read(path, e))?;
    if content.len() as u64 > MAX_SMALL { Err(too_large()) } else { Ok(content) }
}

/// The length of a regular file; anything else (a pipe would block) is refused unopened.
fn regular(path: &Path) -> Result<u64, CheckpointError> {
    let about = fs::metadata(path).map_err(|e| CheckpointError::read(path, e))?;
    if about.is_dir() {
        return Err(CheckpointError::invalid(
            &plain_name(path),
            "this is a directory, not a file; put the file itself here",
        ));
    }
    if !about.is_file() {
        return Err(CheckpointError::read(path, io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
    }
    Ok(about.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_pages_come_back_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let content: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        fs::write(&path, &content).unwrap();
        let bytes = map(&path).unwrap();
        bytes.slice(5_000..60_000).unwrap().release();
        bytes.slice(7..7).unwrap().release();
        assert_eq!(bytes[..], content[..]);
        Bytes::copied(&content).release();
    }
}
