//! A budget of a whole model, as a person states it, and the policy found for it.

use std::collections::BTreeSet;

use super::propose::{Compressible, Proposal, propose};
use super::{MeasureError, ModelMeter};
use crate::compress::{Base, Budget, BudgetError, Plan, Sizes, candidates};
use crate::control::Control;
use crate::model::Layer;

/// How far a search may go: what it may change, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The layers that may change, by index; `None`: all.
    pub layers: Option<BTreeSet<usize>>,
    /// The only base that is tried; `None`: any.
    pub base: Option<Base>,
    /// Whether factors stay plain where there are statistics to weight them with.
    pub plain: bool,
}

impl Scope {
    /// Whether the layer of this index may change.
    pub fn covers(&self, layer: usize) -> bool {
        self.layers.as_ref().is_none_or(|layers| layers.contains(&layer))
    }
}

/// A policy found for a budget of a whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct WithinBudget {
    /// What was asked for.
    pub budget: Budget,
    /// What it was measured on.
    pub sizes: Sizes,
    /// What was found.
    pub proposal: Proposal,
    /// Bytes that all layers take under the proposal, those that it leaves alone among them.
    pub layer_bytes: u64,
    /// Names of layers that hold NaN or infinities and stay as they are.
    pub left: Vec<String>,
}

impl WithinBudget {
    /// Bytes of the whole model under the proposal.
    pub fn bytes(&self) -> u64 {
        self.sizes.others() + self.layer_bytes
    }
}

impl ModelMeter<'_> {
    /// Bytes that the model is measured on.
    pub fn sizes(&self) -> Sizes {
        Sizes::new(self.checkpoint.total_bytes(), self.model.layers())
    }

    /// Seeks a policy within `budget`, from the plans of now (dense beyond the end of `now`), as far as `scope` goes; layers
    /// beyond it count as the checkpoint has them.
    ///
    /// # Errors
    /// As [`propose`].
    pub fn propose_within(
        &self,
        budget: &Budget,
        now: &[Plan],
        scope: &Scope,
        control: &Control,
    ) -> Result<WithinBudget, MeasureError> {
        let (layers, left) = self.compressible(now, scope);
        let sizes = self.sizes();
        let fixed = fixed_bytes(&sizes, &layers);
        let room = budget.layer_bytes(&sizes)?.saturating_sub(fixed);
        let proposal = propose(&layers, room, self, control)?;
        Ok(WithinBudget { budget: *budget, sizes, layer_bytes: fixed + proposal.bytes, proposal, left })
    }
}

/// Bytes of the layers that no budget can work on, which take them all the same.
pub(super) fn fixed_bytes(sizes: &Sizes, layers: &[Compressible]) -> u64 {
    sizes.layers.saturating_sub(layers.iter().map(|layer| layer.bytes).sum())
}

/// Whether some policy of this scope can keep to a budget, judged by the shapes of the layers alone.
///
/// # Errors
/// What is missing.
pub fn check_budget(budget: &Budget, sizes: &Sizes, layers: &[Layer], scope: &Scope) -> Result<(), BudgetError> {
    let budget = budget.layer_bytes(sizes)?;
    let smallest = |(index, layer): (usize, &Layer)| {
        let &Layer { rows, cols, bytes, fixed, .. } = layer;
        let alone = fixed || !scope.covers(index);
        let plans = if alone { Vec::new() } else { candidates(rows, cols, bytes, false, scope.base) };
        plans.iter().map(|plan| plan.bytes(rows, cols, bytes)).min().unwrap_or(bytes)
    };
    let least = layers.iter().enumerate().map(smallest).sum();
    if budget < least { Err(BudgetError::Layers { budget, least }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::compress::FactorCache;
    use crate::measure::CompareOptions;
    use crate::model::Model;

    #[test]
    fn a_budget_of_the_model_is_kept_and_one_too_small_is_told_before_any_work() {
        let checkpoint = Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap();
        let model = Model::load(&checkpoint).unwrap();
        let (cache, control) = (FactorCache::new(None), Control::new());
        let text = CompareOptions { ids: (0..200).map(|i| i * 11 % 29).collect(), bos: None, limit: None };
        let (checkpoint, model) = (&checkpoint, &model);
        let meter = ModelMeter { checkpoint, model, cache: &cache, calibration: None, text: &text, passes: None };
        let (budget, all) = (Budget::BitsPerWeight(7.0), Scope::default());
        let found = meter.propose_within(&budget, &[], &all, &control).unwrap();
        assert!(found.bytes() <= budget.model_bytes(&found.sizes) && found.layer_bytes == found.proposal.bytes);
        let sizes = meter.sizes();
        assert_eq!(check_budget(&budget, &sizes, model.layers(), &all), Ok(()));
        let error = check_budget(&Budget::BitsPerWeight(0.5), &sizes, model.layers(), &all).unwrap_err();
        let BudgetError::Layers { least, .. } = error else { panic!("{error}") };
        assert_eq!(check_budget(&Budget::Bytes(sizes.others() + least), &sizes, model.layers(), &all), Ok(()));
        assert!(check_budget(&Budget::Bytes(sizes.others() + least - 1), &sizes, model.layers(), &all).is_err());
    }
}
