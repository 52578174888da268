//! A policy within a budget: damages measured at a few plans of each layer, interpolated for the others, shared out, and
//! measured again together until the choice settles.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{DamageCurve, MeasureError};
use crate::compress::{Allocation, Base, BudgetError, Choice, Plan, allocate, candidates, hull};
use crate::control::Control;

/// Most times that a choice is measured, corrected and made anew.
const ROUNDS: usize = 5;
/// Share of the layers whose damage is measured again in a round: those that are said to cost most.
const AGAIN: f64 = 0.34;
/// Uniform policies that are measured against the choice.
const RIVALS: usize = 3;
/// Per cent of the work, roughly: errors of all plans, damages of the first few, and each measurement of a choice.
const PRICED: u64 = 30;
const ANCHORED: u64 = 30;
const CHOSEN: u64 = 5;

/// What is asked of a model while a policy is sought. Damages are KLDs in nats.
pub trait DamageMeter: Sync {
    /// The relative error of a layer under a plan: of its output, or of its weight where no statistics are there.
    ///
    /// # Errors
    /// What the measurement says.
    fn error(&self, layer: usize, plan: &Plan, control: &Control) -> Result<f64, MeasureError>;

    /// The damage of each (layer, plan) alone, in the order asked for.
    ///
    /// # Errors
    /// What the measurement says.
    fn alone(&self, asked: &[(usize, Plan)], control: &Control) -> Result<Vec<f64>, MeasureError>;

    /// The damage of these (layer, plan) together.
    ///
    /// # Errors
    /// What the measurement says.
    fn together(&self, plans: &[(usize, Plan)], control: &Control) -> Result<f64, MeasureError>;
}

/// A layer that may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compressible {
    /// Its index in the model.
    pub layer: usize,
    /// m.
    pub rows: usize,
    /// n.
    pub cols: usize,
    /// Bytes as the checkpoint has it.
    pub bytes: u64,
    /// Its plan now, which is one of those that it may get.
    pub now: Plan,
    /// Whether there are statistics of its inputs to weight factors with: an expert that no token was sent to has none.
    pub calibrated: bool,
    /// The only base that is tried; `None`: any.
    pub base: Option<Base>,
}

/// One plan of a layer with its cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Priced {
    /// The plan.
    pub plan: Plan,
    /// Bytes as stored.
    pub bytes: u64,
    /// Its damage, predicted or measured alone.
    pub damage: f64,
}

/// What a layer got, and what it did not get.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProposedLayer {
    /// Index in the model.
    pub layer: usize,
    /// What it got.
    pub chosen: Priced,
    /// What it has now, where that can be priced: a weighted plan cannot without statistics.
    pub now: Option<Priced>,
    /// The next smaller plan worth anything: its bytes would have saved too little elsewhere.
    pub smaller: Option<Priced>,
    /// The next larger plan worth anything: its bytes save more elsewhere.
    pub larger: Option<Priced>,
}

/// A policy found.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Every layer that may be compressed.
    pub layers: Vec<ProposedLayer>,
    /// Bytes of these layers.
    pub bytes: u64,
    /// The sum of the damages.
    pub predicted: f64,
    /// The damage measured with all of them together.
    pub measured: f64,
}

/// Seeks the plans of `layers` whose bytes stay within `budget` and whose damage together is small. The choice is never worse, on the text measured, than
/// the uniform policies that it is measured against.
///
/// # Errors
/// [`MeasureError::Budget`]; what `meter` says; cancelled.
pub fn propose(
    layers: &[Compressible],
    budget: u64,
    meter: &dyn DamageMeter,
    control: &Control,
) -> Result<Proposal, MeasureError> {
    control.set_total(100);
    let mut search = Search::new(layers, meter, &control.part(PRICED + ANCHORED))?;
    search.within(budget, &control.part(100 - PRICED - ANCHORED))
}

/// Plans of a layer with their errors, and what is known of its damage.
struct Menu {
    of: Compressible,
    plans: Vec<(Plan, f64)>,
    /// Damage by error where a base is quantized, and where there is none.
    curves: [DamageCurve; 2],
    measured: HashMap<usize, f64>,
}

/// All that is known of the plans of a model's layers; what one budget teaches serves the next.
pub(super) struct Search<'a> {
    menus: Vec<Menu>,
    meter: &'a dyn DamageMeter,
}

