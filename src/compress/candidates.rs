//! The plans among which a budget chooses for a layer.

use super::{Base, Plan, Weighting};

/// Group lengths of an INT4 base that are tried: 5, 4.5, 4.25 and 4.125 bits a weight.
const INT4_GROUPS: [usize; 4] = [16, 32, 64, 128];
/// Those that are tried with a corrector; each takes a decomposition of its own.
const CORRECTED_GROUPS: [usize; 2] = [32, 128];
/// Bits a weight that a low-rank corrector of an INT4 base takes.
const CORRECTOR_BITS: [f64; 7] = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0];
/// Bits a weight that a layer takes which is low-rank alone.
const LOW_RANK_BITS: [f64; 7] = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0];
/// More of them where a layer may only be low-rank: above 8 bits INT8 is better, so else nobody asks for them.
const LARGE_RANK_BITS: [f64; 4] = [8.0, 10.0, 12.0, 14.0];

/// Plans of a layer [rows, cols] that takes `dense` bytes as it is, dense first: INT8, INT4 in groups, INT4 corrected by a
/// low rank, and a low rank alone, factors INT8; where `only` is given, those of this base and dense. With `activations` the
/// factors are weighted by them; U is refitted either way. Only plans that are smaller than the layer as it is, each once.
pub fn candidates(rows: usize, cols: usize, dense: u64, activations: bool, only: Option<Base>) -> Vec<Plan> {
    let weighting = if activations { Weighting::Activations } else { Weighting::Plain };
    let base = |base, group| Plan { base, group, ..Plan::dense() }.normalized();
    let corrected = |plan: Plan, bits: f64| {
        let rank = rank_of_bits(rows, cols, bits);
        (rank > 0 && rank <= rows.min(cols)).then_some(Plan { rank, weighting, refit: true, ..plan })
    };
    let int4 = |groups: &'static [usize]| {
        groups.iter().filter(move |group| **group <= cols.max(32)).map(move |group| base(Base::Int4, Some(*group)))
    };
    let mut plans = vec![base(Base::Int8, None), base(Base::Int8, Some(64))];
    plans.extend(int4(&INT4_GROUPS));
    let correctable = int4(&CORRECTED_GROUPS);
    plans.extend(correctable.flat_map(|plan| CORRECTOR_BITS.iter().filter_map(move |bits| corrected(plan, *bits))));
    let larger: &[f64] = if only == Some(Base::None) { &LARGE_RANK_BITS } else { &[] };
    let low_rank = LOW_RANK_BITS.iter().chain(larger);
    plans.extend(low_rank.filter_map(|bits| corrected(base(Base::None, None), *bits)));
    plans.retain(|plan| plan.bytes(rows, cols, dense) < dense && only.is_none_or(|only| plan.base == only));
    plans.insert(0, Plan::dense());
    plans.dedup();
    plans
}

/// The rank at which INT8 factors of a layer take `bits` a weight.
fn rank_of_bits(rows: usize, cols: usize, bits: f64) -> usize {
    (bits * (rows as f64 * cols as f64) / (8.0 * (rows + cols).max(1) as f64)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_is_possible_smaller_and_there_once() {
        for (rows, cols) in [(1, 1), (8, 8), (128, 128), (512, 128), (128, 512), (2048, 8192)] {
            let dense = 2 * (rows * cols) as u64;
            let plans = candidates(rows, cols, dense, true, None);
            assert_eq!(plans.first(), Some(&Plan::dense()));
            for (index, plan) in plans.iter().enumerate().skip(1) {
                assert!(
                    plan.bytes(rows, cols, dense) < dense && plan.rank <= rows.min(cols),
                    "{rows} x {cols}: {plan}"
                );
                assert_eq!(plan.meaningless(), None);
                assert!(!plans[..index].contains(plan), "{plan} twice");
            }
        }
    }

    #[test]
    fn a_large_layer_has_every_kind_of_plan() {
        let plans = candidates(2048, 2048, 2 << 22, true, None);
        let bits = |plan: &Plan| 8.0 * plan.bytes(2048, 2048, 2 << 22) as f64 / f64::from(1 << 22);
        let has = |base: Base, rank: bool| plans.iter().any(|plan| plan.base == base && (plan.rank > 0) == rank);
        assert!(has(Base::Int8, false) && has(Base::Int4, false) && has(Base::Int4, true) && has(Base::None, true));
        assert!(plans.iter().map(bits).fold(16.0, f64::min) < 1.1);
        assert!(plans.iter().all(|plan| plan.rank == 0 || (plan.refit && plan.weighting == Weighting::Activations)));
    }

    #[test]
    fn one_base_alone_can_be_asked_for_and_low_ranks_then_go_up_to_the_dense_layer() {
        let low = candidates(128, 128, 2 << 14, true, Some(Base::None));
        assert!(low.iter().skip(1).all(|plan| plan.base == Base::None));
        assert_eq!(
            low.iter().map(|plan| plan.rank).collect::<Vec<_>>(),
            [0, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 112]
        );
        let int8 = candidates(128, 128, 2 << 14, true, Some(Base::Int8));
        assert!(int8.len() == 3 && int8.iter().skip(1).all(|plan| plan.base == Base::Int8));
    }
}
