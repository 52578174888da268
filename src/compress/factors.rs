//! What the cache is asked for: the decomposition that a plan needs, and the errors that it predicts.

use std::sync::Arc;

use super::cache::Keep;
use super::codec::{Parts, UNCALIBRATED, quantized_base, residual};
use super::predict::{Energies, ErrorCurve, Errors, predicted};
use super::{Base, CompressError, FactorCache, LayerInputs, Plan, Weighting};
use crate::checkpoint::Tensor;
use crate::control::Control;
use crate::linalg::{Decomposition, Matrix, OutputErrors, decompose, decompose_weighted};

/// A layer's matrix, the tensor that it is read from, and what is known of its inputs.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The tensor.
    pub tensor: &'a Tensor,
    /// Its matrix.
    pub matrix: &'a Matrix,
    /// The statistics of its inputs, where there are any.
    pub inputs: Option<&'a LayerInputs>,
}

impl FactorCache {
    /// The decomposition that the low-rank part of `plan` is cut from: of W, or of what a quantized base leaves over, plain
    /// or weighted by activations. From memory, disk, or computed now (and stored).
    ///
    /// # Errors
    /// As [`FactorCache::get`]; [`CompressError::Plan`] where the plan needs statistics and there are none, or the base cannot
    /// hold the matrix.
    pub fn factors(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        control: &Control,
    ) -> Result<Arc<Decomposition>, CompressError> {
        self.cut_from(subject, plan, Keep::Memory, control)
    }

    /// Whether the decomposition that `plan` is cut from lies in memory or on disk.
    pub(super) fn keeps(&self, subject: &Subject<'_>, plan: &Plan) -> bool {
        self.name(subject, plan).is_ok_and(|name| self.has(&name))
    }

    /// The weight and output errors that follow from the decomposition alone, before factors are quantized; the latter where
    /// statistics are known. `None` where a quantized base carries the layer by itself.
    ///
    /// # Errors
    /// As [`FactorCache::factors`].
    pub fn predicted(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        control: &Control,
    ) -> Result<Option<Errors>, CompressError> {
        if plan.rank == 0 {
            let exact = Errors { weight: 0.0, output: subject.inputs.map(|_| 0.0) };
            return Ok(plan.is_dense().then_some(exact));
        }
        let curve = self.error_curve(subject, plan, &[plan.rank], control)?;
        Ok(curve.errors.first().map(|(_, errors)| *errors))
    }

    /// As [`FactorCache::predicted`] for each of these ranks in place of the plan's, and how strongly the inputs see each
    /// direction, from one decomposition.
    ///
    /// # Errors
    /// As [`FactorCache::factors`].
    pub fn error_curve(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        ranks: &[usize],
        control: &Control,
    ) -> Result<ErrorCurve, CompressError> {
        let decomposition = self.factors(subject, plan, control)?;
        let output = self.output_errors(subject, plan, &decomposition, control)?;
        let whole = self.energies(subject, control)?;
        let at = |rank: &usize| {
            let errors = predicted(&Plan { rank: *rank, ..*plan }, &decomposition, output.as_deref(), &whole);
            (*rank, errors)
        };
        let terms = output.iter().flat_map(|known| &known.terms);
        let seen = terms.map(|term| term.max(0.0).sqrt() as f32).collect();
        Ok(ErrorCurve { errors: ranks.iter().map(at).collect(), seen })
    }

    /// What the errors of a layer are shares of.
    ///
    /// # Errors
    /// Statistics that do not fit, cancelled.
    pub fn energies(&self, subject: &Subject<'_>, control: &Control) -> Result<Energies, CompressError> {
        let Subject { tensor, matrix, inputs } = *subject;
        let weight = matrix.to_f32().iter().map(|w| f64::from(*w).powi(2)).sum();
        let Some(inputs) = inputs else { return Ok(Energies { weight, output: None }) };
        let key = format!("{}-energy-{}", self.key(tensor, matrix), inputs.key());
        let compute = || {
            inputs.statistics.check(matrix.cols())?;
            let energy = inputs.statistics.energies(&matrix.to_f32(), control)?.iter().sum();
            Ok(OutputErrors { terms: Vec::new(), rest: energy })
        };
        Ok(Energies { weight, output: Some(self.remembered(&key, &compute)?.rest) })
    }