impl<'a> Search<'a> {
    /// Prices all plans and measures the first few of each layer.
    pub(super) fn new(
        layers: &[Compressible],
        meter: &'a dyn DamageMeter,
        control: &Control,
    ) -> Result<Self, MeasureError> {
        control.set_total(PRICED + ANCHORED);
        let (pricing, measuring) = (control.part(PRICED), control.part(ANCHORED));
        let mut search = Self { menus: menus(layers, meter, &pricing)?, meter };
        let anchors: Vec<_> =
            search.menus.iter().enumerate().flat_map(|(menu, of)| of.anchors().map(move |i| (menu, i))).collect();
        search.measure(&anchors, &measuring)?;
        Ok(search)
    }

    /// The best choice found for a budget, measured; never worse than the uniform policies measured against it.
    pub(super) fn within(&mut self, budget: u64, control: &Control) -> Result<Proposal, MeasureError> {
        control.set_total(CHOSEN * (2 * ROUNDS + RIVALS) as u64);
        let mut best = self.settle(budget, control)?;
        for rival in self.rivals(budget) {
            let damage = self.together(&rival, control)?;
            if damage < best.1 {
                best = (rival, damage);
            }
        }
        control.finish();
        Ok(self.proposal(&best.0, best.1))
    }

    /// Measures plans alone, each (menu, index), and takes the damages into the curves.
    fn measure(&mut self, wanted: &[(usize, usize)], control: &Control) -> Result<(), MeasureError> {
        let asked: Vec<(usize, Plan)> = wanted
            .iter()
            .filter_map(|(menu, index)| {
                let menu = self.menus.get(*menu)?;
                Some((menu.of.layer, menu.plans.get(*index)?.0))
            })
            .collect();
        let damages = self.meter.alone(&asked, control)?;
        control.finish();
        for ((menu, index), damage) in wanted.iter().zip(damages) {
            if let Some(menu) = self.menus.get_mut(*menu) {
                menu.measured.insert(*index, damage.max(0.0));
            }
        }
        self.menus.iter_mut().for_each(Menu::fit);
        Ok(())
    }

    fn together(&self, chosen: &[usize], control: &Control) -> Result<f64, MeasureError> {
        let each = self.menus.iter().zip(chosen);
        let plans: Vec<_> = each.map(|(menu, index)| (menu.of.layer, menu.priced(*index).plan)).collect();
        let control = control.part(CHOSEN);
        let damage = self.meter.together(&plans, &control)?;
        control.finish();
        Ok(damage)
    }

    /// Chooses, measures together, measures again what is said to cost most, until the choice stays.
    fn settle(&mut self, budget: u64, control: &Control) -> Result<(Vec<usize>, f64), MeasureError> {
        let mut best: Option<(Vec<usize>, f64)> = None;
        let mut before = Vec::new();
        for _ in 0..ROUNDS {
            control.check()?;
            let Allocation { chosen, .. } = self.allocate(budget)?;
            if chosen == before {
                break;
            }
            let damage = self.together(&chosen, control)?;
            if best.as_ref().is_none_or(|(_, least)| damage < *least) {
                best = Some((chosen.clone(), damage));
            }
            let again = self.worst(&chosen);
            if again.is_empty() {
                break;
            }
            self.measure(&again, &control.part(CHOSEN))?;
            before = chosen;
        }
        Ok(best.unwrap_or_default())
    }

    fn allocate(&self, budget: u64) -> Result<Allocation, BudgetError> {
        let choices: Vec<Vec<Choice>> = self.menus.iter().map(Menu::choices).collect();
        allocate(&choices, budget)
    }

    /// Of the chosen plans whose damage is only predicted, those that cost most.
    fn worst(&self, chosen: &[usize]) -> Vec<(usize, usize)> {
        let mut unsure: Vec<(f64, usize, usize)> = (self.menus.iter().zip(chosen).enumerate())
            .filter(|(_, (menu, index))| !menu.is_certain(**index))
            .map(|(place, (menu, index))| (menu.priced(*index).damage, place, *index))
            .collect();
        unsure.sort_by(|a, b| b.0.total_cmp(&a.0));
        unsure.truncate(((self.menus.len() as f64 * AGAIN).ceil() as usize).max(8));
        unsure.into_iter().map(|(_, menu, index)| (menu, index)).collect()
    }

