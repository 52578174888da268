//! Values that no model should hold.

use std::fmt;

use rayon::prelude::*;

use super::formats::{as_matrix, float_matrix};
use crate::checkpoint::{Checkpoint, Tensor, escaped};

/// A tensor with values that are NaN or infinite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonFinite {
    /// Its name, as the file has it.
    pub tensor: String,
    /// How many are NaN.
    pub nan: u64,
    /// How many are infinite.
    pub infinite: u64,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [(self.nan, "NaN"), (self.infinite, "infinite")];
        let named = counts.iter().filter(|(count, _)| *count > 0);
        let named: Vec<String> = named.map(|(count, word)| format!("{count} {word} values")).collect();
        let name = escaped(&self.tensor, 120);
        write!(f, "tensor {name} contains {}; the model's output will be meaningless", named.join(" and "))
    }
}

/// Looks through every floating-point tensor; reads the whole file.
pub fn non_finite(checkpoint: &Checkpoint) -> Vec<NonFinite> {
    checkpoint.tensors().par_iter().filter_map(scan).collect()
}

fn scan(tensor: &Tensor) -> Option<NonFinite> {
    let [rows, cols] = as_matrix(tensor);
    let (nan, infinite) = float_matrix(tensor, rows, cols, false)?.non_finite();
    (nan + infinite > 0).then(|| NonFinite { tensor: tensor.name.clone(), nan, infinite })
}
