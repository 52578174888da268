//! Decompositions kept by content hash: in memory up to a limit, on disk up to another.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use tracing::debug;

use super::cache_files::CacheFolder;
use super::recent::Recent;
use super::{CompressError, Plan, Subject};
use crate::checkpoint::{Bytes, KeptFolder, Tensor};
use crate::control::Control;
use crate::linalg::{Decomposition, Matrix, Order, OutputErrors, RowSelection};

/// Bytes of decompositions kept in memory unless told.
const MEMORY: u64 = 512 << 20;
/// Bytes of files kept on disk unless told.
const DISK: u64 = 8 << 30;
/// Most bytes of files with singular values alone: some thousand models.
const VALUES: u64 = 256 << 20;
/// How often one that waits for another's result looks whether it is cancelled.
const PATIENCE: Duration = Duration::from_millis(50);
/// Most bytes of quantized bases kept in memory.
const BASES: u64 = 256 << 20;
/// Most digests remembered; each keeps its tensor's file mapped.
const DIGESTS: usize = 4096;
/// Most errors in outputs remembered.
const ERRORS: usize = 4096;

/// Decompositions of W and of W - base, kept in memory (those used last) and on disk, by the content of the tensor. Clones
/// share it. Files that cannot be read, or hold something else, are ignored and written anew; a disk that cannot be written
/// only costs the cache. Factors are f32 before they are stored, so fresh and cached ones are the same.
#[derive(Debug, Clone)]
pub struct FactorCache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: Option<CacheFolder>,
    values: Option<KeptFolder>,
    memory_limit: u64,
    state: Mutex<State>,
    /// Something in `State::running` ended.
    ended: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    factors: Recent<Decomposition>,
    /// Quantized bases.
    bases: Recent<Matrix>,
    /// Keys that are being computed, on which thread, and whether that is one of a pool.
    running: HashMap<String, (ThreadId, bool)>,
    digests: HashMap<(usize, usize), Digest>,
    /// Errors in outputs, by what they are of.
    errors: HashMap<String, Arc<OutputErrors>>,
    /// Singular values, by what they are of.
    pub(super) values: HashMap<String, Arc<[f32]>>,
}

/// The digest of bytes at an address, and what keeps them there.
#[derive(Debug)]
struct Digest {
    key: String,
    _bytes: Bytes,
}

/// What is wanted of a decomposition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// It stays in memory, all ranks of it.
    Memory,
    /// It does not; vectors of so many ranks are enough.
    Disk(usize),
}

/// Which of the stored rows a matrix has; nothing for all of them.
fn selected(matrix: &Matrix) -> String {
    let RowSelection { offset, block, step, .. } = matrix.selection();
    match matrix.stored_rows() {
        stored if matrix.selection().is_whole(stored) => String::new(),
        stored => format!("-rows{offset}-{block}-{step}-of-{stored}"),
    }
}

