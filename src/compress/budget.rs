//! A budget as a person writes it: `40%`, `900MB`, `4.5bpw`.

use std::fmt;
use std::str::FromStr;

use super::BudgetError;
use crate::model::Layer;

/// How small a model is to become.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// A share of the bytes of the whole model.
    Share(f64),
    /// Bytes of the whole model.
    Bytes(u64),
    /// Bits a weight of the layers alone, scales included.
    BitsPerWeight(f64),
}

/// What a budget is measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of all tensors as stored.
    pub model: u64,
    /// Bytes of the layers as stored.
    pub layers: u64,
    /// Parameters of the layers.
    pub parameters: u64,
}

/// A text that is no budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no budget; write a share (40%), a size (900MB, 1.2GB) or bits per weight (4.5bpw)")]
pub struct NoBudget(String);

/// What a number of a unit is.
type Make = fn(f64) -> Budget;

impl FromStr for Budget {
    type Err = NoBudget;

    fn from_str(text: &str) -> Result<Self, NoBudget> {
        let lower = text.trim().to_ascii_lowercase();
        let units: [(&str, Make); 9] = [
            ("bpw", Self::BitsPerWeight),
            ("%", |n| Self::Share(n / 100.0)),
            ("kib", |n| Self::Bytes((n * 1024.0) as u64)),
            ("mib", |n| Self::Bytes((n * 1_048_576.0) as u64)),
            ("gib", |n| Self::Bytes((n * 1_073_741_824.0) as u64)),
            ("kb", |n| Self::Bytes((n * 1e3) as u64)),
            ("mb", |n| Self::Bytes((n * 1e6) as u64)),
            ("gb", |n| Self::Bytes((n * 1e9) as u64)),
            ("b", |n| Self::Bytes(n as u64)),
        ];
        let read = |(unit, make): &(&str, Make)| {
            let number: f64 = lower.strip_suffix(unit)?.trim_end().parse().ok()?;
            (number.is_finite() && number > 0.0).then(|| make(number))
        };
        units.iter().find_map(read).ok_or_else(|| NoBudget(text.chars().take(40).collect()))
    }
}

/// As it is read; bytes exactly.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => write!(f, "{}%", share * 100.0),
            Self::Bytes(bytes) => write!(f, "{bytes}B"),
            Self::BitsPerWeight(bits) => write!(f, "{bits}bpw"),
        }
    }
}

impl Budget {
    /// Bytes that the whole model may take.
    pub fn model_bytes(&self, sizes: &Sizes) -> u64 {
        match *self {
            Self::Share(share) => (share * sizes.model as f64) as u64,
            Self::Bytes(bytes) => bytes,
            Self::BitsPerWeight(bits) => (bits * sizes.parameters as f64 / 8.0) as u64 + sizes.others(),
        }
    }

    /// Bytes that the layers may take: what all else leaves.
    ///
    /// # Errors
    /// All else takes more than the budget.
    pub fn layer_bytes(&self, sizes: &Sizes) -> Result<u64, BudgetError> {
        let budget = self.model_bytes(sizes);
        budget.checked_sub(sizes.others()).ok_or(BudgetError::Others { budget, others: sizes.others() })
    }
}

impl Sizes {
    /// Those of a model whose tensors take `model` bytes as stored.
    pub fn new(model: u64, layers: &[Layer]) -> Self {
        Self {
            model,
            layers: layers.iter().map(|layer| layer.bytes).sum(),
            parameters: layers.iter().map(Layer::parameters).sum(),
        }
    }

    /// Bytes of what is no layer.
    pub fn others(&self) -> u64 {
        self.model.saturating_sub(self.layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes { model: 1000, layers: 800, parameters: 400 };

    #[test]
    fn budgets_are_read_as_people_write_them() {
        for (text, wanted) in [
            ("40%", Budget::Share(0.4)),
            ("900MB", Budget::Bytes(900_000_000)),
            ("1.5 gb", Budget::Bytes(1_500_000_000)),
            ("2KiB", Budget::Bytes(2048)),
            ("77b", Budget::Bytes(77)),
            ("4.5bpw", Budget::BitsPerWeight(4.5)),
        ] {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
            assert_eq!(wanted.to_string().parse(), Ok(wanted));
        }
        for text in ["", "40", "-3%", "0MB", "nanbpw", "infbpw", "bpw", "4.5 bits"] {
            let error = text.parse::<Budget>().unwrap_err().to_string();
            assert!(error.contains("4.5bpw"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_layer_counts_in_the_models_bytes() {
        assert_eq!(Budget::Share(0.5).layer_bytes(&SIZES), Ok(300));
        assert_eq!(Budget::Bytes(900).layer_bytes(&SIZES), Ok(700));
        assert_eq!(Budget::BitsPerWeight(4.0).layer_bytes(&SIZES), Ok(200));
        assert_eq!(Budget::BitsPerWeight(4.0).model_bytes(&SIZES), 400);
        let error = Budget::Bytes(100).layer_bytes(&SIZES).unwrap_err();
        assert_eq!(error, BudgetError::Others { budget: 100, others: 200 });
    }
}
