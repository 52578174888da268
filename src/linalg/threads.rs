//! Threads that share a product, and that stay awake between the products of a token.

use std::hint::spin_loop;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

/// Bytes of weights times tokens below which handing work to other threads costs more than it saves.
const ALONE_BYTES: usize = 1 << 20;
/// Shares of a thread where rows lie one after another: as many as leave the others waiting for the last one briefly.
pub(super) const ROW_SHARES: usize = 16;
/// The least share of a thread, in the same unit. Longer ones leave threads waiting for the last, shorter ones are runs that the
/// hardware does not foresee: 64 KB made INT4 slower than 256 KB.
const SHARE_BYTES: usize = 256 << 10;
/// Numbers below which a step that passes over them once is not worth a second thread.
const ALONE_NUMBERS: usize = 1 << 16;
/// How often a thread that is done looks whether the others are, before it sleeps: longer than a share of one token takes.
const PATIENCE: usize = 20_000;
/// How often a thread looks for work before it lets another program have its core for once.
const LOOKS: usize = 64;

/// Work on units that do not need each other, for any number of threads.
pub(super) struct Task<'a> {
    /// How many there are.
    pub units: usize,
    /// What the length of a share is a multiple of, but for the last one.
    pub granule: usize,
    /// Shares for a thread: some, so that a slow one does not hold up all ([`ROW_SHARES`]). Column by column a share is better
    /// wide, since that is how memory lies.
    pub each: usize,
    /// Bytes of weights times tokens.
    pub work: usize,
    /// Does the units of a range.
    pub part: Box<dyn Fn(Range<usize>) + Send + Sync + 'a>,
}

impl Task<'_> {
    /// Units of a share, which depend on the number of threads alone, and how many shares that makes.
    fn shares(&self, threads: usize) -> (usize, usize) {
        let shares = (threads * self.each).min(self.work / SHARE_BYTES).max(1);
        let length = self.units.div_ceil(shares).next_multiple_of(self.granule).max(1);
        (length, self.units.div_ceil(length))
    }

    /// Does one of the shares of so many units.
    fn share(&self, index: usize, length: usize) {
        (self.part)(index * length..self.units.min((index + 1) * length));
    }
}

/// Does tasks that do not need each other, each unit once, on the ambient pool where all of them together are worth it.
pub(super) fn share_out(tasks: &[Task<'_>]) {
    let threads = rayon::current_num_threads();
    let work = tasks.iter().fold(0_usize, |sum, task| sum.saturating_add(task.work));
    if threads == 1 || work < ALONE_BYTES {
        tasks.iter().for_each(|task| (task.part)(0..task.units));
        return;
    }
    let shares = |task| (task, Task::shares(task, threads));
    let parts: Vec<(&Task<'_>, (usize, usize))> = tasks.iter().map(shares).collect();
    let count = parts.iter().map(|(_, (_, count))| count).sum();
    let (turns, busy) = (Turns::new(count, threads), AtomicUsize::new(0));
    let take = || {
        busy.fetch_add(1, Ordering::Relaxed);
        let own = rayon::current_thread_index().unwrap_or_default();
        while let Some(mut index) = turns.next(own) {
            for (task, (length, count)) in &parts {
                if index < *count {
                    task.share(index, *length);
                    break;
                }
                index -= count;
            }
        }
        busy.fetch_sub(1, Ordering::Relaxed);
    };
    rayon::scope(|scope| {
        (1..threads.min(count)).for_each(|_| scope.spawn(|_| take()));
        take();
        // The scope waits for the others in any case, but asleep: to be woken takes longer than the last share.
        (1..PATIENCE).take_while(|_| busy.load(Ordering::Relaxed) > 0).for_each(pause);
    });
}

/// Which thread takes which share: its own ones first, the same for every token, so that rows stay in its caches and in its part of
/// the memory; then those that others have not begun.
struct Turns {
    /// The next share of each thread, and where its shares end.
    own: Vec<(AtomicUsize, usize)>,
}

impl Turns {
    fn new(count: usize, threads: usize) -> Self {
        let first = |thread: usize| thread * count / threads.max(1);
        Self { own: (0..threads).map(|thread| (AtomicUsize::new(first(thread)), first(thread + 1))).collect() }
    }

    /// The next share for a thread; each is given once.
    fn next(&self, thread: usize) -> Option<usize> {
        let threads = self.own.len().max(1);
        let (before, from) = self.own.split_at(thread % threads);
        let take = |(next, end): &(AtomicUsize, usize)| {
            // Looked at first, so that a count does not go on for ever.
            let open = next.load(Ordering::Relaxed) < *end;
            open.then(|| next.fetch_add(1, Ordering::Relaxed)).filter(|share| share < end)
        };
        from.iter().chain(before).find_map(take)
    }
}

/// Does `work` on runs of whole rows of `x`, each `width` long, given the place of the run's first row; on several threads where
/// there are many numbers. For steps that take each row by itself.
pub fn row_by_row(x: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Send + Sync) {
    let (threads, width) = (rayon::current_num_threads(), width.max(1));
    if threads == 1 || x.len() < ALONE_NUMBERS {
        return work(0, x);
    }
    let rows = (x.len() / width).div_ceil(2 * threads).max(1);
    x.par_chunks_mut(rows * width).enumerate().for_each(|(run, x)| work(run * rows, x));
}

/// Does `work`, many small products one after another, on threads that look out for the next one instead of falling asleep
/// after each: to be woken takes as long as a product of a few hundred kilobytes. They are threads of their own, so that
/// none has a long job of another kind in hand when the work ends. On a thread of a pool it is that pool's business.
pub fn awake<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    if rayon::current_thread_index().is_some() {
        return work();
    }
    let built = || {
        let threads = rayon::current_num_threads();
        let named = ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("token-{i}"));
        (threads > 1).then(|| named.build().ok()).flatten()
    };
    let Some(pool) = POOL.get_or_init(built) else { return work() };
    let done = AtomicBool::new(false);
    pool.scope(|scope| {
        // Set where `work` panics, too: the others would look out for ever.
        let _end = End(&done);
        (1..pool.current_num_threads()).for_each(|_| scope.spawn(|_| look_out(&done)));
        work()
    })
}