    /// The errors in the output of each rank of a plan's decomposition, where statistics are known.
    ///
    /// # Errors
    /// Statistics that do not fit, cancelled.
    pub fn output_errors(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        decomposition: &Decomposition,
        control: &Control,
    ) -> Result<Option<Arc<OutputErrors>>, CompressError> {
        let Some(inputs) = subject.inputs else { return Ok(None) };
        if let Some(known) = &decomposition.output {
            return Ok(Some(Arc::new(known.clone())));
        }
        let key = format!("{}-errors-{}", self.name(subject, plan)?, inputs.key());
        let compute = || Ok(decomposition.output_errors(&inputs.statistics, control)?);
        self.remembered(&key, &compute).map(Some)
    }

    pub(super) fn cut_from(
        &self,
        subject: &Subject<'_>,
        plan: &Plan,
        keep: Keep,
        control: &Control,
    ) -> Result<Arc<Decomposition>, CompressError> {
        let Subject { tensor, matrix, inputs } = *subject;
        let statistics = inputs.map(|inputs| inputs.statistics.as_ref());
        let (rows, cols) = (matrix.rows(), matrix.cols());
        let compute = || {
            let base = match plan.base {
                Base::None | Base::Dense => None,
                Base::Int8 | Base::Int4 => Some(self.base(subject, plan, keep, control)?),
            };
            let rest = residual(matrix, base.as_ref());
            // What is gone from the file was read as zeros.
            tensor.data.check()?;
            Ok(match (plan.weighting, statistics) {
                (Weighting::Plain, _) => decompose(&rest, rows, cols, control)?,
                (Weighting::Activations, Some(statistics)) => {
                    decompose_weighted(&rest, rows, cols, statistics, control)?
                }
                (Weighting::Activations, None) => return Err(CompressError::Plan(UNCALIBRATED.into())),
            })
        };
        self.fetch(&self.name(subject, plan)?, matrix, keep, &compute, control)
    }

    /// The quantized base of a plan, from memory or rounded now.
    fn base(&self, subject: &Subject<'_>, plan: &Plan, keep: Keep, control: &Control) -> Result<Matrix, CompressError> {
        let Subject { tensor, matrix, inputs } = *subject;
        let compute = || {
            let base = quantized_base(matrix, plan, inputs.map(|inputs| inputs.statistics.as_ref()))?;
            // What is gone from the file was read as zeros.
            tensor.data.check()?;
            Ok(base)
        };
        self.fetch_base(&format!("{}-base", self.name(subject, plan)?), keep, &compute, control)
    }

    /// The parts of a plan as the cache has them.
    pub(super) fn parts<'a>(
        &'a self,
        subject: Subject<'a>,
        plan: &'a Plan,
        keep: Keep,
        control: &'a Control,
    ) -> KeptParts<'a> {
        KeptParts { cache: self, subject, plan, keep, control }
    }

    /// What names a decomposition: the content of the tensor, how it is read, and all that the plan says about E and its
    /// weighting.
    fn name(&self, subject: &Subject<'_>, plan: &Plan) -> Result<String, CompressError> {
        let inputs = match (plan.weighting, subject.inputs) {
            (Weighting::Plain, _) => String::new(),
            (Weighting::Activations, Some(inputs)) => format!("-act-{}", inputs.key()),
            (Weighting::Activations, None) => return Err(CompressError::Plan(UNCALIBRATED.into())),
        };
        let group = plan.base_group().map_or(String::new(), |group| format!("-g{group}"));
        let base = match plan.base {
            Base::None | Base::Dense => "",
            Base::Int8 => "-int8",
            Base::Int4 => "-int4",
        };
        Ok(format!("{}{base}{group}{inputs}", self.key(subject.tensor, subject.matrix)))
    }
}

/// The parts of one layer's plan, kept where they were made before.
#[derive(Debug)]
pub(super) struct KeptParts<'a> {
    cache: &'a FactorCache,
    subject: Subject<'a>,
    plan: &'a Plan,
    keep: Keep,
    control: &'a Control,
}

