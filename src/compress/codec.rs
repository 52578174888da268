//! Plans to stored weights.

use std::sync::Arc;

use half::f16;

use super::predict::correction;
use super::{Base, Factors, Plan, Weighting};
use crate::checkpoint::CheckpointError;
use crate::control::{Cancelled, Control};
use crate::linalg::{
    DAMPING, Decomposition, InputStatistics, Matrix, NumericError, quantize_groups, quantize_rows, quantize_whole,
    quantize4, refit,
};
use crate::model::{CompressedLinear, LowRank};

/// Which layout the factors are coded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// sqrt(S) folded into both, one scale per row.
    #[default]
    Native,
    /// U, S, Vh, each INT8 with one scale (plain SVD + INT8 only).
    Classic,
}

/// What to do where statistics are missing.
const CALIBRATE: &str = "make them with `rankscope calibrate` and pass --calibration FILE, or use weighting plain";

/// What is said where statistics are missing and no layer is known.
pub(super) const UNCALIBRATED: &str =
    "weighting activations needs statistics of the layer's inputs; pass --calibration FILE, or use weighting plain";

/// Why a layer cannot be compressed as planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressError {
    /// The plan asks for what is not there.
    #[error("{0}")]
    Plan(String),
    /// The plan is weighted by activations, and nothing is known of the layer's inputs.
    #[error("weighting activations needs statistics of the inputs of {layer}, and there are none; {CALIBRATE}")]
    Uncalibrated {
        /// The layer's name, escaped.
        layer: String,
    },
    /// A file that changed while open.
    #[error(transparent)]
    Files(#[from] CheckpointError),
    /// Numbers.
    #[error(transparent)]
    Numeric(#[from] NumericError),
    /// Cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// A layer in its stored form.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// What runs, as stored.
    pub weight: CompressedLinear,
    /// Classic only: what the layout stores besides the quantized U and Vh, which are those of `weight`.
    pub classic: Option<Classic>,
}

/// The classic layout's own numbers: x = q * scale for each of U [m, r], S [r] and Vh [r, n]. U and Vh are of unit vectors.
/// It runs as a native INT8 pair: every row of U with U's scale, row i of Vh with Vh's scale times the stored `s_i`.
#[derive(Debug, Clone, PartialEq)]
pub struct Classic {
    /// Scale of U.
    pub u_scale: f32,
    /// S, quantized.
    pub s: Vec<i8>,
    /// Scale of S.
    pub s_scale: f32,
    /// Scale of Vh.
    pub vh_scale: f32,
}

/// Where what takes work comes from, for one layer and one plan: fresh, or kept.
pub trait Parts {
    /// The quantized base.
    ///
    /// # Errors
    /// A matrix that the base cannot hold, cancelled.
    fn base(&self) -> Result<Matrix, CompressError>;
    /// The decomposition that the low-rank part is cut from.
    ///
    /// # Errors
    /// Numeric trouble, cancelled.
    fn factors(&self) -> Result<Arc<Decomposition>, CompressError>;
}

/// Encodes `matrix` as `plan` says. `parts` are asked for what the plan has: its quantized base, and where it has a rank the
/// decomposition of E = W - base, of W itself where there is no base. `statistics` are those of the layer's inputs, which weighting by activations needs:
/// here for refitting U alone (those of the factors and of the scales of an INT4 base are in `parts`).
///
/// # Errors
/// [`CompressError::Plan`] for a plan that makes no sense, that needs statistics where there are none, that the matrix is too
/// small for, or that the classic layout cannot hold; [`CompressError::Numeric`] for a matrix with NaN or infinities; what
/// `parts` say; cancelled.
pub fn encode(
    matrix: &Matrix,
    plan: &Plan,
    layout: Layout,
    statistics: Option<&InputStatistics>,
    parts: &dyn Parts,
    control: &Control,
) -> Result<Encoded, CompressError> {
    admit(matrix, plan, layout)?;
    let statistics = statistics.filter(|_| plan.needs_statistics());
    if plan.needs_statistics() && statistics.is_none() {
        return Err(CompressError::Plan(UNCALIBRATED.into()));
    }
    control.check()?;
    let base = match plan.base {
        Base::None => None,
        Base::Dense => Some(matrix.clone()),
        Base::Int8 | Base::Int4 => Some(parts.base()?),
    };
    if plan.rank == 0 {
        return Ok(Encoded { weight: CompressedLinear { base, low_rank: None }, classic: None });
    }
    let decomposition = parts.factors()?;
    control.check()?;
    let slice = Slice::new(&decomposition, matrix, plan)?;
    let (low_rank, classic) = match layout {
        Layout::Native if plan.refit => {
            let rest = residual(matrix, base.as_ref());
            (slice.refitted(&rest, statistics, plan.factors, control)?, None)
        }
        Layout::Native => (slice.native(plan.factors)?, None),
        Layout::Classic => {
            let (low_rank, classic) = slice.classic()?;
            (low_rank, Some(classic))
        }
    };
    Ok(Encoded { weight: CompressedLinear { base, low_rank: Some(low_rank) }, classic })
}

/// Whether a matrix can be stored so.
fn admit(matrix: &Matrix, plan: &Plan, layout: Layout) -> Result<(), CompressError> {
    let refused = |reason: &str| Err(CompressError::Plan(reason.to_owned()));
    if let Some(reason) = plan.meaningless() {
        return refused(reason);
    }
    if layout == Layout::Classic && !fits_classic(plan) {
        return refused(NOT_CLASSIC);
    }
    let most = matrix.rows().min(matrix.cols());
    if plan.rank > most {
        let (m, n, rank) = (matrix.rows(), matrix.cols(), plan.rank);
        return refused(&format!("rank {rank} is above the largest possible, min({m}, {n}) = {most}; lower it"));
    }
    Ok(())
}

/// What is said to a plan that the classic layout cannot hold.
pub(super) const NOT_CLASSIC: &str = "the classic layout holds plain svd + int8 alone (base none, a rank, factors int8, weighting plain, no refit); use the native layout";

/// Whether the classic layout holds layers of this plan.
pub(super) fn fits_classic(plan: &Plan) -> bool {
    let plain = plan.weighting == Weighting::Plain && !plan.refit;
    plan.is_dense() || (plan.base == Base::None && plan.factors == Factors::Int8 && plain)
}

/// Largest magnitude that an INT4 base holds: -8 times the largest scale.
const INT4_MOST: f32 = 8.0 * 65504.0;

/// E = W - base in f32, row by row; W without a base.
pub(super) fn residual(matrix: &Matrix, base: Option<&Matrix>) -> Vec<f32> {
    let mut rest = matrix.to_f32();
    let Some(base) = base else { return rest };
    let mut row = vec![0.0; matrix.cols()];
    for (index, rest) in rest.chunks_exact_mut(matrix.cols().max(1)).enumerate() {
        base.row(index, &mut row);
        rest.iter_mut().zip(&row).for_each(|(w, base)| *w -= base);
    }
    rest
}

/// W in INT8 or INT4, with one scale a row or a group of columns. Scales of INT4 err least where the inputs are large, if the
/// plan is weighted by activations.
pub(super) fn quantized_base(
    matrix: &Matrix,
    plan: &Plan,
    statistics: Option<&InputStatistics>,
) -> Result<Matrix, CompressError> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let (nan, infinite) = matrix.non_finite();
    if nan + infinite > 0 {
        let found = nan + infinite;
        let reason = format!("the matrix holds {found} values that are NaN or infinite; leave the layer dense");
        return Err(CompressError::Plan(reason));
    }
    let w = matrix.to_f32();
    let group = plan.base_group();
    if let (Base::Int4, Some(group)) = (plan.base, group) {
        if w.iter().any(|x| x.abs() > INT4_MOST) {
            let reason = "the matrix reaches beyond what INT4 holds (524032); use int8 or leave the layer dense";
            return Err(CompressError::Plan(reason.into()));
        }
        let statistics = statistics.filter(|_| plan.weighting == Weighting::Activations);
        statistics.map(|statistics| statistics.check(cols)).transpose()?;
        let weights = statistics.map(importance);
        return Ok(quantize4(&w, rows, cols, group, weights.as_deref())?);
    }
    let (quant, scales) = match group {
        None => quantize_rows(&w, rows, cols),
        Some(group) => quantize_groups(&w, rows, cols, group),
    };
    Ok(Matrix::from_i8(rows, cols, &quant, &scales, group)?)
}

