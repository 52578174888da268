//! Plans to stored weights. STUB (room `compress`).

use super::Plan;
use crate::control::{Cancelled, Control};
use crate::linalg::{Decomposition, Matrix, NumericError};
use crate::model::CompressedLinear;

/// Which layout the factors are coded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// sqrt(S) folded into both, one scale per row.
    #[default]
    Native,
    /// U, S, Vh, each INT8 with one scale (plain SVD + INT8 only).
    Classic,
}

/// Why a layer cannot be compressed as planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressError {
    /// The plan asks for what is not there.
    #[error("{0}")]
    Plan(String),
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
    /// Classic only: the scale of each of U, S, Vh, and the quantized S [r] (U and Vh are in `weight`... see code).
    pub classic: Option<[f32; 3]>,
}

/// Encodes `matrix` as `plan` says. `decompose` is asked for the decomposition of E = W - base only where the plan has a rank
/// (of W itself where there is no base: that one is cached).
///
/// # Errors
/// [`CompressError`].
pub fn encode(
    _matrix: &Matrix, _plan: &Plan, _layout: Layout,
    _decomposition: &mut dyn FnMut() -> Result<std::sync::Arc<Decomposition>, CompressError>, _control: &Control,
) -> Result<Encoded, CompressError> { todo!() }

/// ||W - W'||_F / ||W||_F as stored, summed in f64; 0 for W = 0 approximated by 0.
pub fn measured_error(_matrix: &Matrix, _weight: &CompressedLinear, _control: &Control) -> Result<f64, Cancelled> { todo!() }
