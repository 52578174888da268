//! What jobs on a model need of memory.

use std::collections::BTreeMap;

use super::compare::{WINDOW, first_scored};
use super::sensitivity::{AT_A_TIME, WRITTEN};
use super::trial::HELD;
use super::{CompareOptions, ModelMeter};
use crate::compress::{Base, Plan, Weighting, Work, weights_need};
use crate::control::{Need, Share};
use crate::linalg::MomentSum;
use crate::model::{Kind, Model};

/// Tokens of a prompt that go through a model at once.
const BATCH: usize = 256;

/// What writing a text needs that has so many tokens in the end, or as many as the context holds.
pub fn writing_need(model: &Model, tokens: usize) -> Need {
    let tokens = tokens.min(model.architecture().context);
    let keys = Need::of(Share::Keys, model.cache_bytes(tokens));
    keys.and(Need::of(Share::Passes, model.pass_bytes(tokens.min(BATCH), 1)))
}

/// What a pass over so many tokens at once needs, which keeps the logits of them all, and with `states` what every block gives.
pub fn pass_need(model: &Model, tokens: usize, states: bool) -> Need {
    let passes = model.pass_bytes(tokens, tokens);
    let states = if states { state_bytes(model, tokens) } else { 0 };
    Need::of(Share::Keys, model.cache_bytes(tokens)).and(Need::of(Share::Passes, passes.saturating_add(states)))
}

/// What comparing two models of this shape over a text needs: a window in each, and the logits and states of the original once
/// more where they are kept.
pub fn comparing_need(model: &Model, text: &CompareOptions) -> Need {
    let (length, scored) = window(model, text);
    let each = Need::of(Share::Keys, model.cache_bytes(length));
    let kept = state_bytes(model, scored).saturating_add(model.pass_bytes(0, scored));
    let passes = model.pass_bytes(scored, scored).saturating_add(state_bytes(model, scored));
    let each = each.and(Need::of(Share::Passes, passes));
    each.and(each).and(Need::of(Share::Passes, kept))
}

/// What input statistics of a model need: the sums over the inputs of that block whose inputs are the longest, those longer than
/// `widest` by their squares alone, and the means that are made of them; beside them a pass over a window of the text.
pub fn calibrating_need(model: &Model, widest: usize) -> Need {
    let mut steps: BTreeMap<Option<usize>, (u64, u64)> = BTreeMap::new();
    for layer in model.layers().iter().filter(|layer| has_own_input(layer.kind)) {
        let (sums, means) = MomentSum::bytes(layer.cols, layer.cols <= widest);
        let (all, largest) = steps.entry(layer.block).or_default();
        (*all, *largest) = (all.saturating_add(sums), means.max(*largest));
    }
    let most = steps.into_values().map(|(all, largest)| all.saturating_add(largest)).max().unwrap_or_default();
    let window = WINDOW.min(model.architecture().context);
    Need::of(Share::Moments, most).and(Need::of(Share::Passes, model.pass_bytes(window, 0)))
}

/// Whether a layer of this kind reads an input of its own: keys and values read that of the queries, a gate that of its pair.
fn has_own_input(kind: Kind) -> bool {
    !matches!(kind, Kind::K | Kind::V | Kind::Gate | Kind::ExpertGate)
}

impl ModelMeter<'_> {
    /// What a model of these plans needs, and what is done with it besides, once it is there. Where that is more than is `free`,
    /// decompositions that are kept are not counted.
    pub fn compressed_need(&self, plans: &[(usize, Plan)], then: Need, free: Option<u64>) -> Need {
        weights_need(self.work(plans)).and(self.coding_need(plans, free).or(then))
    }

    /// What trying these layers one by one needs, beside the model that is changed; `free` as above.
    pub fn trying_need(&self, plans: &[(usize, Plan)], free: Option<u64>) -> Need {
        let mut bytes: Vec<u64> = self.work(plans).map(|work| weights_need([work]).bytes()).collect();
        bytes.sort_unstable_by(|a, b| b.cmp(a));
        let held = bytes.iter().take(AT_A_TIME).fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        // The prompt is seldom as long as what follows.
        let keys = self.model.cache_bytes(2 * WRITTEN).saturating_mul(AT_A_TIME as u64).min(HELD);
        let writing = Need::of(Share::Keys, keys).and(Need::of(Share::Passes, self.model.pass_bytes(BATCH, AT_A_TIME)));
        Need::of(Share::Weights, held).and(self.coding_need(plans, free).or(self.suffixes()).or(writing))
    }

    /// What seeking a policy needs: trials of single layers, then models of about eight bits a weight.
    pub fn planning_need(&self) -> Need {
        let each = |plan: Plan| (0..self.model.layers().len()).map(|layer| (layer, plan)).collect::<Vec<_>>();
        let weighting = if self.calibration.is_some() { Weighting::Activations } else { Weighting::Plain };
        let coding = self.coding_need(&each(Plan { base: Base::Int4, weighting, ..Plan::low_rank(1) }), None);
        let int8 = weights_need(self.work(&each(Plan { base: Base::Int8, ..Plan::dense() })));
        let trying = Need::of(Share::Weights, int8.bytes().min(HELD)).and(coding.or(self.suffixes()));
        trying.or(int8.and(coding.or(comparing_need(self.model, self.text))))
    }

    fn coding_need(&self, plans: &[(usize, Plan)], free: Option<u64>) -> Need {
        let work: Vec<Work<'_>> = self.work(plans).collect();
        let source = (self.checkpoint, self.calibration);
        self.cache.fresh_need(source, &work, rayon::current_num_threads(), free)
    }

    /// What enters each block of a window, and what the threads make of it.
    fn suffixes(&self) -> Need {
        let (length, scored) = window(self.model, self.text);
        let threads = rayon::current_num_threads() as u64;
        let own = self.model.pass_bytes(length, scored).saturating_mul(threads);
        let start = state_bytes(self.model, length).saturating_add(self.model.pass_bytes(0, scored));
        let tokens = self.text.ids.len().min(self.text.limit.unwrap_or(usize::MAX));
        let all = start.saturating_mul(tokens.div_ceil(scored.max(1)) as u64);
        let shared = all.min(HELD).max(start);
        Need::of(Share::Passes, own.saturating_add(shared))
    }

    fn work<'a>(&'a self, plans: &'a [(usize, Plan)]) -> impl Iterator<Item = Work<'a>> {
        plans.iter().filter_map(|(layer, plan)| Some((self.model.layers().get(*layer)?, plan)))
    }
}