/// What a column counts in the search for scales: E\[x^2\] as a share of its mean, damped as the factors' metric is.
fn importance(statistics: &InputStatistics) -> Vec<f32> {
    let squares = statistics.mean_squares();
    let mean = squares.iter().map(|square| f64::from(*square)).sum::<f64>() / squares.len().max(1) as f64;
    let share = |square: &f32| if mean > 0.0 { (f64::from(*square) / mean + DAMPING) as f32 } else { 1.0 };
    squares.iter().map(share).collect()
}

/// The first r singular triples.
struct Slice<'a> {
    rank: usize,
    rows: usize,
    cols: usize,
    /// Factor on the product: `||E|| / ||E_r||` with norm correction, else 1.
    correction: f64,
    s: &'a [f32],
    /// [r, m].
    ut: &'a [f32],
    /// [r, n].
    vt: &'a [f32],
}

impl<'a> Slice<'a> {
    fn new(whole: &'a Decomposition, matrix: &Matrix, plan: &Plan) -> Result<Self, CompressError> {
        let (rows, cols, rank) = (matrix.rows(), matrix.cols(), plan.rank);
        let part = |all: &'a [f32], needed: usize| {
            let wrong = NumericError::Size { rows, cols, needed, found: all.len() };
            all.get(..needed).filter(|_| (whole.rows, whole.cols) == (rows, cols)).ok_or(wrong)
        };
        let s = part(&whole.s, rank)?;
        let correction = correction(plan, whole);
        Ok(Self {
            rank,
            rows,
            cols,
            correction,
            s,
            ut: part(&whole.ut, rank * rows)?,
            vt: part(&whole.vt, rank * cols)?,
        })
    }

    /// sqrt(S), which both factors take.
    fn fold(&self) -> Vec<f64> {
        self.s.iter().map(|s| (f64::from(*s) * self.correction).sqrt()).collect()
    }

    /// sqrt(S) folded into both, then the factors' format.
    fn native(&self, factors: Factors) -> Result<LowRank, CompressError> {
        let u = transposed(self.ut, self.rows, &self.fold());
        Ok(LowRank { u: stored(&u, self.rows, self.rank, factors)?, vh: self.vh(factors)? })
    }

    fn vh(&self, factors: Factors) -> Result<Matrix, CompressError> {
        let fold = self.fold();
        let rows = self.vt.chunks_exact(self.cols.max(1)).zip(&fold);
        let vh: Vec<f32> =
            rows.flat_map(|(row, fold)| row.iter().map(move |v| (f64::from(*v) * fold) as f32)).collect();
        stored(&vh, self.rank, self.cols, factors)
    }

    /// As [`Slice::native`], with the U that fits E best beside Vh as it is stored.
    fn refitted(
        &self,
        rest: &[f32],
        statistics: Option<&InputStatistics>,
        factors: Factors,
        control: &Control,
    ) -> Result<LowRank, CompressError> {
        let vh = self.vh(factors)?;
        let mut u = refit(rest, (self.rows, self.cols), &vh.to_f32(), self.rank, statistics, control)?;
        u.iter_mut().for_each(|u| *u = (f64::from(*u) * self.correction) as f32);
        Ok(LowRank { u: stored(&u, self.rows, self.rank, factors)?, vh })
    }

    /// Each of U, S, Vh by one scale.
    fn classic(&self) -> Result<(LowRank, Classic), CompressError> {
        let u = transposed(self.ut, self.rows, &vec![1.0; self.rank]);
        let s: Vec<f32> = self.s.iter().map(|s| (f64::from(*s) * self.correction) as f32).collect();
        let ((u, u_scale), (s, s_scale), (vh, vh_scale)) =
            (quantize_whole(&u), quantize_whole(&s), quantize_whole(self.vt));
        let scales: Vec<f32> = s.iter().map(|q| vh_scale * (f32::from(*q) * s_scale)).collect();
        let u = Matrix::from_i8(self.rows, self.rank, &u, &vec![u_scale; self.rows], None)?;
        let vh = Matrix::from_i8(self.rank, self.cols, &vh, &scales, None)?;
        Ok((LowRank { u, vh }, Classic { u_scale, s, s_scale, vh_scale }))
    }
}