/// Takes what other threads of the pool hand out, until `done`.
fn look_out(done: &AtomicBool) {
    let mut looks = 0;
    while !done.load(Ordering::Acquire) {
        if rayon::yield_now() != Some(Yield::Executed) {
            looks += 1;
            pause(looks);
        }
    }
}

/// A moment: nothing, or now and then a turn for another program.
fn pause(look: usize) {
    if look.is_multiple_of(LOOKS) {
        std::thread::yield_now();
    } else {
        spin_loop();
    }
}

/// Says that the work is done when it goes.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn task<'a>(units: usize, work: usize, part: impl Fn(Range<usize>) + Send + Sync + 'a) -> Task<'a> {
        Task { units, granule: 8, each: 4, work, part: Box::new(part) }
    }

    /// How often each unit of each task was given out, with so many threads.
    fn given(threads: usize, units: &[usize]) -> Vec<Vec<usize>> {
        let counts: Vec<Vec<_>> =
            units.iter().map(|units| (0..*units).map(|_| AtomicUsize::new(0)).collect()).collect();
        let tasks = counts.iter().zip(1..).map(|(counts, nth)| {
            let count = |range: Range<usize>| counts[range].iter().for_each(|n| _ = n.fetch_add(1, Ordering::Relaxed));
            task(counts.len(), (64 << 20) / nth, count)
        });
        let (tasks, pool) = (tasks.collect::<Vec<_>>(), ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
        pool.install(|| share_out(&tasks));
        drop(tasks);
        counts.into_iter().map(|counts| counts.into_iter().map(AtomicUsize::into_inner).collect()).collect()
    }

    #[test]
    fn each_unit_is_given_out_once() {
        let all: [(usize, &[usize]); 6] =
            [(1, &[7]), (2, &[1]), (2, &[1000]), (3, &[17, 0, 4, 300]), (8, &[4099, 3]), (2, &[])];
        for (threads, units) in all {
            let once: Vec<Vec<usize>> = units.iter().map(|units| vec![1; *units]).collect();
            assert_eq!(given(threads, units), once, "{units:?} units, {threads} threads");
        }
    }

    #[test]
    fn a_thread_takes_its_own_shares_and_then_what_others_have_left() {
        // 0 and 1 are the first thread's, 2 and 3 the second's, 4 to 6 the third's.
        let turns = Turns::new(7, 3);
        let order = [1, 0, 2, 1, 1, 1, 2, 0, 0, 5].map(|thread| turns.next(thread));
        assert_eq!(order, [Some(2), Some(0), Some(4), Some(3), Some(5), Some(6), Some(1), None, None, None]);
    }

    #[test]
    fn each_row_is_passed_over_once_with_its_own_place() {
        let pool = ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        for (rows, width) in [(5, 3), (1000, 131), (1, ALONE_NUMBERS + 1), (ALONE_NUMBERS, 1), (7, 0)] {
            let mut x = vec![1.0; rows * width];
            let mark = |first: usize, x: &mut [f32]| {
                let rows = x.chunks_exact_mut(width.max(1)).zip(first..);
                rows.for_each(|(row, place)| row.iter_mut().for_each(|x| *x += place as f32));
            };
            pool.install(|| row_by_row(&mut x, width, mark));
            let wanted = (0..rows).flat_map(|row| std::iter::repeat_n(1.0 + row as f32, width));
            assert!(x.into_iter().eq(wanted), "{rows} x {width}");
        }
    }

    #[test]
    fn a_small_task_is_one_share_and_a_large_one_some_for_each_thread() {
        let shares = |units, work| task(units, work, |_| ()).shares(2);
        assert_eq!(shares(2048, 100), (2048, 1));
        assert_eq!(shares(2048, 3 * SHARE_BYTES), (688, 3));
        assert_eq!(shares(2048, 1 << 30), (256, 8));
        assert_eq!(shares(0, 1 << 30).1, 0);
    }

    #[test]
    fn many_works_at_once_end_with_their_own_results() {
        let sum = |seed: usize| {
            let total = AtomicUsize::new(0);
            let add = |range: Range<usize>| _ = total.fetch_add(range.map(|i| i * seed).sum(), Ordering::Relaxed);
            (0..50).for_each(|_| share_out(&[task(1000, 64 << 20, add)]));
            total.into_inner()
        };
        let found = std::thread::scope(|scope| {
            let all: Vec<_> = (1..5).map(|seed| scope.spawn(move || awake(|| sum(seed)))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(found, [1, 2, 3, 4].map(|seed| 50 * seed * 499_500));
    }

    #[test]
    fn work_that_panics_leaves_the_threads_to_others() {
        let too_far = |range: Range<usize>| assert!(range.start < 500, "too far");
        let panicking = || awake(|| share_out(&[task(1000, 64 << 20, too_far)]));
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        assert_eq!(awake(|| awake(|| 7)), 7);
    }
}
