//! What a template may use up: the size of all values that it makes, counted before each is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

/// How deep lists and maps may lie in one another.
const DEPTH: usize = 16;
/// What marks a namespace, which no list may hold: it could hold that list.
pub(super) const NAMESPACE: &str = "\u{0}namespace";

/// Bytes and items that are left; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new(size: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(size)))
    }

    /// Takes `size` out.
    pub(super) fn charge(&self, size: usize) -> Result<(), Error> {
        let take = |left: usize| left.checked_sub(size);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => Err(refused("the chat template makes more text than any chat has")),
        }
    }

    /// Takes out what these values take when written or compared.
    pub(super) fn weigh(&self, values: &[Value]) -> Result<(), Error> {
        values.iter().try_for_each(|value| self.weigh_at(value, DEPTH))
    }

    fn weigh_at(&self, value: &Value, depth: usize) -> Result<(), Error> {
        self.charge(1 + value.as_str().map_or(0, str::len))?;
        match value.kind() {
            ValueKind::Map | ValueKind::Seq | ValueKind::Iterable if depth == 0 => {
                Err(refused(format!("the chat template puts lists into lists more than {DEPTH} deep")))
            }
            ValueKind::Map => {
                if value.get_attr(NAMESPACE)?.is_true() {
                    return Err(refused("the chat template uses a namespace as a value"));
                }
                value.try_iter()?.try_for_each(|key| {
                    self.weigh_at(&key, depth - 1)?;
                    self.weigh_at(&value.get_item(&key)?, depth - 1)
                })
            }
            // One without a length may be read once only.
            ValueKind::Iterable if value.len().is_none() => Ok(()),
            ValueKind::Seq | ValueKind::Iterable => {
                value.try_iter()?.try_for_each(|item| self.weigh_at(&item, depth - 1))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn refused(reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.into())
}