    /// The uniform policies within the budget that promise most: the same kind of plan for every layer.
    fn rivals(&self, budget: u64) -> Vec<Vec<usize>> {
        let kinds = self.menus.iter().map(|menu| menu.plans.len()).max().unwrap_or(0);
        let mut found: Vec<(f64, Vec<usize>)> = (0..kinds)
            .filter_map(|kind| {
                let chosen: Vec<usize> =
                    self.menus.iter().map(|menu| menu.like(self.kind(kind)?)).collect::<Option<_>>()?;
                let priced = self.menus.iter().zip(&chosen).map(|(menu, index)| menu.priced(*index));
                let (bytes, damage) = priced.fold((0, 0.0), |(b, d), p| (b + p.bytes, d + p.damage));
                (bytes <= budget).then_some((damage, chosen))
            })
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.truncate(RIVALS);
        found.into_iter().map(|(_, chosen)| chosen).collect()
    }

    /// The plan at a place of the longest menu, with its bits a weight.
    fn kind(&self, place: usize) -> Option<(Plan, f64)> {
        let longest = self.menus.iter().max_by_key(|menu| menu.plans.len())?;
        let plan = longest.plans.get(place)?.0;
        Some((plan, longest.bits(&plan)))
    }

    fn proposal(&self, chosen: &[usize], measured: f64) -> Proposal {
        let layers: Vec<ProposedLayer> =
            self.menus.iter().zip(chosen).map(|(menu, index)| menu.proposed(*index)).collect();
        Proposal {
            bytes: layers.iter().map(|layer| layer.chosen.bytes).sum(),
            predicted: layers.iter().map(|layer| layer.chosen.damage).sum(),
            layers,
            measured,
        }
    }
}

/// The plans of every layer with their errors.
fn menus(layers: &[Compressible], meter: &dyn DamageMeter, control: &Control) -> Result<Vec<Menu>, MeasureError> {
    control.set_total(layers.len() as u64);
    let menu = |of: &Compressible| {
        let plans = Menu::plans(of).into_iter().map(|plan| {
            control.check()?;
            let error = if plan.is_dense() { 0.0 } else { meter.error(of.layer, &plan, control)? };
            Ok((plan, error))
        });
        let plans = plans.collect::<Result<_, MeasureError>>()?;
        control.advance(1);
        Ok(Menu { of: *of, plans, curves: Default::default(), measured: HashMap::new() })
    };
    layers.par_iter().map(menu).collect()
}

impl Menu {
    /// What a layer may get: the candidates of its shape, and what it has now.
    fn plans(of: &Compressible) -> Vec<Plan> {
        let mut plans = candidates(of.rows, of.cols, of.bytes, of.calibrated, of.base);
        let now = of.now.normalized();
        if !plans.contains(&now) && (of.calibrated || !now.needs_statistics()) {
            plans.push(now);
        }
        plans
    }

    /// The plans whose damage is measured first: INT4 in its longest groups, and two low ranks, a small and a large one.
    fn anchors(&self) -> impl Iterator<Item = usize> + use<> {
        let places = |wanted: &dyn Fn(&Plan) -> bool| -> Vec<usize> {
            (0..self.plans.len()).filter(|i| self.plans.get(*i).is_some_and(|(plan, _)| wanted(plan))).collect()
        };
        let quantized = places(&|plan| plan.base == Base::Int4 && plan.rank == 0);
        let low_rank = places(&|plan| plan.base == Base::None);
        let third = low_rank.len() / 3;
        let mut anchors: Vec<usize> = quantized.last().copied().into_iter().collect();
        anchors.extend(low_rank.get(third).copied().into_iter().chain(low_rank.last().copied()));
        if anchors.is_empty() {
            anchors.extend((1..self.plans.len()).next());
        }
        anchors.dedup();
        anchors.into_iter()
    }

    /// Which of the curves a plan lies on.
    fn side(plan: &Plan) -> usize {
        usize::from(plan.base == Base::None)
    }

    fn fit(&mut self) {
        for (side, curve) in self.curves.iter_mut().enumerate() {
            let of_side = self.measured.iter().filter_map(|(index, damage)| {
                let (plan, error) = self.plans.get(*index)?;
                (Self::side(plan) == side).then_some((*error, *damage))
            });
            *curve = DamageCurve::new(&of_side.collect::<Vec<_>>());
        }
    }

