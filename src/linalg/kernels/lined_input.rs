//! Inputs of a product of many tokens, each from the beginning of a cache line on.

use rayon::prelude::*;

/// Numbers of a cache line.
const LINE: usize = 16;
/// Tokens that a thread copies at a time.
const TOKENS_AT_A_TIME: usize = 16;

/// Inputs x [tokens, cols], copied so that no vector lies across two cache lines, and an odd number of lines apart: inputs of some
/// thousand columns that follow each other would all compete for the same few places of the first-level cache, as the vectors of a
/// tile are of one column.
#[derive(Debug)]
pub struct LinedInput {
    numbers: Vec<f32>,
    first: usize,
    apart: usize,
}

impl LinedInput {
    /// The whole tokens of x [tokens, cols].
    pub fn new(x: &[f32], cols: usize) -> Self {
        let tokens = x.len().checked_div(cols).unwrap_or_default();
        let apart = (cols.div_ceil(LINE) | 1) * LINE;
        let mut numbers = vec![0.0_f32; tokens * apart + LINE];
        // Where it cannot be told, inputs begin anywhere.
        let first = numbers.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        let copies = numbers.get_mut(first..).unwrap_or_default().par_chunks_mut(TOKENS_AT_A_TIME * apart);
        copies.zip(x.par_chunks((TOKENS_AT_A_TIME * cols).max(1))).for_each(|(copies, inputs)| {
            for (copy, input) in copies.chunks_exact_mut(apart).zip(inputs.chunks_exact(cols)) {
                copy[..cols].copy_from_slice(input);
            }
        });
        Self { numbers, first, apart }
    }

    /// The inputs, the first one first.
    pub fn numbers(&self) -> &[f32] {
        self.numbers.get(self.first..).unwrap_or_default()
    }

    /// Numbers from one input to the next.
    pub fn apart(&self) -> usize {
        self.apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::testing::random;

    #[test]
    fn inputs_are_copied_to_whole_lines_an_odd_number_of_them_apart() {
        for (tokens, cols) in [(1, 1), (3, 16), (TOKENS_AT_A_TIME + 1, 40), (2, 2048)] {
            let x = random(tokens * cols, 6);
            let lined = LinedInput::new(&x, cols);
            assert_eq!(lined.numbers().as_ptr().align_offset(LINE * size_of::<f32>()), 0, "{tokens} x {cols}");
            assert_eq!((lined.apart() % LINE, lined.apart() / LINE % 2), (0, 1), "{tokens} x {cols}");
            for (token, x) in x.chunks_exact(cols).enumerate() {
                assert_eq!(lined.numbers()[token * lined.apart()..][..cols], *x, "{tokens} x {cols}: {token}");
            }
        }
    }

    #[test]
    fn of_no_input_nothing_is_there() {
        assert!([0, 4].iter().all(|cols| LinedInput::new(&[], *cols).numbers().iter().all(|x| *x == 0.0)));
    }
}
