//! Whether a job's memory is there, told before it begins.

use super::failure::warn;
use super::output;
use crate::model::Layer;

/// About what a decomposition takes for each element of its matrix: three copies in f64.
const BYTES_PER_ELEMENT: u64 = 24;

/// Warns where decomposing these layers, as many side by side as there are threads, needs more memory than is free.
pub fn warn_before_decomposing<'a>(layers: impl IntoIterator<Item = &'a Layer>) {
    let sizes = layers.into_iter().map(Layer::parameters).collect();
    let needed = needed(sizes, rayon::current_num_threads());
    told(needed, available(&|path| std::fs::read_to_string(path).ok())).into_iter().for_each(warn);
}

/// Bytes that decompositions of matrices of so many elements take, `threads` of them at once.
fn needed(mut sizes: Vec<u64>, threads: usize) -> u64 {
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let together = sizes.iter().take(threads.max(1)).fold(0_u64, |sum, size| sum.saturating_add(*size));
    together.saturating_mul(BYTES_PER_ELEMENT)
}

/// What is said of a job that needs more than is free; nothing where that is not known.
fn told(needed: u64, available: Option<u64>) -> Option<String> {
    let available = available.filter(|available| needed > *available)?;
    let (needed, available) = (output::bytes(needed), output::bytes(available));
    Some(format!("decomposing takes about {needed} of memory, and {available} are free; fewer --threads take less"))
}

/// Free memory as Linux tells it: of the machine, or of the group of processes where that has a limit which is nearer.
/// `read` gives the content of a file.
fn available(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let about = read("/proc/meminfo")?;
    let line = about.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024);
    let number = |path| read(path)?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    Some(group.map_or(machine, |(limit, used)| machine.min(limit.saturating_sub(used))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_that_run_side_by_side_count() {
        assert_eq!(needed(vec![1, 5, 3], 2), 8 * 24);
        assert_eq!(needed(vec![1, 5, 3], 16), 9 * 24);
        assert_eq!((needed(vec![], 4), needed(vec![u64::MAX, 2], 2)), (0, u64::MAX));
    }

    #[test]
    fn a_job_is_told_before_it_begins_where_memory_is_short() {
        let said = told(3_000_000_000, Some(2_000_000_000)).unwrap();
        assert_eq!(said, "decomposing takes about 3.00 GB of memory, and 2.00 GB are free; fewer --threads take less");
        assert_eq!((told(2, Some(2)), told(u64::MAX, None)), (None, None));
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
