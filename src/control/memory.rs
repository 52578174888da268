//! What memory a job needs and what is free, so that it can be told before the job begins.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// What takes memory in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Decompositions under way, and those kept.
    Decompositions,
    /// Keys and values of texts.
    Keys,
    /// Logits, hidden states and what else a pass over a text makes.
    Passes,
    /// Sums over the inputs of a block.
    Moments,
    /// Weights in the form that plans give them.
    Weights,
}

/// All of them, in the order in which a need counts them.
const SHARES: [Share; 5] = [Share::Decompositions, Share::Keys, Share::Passes, Share::Moments, Share::Weights];

impl Share {
    /// What a person can do where it is the most of what is needed.
    fn advice(self) -> &'static str {
        match self {
            Self::Decompositions => "fewer --threads take less",
            Self::Keys | Self::Passes => "a shorter text takes less",
            Self::Moments => "close what else runs, or calibrate elsewhere and give --calibration FILE",
            Self::Weights => "fewer changed layers, or smaller plans, take less",
        }
    }
}

/// Bytes that a job takes at its largest, by what takes them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need([u64; SHARES.len()]);

impl Need {
    /// Nothing but `bytes` of one kind.
    pub fn of(share: Share, bytes: u64) -> Self {
        Self(SHARES.map(|other| if other == share { bytes } else { 0 }))
    }

    /// Both at the same time.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut sum = self;
        sum.0.iter_mut().zip(other.0).for_each(|(sum, bytes)| *sum = sum.saturating_add(bytes));
        sum
    }

    /// One after the other: the larger of the two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if other.bytes() > self.bytes() { other } else { self }
    }

    /// In all.
    pub fn bytes(self) -> u64 {
        self.0.into_iter().fold(0, u64::saturating_add)
    }

    /// What is said of a job that needs more than is `free`: both numbers, and what to do. Nothing where there is enough, or
    /// where what is free is not known.
    pub fn told(self, job: &str, free: Option<u64>) -> Option<String> {
        let needed = self.bytes();
        let free = free.filter(|free| needed > *free)?;
        let most = SHARES.into_iter().zip(self.0).max_by_key(|(_, bytes)| *bytes).map_or("", |(most, _)| most.advice());
        let (needed, free) = (shown(needed), shown(free));
        Some(format!("{job} takes about {needed} of memory, and {free} are free; {most}"))
    }
}

/// What was said of memory so far.
#[derive(Debug, Default)]
pub struct Told(AtomicU64);

impl Told {
    /// As [`Need::told`]; nothing where as much was said before.
    pub fn once(&self, job: &str, need: Need, free: Option<u64>) -> Option<String> {
        let line = need.told(job, free)?;
        (self.0.fetch_max(need.bytes(), Ordering::Relaxed) < need.bytes()).then_some(line)
    }
}

/// The system does not give so much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} of memory are needed, more than this machine gives; a shorter text, or a smaller model, takes less", shown(*.0))]
pub struct OutOfMemory(pub u64);

/// Whether the system would give so many bytes at once, so that what is beyond it is an error: an allocation that is refused
/// ends the program. Linux promises more than is free, but never more than there is.
///
/// # Errors
/// It would not.
pub fn afford(bytes: u64) -> Result<(), OutOfMemory> {
    let refused = OutOfMemory(bytes);
    let mut asked: Vec<u8> = Vec::new();
    asked.try_reserve_exact(usize::try_from(bytes).map_err(|_| refused)?).map_err(|_| refused)?;
    // Without this the compiler may leave the question out.
    black_box(&mut asked);
    Ok(())
}

/// Bytes of memory that are free, as Linux tells it: of the machine, or of the group of processes where that has a limit which
/// is nearer. `None` where that is not known.
pub fn free_memory() -> Option<u64> {
    available(&|path| std::fs::read_to_string(path).ok())
}

/// [`free_memory`], where `read` gives the content of a file.
fn available(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let about = read("/proc/meminfo")?;
    let line = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024);
    let number = |path| read(path)?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    Some(group.map_or(machine, |(limit, used)| machine.min(limit.saturating_sub(used))))
}

/// `1.50 GB`, `25 MB`; MB = 10^6 bytes.
fn shown(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes >= 1e12 => format!("{:.2} TB", bytes / 1e12),
        bytes if bytes >= 1e9 => format!("{:.2} GB", bytes / 1e9),
        bytes => format!("{:.0} MB", bytes / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_together_is_summed_and_what_follows_is_not() {
        let (one, other) = (Need::of(Share::Keys, 5), Need::of(Share::Weights, 7));
        assert_eq!((one.and(other).bytes(), one.or(other), other.or(one)), (12, other, other));
        assert_eq!(Need::of(Share::Keys, u64::MAX).and(one).and(other).bytes(), u64::MAX);
        assert_eq!(Need::default().bytes(), 0);
    }

    #[test]
    fn a_job_is_told_where_memory_is_short_with_both_numbers_and_what_helps() {
        let need = Need::of(Share::Decompositions, 2_500_000_000).and(Need::of(Share::Keys, 500_000_000));
        let said = need.told("decomposing", Some(25_000_000)).unwrap();
        assert_eq!(said, "decomposing takes about 3.00 GB of memory, and 25 MB are free; fewer --threads take less");
        let said = need.and(Need::of(Share::Weights, 3_000_000_000)).told("it", Some(0)).unwrap();
        assert!(said.ends_with("smaller plans, take less"), "{said}");
        assert_eq!((need.told("it", Some(3_000_000_000)), need.told("it", None)), (None, None));
        assert!(Need::of(Share::Keys, u64::MAX).told("it", Some(1)).unwrap().contains("TB"));
    }

    #[test]
    fn it_is_said_once_unless_more_is_needed() {
        let (told, need) = (Told::default(), |bytes| Need::of(Share::Keys, bytes));
        assert_eq!(told.once("a", need(50), Some(50)), None);
        assert!(told.once("a", need(50), Some(40)).is_some_and(|line| line.starts_with("a takes")));
        assert_eq!((told.once("b", need(50), Some(40)), told.once("b", need(45), Some(40))), (None, None));
        assert!(told.once("b", need(60), Some(40)).is_some_and(|line| line.starts_with("b takes")));
    }

    #[test]
    fn what_no_machine_has_is_refused_and_what_all_have_is_not() {
        assert_eq!(afford(1 << 60), Err(OutOfMemory(1 << 60)));
        assert_eq!(afford(u64::MAX), Err(OutOfMemory(u64::MAX)));
        assert_eq!(afford(1000), Ok(()));
        assert!(OutOfMemory(1 << 60).to_string().starts_with("1152921.50 TB of memory are needed"));
    }

    #[test]
    fn the_nearer_limit_counts() {
        let files = |group: &'static str| {
            move |path: &str| match path {
                "/proc/meminfo" => Some("MemTotal: 9 kB\nMemAvailable:     4096 kB\n".to_owned()),
                "/sys/fs/cgroup/memory.max" => Some(group.to_owned()),
                "/sys/fs/cgroup/memory.current" => Some("1000\n".to_owned()),
                _ => None,
            }
        };
        assert_eq!(available(&files("max\n")), Some(4 << 20));
        assert_eq!(available(&files("3000\n")), Some(2000));
        assert_eq!(available(&files("500\n")), Some(0));
        assert_eq!(available(&files("999999999\n")), Some(4 << 20));
        assert_eq!(available(&|_| None), None);
    }
}