/// U [m, r] from U^T [r, m], column j times `fold[j]`.
fn transposed(ut: &[f32], rows: usize, fold: &[f64]) -> Vec<f32> {
    let rank = fold.len();
    let mut u = vec![0.0; rows * rank];
    for (j, (column, fold)) in ut.chunks_exact(rows.max(1)).zip(fold).enumerate() {
        let places = u.iter_mut().skip(j).step_by(rank.max(1));
        places.zip(column).for_each(|(place, u)| *place = (f64::from(*u) * fold) as f32);
    }
    u
}

/// A factor in its number format.
fn stored(w: &[f32], rows: usize, cols: usize, factors: Factors) -> Result<Matrix, CompressError> {
    let matrix = match factors {
        Factors::F32 => Matrix::from_f32(rows, cols, w)?,
        Factors::F16 => {
            let half: Vec<f16> = w.iter().map(|x| f16::from_f32(*x)).collect();
            if half.iter().any(|x| !x.is_finite()) {
                let reason = "the factors reach beyond f16 (65504); use factors int8 or f32";
                return Err(CompressError::Plan(reason.into()));
            }
            Matrix::from_f16(rows, cols, &half)?
        }
        Factors::Int8 => {
            let (quant, scales) = quantize_rows(w, rows, cols);
            Matrix::from_i8(rows, cols, &quant, &scales, None)?
        }
    };
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::compress::measured_error;
    use crate::compress::testing::matrix;
    use crate::linalg::{Values, decompose};

    /// Everything fresh.
    struct Fresh<'a>(&'a Matrix, &'a Plan);

    impl Parts for Fresh<'_> {
        fn base(&self) -> Result<Matrix, CompressError> {
            quantized_base(self.0, self.1, None)
        }

        fn factors(&self) -> Result<Arc<Decomposition>, CompressError> {
            let Self(w, plan) = self;
            let base = (plan.base != Base::None).then(|| self.base()).transpose()?;
            Ok(Arc::new(decompose(&residual(w, base.as_ref()), w.rows(), w.cols(), &Control::new())?))
        }
    }

    fn encoded(w: &Matrix, plan: &Plan, layout: Layout) -> Result<Encoded, CompressError> {
        encode(w, plan, layout, None, &Fresh(w, plan), &Control::new())
    }

    fn error(w: &Matrix, plan: &Plan, layout: Layout) -> f64 {
        let weight = encoded(w, plan, layout).unwrap().weight;
        assert_eq!(weight.shape(), (w.rows(), w.cols()));
        assert_eq!(weight.bytes(), plan.bytes(w.rows(), w.cols(), w.bytes()));
        measured_error(w, &weight, &Control::new()).unwrap()
    }

    fn wave(rows: usize, cols: usize) -> Matrix {
        let w: Vec<f32> = (0..rows * cols).map(|i| (i as f32 * 0.7).sin() + (i % 7) as f32 * 0.3).collect();
        matrix(rows, cols, &w)
    }

    #[test]
    fn every_plan_stores_what_it_says() {
        let w = wave(12, 9);
        let int8 = Plan { base: Base::Int8, ..Plan::dense() };
        let f32 = Plan { factors: Factors::F32, ..Plan::low_rank(9) };
        assert!(error(&w, &Plan::dense(), Layout::Native) == 0.0);
        assert!(error(&w, &f32, Layout::Native) < 1e-6);
        assert!(error(&w, &Plan { factors: Factors::F16, ..f32 }, Layout::Native) < 1e-3);
        assert!(error(&w, &Plan::low_rank(9), Layout::Native) < 2e-2);
        let rows = error(&w, &int8, Layout::Native);
        let groups = error(&w, &Plan { group: Some(4), ..int8 }, Layout::Native);
        let corrected = error(&w, &Plan { rank: 5, ..int8 }, Layout::Native);
        assert!(groups < rows && corrected < rows / 2.0, "{groups} {corrected} {rows}");
        let int4 = Plan { base: Base::Int4, group: Some(5), ..Plan::dense() };
        let alone = error(&w, &int4, Layout::Native);
        let corrected = error(&w, &Plan { rank: 5, ..int4 }, Layout::Native);
        assert!(alone > groups && alone < 0.1 && corrected < alone / 2.0, "{alone} {corrected}");
    }

    #[test]
    fn norm_correction_restores_the_norm() {
        let w = wave(10, 14);
        let plan = Plan { norm_correction: true, factors: Factors::F32, ..Plan::low_rank(1) };
        let norm = |w: &[f32]| w.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let rebuilt = encoded(&w, &plan, Layout::Native).unwrap().weight.to_f32();
        assert!((norm(&rebuilt) / norm(&w.to_f32()) - 1.0).abs() < 1e-5);
        let plain = Plan { norm_correction: false, ..plan };
        assert!(error(&w, &plan, Layout::Native) > error(&w, &plain, Layout::Native));
    }

    #[test]
    fn the_classic_layout_runs_as_its_three_parts_say() {
        let w = wave(6, 8);
        let Encoded { weight, classic } = encoded(&w, &Plan::low_rank(4), Layout::Classic).unwrap();
        let (low, classic) = (weight.low_rank.clone().unwrap(), classic.unwrap());
        let part = |matrix: &Matrix| match matrix.values() {
            Values::I8 { quant, scales, .. } => (quant.to_vec(), scales.to_vec()),
            _ => panic!("not INT8"),
        };
        let ((u, u_scales), (vh, _)) = (part(&low.u), part(&low.vh));
        assert_eq!(u_scales, [classic.u_scale; 6]);
        for (i, row) in weight.to_f32().chunks(8).enumerate() {
            for (j, x) in row.iter().enumerate() {
                let term = |k: usize| {
                    let u = f64::from(u[i * 4 + k]) * f64::from(classic.u_scale);
                    let s = f64::from(classic.s[k]) * f64::from(classic.s_scale);
                    u * s * f64::from(vh[k * 8 + j]) * f64::from(classic.vh_scale)
                };
                assert!((f64::from(*x) - (0..4).map(term).sum::<f64>()).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn what_cannot_be_stored_is_refused_with_the_reason() {
        let w = wave(4, 6);
        let refused = |plan: Plan, layout| encoded(&w, &plan, layout).unwrap_err().to_string();
        let int8 = Plan { base: Base::Int8, ..Plan::dense() };
        assert!(refused(Plan::low_rank(5), Layout::Native).contains("min(4, 6) = 4"));
        assert!(refused(Plan::low_rank(0), Layout::Native).contains("stores nothing"));
        assert!(refused(Plan { rank: 1, ..Plan::dense() }, Layout::Native).contains("leave out"));
        assert!(refused(Plan { refit: true, ..Plan::low_rank(1) }, Layout::Classic).contains("no refit"));
        let weighted = Plan { weighting: Weighting::Activations, ..Plan::low_rank(1) };
        assert!(refused(weighted, Layout::Native).contains("--calibration"));
        assert!(refused(int8, Layout::Classic).contains("classic layout holds"));
        assert!(refused(Plan { factors: Factors::F16, ..Plan::low_rank(1) }, Layout::Classic).contains("classic"));
        let huge = matrix(1, 1, &[f32::MAX]);
        let f16 = Plan { factors: Factors::F16, ..Plan::low_rank(1) };
        assert!(encoded(&huge, &f16, Layout::Native).unwrap_err().to_string().contains("f16"));
        let int4 = Plan { base: Base::Int4, ..int8 };
        assert!(encoded(&huge, &int4, Layout::Native).unwrap_err().to_string().contains("beyond what INT4 holds"));
        let broken = matrix(1, 2, &[f32::NAN, 1.0]);
        assert!(encoded(&broken, &int8, Layout::Native).unwrap_err().to_string().contains("1 values"));
        assert!(matches!(encoded(&broken, &f16, Layout::Native), Err(CompressError::Numeric(_))));
    }

    #[test]
    fn zeros_stay_zeros_without_an_error() {
        let w = matrix(3, 4, &[0.0; 12]);
        let int8 = Plan { base: Base::Int8, ..Plan::dense() };
        for plan in [Plan::low_rank(2), int8, Plan { rank: 1, norm_correction: true, ..int8 }] {
            assert!(error(&w, &plan, Layout::Native) == 0.0);
        }
        assert!(error(&w, &Plan { factors: Factors::F32, ..Plan::low_rank(3) }, Layout::Native) == 0.0);
        assert!(encoded(&w, &Plan::low_rank(2), Layout::Classic).is_ok());
    }

    proptest! {
        #[test]
        fn a_coded_layer_is_as_near_as_its_rank_and_format_allow(
            (rows, cols, w) in (1_usize..9, 1_usize..9).prop_flat_map(|(rows, cols)| {
                (Just(rows), Just(cols), prop::collection::vec(-4.0_f32..4.0, rows * cols))
            }),
            rank in 1_usize..9,
        ) {
            let w = matrix(rows, cols, &w);
            let rank = rank.min(rows.min(cols));
            let predicted = decompose(&w.to_f32(), rows, cols, &Control::new()).unwrap().error_at(rank);
            let f32 = error(&w, &Plan { factors: Factors::F32, ..Plan::low_rank(rank) }, Layout::Native);
            let int8 = error(&w, &Plan::low_rank(rank), Layout::Native);
            prop_assert!((f32 - predicted).abs() < 1e-5);
            prop_assert!(int8 <= predicted + 0.05 && int8 >= predicted - 1e-5);
        }
    }
}
