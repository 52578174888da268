//! What coding layers takes in memory.

use super::{Calibration, FactorCache, LayerInputs, Plan, Subject};
use crate::checkpoint::Checkpoint;
use crate::control::{Need, Share};
use crate::linalg::{decomposing_bytes, decomposition_bytes};
use crate::model::Layer;

/// What coding in an export may take beyond three times the largest tensor.
const SPARE: u64 = 100 << 20;

/// Layers for each thread that are decomposed before the first of them is written.
const AHEAD: usize = 8;

/// A layer with the plan that it is coded under.
pub type Work<'a> = (&'a Layer, &'a Plan);

/// About the most bytes that coding one layer takes at a time: its decomposition and what a quantized base leaves over, or
/// without a rank its elements as f32.
pub(super) fn coding_bytes((layer, plan): Work<'_>) -> u64 {
    let elements = layer.parameters().saturating_mul(4);
    if plan.rank == 0 {
        return elements;
    }
    let base = if plan.base_is_quantized() { elements } else { 0 };
    decomposing_bytes(layer.rows, layer.cols, plan.needs_statistics()).saturating_add(base)
}

impl FactorCache {
    /// What coding these layers needs, as many side by side as there are `threads`: the largest of them, and the decompositions
    /// that stay in memory.
    pub fn coding_need<'a>(&self, work: impl IntoIterator<Item = Work<'a>>, threads: usize) -> Need {
        let (mut sizes, mut kept) = (Vec::new(), 0_u64);
        for (layer, plan) in work.into_iter().filter(|(_, plan)| !plan.is_dense()) {
            sizes.push(coding_bytes((layer, plan)));
            if plan.rank > 0 {
                kept = kept.saturating_add(decomposition_bytes(layer.rows, layer.cols));
            }
        }
        let together = side_by_side(sizes, threads);
        Need::of(Share::Decompositions, together.saturating_add(kept.min(self.memory_limit())))
    }

    /// As [`FactorCache::coding_need`], without the layers whose decompositions are kept, where that is more than is `free`: to
    /// know which are, their tensors are read.
    pub fn fresh_need(
        &self,
        (checkpoint, calibration): (&Checkpoint, Option<&Calibration>),
        work: &[Work<'_>],
        threads: usize,
        free: Option<u64>,
    ) -> Need {
        let all = self.coding_need(work.iter().copied(), threads);
        if free.is_none_or(|free| all.bytes() <= free) {
            return all;
        }
        let fresh = |work: &Work<'_>| work.1.rank == 0 || !self.keeps_factors(checkpoint, calibration, *work);
        self.coding_need(work.iter().copied().filter(fresh), threads)
    }

    /// Whether the decomposition that a layer is coded from is kept: its tensor is read.
    pub(super) fn keeps_factors(
        &self,
        checkpoint: &Checkpoint,
        calibration: Option<&Calibration>,
        (layer, plan): Work<'_>,
    ) -> bool {
        let inputs = LayerInputs::of(calibration, &layer.name);
        let found = checkpoint.tensor(&layer.tensor).zip(layer.matrix(checkpoint));
        found.is_some_and(|(tensor, matrix)| {
            self.keeps(&Subject { tensor, matrix: &matrix, inputs: inputs.as_ref() }, plan)
        })
    }

    /// What the spectra of these layers need, computed side by side by so many threads: vectors too, which some matrices call for.
    /// Where that is more than is `free`, without the layers whose spectra are kept: to know which are, their tensors are read.
    pub fn spectra_need(&self, checkpoint: &Checkpoint, layers: &[&Layer], threads: usize, free: Option<u64>) -> Need {
        let bytes = |layer: &&Layer| decomposing_bytes(layer.rows, layer.cols, false);
        let need = |sizes| Need::of(Share::Decompositions, side_by_side(sizes, threads));
        let all = need(layers.iter().map(bytes).collect());
        if free.is_none_or(|free| all.bytes() <= free) {
            return all;
        }
        let kept = |layer: &&&Layer| {
            let found = checkpoint.tensor(&layer.tensor).zip(layer.matrix(checkpoint));
            found.is_some_and(|(tensor, matrix)| self.keeps_values(tensor, &matrix))
        };
        need(layers.iter().filter(|layer| !kept(layer)).map(bytes).collect())
    }
}

/// What an export of these layers needs: it codes side by side what its budget allows, and one layer in any case; more
/// only of what is free.
pub fn export_need<'a>(checkpoint: &Checkpoint, work: impl IntoIterator<Item = Work<'a>>, threads: usize) -> Need {
    let sizes: Vec<u64> = work.into_iter().filter(|(_, plan)| !plan.is_dense()).map(coding_bytes).collect();
    let largest = sizes.iter().copied().max().unwrap_or_default();
    Need::of(Share::Decompositions, side_by_side(sizes, threads).min(Room::of(checkpoint, None).coding.max(largest)))
}

