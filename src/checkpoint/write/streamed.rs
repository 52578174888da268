//! A file whose bytes go to the disk while more of them are made.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread::{self, JoinHandle};

use super::swap::close;

/// Bytes after which the disk is asked to begin.
const SPAN: usize = 64 << 20;

/// A new file, written from its start to its end. The last sync then waits for the last bytes alone, not for all.
#[derive(Debug)]
pub(super) struct Streamed {
    file: BufWriter<File>,
    /// Bytes after which the disk is asked to begin.
    span: usize,
    /// Bytes that no sync was asked for.
    waiting: usize,
    /// What the disk was asked for last. Its error is told there alone, so it is never let go.
    syncing: Option<JoinHandle<io::Result<()>>>,
}

impl Streamed {
    /// A file where none is.
    ///
    /// # Errors
    /// The system's, also where a file is.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Self::in_spans(path, SPAN)
    }

    fn in_spans(path: &Path, span: usize) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        Ok(Self { file, span, waiting: 0, syncing: None })
    }

    /// Appends.
    ///
    /// # Errors
    /// The system's, of these or of earlier bytes.
    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.waiting = self.waiting.saturating_add(data.len());
        let busy = self.syncing.as_ref().is_some_and(|syncing| !syncing.is_finished());
        if self.waiting < self.span || busy { Ok(()) } else { self.sync_aside() }
    }

    /// Syncs it; its length.
    ///
    /// # Errors
    /// The system's, of any of its bytes.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.settle()?;
        close(&self.file.into_inner().map_err(io::IntoInnerError::into_error)?)
    }

    fn sync_aside(&mut self) -> io::Result<()> {
        self.settle()?;
        let file = self.file.get_ref().try_clone()?;
        // Without a thread, all is synced at the end.
        self.syncing = thread::Builder::new().name("rankscope sync".to_owned()).spawn(move || file.sync_data()).ok();
        self.waiting = 0;
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        let done = self.syncing.take().map(JoinHandle::join);
        done.map_or(Ok(()), |done| done.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_in_spans_is_there_as_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = Streamed::in_spans(&path, 1000).unwrap();
        let parts = [999, 1, 3, 1000, 20_000, 5];
        for (byte, part) in parts.iter().enumerate() {
            file.write(&vec![byte as u8; *part]).unwrap();
        }
        assert!(Streamed::create(&path).is_err());
        assert_eq!(file.finish().unwrap(), parts.iter().sum::<usize>() as u64);
        let found = std::fs::read(&path).unwrap();
        let wanted = parts.iter().enumerate().flat_map(|(byte, part)| std::iter::repeat_n(byte as u8, *part));
        assert!(found.iter().copied().eq(wanted));
    }
}