    fn is_certain(&self, index: usize) -> bool {
        self.measured.contains_key(&index) || self.plans.get(index).is_none_or(|(plan, _)| plan.is_dense())
    }

    /// A plan with its bytes and its damage: as measured, else by the curve of its kind, else by the other one.
    fn priced(&self, index: usize) -> Priced {
        let (plan, error) = self.plans.get(index).copied().unwrap_or_default();
        let bytes = plan.bytes(self.of.rows, self.of.cols, self.of.bytes);
        let [quantized, low_rank] = &self.curves;
        let (own, other) = if Self::side(&plan) == 0 { (quantized, low_rank) } else { (low_rank, quantized) };
        let measured = self.measured.get(&index).copied();
        let damage = measured.or_else(|| own.at(error)).or_else(|| other.at(error)).unwrap_or(f64::INFINITY);
        Priced { plan, bytes, damage }
    }

    fn choices(&self) -> Vec<Choice> {
        let priced = (0..self.plans.len()).map(|index| self.priced(index));
        priced.map(|Priced { bytes, damage, .. }| Choice { bytes, damage }).collect()
    }

    fn bits(&self, plan: &Plan) -> f64 {
        let Compressible { rows, cols, bytes, .. } = self.of;
        8.0 * plan.bytes(rows, cols, bytes) as f64 / (rows as f64 * cols as f64)
    }

    /// The plan of the same base and group whose bits a weight come nearest from below; dense where this layer has none so.
    fn like(&self, (kind, bits): (Plan, f64)) -> Option<usize> {
        let same =
            |plan: &Plan| plan.base == kind.base && plan.group == kind.group && (plan.rank > 0) == (kind.rank > 0);
        let fits = self.plans.iter().enumerate().filter(|(_, (plan, _))| same(plan) && self.bits(plan) <= bits + 0.125);
        let nearest = fits.max_by(|a, b| self.bits(&a.1.0).total_cmp(&self.bits(&b.1.0)));
        nearest.map(|(index, _)| index).or_else(|| self.plans.iter().position(|(plan, _)| plan.is_dense()))
    }