/// Tokens of a window, BOS included, and how many of them are scored.
fn window(model: &Model, text: &CompareOptions) -> (usize, usize) {
    let tokens = text.ids.len().min(text.limit.unwrap_or(usize::MAX)) + usize::from(text.bos.is_some());
    let length = tokens.min(WINDOW).min(model.architecture().context);
    (length, length - first_scored(length))
}

/// Bytes of the states before, between and after all blocks.
fn state_bytes(model: &Model, tokens: usize) -> u64 {
    let shape = model.architecture();
    let numbers = (shape.blocks as u64 + 1).saturating_mul(shape.hidden as u64);
    numbers.saturating_mul(tokens as u64).saturating_mul(size_of::<f32>() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::compress::FactorCache;

    fn opened(name: &str) -> (Checkpoint, Model) {
        let checkpoint = Checkpoint::open(format!("tests/data/golden/{name}").as_ref()).unwrap();
        let model = Model::load(&checkpoint).unwrap();
        (checkpoint, model)
    }

    fn text(tokens: u32) -> CompareOptions {
        CompareOptions { ids: (0..tokens).collect(), bos: None, limit: None }
    }

    #[test]
    fn keys_are_counted_up_to_the_context() {
        let (_, model) = opened("llama");
        let shape = model.architecture();
        let each = 2 * shape.blocks * shape.kv_heads * shape.head_dim * 4;
        assert_eq!(model.cache_bytes(64), 64 * each as u64);
        // A page at a time.
        assert_eq!((model.cache_bytes(0), model.cache_bytes(7)), (0, model.cache_bytes(64)));
        assert_eq!(model.cache_bytes(usize::MAX), u64::MAX);
        assert!(writing_need(&model, 1).bytes() < writing_need(&model, 66).bytes());
        assert_eq!(writing_need(&model, shape.context), writing_need(&model, usize::MAX));
        assert!(pass_need(&model, 20, false).bytes() < pass_need(&model, 20, true).bytes());
    }

    #[test]
    fn a_calibration_needs_the_sums_of_its_largest_block() {
        let (_, model) = opened("llama");
        let shape = model.architecture();
        let triangle = |n: usize| (n * (n + 1) / 2) as u64;
        let (h, i) = (triangle(shape.hidden), triangle(shape.intermediate));
        // Queries, keys and values read one input, gate and up one, output and down one each.
        let sums = 8 * (2 * h + triangle(shape.heads * shape.head_dim) + i) + 4 * i;
        let pass = model.pass_bytes(WINDOW.min(shape.context), 0);
        assert_eq!(calibrating_need(&model, usize::MAX).bytes(), sums + pass);
        assert!(calibrating_need(&model, 1).bytes() < sums / 2 + pass);
    }

    #[test]
    fn what_lives_at_the_same_time_is_summed() {
        let ((checkpoint, model), text, cache) = (opened("llama"), text(100), FactorCache::new(None));
        let meter = ModelMeter {
            checkpoint: &checkpoint,
            model: &model,
            cache: &cache,
            calibration: None,
            text: &text,
            passes: None,
        };
        let plans: Vec<_> = (0..model.layers().len()).map(|layer| (layer, Plan::low_rank(2))).collect();
        let weights = weights_need(meter.work(&plans)).bytes();
        let (coding, then) = (meter.coding_need(&plans, None).bytes(), Need::of(Share::Keys, 1 << 40));
        assert_eq!(meter.compressed_need(&plans, Need::default(), None).bytes(), weights + coding);
        assert_eq!(meter.compressed_need(&plans, then, None).bytes(), weights + (1 << 40));
        assert!(meter.trying_need(&plans, None).bytes() < meter.compressed_need(&plans, then, None).bytes());
        assert!(meter.trying_need(&plans[..1], None).bytes() < meter.trying_need(&plans, None).bytes());
        assert!(meter.planning_need().bytes() > comparing_need(&model, &text).bytes());
        assert!(comparing_need(&model, &text).bytes() > comparing_need(&model, &self::text(10)).bytes());
    }
}
