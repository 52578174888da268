//! The tensors of an export into its files: one thread writes while the others code what comes next.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use super::ExportError;
use super::export_encode::Encoder;
use super::export_layout::{Manifest, Origin, Planned, lost};
use crate::checkpoint::{Bytes, Checkpoint, FolderWriter, WriteError};
use crate::control::Control;

/// Writes every tensor, in the writer's order.
///
/// # Errors
/// As [`super::export`].
pub(super) fn write_tensors(
    checkpoint: &Checkpoint,
    manifest: &Manifest,
    encoder: &mut Encoder<'_>,
    writer: &mut FolderWriter,
    control: &Control,
) -> Result<(), ExportError> {
    let largest = checkpoint.tensors().iter().map(|tensor| tensor.data.len() as u64).max().unwrap_or_default();
    let (room, failed, (sender, receiver)) = (Room::new(largest), AtomicBool::new(false), channel());
    let path = writer.target().to_owned();
    thread::scope(|scope| {
        let write = || write_all(writer, receiver, &room, &failed, control);
        let started = thread::Builder::new().name("rankscope write".to_owned()).spawn_scoped(scope, write);
        let writing = started.map_err(|source| WriteError::Io { path, source })?;
        let made = manifest.tensors.iter().try_for_each(|(name, tensor)| {
            control.check()?;
            if !failed.load(Ordering::Relaxed) {
                let (data, held) = data(checkpoint, encoder, (name, tensor), control)?;
                room.take(held);
                // Nobody is there once the writer has failed: it says so itself.
                let _ = sender.send((data, held));
            }
            Ok(())
        });
        drop(sender);
        let written = writing.join().unwrap_or_else(|panic| resume_unwind(panic));
        made.and(written.map_err(ExportError::from))
    })
}

/// The bytes of a tensor, and how many of them are held in memory for it.
fn data(
    checkpoint: &Checkpoint,
    encoder: &mut Encoder<'_>,
    (name, tensor): (&str, &Planned),
    control: &Control,
) -> Result<(Bytes, u64), ExportError> {
    let made: Bytes = match &tensor.origin {
        Origin::Copied => return Ok((checkpoint.tensor(name).ok_or_else(|| lost(name))?.data.clone(), 0)),
        Origin::Piece(layer, piece) => encoder.piece(*layer, *piece)?,
        Origin::Rebuilt(layer) => encoder.rebuilt(*layer, tensor)?.into(),
        Origin::Cut(layer) => encoder.kept(*layer, tensor.dtype)?.into(),
        Origin::CutScales(layer) => encoder.kept_scales(*layer)?.into(),
        Origin::Joined(shares) => encoder.joined(shares, tensor)?.into(),
        Origin::Unpacked(stored) => tensor.unpacked(&stored.weight, control)?.into(),
    };
    Ok((made, tensor.bytes))
}

/// Writes what comes until nothing does. After a failure, what still comes is let go.
fn write_all(
    writer: &mut FolderWriter,
    tensors: Receiver<(Bytes, u64)>,
    room: &Room,
    failed: &AtomicBool,
    control: &Control,
) -> Result<(), WriteError> {
    let mut outcome = Ok(());
    for (data, held) in tensors {
        if outcome.is_ok() {
            outcome = control.check().map_err(WriteError::from).and_then(|()| writer.tensor(&data));
            failed.store(outcome.is_err(), Ordering::Relaxed);
            control.advance(data.len() as u64);
            data.release();
        }
        drop(data);
        room.give(held);
    }
    outcome
}

/// Bytes that may wait to be written; what is larger waits alone.
struct Room {
    taken: Mutex<u64>,
    given: Condvar,
    limit: u64,
}

impl Room {
    fn new(limit: u64) -> Self {
        Self { taken: Mutex::new(0), given: Condvar::new(), limit }
    }

    fn take(&self, bytes: u64) {
        let full = |taken: &mut u64| *taken > 0 && *taken + bytes > self.limit;
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.given.wait_while(taken, full).unwrap_or_else(PoisonError::into_inner);
        *taken += bytes;
    }

    fn give(&self, bytes: u64) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(bytes);
        self.given.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_keeps_within_the_room_and_what_is_larger_waits_alone() {
        let (room, sizes) = (Room::new(10), [4, 6, 1, 25, 0, 10, 3, 9]);
        let ((sender, receiver), mut seen) = (channel(), Vec::new());
        thread::scope(|scope| {
            let room = &room;
            scope.spawn(move || {
                for bytes in sizes {
                    room.take(bytes);
                    sender.send(bytes).unwrap();
                }
            });
            for bytes in receiver {
                seen.push(*room.taken.lock().unwrap());
                room.give(bytes);
            }
        });
        assert!(seen.iter().all(|taken| *taken <= 10 || *taken == 25), "{seen:?}");
        assert_eq!(*room.taken.lock().unwrap(), 0);
    }
}