    fn proposed(&self, index: usize) -> ProposedLayer {
        let chosen = self.priced(index);
        let worth: Vec<Priced> = hull(&self.choices()).into_iter().map(|index| self.priced(index)).collect();
        ProposedLayer {
            layer: self.of.layer,
            chosen,
            now: self
                .plans
                .iter()
                .position(|(plan, _)| *plan == self.of.now.normalized())
                .map(|index| self.priced(index)),
            smaller: worth.iter().rev().find(|other| other.bytes < chosen.bytes).copied(),
            larger: worth.iter().find(|other| other.bytes > chosen.bytes && other.damage < chosen.damage).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::compress::{Factors, Weighting};

    /// Damage is `weight * error^2`, of all together the sum; errors fall with the bytes.
    struct Squares {
        weights: Vec<f64>,
        asked: AtomicUsize,
    }

    fn error_of(plan: &Plan) -> f64 {
        let bits = 8.0 * plan.bytes(256, 256, 1 << 17) as f64 / f64::from(1 << 16);
        if plan.is_dense() { 0.0 } else { (-bits).exp2() * if plan.base == Base::None { 30.0 } else { 1.0 } }
    }

    impl DamageMeter for Squares {
        fn error(&self, _: usize, plan: &Plan, _: &Control) -> Result<f64, MeasureError> {
            Ok(error_of(plan))
        }

        fn alone(&self, asked: &[(usize, Plan)], _: &Control) -> Result<Vec<f64>, MeasureError> {
            self.asked.fetch_add(asked.len(), Ordering::Relaxed);
            Ok(asked.iter().map(|(layer, plan)| self.weights[*layer] * error_of(plan).powi(2)).collect())
        }

        fn together(&self, plans: &[(usize, Plan)], control: &Control) -> Result<f64, MeasureError> {
            Ok(self.alone(plans, control)?.iter().sum())
        }
    }

    fn layers(count: usize) -> Vec<Compressible> {
        (0..count)
            .map(|layer| Compressible {
                layer,
                rows: 256,
                cols: 256,
                bytes: 1 << 17,
                now: Plan::dense(),
                calibrated: true,
                base: None,
            })
            .collect()
    }

    fn meter() -> Squares {
        Squares { weights: (0..12).map(|i| if i % 4 == 0 { 50.0 } else { 0.1 }).collect(), asked: AtomicUsize::new(0) }
    }

    #[test]
    fn a_proposal_fits_and_beats_every_uniform_policy() {
        let (meter, layers, control) = (meter(), layers(12), Control::new());
        for bits in [4.5, 5.0, 6.0, 8.25] {
            let budget = (bits / 8.0 * 12.0 * f64::from(1 << 16)) as u64;
            let found = propose(&layers, budget, &meter, &control).unwrap();
            assert!(found.bytes <= budget, "{bits}");
            assert!((found.predicted / found.measured - 1.0).abs() < 1e-6);
            for plan in candidates(256, 256, 1 << 17, true, None) {
                if 12 * plan.bytes(256, 256, 1 << 17) <= budget {
                    let uniform: Vec<_> = (0..12).map(|layer| (layer, plan)).collect();
                    let uniform = meter.together(&uniform, &control).unwrap();
                    assert!(found.measured <= uniform * (1.0 + 1e-9), "{bits}: {plan}");
                }
            }
        }
    }

    #[test]
    fn sensitive_layers_get_more_and_neighbours_are_told() {
        let found = propose(&layers(12), 12 * 5 * (1 << 13), &meter(), &Control::new()).unwrap();
        let bytes: Vec<u64> = found.layers.iter().map(|layer| layer.chosen.bytes).collect();
        assert!(bytes[0] > bytes[1] && bytes[4] > bytes[5], "{bytes:?}");
        for layer in &found.layers {
            assert!(layer.smaller.is_none_or(|other| other.bytes < layer.chosen.bytes));
            assert!(layer.larger.is_none_or(|other| other.damage < layer.chosen.damage));
        }
        assert!(found.layers.iter().any(|layer| layer.smaller.is_some() && layer.larger.is_some()));
    }

    #[test]
    fn what_a_layer_has_now_is_priced_and_may_stay() {
        let mut layers = layers(12);
        layers[1].now = Plan { factors: Factors::F16, ..Plan::low_rank(9) };
        layers[2].now = Plan { weighting: Weighting::Activations, ..Plan::low_rank(9) };
        layers[2].calibrated = false;
        let found = propose(&layers, 12 * 5 * (1 << 13), &meter(), &Control::new()).unwrap();
        let now: Vec<_> = found.layers.iter().map(|layer| layer.now).collect();
        assert_eq!(now[0].map(|now| (now.plan, now.bytes, now.damage)), Some((Plan::dense(), 1 << 17, 0.0)));
        assert_eq!(now[1].map(|now| (now.plan, now.bytes)), Some((layers[1].now, 2 * 9 * 512)));
        assert!(now[1].is_some_and(|now| now.damage > 0.0) && now[2].is_none());
        let [smallest, ..] = found.layers.as_slice() else { panic!("no layers") };
        layers.iter_mut().for_each(|layer| layer.now = smallest.chosen.plan);
        assert!(propose(&layers, 12 * 5 * (1 << 13), &meter(), &Control::new()).unwrap().layers[0].now.is_some());
    }

    #[test]
    fn progress_ends_where_the_work_does() {
        let control = Control::new();
        propose(&layers(12), 12 * 5 * (1 << 13), &meter(), &control).unwrap();
        assert_eq!(control.progress(), (100, 100));
    }

    #[test]
    fn only_a_few_plans_of_each_layer_are_measured() {
        let meter = meter();
        propose(&layers(12), 12 * 5 * (1 << 13), &meter, &Control::new()).unwrap();
        assert!(meter.asked.load(Ordering::Relaxed) < 12 * 16, "{}", meter.asked.load(Ordering::Relaxed));
    }

    #[test]
    fn what_cannot_be_is_told() {
        let control = Control::new();
        let error = propose(&layers(2), 100, &meter(), &control).unwrap_err().to_string();
        assert!(error.contains("100 bytes") && error.contains("plans tried take"), "{error}");
        control.cancel();
        assert!(propose(&layers(2), 1 << 20, &meter(), &control).is_err());
    }
}