impl FactorCache {
    /// A cache in `folder` (made when first written), with at most 512 MiB in memory and 8 GiB on disk (and 256 MiB of
    /// singular values alone); `None`: memory only.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self::with_limits(folder, MEMORY, DISK)
    }

    /// As [`FactorCache::new`], with at most `memory` bytes of decompositions in memory and `disk` bytes of files.
    pub fn with_limits(folder: Option<PathBuf>, memory: u64, disk: u64) -> Self {
        let values = folder.clone().map(|folder| KeptFolder::new(folder, "values", VALUES.min(disk)));
        let folder = folder.map(|folder| CacheFolder::new(folder, disk));
        let (state, ended) = (Mutex::new(State::new(memory)), Condvar::new());
        Self(Arc::new(Shared { folder, values, memory_limit: memory, state, ended }))
    }

    /// Where singular values are kept, where anything is.
    pub(super) fn values_folder(&self) -> Option<&KeptFolder> {
        self.0.values.as_ref()
    }

    /// Whether something lies under a key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.state().factors.has(key) || self.0.folder.as_ref().is_some_and(|folder| folder.has(key))
    }

    /// Most bytes of decompositions that stay in memory.
    pub(super) fn memory_limit(&self) -> u64 {
        self.0.memory_limit
    }

    /// The decomposition of a layer's matrix, from memory, disk, or computed now (and stored). Two callers that ask for the
    /// same one at once compute it once, unless one of them must not wait. `matrix` is that of `tensor`.
    ///
    /// # Errors
    /// Numeric trouble or cancelled; trouble with the disk only costs the cache.
    pub fn get(
        &self,
        tensor: &Tensor,
        matrix: &Matrix,
        control: &Control,
    ) -> Result<Arc<Decomposition>, CompressError> {
        self.factors(&Subject { tensor, matrix, inputs: None }, &Plan::low_rank(0), control)
    }

    /// What names the matrix of a tensor: the content, and how it is read.
    pub(super) fn key(&self, tensor: &Tensor, matrix: &Matrix) -> String {
        let place = (tensor.data.as_ptr().addr(), tensor.data.len());
        let order = if matrix.order() == Order::ColumnMajor { "-t" } else { "" };
        let selected = selected(matrix);
        // Bytes at one address are the same as long as something holds them there, and may be read as other shapes.
        let read = |digest: &str| format!("{digest}-{}x{}{order}{selected}", matrix.rows(), matrix.cols());
        if let Some(digest) = self.state().digests.get(&place) {
            return read(&digest.key);
        }
        let key = tensor.digest();
        let mut state = self.state();
        if state.digests.len() == DIGESTS {
            state.digests.clear();
        }
        let named = read(&key);
        state.digests.insert(place, Digest { key, _bytes: tensor.data.clone() });
        named
    }

    pub(super) fn fetch(
        &self,
        key: &str,
        matrix: &Matrix,
        keep: Keep,
        compute: &dyn Fn() -> Result<Decomposition, CompressError>,
        control: &Control,
    ) -> Result<Arc<Decomposition>, CompressError> {
        let turn = match self.turn(key, &|state| state.factors.get(key), control)? {
            Ok(held) => return Ok(held),
            Err(turn) => turn,
        };
        let shape = (matrix.rows(), matrix.cols());
        let folder = self.0.folder.as_ref();
        let ranks = match keep {
            Keep::Memory => usize::MAX,
            Keep::Disk(ranks) => ranks,
        };
        let found = if let Some(stored) = folder.and_then(|folder| folder.read(key, shape, ranks)) {
            debug!(key, rows = shape.0, cols = shape.1, "factors were kept");
            Arc::new(stored)
        } else {
            control.check()?;
            let clock = Instant::now();
            let fresh = Arc::new(compute()?);
            let seconds = clock.elapsed().as_secs_f64();
            debug!(key, rows = shape.0, cols = shape.1, seconds, "factors were computed");
            if let Some(folder) = folder {
                folder.write(key, &fresh);
            }
            fresh
        };
        if keep == Keep::Memory {
            self.state().factors.hold(key, &found, size(&found));
        }
        drop(turn);
        Ok(found)
    }

    /// As [`FactorCache::fetch`] for a quantized base, which memory alone keeps.
    pub(super) fn fetch_base(
        &self,
        key: &str,
        keep: Keep,
        compute: &dyn Fn() -> Result<Matrix, CompressError>,
        control: &Control,
    ) -> Result<Matrix, CompressError> {
        let turn = match self.turn(key, &|state| state.bases.get(key), control)? {
            Ok(held) => return Ok((*held).clone()),
            Err(turn) => turn,
        };
        let fresh = Arc::new(compute()?);
        if keep == Keep::Memory {
            self.state().bases.hold(key, &fresh, fresh.bytes());
        }
        drop(turn);
        Ok((*fresh).clone())
    }

    /// Errors in an output, remembered in memory alone.
    pub(super) fn remembered(
        &self,
        key: &str,
        compute: &dyn Fn() -> Result<OutputErrors, CompressError>,
    ) -> Result<Arc<OutputErrors>, CompressError> {
        if let Some(known) = self.state().errors.get(key) {
            return Ok(Arc::clone(known));
        }
        let fresh = Arc::new(compute()?);
        let mut state = self.state();
        if state.errors.len() == ERRORS {
            state.errors.clear();
        }
        state.errors.insert(key.to_owned(), Arc::clone(&fresh));
        Ok(fresh)
    }

    /// What is held under `key`, or the right to make it, once nobody else does. A thread of a pool waits only while it makes nothing
    /// itself, and for none but threads of pools, which do without others where need be; else it makes it a second time: what it would
    /// wait for may itself wait for this very thread, to which it handed out a part of its work.
    pub(super) fn turn<T>(
        &self,
        key: &str,
        held: &dyn Fn(&mut State) -> Option<T>,
        control: &Control,
    ) -> Result<Result<T, Turn<'_>>, CompressError> {
        let (me, pooled) = (thread::current().id(), rayon::current_thread_index().is_some());
        let mut state = self.state();
        loop {
            control.check()?;
            if let Some(held) = held(&mut state) {
                return Ok(Ok(held));
            }
            let Some((_, in_pool)) = state.running.get(key) else {
                state.running.insert(key.to_owned(), (me, pooled));
                return Ok(Err(Turn { cache: self, key: Some(key.to_owned()) }));
            };
            if pooled && (!in_pool || state.running.values().any(|(thread, _)| *thread == me)) {
                return Ok(Err(Turn { cache: self, key: None }));
            }
            state = self.0.ended.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Nothing, and room for so many bytes of decompositions.
    fn new(memory: u64) -> Self {
        Self {
            factors: Recent::new(memory),
            bases: Recent::new(BASES.min(memory)),
            running: HashMap::new(),
            digests: HashMap::new(),
            errors: HashMap::new(),
            values: HashMap::new(),
        }
    }
}