impl Parts for KeptParts<'_> {
    fn base(&self) -> Result<Matrix, CompressError> {
        self.cache.base(&self.subject, self.plan, self.keep, self.control)
    }

    fn factors(&self) -> Result<Arc<Decomposition>, CompressError> {
        self.cache.cut_from(&self.subject, self.plan, self.keep, self.control)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::compress::codec::{Layout, encode};
    use crate::compress::testing::{matrix, tensor};
    use crate::compress::{Calibration, Factors, measured_error, measured_output_error};
    use crate::linalg::{InputStatistics, Moments, Values};

    fn inputs(statistics: InputStatistics) -> LayerInputs {
        let statistics = HashMap::from([("w".to_owned(), Arc::new(statistics))]);
        LayerInputs::of(Some(&Calibration::new("f".into(), statistics)), "w").unwrap()
    }

    /// Second moments of inputs [tokens, width] of which each is `x` and a share of the first.
    fn gram(x: &[f32], width: usize) -> InputStatistics {
        let tokens = x.len() / width;
        let at = |t: usize, i: usize| f64::from(x[t * width + i]) + 2.0 * f64::from(x[t * width]);
        let mean = |i, j| (0..tokens).map(|t| at(t, i) * at(t, j)).sum::<f64>() / tokens as f64;
        let moments = Moments::Gram((0..width).flat_map(|i| (0..=i).map(move |j| mean(i, j) as f32)).collect());
        InputStatistics { width, tokens: tokens as u64, moments }
    }

    fn stored(subject: &Subject<'_>, plan: &Plan, cache: &FactorCache) -> Errors {
        let (control, statistics) = (Control::new(), subject.inputs.map(|inputs| inputs.statistics.as_ref()));
        let parts = cache.parts(*subject, plan, Keep::Memory, &control);
        let weight = encode(subject.matrix, plan, Layout::Native, statistics, &parts, &control).unwrap().weight;
        assert_eq!(weight.bytes(), plan.bytes(subject.matrix.rows(), subject.matrix.cols(), 0));
        let output = |statistics| measured_output_error(subject.matrix, &weight, statistics, &control).unwrap();
        Errors { weight: measured_error(subject.matrix, &weight, &control).unwrap(), output: statistics.map(output) }
    }

    #[test]
    fn a_base_is_rounded_once_whatever_the_rank() {
        let numbers: Vec<f32> = (0..64).map(|i| (i as f32 * 0.7).sin()).collect();
        let (tensor, w) = (tensor("w", &[4, 16], &numbers), matrix(4, 16, &numbers));
        let (cache, control) = (FactorCache::new(None), Control::new());
        let base = |rank, group, subject: Subject<'_>, weighting| {
            let plan = Plan { base: Base::Int4, group: Some(group), weighting, ..Plan::low_rank(rank) };
            cache.base(&subject, &plan, Keep::Memory, &control).unwrap()
        };
        let plain = Subject { tensor: &tensor, matrix: &w, inputs: None };
        let place = |base: &Matrix| match base.values() {
            Values::I4 { quant, .. } => quant.as_ptr(),
            _ => panic!("not INT4"),
        };
        let first = base(1, 8, plain, Weighting::Plain);
        assert_eq!(place(&first), place(&base(3, 8, plain, Weighting::Plain)));
        assert_ne!(first.to_f32(), base(1, 4, plain, Weighting::Plain).to_f32());
        let known = inputs(gram(&numbers, 16));
        let weighted = base(1, 8, Subject { inputs: Some(&known), ..plain }, Weighting::Activations);
        assert_ne!(first.to_f32(), weighted.to_f32());
    }

    fn matrices() -> impl Strategy<Value = (usize, usize, Vec<f32>, Vec<f32>)> {
        (1_usize..10, 1_usize..10, 1_usize..12).prop_flat_map(|(m, n, tokens)| {
            let numbers = |count| prop::collection::vec(-2.0_f32..2.0, count);
            (Just(m), Just(n), numbers(m * n), numbers(tokens * n))
        })
    }

    proptest! {
        #[test]
        fn every_predicted_error_is_the_measured_one(
            (rows, cols, w, x) in matrices(), rank in 1_usize..10, base in 0_usize..4,
            activations: bool, norm_correction: bool, refit: bool,
        ) {
            let (base, group) = [
                (Base::None, None), (Base::Int8, None), (Base::Int8, Some(3)), (Base::Int4, Some(4)),
            ][base];
            let weighting = if activations { Weighting::Activations } else { Weighting::Plain };
            let rank = rank.min(rows).min(cols);
            let plan = Plan { base, rank, factors: Factors::F32, group, weighting, norm_correction, refit };
            let (tensor, matrix) = (tensor("w", &[rows, cols], &w), matrix(rows, cols, &w));
            let inputs = inputs(gram(&x, cols));
            let subject = Subject { tensor: &tensor, matrix: &matrix, inputs: Some(&inputs) };
            let cache = FactorCache::new(None);
            let predicted = cache.predicted(&subject, &plan, &Control::new()).unwrap().unwrap();
            let measured = stored(&subject, &plan, &cache);
            let whole = cache.energies(&subject, &Control::new()).unwrap();
            let trace: f64 = inputs.statistics.mean_squares().iter().map(|x| f64::from(*x)).sum();
            // Factors and what the base leaves are f32: roundings are shares of `||W|| ||X||`.
            let noise = (whole.weight * trace / whole.output.unwrap()).sqrt().max(1.0);
            for (found, wanted, noise) in [
                (predicted.weight, measured.weight, 1.0), (predicted.output.unwrap(), measured.output.unwrap(), noise),
            ] {
                let of_g = (found.powi(2) - wanted.powi(2)).abs() <= 1e-8 * noise.powi(2);
                prop_assert!(of_g || (found - wanted).abs() <= 1e-4 * wanted + 3e-6 * noise, "{plan}: {found} {wanted}");
            }
        }

        #[test]
        fn refitting_never_hurts_what_is_minimised(
            (rows, cols, w, x) in matrices(), activations: bool,
        ) {
            let weighting = if activations { Weighting::Activations } else { Weighting::Plain };
            let plan = Plan { weighting, ..Plan::low_rank(1) };
            let (tensor, matrix) = (tensor("w", &[rows, cols], &w), matrix(rows, cols, &w));
            let inputs = inputs(gram(&x, cols));
            let subject = Subject { tensor: &tensor, matrix: &matrix, inputs: Some(&inputs) };
            let cache = FactorCache::new(None);
            let (before, after) = (stored(&subject, &plan, &cache), stored(&subject, &Plan { refit: true, ..plan }, &cache));
            // U is quantized after it was fitted; the damping keeps a little of the weight's own error in.
            prop_assert!(after.weight <= before.weight + 0.02 || activations, "{before:?} {after:?}");
            prop_assert!(after.output.unwrap() <= before.output.unwrap() + 0.05 || !activations, "{before:?} {after:?}");
        }
    }

    #[test]
    fn all_that_a_decomposition_depends_on_is_in_its_name() {
        let numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 7.0];
        let (tensor, matrix) = (tensor("w", &[2, 3], &numbers), matrix(2, 3, &numbers));
        let named = |fingerprint: &str, layer: &str| {
            let moments = Moments::Diagonal(Arc::from([1.0, 2.0, 3.0]));
            let statistics = Arc::new(InputStatistics { width: 3, tokens: 1, moments });
            let calibration = Calibration::new(fingerprint.into(), HashMap::from([(layer.to_owned(), statistics)]));
            LayerInputs::of(Some(&calibration), layer).unwrap()
        };
        let (one, other, elsewhere) = (named("a", "w"), named("b", "w"), named("a", "v"));
        let cache = FactorCache::new(None);
        let plans = [(Base::None, None), (Base::Int8, None), (Base::Int8, Some(2)), (Base::Int4, None)];
        let plans = plans.map(|(base, group)| Plan { base, group, ..Plan::low_rank(1) });
        let mut names = Vec::new();
        for inputs in [None, Some(&one), Some(&other), Some(&elsewhere)] {
            let subject = Subject { tensor: &tensor, matrix: &matrix, inputs };
            for plan in plans {
                for weighting in [Weighting::Plain, Weighting::Activations] {
                    names.extend(cache.name(&subject, &Plan { weighting, ..plan }));
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 4 + 3 * 4);
        assert!(names.iter().all(|name| name.len() < 200 && !name.contains(['/', '.'])));
    }

    #[test]
    fn weighting_without_statistics_says_what_to_do() {
        let (tensor, matrix) = (tensor("w", &[1, 2], &[1.0, 2.0]), matrix(1, 2, &[1.0, 2.0]));
        let subject = Subject { tensor: &tensor, matrix: &matrix, inputs: None };
        let plan = Plan { weighting: Weighting::Activations, ..Plan::low_rank(1) };
        let error = FactorCache::new(None).factors(&subject, &plan, &Control::new()).unwrap_err();
        assert!(error.to_string().contains("--calibration"), "{error}");
    }
}
