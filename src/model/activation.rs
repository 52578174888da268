//! Nonlinearities of the MLP, by transformers' names (`ACT2FN`).

use super::ModelError;
use super::config::wrong;
use crate::checkpoint::escaped;
use crate::linalg::{row_by_row, times_sigmoid};

const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// A nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Exact GELU, by the error function.
    Gelu,
    /// GELU by tanh: `gelu_new`, `gelu_pytorch_tanh`, `gelu_fast`.
    GeluTanh,
    /// x sigmoid(1.702 x).
    QuickGelu,
    /// max(x, 0).
    Relu,
    /// x sigmoid(x).
    Silu,
    /// GELU within -10 ..= 10.
    ClippedGelu,
    /// max(x, 0)^2.
    SquaredRelu,
    /// max(x, 0), at most 6.
    Relu6,
    /// x tanh(ln(1 + e^x)).
    Mish,
    /// 1 / (1 + e^-x).
    Sigmoid,
    /// tanh(x).
    Tanh,
    /// x.
    Linear,
}

impl Activation {
    pub(super) fn parse(name: &str) -> Result<Self, ModelError> {
        match name {
            "gelu" | "gelu_python" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_fast" | "gelu_accurate" => Ok(Self::GeluTanh),
            "quick_gelu" => Ok(Self::QuickGelu),
            "relu" => Ok(Self::Relu),
            "silu" | "swish" => Ok(Self::Silu),
            "gelu_10" => Ok(Self::ClippedGelu),
            "relu2" => Ok(Self::SquaredRelu),
            "relu6" => Ok(Self::Relu6),
            "mish" => Ok(Self::Mish),
            "sigmoid" => Ok(Self::Sigmoid),
            "tanh" => Ok(Self::Tanh),
            "linear" => Ok(Self::Linear),
            other => Err(wrong(format!("activation \"{}\" is not supported", escaped(other, 40)))),
        }
    }

    /// Applies it to every element.
    pub(super) fn apply(self, values: &mut [f32]) {
        row_by_row(values, 1, |_, values| self.apply_to_run(values));
    }

    fn apply_to_run(self, values: &mut [f32]) {
        let function = match self {
            // 1 + tanh(y) = 2 / (1 + e^-2y).
            Self::GeluTanh => return times_sigmoid(values, |x| 2.0 * SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)),
            Self::QuickGelu => return times_sigmoid(values, |x| 1.702 * x),
            Self::Silu => return times_sigmoid(values, |x| x),
            Self::Gelu => gelu,
            Self::Relu => |x: f32| x.max(0.0),
            Self::ClippedGelu => |x: f32| gelu(x).clamp(-10.0, 10.0),
            Self::SquaredRelu => |x: f32| x.max(0.0) * x.max(0.0),
            Self::Relu6 => |x: f32| x.clamp(0.0, 6.0),
            Self::Mish => |x: f32| x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh(),
            Self::Sigmoid => |x: f32| 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => f32::tanh,
            Self::Linear => |x: f32| x,
        };
        values.iter_mut().for_each(|x| *x = function(*x));
    }
}

fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + libm::erff(x * std::f32::consts::FRAC_1_SQRT_2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_torch() {
        let at_one = |name: &str| {
            let mut x = [1.0_f32];
            Activation::parse(name).unwrap().apply(&mut x);
            x[0]
        };
        for (name, value) in [
            ("gelu", 0.841_344_7),
            ("gelu_new", 0.841_192),
            ("quick_gelu", 0.845_795_8),
            ("silu", 0.731_058_6),
            ("mish", 0.865_098_4),
            ("sigmoid", 0.731_058_6),
            ("relu2", 1.0),
        ] {
            assert!((at_one(name) - value).abs() < 2e-6, "{name}: {}", at_one(name));
        }
        assert!(Activation::parse("prelu").is_err());
    }
}