/// Bytes of a decomposition in memory.
fn size(decomposition: &Decomposition) -> u64 {
    let terms = decomposition.output.as_ref().map_or(0, |errors| errors.terms.len());
    (4 * (decomposition.s.len() + decomposition.ut.len() + decomposition.vt.len()) + 8 * terms) as u64
}

/// The right to compute what a key names; given back when dropped, however the work ended. Without a key it is nobody's own.
pub(super) struct Turn<'a> {
    cache: &'a FactorCache,
    key: Option<String>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.cache.state().running.remove(key);
            self.cache.0.ended.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::compress::Base;
    use crate::compress::testing::{matrix, tensor};

    fn shape(rank: usize) -> Decomposition {
        let energy = rank as f64;
        Decomposition {
            rows: rank,
            cols: rank,
            s: vec![1.0; rank],
            ut: vec![],
            vt: vec![],
            energy,
            rest: 0.0,
            output: None,
        }
    }

    /// Counts how often it had to compute.
    fn asked(cache: &FactorCache, key: &str, keep: Keep, count: &AtomicUsize) {
        let compute = || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(shape(10))
        };
        cache.fetch(key, &matrix(1, 1, &[1.0]), keep, &compute, &Control::new()).unwrap();
    }

    #[test]
    fn what_is_for_the_disk_alone_does_not_stay_in_memory() {
        let (cache, count) = (FactorCache::with_limits(None, 80, 0), AtomicUsize::new(0));
        for (keep, computed) in [(Keep::Disk(10), 1), (Keep::Memory, 2), (Keep::Disk(10), 2), (Keep::Memory, 2)] {
            asked(&cache, "a", keep, &count);
            assert_eq!(count.load(Ordering::Relaxed), computed);
        }
        let small = FactorCache::with_limits(None, 39, 0);
        asked(&small, "a", Keep::Memory, &count);
        assert!(!small.has("a") && cache.has("a"));
    }

    #[test]
    fn callers_at_once_compute_once() {
        let (cache, count) = (FactorCache::new(None), AtomicUsize::new(0));
        let compute = || {
            std::thread::sleep(Duration::from_millis(20));
            count.fetch_add(1, Ordering::Relaxed);
            Ok(shape(3))
        };
        let one = matrix(1, 1, &[1.0]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| cache.fetch("k", &one, Keep::Memory, &compute, &Control::new()).unwrap());
            }
        });
        assert_eq!(count.into_inner(), 1);
    }

    /// The thread that makes it needs the pool whose only thread asks for the same.
    #[test]
    fn a_thread_of_a_pool_does_not_wait_for_one_that_waits_for_the_pool() {
        let (cache, one, control) = (FactorCache::new(None), matrix(1, 1, &[1.0]), Control::new());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let (begun, begins) = std::sync::mpsc::channel();
        let (ended, ends) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let (cache, one, pool, control) = (&cache, &one, &pool, &control);
            scope.spawn(move || {
                let make = || {
                    begun.send(()).unwrap();
                    // Behind what the pool has to do already.
                    let asked = || cache.fetch("k", one, Keep::Memory, &|| Ok(shape(3)), control);
                    pool.install(asked)?;
                    Ok(shape(3))
                };
                ended.send(cache.fetch("k", one, Keep::Memory, &make, control).is_ok()).unwrap();
            });
            begins.recv().unwrap();
            let done = ends.recv_timeout(Duration::from_secs(60));
            // Only ends a test that would hang.
            control.cancel();
            assert_eq!(done, Ok(true));
        });
    }

    #[test]
    fn a_turn_is_given_back_when_the_work_fails_or_waiting_is_cancelled() {
        let cache = FactorCache::new(None);
        let one = matrix(1, 1, &[1.0]);
        let fail = || Err(CompressError::Plan("no".into()));
        assert!(cache.fetch("k", &one, Keep::Memory, &fail, &Control::new()).is_err());
        let turn = cache.turn("k", &|state| state.factors.get("k"), &Control::new()).unwrap().unwrap_err();
        let control = Control::new();
        control.cancel();
        assert!(matches!(cache.turn("k", &|state| state.factors.get("k"), &control), Err(CompressError::Cancelled(_))));
        drop(turn);
        asked(&cache, "k", Keep::Memory, &AtomicUsize::new(0));
    }

    #[test]
    fn selections_of_one_tensor_are_kept_apart() {
        let cache = FactorCache::new(None);
        let tensor = tensor("w", &[4, 1], &[1.0, 2.0, 4.0, 8.0]);
        let view = crate::linalg::Values::F32(tensor.data.view().unwrap());
        let whole = Matrix::new(4, 1, Order::RowMajor, view).unwrap();
        let alternating = RowSelection { rows: 2, offset: 0, block: 1, step: 2 };
        for (rows, energy) in
            [(RowSelection::stacked(0, 2), 5.0), (RowSelection::stacked(2, 2), 80.0), (alternating, 17.0)]
        {
            let found = cache.get(&tensor, &whole.select(rows).unwrap(), &Control::new()).unwrap();
            assert!((found.energy - energy).abs() < 1e-4, "{rows:?} {}", found.energy);
        }
        assert!(!cache.key(&tensor, &whole.select(alternating).unwrap()).contains(['/', '.']));
    }

    #[test]
    fn a_transposed_matrix_and_a_residual_are_kept_apart() {
        let cache = FactorCache::new(None);
        let tensor = tensor("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 7.0]);
        let view = crate::linalg::Values::F32(tensor.data.view().unwrap());
        let plain = Matrix::new(2, 3, Order::RowMajor, view.clone()).unwrap();
        let turned = Matrix::new(3, 2, Order::ColumnMajor, view).unwrap();
        let control = Control::new();
        let whole = cache.get(&tensor, &plain, &control).unwrap();
        assert_eq!((whole.rows, whole.cols), (2, 3));
        assert_eq!(cache.get(&tensor, &turned, &control).unwrap().rows, 3);
        let int8 = Plan { base: Base::Int8, ..Plan::low_rank(1) };
        let subject = Subject { tensor: &tensor, matrix: &plain, inputs: None };
        let rest = cache.factors(&subject, &int8, &control).unwrap();
        let grouped = cache.factors(&subject, &Plan { group: Some(1), ..int8 }, &control).unwrap();
        assert!(rest.energy < whole.energy * 1e-4 && grouped.energy < rest.energy);
        cache.factors(&subject, &Plan { base: Base::Int4, ..int8 }, &control).unwrap();
        assert_eq!(cache.state().factors.len(), 5);
        assert!(Arc::ptr_eq(&whole, &cache.get(&tensor, &plain, &control).unwrap()));
    }
}