/// Bytes that an export may take for coding layers side by side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// From decompositions that are kept, and of layers that wait to be written: three times the largest tensor, and some more.
    pub(super) coding: u64,
    /// Where decompositions are computed: half of what is free.
    decomposing: u64,
}

impl Room {
    /// That of an export from `checkpoint`, where so many bytes are `free`.
    pub(super) fn of(checkpoint: &Checkpoint, free: Option<u64>) -> Self {
        let largest = checkpoint.tensors().iter().map(|tensor| tensor.data.len() as u64).max().unwrap_or(0);
        Self { coding: 3 * largest + SPARE, decomposing: free.map_or(0, |free| free / 2) }
    }
}

/// Layers of an export that are coded at a time.
pub(super) struct Wave {
    room: Room,
    threads: usize,
    /// What coding each of them takes.
    sizes: Vec<u64>,
    /// Bytes of what they become.
    coded: u64,
}

impl Wave {
    /// Nothing yet.
    pub(super) fn new(room: Room, threads: usize) -> Self {
        Self { room, threads, sizes: Vec::new(), coded: 0 }
    }

    /// Whether one more layer fits beside those before it: up to one a thread, or more where they are decomposed, so that no thread
    /// waits long for the last of them.
    pub(super) fn takes(&mut self, (layer, plan): Work<'_>, decomposes: impl FnOnce() -> bool) -> bool {
        self.sizes.push(coding_bytes((layer, plan)));
        self.coded = self.coded.saturating_add(plan.bytes(layer.rows, layer.cols, layer.bytes));
        let (count, at_once) = (self.sizes.len(), side_by_side(self.sizes.clone(), self.threads));
        let coding = count <= self.threads && at_once <= self.room.coding;
        let room = at_once.saturating_add(self.coded) <= self.room.decomposing;
        coding || (room && count <= AHEAD * self.threads && decomposes())
    }
}

/// The sum of the largest, as many as there are threads.
fn side_by_side(mut sizes: Vec<u64>, threads: usize) -> u64 {
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.iter().take(threads.max(1)).fold(0, |sum, size| sum.saturating_add(*size))
}

