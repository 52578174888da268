//! One file, fetched piece by piece; what has come stays until all of it has.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::HubError;
use super::cache::Repository;
use super::client::{Client, Interrupted};
use crate::control::Control;

/// How often a transfer that brings nothing is begun again.
const ATTEMPTS: u32 = 4;
/// How long it waits before it does so the first time.
const PAUSE: Duration = Duration::from_millis(250);

/// A file as the hub describes it.
#[derive(Debug)]
pub(super) struct Blob {
    /// Its name.
    pub(super) name: String,
    /// What names its content: SHA-256 where it is stored apart (LFS), else Git's SHA-1.
    pub(super) tag: String,
    /// Its length.
    pub(super) bytes: u64,
}

/// Brings a file into the cache, from where an earlier transfer ended. Interruptions are tried again as long as something comes.
pub(super) fn fetch(
    client: &Client,
    revision: &str,
    repository: &Repository,
    blob: &Blob,
    progress: &Control,
    control: &Control,
) -> Result<(), HubError> {
    let (whole, part) = (repository.blob(&blob.tag), repository.part(&blob.tag));
    let _lock = repository.lock(&blob.tag, control)?;
    if whole.metadata().is_ok_and(|about| about.len() == blob.bytes) {
        progress.advance(blob.bytes);
        return Ok(());
    }
    let folder = part.parent().unwrap_or(&part);
    fs::create_dir_all(folder).map_err(HubError::io(folder))?;
    let mut file =
        File::options().create(true).truncate(false).read(true).write(true).open(&part).map_err(HubError::io(&part))?;
    let mut counted = 0;
    let mut count = |have: u64| {
        progress.advance(have.saturating_sub(counted));
        counted = counted.max(have);
    };
    let (mut failures, mut most) = (0, 0);
    loop {
        let before = file.metadata().map_err(HubError::io(&part))?.len();
        count(before.min(blob.bytes));
        if before == blob.bytes {
            break;
        }
        match attempt(client, revision, blob, (&mut file, &part), &mut count, control)? {
            Ok(()) => {}
            Err(Interrupted(reason)) => {
                let after = file.metadata().map_err(HubError::io(&part))?.len();
                failures = if after > before.max(most) { 0 } else { failures + 1 };
                most = most.max(after);
                if failures == ATTEMPTS {
                    let reason = format!("{reason}; {after} of {} bytes are kept: run it again to go on", blob.bytes);
                    return Err(client.broken(&blob.name, reason));
                }
                pause(PAUSE * 2_u32.pow(failures), control)?;
            }
        }
    }
    if !is_sound(&mut file, &part, blob, control)? {
        drop(file);
        fs::remove_file(&part).map_err(HubError::io(&part))?;
        let reason = "its digest is not the one that the hub tells, so it was removed; run it again".to_owned();
        return Err(client.broken(&blob.name, reason));
    }
    file.sync_all().and_then(|()| fs::rename(&part, &whole)).map_err(HubError::io(&whole))
}

/// One request; done when the file has its length.
fn attempt(
    client: &Client,
    revision: &str,
    blob: &Blob,
    (file, path): (&mut File, &Path),
    count: &mut impl FnMut(u64),
    control: &Control,
) -> Result<Result<(), Interrupted>, HubError> {
    let failed = || HubError::io(path);
    let mut have = file.metadata().map_err(failed())?.len();
    if have > blob.bytes {
        // It was begun when the hub told another length.
        have = 0;
    }
    let content = match client.content(revision, &blob.name, have, control)? {
        Ok(content) => content,
        Err(interrupted) => return Ok(Err(interrupted)),
    };
    if content.from != have {
        have = 0;
    }
    file.set_len(have).map_err(failed())?;
    if content.from > have {
        return Ok(Err(Interrupted("the hub sends another part than it was asked for".to_owned())));
    }
    file.seek(SeekFrom::Start(have)).map_err(failed())?;
    while let Some(piece) = content.next(control)? {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => return Ok(Err(Interrupted(format!("the transfer broke off ({error})")))),
        };
        have += piece.len() as u64;
        if have > blob.bytes {
            file.set_len(0).map_err(failed())?;
            let reason = format!("more than the {} bytes came that the hub told; run it again", blob.bytes);
            return Err(client.broken(&blob.name, reason));
        }
        file.write_all(&piece).map_err(failed())?;
        count(have);
    }
    let short = || Interrupted(format!("the transfer ended after {have} of {} bytes", blob.bytes));
    Ok(if have == blob.bytes { Ok(()) } else { Err(short()) })
}

fn pause(time: Duration, control: &Control) -> Result<(), HubError> {
    let step = Duration::from_millis(50);
    for _ in 0..time.as_millis() / step.as_millis() {
        control.check()?;
        std::thread::sleep(step);
    }
    Ok(())
}

/// Whether the content has the digest that its tag is. A tag of another kind says nothing.
fn is_sound(file: &mut File, path: &Path, blob: &Blob, control: &Control) -> Result<bool, HubError> {
    let digest = match blob.tag.len() {
        64 => digest((file, path), Sha256::new(), control)?,
        40 => digest((file, path), Sha1::new().chain_update(format!("blob {}\0", blob.bytes)), control)?,
        _ => return Ok(true),
    };
    Ok(digest.eq_ignore_ascii_case(&blob.tag))
}

fn digest<D: Digest>((file, path): (&mut File, &Path), mut hasher: D, control: &Control) -> Result<String, HubError> {
    let mut buffer = vec![0; 1 << 20];
    file.rewind().map_err(HubError::io(path))?;
    loop {
        control.check()?;
        let bytes = file.read(&mut buffer).map_err(HubError::io(path))?;
        if bytes == 0 {
            return Ok(hasher.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")));
        }
        hasher.update(buffer.get(..bytes).unwrap_or_default());
    }
}
