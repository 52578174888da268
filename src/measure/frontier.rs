//! Bytes against damage: what uniform policies and planned ones give.

use serde::Serialize;

use super::propose::{Compressible, DamageMeter, Search};
use super::within::fixed_bytes;
use super::{MeasureError, ModelMeter, Scope};
use crate::compress::{Base, Budget, Plan, Sizes, Weighting};
use crate::control::Control;

/// Ranks of the low-rank policies, as shares of a layer's smaller dimension.
const RATIOS: [f64; 4] = [0.125, 0.25, 0.5, 0.75];
/// Budgets of the planned policies, in bits a weight.
const BITS: [f64; 5] = [3.0, 4.0, 5.0, 6.0, 8.25];
/// Steps of progress: a policy that is measured, what the first budget has to learn, and each budget.
const MEASURED: u64 = 1;
const LEARNT: u64 = 12;
const PLANNED: u64 = 8;

/// What kind of policy a point stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FrontierKind {
    /// The plans as they are.
    Current,
    /// INT8 with one scale a row, for every layer.
    Int8,
    /// INT4 in groups of 32, for every layer.
    Int4,
    /// Low rank alone for every layer, factors INT8, refitted, weighted by activations where statistics are there.
    LowRank,
    /// What is found for a budget.
    Planned,
}

impl FrontierKind {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 5] = [Self::Current, Self::Int8, Self::Int4, Self::LowRank, Self::Planned];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::LowRank => "low rank",
            Self::Planned => "planned",
        }
    }

    /// What such a policy does, in one sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Current => "The plans as they are now.",
            Self::Int8 => "INT8 with one scale a row, for every layer.",
            Self::Int4 => "INT4 in groups of 32, for every layer.",
            Self::LowRank => {
                "Low rank alone for every layer, at this share of its largest rank: factors in INT8, refitted, weighted by what \
                 the layer reads where statistics are known."
            }
            Self::Planned => "The best policy found within so many bits per weight (bpw), layer by layer.",
        }
    }
}

/// A policy's bytes and damage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontierPoint {
    /// The kind of policy.
    pub kind: FrontierKind,
    /// What tells it from others of its kind: `25%`, `5bpw`.
    pub label: String,
    /// Bytes of the whole model.
    pub bytes: u64,
    /// Bits a weight over the layers.
    pub bits_per_weight: f64,
    /// KLD in nats, measured.
    pub kld: f64,
}

impl FrontierPoint {
    /// Its name, such that it says what its label is of: `rank 25%`, `planned 5bpw`.
    pub fn name(&self) -> String {
        match self.kind {
            _ if self.label.is_empty() => self.kind.name().to_owned(),
            FrontierKind::LowRank => format!("rank {}", self.label),
            kind => format!("{} {}", kind.name(), self.label),
        }
    }
}

/// What a frontier is measured on.
pub(super) struct Ground<'a> {
    pub(super) layers: &'a [Compressible],
    pub(super) sizes: Sizes,
    pub(super) meter: &'a dyn DamageMeter,
}

impl ModelMeter<'_> {
    /// Measures the plans of now (dense beyond the end of `now`; left out where no layer is compressed), the uniform policies,
    /// and policies planned for several budgets; `found` is told each point as soon as it is known. All points, in that order.
    ///
    /// # Errors
    /// What measuring says; cancelled.
    pub fn frontier(
        &self,
        now: &[Plan],
        found: &dyn Fn(&FrontierPoint),
        control: &Control,
    ) -> Result<Vec<FrontierPoint>, MeasureError> {
        let (layers, _) = self.compressible(now, &Scope::default());
        Ground { layers: &layers, sizes: self.sizes(), meter: self }.frontier(found, control)
    }
}

