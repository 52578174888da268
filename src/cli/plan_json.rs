//! A plan as JSON has it.

use serde::Serialize;

use crate::compress::{Base, Factors, Plan, Weighting};

/// The keys of a policy's rule, all of them; factors are null where there is no rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PlanJson {
    base: Base,
    rank: usize,
    factors: Option<Factors>,
    group: Option<usize>,
    weighting: Weighting,
    refit: bool,
    norm_correction: bool,
}

impl From<&Plan> for PlanJson {
    fn from(plan: &Plan) -> Self {
        Self {
            base: plan.base,
            rank: plan.rank,
            factors: (plan.rank > 0).then_some(plan.factors),
            group: plan.group,
            weighting: plan.weighting,
            refit: plan.refit,
            norm_correction: plan.norm_correction,
        }
    }
}