/// What the weights of these layers take, in the form that their plans give them; those that stay dense lie in the file.
pub fn weights_need<'a>(work: impl IntoIterator<Item = Work<'a>>) -> Need {
    let changed = work.into_iter().filter(|(_, plan)| !plan.is_dense());
    let bytes = |(layer, plan): Work<'_>| plan.bytes(layer.rows, layer.cols, layer.bytes);
    Need::of(Share::Weights, changed.map(bytes).fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Base, Weighting};
    use crate::control::Control;
    use crate::model::layers_of;

    #[test]
    fn the_largest_side_by_side_count_and_what_stays_up_to_its_limit() {
        let layers = layers_of(&Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap());
        let (one, other) = (&layers[0], layers.iter().max_by_key(|layer| layer.parameters()).unwrap());
        let (plan, nothing) = (Plan::low_rank(1), FactorCache::with_limits(None, 0, 0));
        let (small, large) = (coding_bytes((one, &plan)), coding_bytes((other, &plan)));
        assert!(small < large);
        let need = |cache: &FactorCache, threads| cache.coding_need([(one, &plan), (other, &plan)], threads).bytes();
        assert_eq!((need(&nothing, 1), need(&nothing, 2), need(&nothing, 9)), (large, small + large, small + large));
        let kept = [one, other].map(|layer| decomposition_bytes(layer.rows, layer.cols)).iter().sum::<u64>();
        assert_eq!(need(&FactorCache::new(None), 1), large + kept);
        assert_eq!(need(&FactorCache::with_limits(None, 5, 0), 1), large + 5);
        assert_eq!(nothing.coding_need([(one, &Plan::dense())], 2), Need::default());
    }

    #[test]
    fn what_is_kept_is_not_computed_again() {
        let checkpoint = Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap();
        let (layers, plan, folder) = (layers_of(&checkpoint), Plan::low_rank(1), tempfile::tempdir().unwrap());
        let work: Vec<Work<'_>> = layers.iter().map(|layer| (layer, &plan)).collect();
        let cache = || FactorCache::with_limits(Some(folder.path().to_owned()), 0, 1 << 20);
        let need = |free| cache().fresh_need((&checkpoint, None), &work, 1, free);
        let all = cache().coding_need(work.clone(), 1);
        assert_eq!((need(None), need(Some(0)), need(Some(u64::MAX))), (all, all, all));
        for layer in &layers {
            let matrix = layer.matrix(&checkpoint).unwrap();
            cache().get(checkpoint.tensor(&layer.tensor).unwrap(), &matrix, &Control::new()).unwrap();
        }
        assert_eq!((need(Some(0)), need(Some(u64::MAX))), (Need::default(), all));
    }

    #[test]
    fn spectra_that_are_kept_are_not_computed_again() {
        let checkpoint = Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap();
        let (layers, folder) = (layers_of(&checkpoint), tempfile::tempdir().unwrap());
        let layers: Vec<&Layer> = layers.iter().collect();
        let cache = || FactorCache::new(Some(folder.path().to_owned()));
        let need = |threads, free| cache().spectra_need(&checkpoint, &layers, threads, free);
        let all = need(1, None);
        let largest = layers.iter().map(|layer| decomposing_bytes(layer.rows, layer.cols, false)).max().unwrap();
        assert_eq!((all.bytes(), need(1, Some(0)), need(1, Some(u64::MAX))), (largest, all, all));
        assert!(need(2, None).bytes() > largest);
        for layer in &layers {
            let matrix = layer.matrix(&checkpoint).unwrap();
            cache().values(checkpoint.tensor(&layer.tensor).unwrap(), &matrix, &Control::new()).unwrap();
        }
        assert_eq!((need(1, Some(0)), need(1, Some(u64::MAX))), (need(0, Some(0)), all));
        assert_eq!(need(1, Some(0)).bytes(), 0);
    }

    #[test]
    fn an_export_keeps_to_its_budget_but_for_one_layer() {
        let checkpoint = Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap();
        let mut layers = layers_of(&checkpoint);
        let (plan, budget) = (Plan::low_rank(1), Room::of(&checkpoint, None).coding);
        let need = |layers: &[Layer], threads| {
            export_need(&checkpoint, layers.iter().map(|layer| (layer, &plan)), threads).bytes()
        };
        assert!(need(&layers, 1) < need(&layers, 2) && need(&layers, 2) < budget);
        layers.iter_mut().for_each(|layer| (layer.rows, layer.cols) = (1000, 1000));
        assert_eq!(need(&layers, 9), budget);
        (layers[0].rows, layers[0].cols) = (5000, 5000);
        assert_eq!(need(&layers, 9), coding_bytes((&layers[0], &plan)));
    }

    #[test]
    fn as_many_layers_as_threads_are_coded_at_once_and_more_decomposed_in_half_of_what_is_free() {
        let checkpoint = Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap();
        let (layers, plan) = (layers_of(&checkpoint), Plan::low_rank(1));
        let one = coding_bytes((&layers[0], &plan));
        let taken = |threads, decomposes, free| {
            let mut wave = Wave::new(Room::of(&checkpoint, free), threads);
            std::iter::repeat_n((&layers[0], &plan), 99).take_while(|work| wave.takes(*work, || decomposes)).count()
        };
        assert_eq!((taken(1, false, None), taken(3, false, None), taken(3, true, None)), (1, 3, 3));
        assert_eq!((taken(3, true, Some(u64::MAX)), taken(3, false, Some(u64::MAX))), (3 * AHEAD, 3));
        let coded = plan.bytes(layers[0].rows, layers[0].cols, layers[0].bytes);
        // Half of this is one layer at work and five that are done.
        assert_eq!(taken(1, true, Some(2 * (one + 5 * coded))), 5);
        let mut wave = Wave::new(Room { coding: one, decomposing: 0 }, 9);
        assert!(wave.takes((&layers[0], &plan), || true) && !wave.takes((&layers[0], &plan), || true));
    }

    #[test]
    fn a_layer_decomposes_until_its_decomposition_is_kept() {
        let checkpoint = Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap();
        let (layers, plan) = (layers_of(&checkpoint), Plan::low_rank(1));
        let (cache, layer) = (FactorCache::new(None), &layers[0]);
        assert!(!cache.keeps_factors(&checkpoint, None, (layer, &plan)));
        let matrix = layer.matrix(&checkpoint).unwrap();
        cache.get(checkpoint.tensor(&layer.tensor).unwrap(), &matrix, &Control::new()).unwrap();
        assert!(cache.keeps_factors(&checkpoint, None, (layer, &plan)));
    }

    #[test]
    fn what_a_plan_asks_for_counts() {
        let layers = layers_of(&Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap());
        let bytes = |plan| coding_bytes((&layers[0], &plan));
        let (plain, int8) = (Plan::low_rank(4), Plan { base: Base::Int8, ..Plan::dense() });
        let corrected = Plan { base: Base::Int8, ..plain };
        let weighted = Plan { weighting: Weighting::Activations, ..plain };
        assert!(bytes(int8) < bytes(plain) && bytes(plain) < bytes(corrected) && bytes(corrected) < bytes(weighted));
        let held = weights_need(layers.iter().map(|layer| (layer, &int8))).bytes();
        let whole: u64 = layers.iter().map(|layer| int8.bytes(layer.rows, layer.cols, layer.bytes)).sum();
        assert_eq!((held, weights_need([(&layers[0], &Plan::dense())]).bytes()), (whole, 0));
    }
}
