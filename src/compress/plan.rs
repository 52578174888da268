//! How one layer is stored and run: W ~ base + U Vh.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The base of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// No base: the low-rank part is all.
    None,
    /// As the checkpoint has it.
    #[default]
    Dense,
    /// INT8, one scale a row (or a group).
    Int8,
    /// INT4 in groups (issue 3; refused with a clear message until then).
    Int4,
}

/// Number format of the factors U and Vh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Factors {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// Symmetric INT8, one scale a row of each factor.
    #[default]
    Int8,
}

/// What the approximation minimises the error of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// The weight itself.
    #[default]
    Plain,
    /// The layer's output over calibration inputs.
    Activations,
}

/// A layer's plan, with its rank as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Plan {
    /// The base.
    pub base: Base,
    /// Rank of U Vh; 0: no low-rank part.
    pub rank: usize,
    /// Format of the factors.
    pub factors: Factors,
    /// Group length of a quantized base along the input; `None`: one scale a row.
    pub group: Option<usize>,
    /// What is minimised.
    pub weighting: Weighting,
    /// Multiply the low-rank part by ||E|| / ||E_r|| before quantization.
    pub norm_correction: bool,
    /// Refit U after Vh is quantized.
    pub refit: bool,
}

impl Plan {
    /// The layer as it is.
    pub fn dense() -> Self {
        Self::default()
    }

    /// Classic: no base, rank `rank`, INT8 factors.
    pub fn low_rank(rank: usize) -> Self {
        Self { base: Base::None, rank, ..Self::default() }
    }

    /// Whether the layer stays as it is.
    pub fn is_dense(&self) -> bool {
        self.base == Base::Dense && self.rank == 0
    }
}

/// Short form for tables: `dense`, `int8`, `int8/64`, `r48 int8`, `int8 + r32 f16`, ` nc` for norm correction.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let factors = match self.factors {
            Factors::F32 => "f32",
            Factors::F16 => "f16",
            Factors::Int8 => "int8",
        };
        match self.base {
            Base::None => {}
            Base::Dense => f.write_str("dense")?,
            Base::Int8 => f.write_str("int8")?,
            Base::Int4 => f.write_str("int4")?,
        }
        if let (Some(group), Base::Int8 | Base::Int4) = (self.group, self.base) {
            write!(f, "/{group}")?;
        }
        if self.rank > 0 {
            let joint = if self.base == Base::None { "" } else { " + " };
            write!(f, "{joint}r{} {factors}", self.rank)?;
        }
        if self.weighting == Weighting::Activations {
            f.write_str(" act")?;
        }
        if self.norm_correction {
            f.write_str(" nc")?;
        }
        Ok(())
    }
}
