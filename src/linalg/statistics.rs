//! What a calibration text says about a layer's inputs.

use std::sync::Arc;

use super::NumericError;

/// Means over the inputs x of a layer, in the precision in which they are stored: fresh and read back are the same.
#[derive(Debug, Clone, PartialEq)]
pub struct InputStatistics {
    /// n, the length of an input.
    pub width: usize,
    /// How many inputs were seen.
    pub tokens: u64,
    /// The means.
    pub moments: Moments,
}

/// Second moments of a layer's inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Moments {
    /// The lower triangle of E[x x^T], packed row by row: n (n + 1) / 2 numbers, element (i, j) at i (i + 1) / 2 + j.
    Gram(Arc<[f32]>),
    /// E[x^2] alone, n numbers: where n is too large for a triangle. All else counts as 0.
    Diagonal(Arc<[f32]>),
}

impl InputStatistics {
    /// E[x^2] of each input, n numbers.
    pub fn mean_squares(&self) -> Vec<f32> {
        match &self.moments {
            Moments::Gram(packed) => {
                let place = |i: usize| i * (i + 1) / 2 + i;
                (0..self.width).map(|i| packed.get(place(i)).copied().unwrap_or_default()).collect()
            }
            Moments::Diagonal(squares) => squares.to_vec(),
        }
    }

    /// Whether these are sound statistics of inputs of length `cols`.
    ///
    /// # Errors
    /// [`NumericError::Statistics`], with what is wrong: another width, another count of numbers, NaN, infinity, a mean
    /// square below 0.
    pub fn check(&self, cols: usize) -> Result<(), NumericError> {
        let wrong = |reason: String| Err(NumericError::Statistics(reason));
        if self.width != cols {
            return wrong(format!("they are of inputs of length {}, but the layer takes {cols}", self.width));
        }
        let (numbers, needed) = match &self.moments {
            Moments::Gram(packed) => (packed, self.width.saturating_mul(self.width.saturating_add(1)) / 2),
            Moments::Diagonal(squares) => (squares, self.width),
        };
        if numbers.len() != needed {
            return wrong(format!("{needed} numbers are needed, but there are {}", numbers.len()));
        }
        let bad = numbers.iter().filter(|x| !x.is_finite()).count();
        if bad > 0 {
            return wrong(format!("{bad} of their numbers are NaN or infinite"));
        }
        if self.mean_squares().iter().any(|square| *square < 0.0) {
            return wrong("a mean square is below 0".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(width: usize, moments: Moments) -> InputStatistics {
        InputStatistics { width, tokens: 1, moments }
    }

    #[test]
    fn mean_squares_are_the_diagonal() {
        let gram = statistics(3, Moments::Gram(Arc::from([1.0, 9.0, 2.0, 9.0, 9.0, 3.0])));
        assert_eq!(gram.mean_squares(), [1.0, 2.0, 3.0]);
        assert_eq!(statistics(2, Moments::Diagonal(Arc::from([4.0, 5.0]))).mean_squares(), [4.0, 5.0]);
    }

    #[test]
    fn what_is_unsound_is_refused() {
        let gram = |numbers: &[f32]| statistics(2, Moments::Gram(Arc::from(numbers)));
        assert!(gram(&[1.0, 0.5, 0.0]).check(2).is_ok());
        for (found, reason) in [
            (gram(&[1.0, 0.5, 0.0]).check(3), "length 2"),
            (gram(&[1.0, 0.5]).check(2), "3 numbers are needed"),
            (gram(&[1.0, f32::NAN, 1.0]).check(2), "1 of their numbers"),
            (gram(&[1.0, 0.0, -1.0]).check(2), "below 0"),
            (statistics(1, Moments::Diagonal(Arc::from([f32::INFINITY]))).check(1), "infinite"),
        ] {
            assert!(found.unwrap_err().to_string().contains(reason), "{reason}");
        }
    }
}