impl Ground<'_> {
    pub(super) fn frontier(
        &self,
        found: &dyn Fn(&FrontierPoint),
        control: &Control,
    ) -> Result<Vec<FrontierPoint>, MeasureError> {
        let simple = self.simple();
        control.set_total(MEASURED * simple.len() as u64 + LEARNT + PLANNED * BITS.len() as u64);
        let mut points = Vec::new();
        let mut tell = |point: FrontierPoint| {
            found(&point);
            points.push(point);
        };
        for (kind, label, plans) in simple {
            tell(self.measured(kind, label, &plans, &control.part(MEASURED))?);
        }
        let mut search = Search::new(self.layers, self.meter, &control.part(LEARNT))?;
        for bits in BITS {
            if let Some(point) = self.planned(&mut search, bits, &control.part(PLANNED))? {
                tell(point);
            }
        }
        Ok(points)
    }

    /// The policies that nothing has to be sought for; those that leave every layer dense are left out.
    fn simple(&self) -> Vec<(FrontierKind, String, Vec<Plan>)> {
        let quantized = |base| move |_: &Compressible| Plan { base, ..Plan::dense() };
        let mut policies = vec![
            (FrontierKind::Int8, String::new(), self.uniform(&quantized(Base::Int8))),
            (FrontierKind::Int4, String::new(), self.uniform(&quantized(Base::Int4))),
        ];
        let now: Vec<Plan> = self.layers.iter().map(|layer| layer.now).collect();
        if self.layers.iter().all(|of| of.calibrated || !of.now.needs_statistics()) {
            policies.insert(0, (FrontierKind::Current, String::new(), now));
        }
        policies.extend(RATIOS.map(|ratio| {
            let rank = |of: &Compressible| ((of.rows.min(of.cols) as f64 * ratio) as usize).max(1);
            let weighting = |of: &Compressible| if of.calibrated { Weighting::Activations } else { Weighting::Plain };
            let plan = |of: &Compressible| Plan { weighting: weighting(of), refit: true, ..Plan::low_rank(rank(of)) };
            (FrontierKind::LowRank, format!("{}%", ratio * 100.0), self.uniform(&plan))
        }));
        policies.retain(|(_, _, plans)| !plans.iter().all(Plan::is_dense));
        policies
    }

    /// The same kind of plan for every layer that it makes smaller; dense for the others.
    fn uniform(&self, plan: &dyn Fn(&Compressible) -> Plan) -> Vec<Plan> {
        let fitting = |of: &Compressible| {
            let plan = plan(of);
            if plan.bytes(of.rows, of.cols, of.bytes) < of.bytes { plan } else { Plan::dense() }
        };
        self.layers.iter().map(fitting).collect()
    }

    fn measured(
        &self,
        kind: FrontierKind,
        label: String,
        plans: &[Plan],
        control: &Control,
    ) -> Result<FrontierPoint, MeasureError> {
        let asked: Vec<_> = self.layers.iter().zip(plans).map(|(of, plan)| (of.layer, *plan)).collect();
        let kld = self.meter.together(&asked, control)?;
        control.finish();
        let bytes = self.layers.iter().zip(plans).map(|(of, plan)| plan.bytes(of.rows, of.cols, of.bytes)).sum();
        Ok(self.point(kind, label, bytes, kld))
    }

    /// None where no policy keeps to the budget, or every layer may stay dense.
    fn planned(
        &self,
        search: &mut Search<'_>,
        bits: f64,
        control: &Control,
    ) -> Result<Option<FrontierPoint>, MeasureError> {
        let budget = Budget::BitsPerWeight(bits);
        let fixed = fixed_bytes(&self.sizes, self.layers);
        let room = budget.layer_bytes(&self.sizes)?.saturating_sub(fixed);
        let proposal = match search.within(room, control) {
            Err(MeasureError::Budget(_)) => {
                control.finish();
                return Ok(None);
            }
            proposal => proposal?,
        };
        let compressed = proposal.layers.iter().any(|layer| !layer.chosen.plan.is_dense());
        let point = || self.point(FrontierKind::Planned, budget.to_string(), proposal.bytes, proposal.measured);
        Ok(compressed.then(point))
    }

    /// A point of a policy under which the layers take `bytes`.
    fn point(&self, kind: FrontierKind, label: String, bytes: u64, kld: f64) -> FrontierPoint {
        let layers = fixed_bytes(&self.sizes, self.layers) + bytes;
        let bits_per_weight = 8.0 * layers as f64 / self.sizes.parameters.max(1) as f64;
        FrontierPoint { kind, label, bytes: self.sizes.others() + layers, bits_per_weight, kld }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::compress::FactorCache;
    use crate::measure::CompareOptions;
    use crate::model::Model;

    /// Damage is the square of an error that halves with every bit; low ranks do worse.
    struct Halving;

    impl DamageMeter for Halving {
        fn error(&self, _: usize, plan: &Plan, _: &Control) -> Result<f64, MeasureError> {
            let bits = 8.0 * plan.bytes(256, 256, 1 << 17) as f64 / f64::from(1 << 16);
            let start = if plan.base == Base::None { 30.0 } else { 1.0 };
            Ok(if plan.is_dense() { 0.0 } else { start * (-bits).exp2() })
        }

        fn alone(&self, asked: &[(usize, Plan)], control: &Control) -> Result<Vec<f64>, MeasureError> {
            let damage =
                |(layer, plan): &(usize, Plan)| Ok(self.error(*layer, plan, control)?.powi(2) * (1 + layer) as f64);
            asked.iter().map(damage).collect()
        }

        fn together(&self, plans: &[(usize, Plan)], control: &Control) -> Result<f64, MeasureError> {
            Ok(self.alone(plans, control)?.iter().sum())
        }
    }

    fn of(points: &[FrontierPoint], kind: FrontierKind) -> Vec<&FrontierPoint> {
        points.iter().filter(|point| point.kind == kind).collect()
    }

    fn assert_in_order(points: &[FrontierPoint]) {
        for kind in [FrontierKind::LowRank, FrontierKind::Planned] {
            let points = of(points, kind);
            assert!(points.len() >= 3, "{kind:?}");
            for pair in points.windows(2) {
                assert!(pair[0].bytes < pair[1].bytes && pair[0].kld > pair[1].kld, "{pair:?}");
            }
        }
        let (int8, int4) = (of(points, FrontierKind::Int8), of(points, FrontierKind::Int4));
        assert!(int8[0].kld < int4[0].kld && int8[0].bytes > int4[0].bytes, "{int8:?} {int4:?}");
    }

    #[test]
    fn more_bytes_cost_less_and_a_plan_is_never_worse_than_a_uniform_policy() {
        let now = Plan { base: Base::Int8, group: Some(64), ..Plan::dense() };
        let layer =
            |layer| Compressible { layer, rows: 256, cols: 256, bytes: 1 << 17, now, calibrated: true, base: None };
        let layers: Vec<_> = (0..8).map(layer).collect();
        let sizes = Sizes { model: (8 << 17) + 1000, layers: 8 << 17, parameters: 8 << 16 };
        let ground = Ground { layers: &layers, sizes, meter: &Halving };
        let (control, told) = (Control::new(), std::cell::RefCell::new(Vec::new()));
        let points = ground.frontier(&|point| told.borrow_mut().push(point.clone()), &control).unwrap();
        assert_eq!(*told.borrow(), points);
        let (done, total) = control.progress();
        assert_eq!(done, total);
        assert_in_order(&points);
        assert_eq!((of(&points, FrontierKind::Current).len(), of(&points, FrontierKind::Planned).len()), (1, 5));
        for planned in of(&points, FrontierKind::Planned) {
            let smaller = |other: &&FrontierPoint| other.kind != FrontierKind::Planned && other.bytes <= planned.bytes;
            for other in points.iter().filter(smaller) {
                assert!(planned.kld <= other.kld * (1.0 + 1e-9), "{planned:?} {other:?}");
            }
        }
        control.cancel();
        assert!(ground.frontier(&|_| {}, &control).is_err());
    }

    #[test]
    fn int8_does_less_damage_than_int4_on_a_model_and_what_is_dense_is_no_point() {
        let checkpoint = Checkpoint::open("tests/data/golden/llama".as_ref()).unwrap();
        let model = Model::load(&checkpoint).unwrap();
        let cache = FactorCache::new(None);
        let text = CompareOptions { ids: (0..120).map(|i| i * 11 % 29).collect(), bos: None, limit: None };
        let (checkpoint, model) = (&checkpoint, &model);
        let meter = ModelMeter { checkpoint, model, cache: &cache, calibration: None, text: &text, passes: None };
        let points = meter.frontier(&[], &|_| {}, &Control::new()).unwrap();
        let (int8, int4) = (of(&points, FrontierKind::Int8), of(&points, FrontierKind::Int4));
        assert!(int8[0].kld < int4[0].kld, "{int8:?} {int4:?}");
        assert!(of(&points, FrontierKind::Current).is_empty());
        for planned in of(&points, FrontierKind::Planned) {
            assert!(planned.bits_per_weight <= planned.label.trim_end_matches("bpw").parse().unwrap(), "{planned:?}");
        }
    }
}
