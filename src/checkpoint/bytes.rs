//! Shared bytes of a file or of the program itself, and typed views of them.

use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;

use super::CheckpointError;
use super::mapped::MappedFile;

#[derive(Debug)]
enum Storage {
    Mapped(MappedFile),
    Static(&'static [u8]),
    /// Words of 8 bytes, so that every element type is aligned; the last word may be padded.
    Owned(Vec<u64>),
    /// As they came.
    Plain(Vec<u8>),
}

impl Storage {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(file) => &file.map,
            Self::Static(bytes) => bytes,
            Self::Owned(words) => bytemuck::cast_slice(words),
            Self::Plain(bytes) => bytes,
        }
    }
}

/// A range of shared, read-only bytes; clones share the storage.
#[derive(Debug, Clone)]
pub struct Bytes {
    storage: Arc<Storage>,
    range: Range<usize>,
}

impl Bytes {
    /// Wraps a mapped file.
    pub(super) fn mapped(file: MappedFile) -> Self {
        let range = 0..file.map.len();
        Self { storage: Arc::new(Storage::Mapped(file)), range }
    }

    /// Whether the file that these bytes are of, if any, is still what was opened: to be asked before they are used and, of
    /// what was computed from them, after.
    ///
    /// # Errors
    /// [`CheckpointError::Changed`].
    pub fn check(&self) -> Result<(), CheckpointError> {
        match &*self.storage {
            Storage::Mapped(file) => file.check(),
            Storage::Static(_) | Storage::Owned(_) | Storage::Plain(_) => Ok(()),
        }
    }

    /// The part of [`Bytes::check`] that costs next to nothing: whether all that was read was there.
    ///
    /// # Errors
    /// [`CheckpointError::Changed`].
    pub fn check_read(&self) -> Result<(), CheckpointError> {
        match &*self.storage {
            Storage::Mapped(file) => file.check_read(),
            Storage::Static(_) | Storage::Owned(_) | Storage::Plain(_) => Ok(()),
        }
    }

    /// Whether both are of the same file or memory.
    pub fn shares(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.storage, &other.storage)
    }

    /// Wraps bytes that are part of the program.
    pub fn from_static(bytes: &'static [u8]) -> Self {
        Self { storage: Arc::new(Storage::Static(bytes)), range: 0..bytes.len() }
    }

    /// Copies bytes into memory of their own, aligned for every element type.
    pub fn copied(bytes: &[u8]) -> Self {
        let mut words = vec![0_u64; bytes.len().div_ceil(8)];
        if let Some(target) = bytemuck::cast_slice_mut::<u64, u8>(&mut words).get_mut(..bytes.len()) {
            target.copy_from_slice(bytes);
        }
        Self { storage: Arc::new(Storage::Owned(words)), range: 0..bytes.len() }
    }

    /// The part `range` of these bytes, or `None` where it reaches outside.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.range.len() {
            return None;
        }
        let range = self.range.start + range.start..self.range.start + range.end;
        Some(Self { storage: Arc::clone(&self.storage), range })
    }

    /// Says that these bytes are not looked at again soon: those of a file leave the program's memory until they are.
    pub fn release(&self) {
        if let Storage::Mapped(file) = &*self.storage {
            super::file::release(&file.map, &self.range);
        }
    }

    /// These bytes as elements of `T`, or `None` where the length is no multiple of the element's.
    /// Bytes at an address that `T` may not have (a file whose header is not padded) are copied once.
    pub fn view<T: Pod>(&self) -> Option<View<T>> {
        if !self.len().is_multiple_of(size_of::<T>()) {
            return None;
        }
        let aligned = bytemuck::try_cast_slice::<u8, T>(self).is_ok();
        let bytes = if aligned { self.clone() } else { Self::copied(self) };
        Some(View { bytes, element: PhantomData })
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { storage: Arc::new(Storage::Plain(bytes)), range }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.storage.as_slice().get(self.range.clone()).unwrap_or_default()
    }
}

/// Shared, read-only elements of type `T`: a typed window on [`Bytes`].
#[derive(Debug, Clone)]
pub struct View<T> {
    bytes: Bytes,
    element: PhantomData<T>,
}

impl<T: Pod> View<T> {
    /// Copies elements into shared memory of their own.
    pub fn copied(elements: &[T]) -> Self {
        Self { bytes: Bytes::copied(bytemuck::cast_slice(elements)), element: PhantomData }
    }

    /// The bytes below.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl<T: Pod> Deref for View<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unaligned_slice_is_viewed_by_a_copy() {
        let bytes = Bytes::copied(&[9, 1, 0, 0, 0, 2, 0, 0, 0]);
        let view = bytes.slice(1..9).and_then(|b| b.view::<u32>()).unwrap();
        assert_eq!(&view[..], &[1, 2]);
        assert!(bytes.view::<u32>().is_none());
        assert!(bytes.slice(3..10).is_none());
    }
}
