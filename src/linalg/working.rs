//! What a decomposition takes in memory while it is computed, and once it is kept.

/// About the most bytes that one decomposition of a matrix [m, n] takes at a time, k = min(m, n), its input as f32 and its result
/// among them: five matrices [k, k] in f64 at the eigenvectors (as measured), or the vectors of both sides after them. `weighted`
/// by second moments it takes two to three matrices [m, n] in f64 more, one [k, k], and the triangle of the moments in f32.
pub fn decomposing_bytes(rows: usize, cols: usize, weighted: bool) -> u64 {
    let square = |side: usize| (side as u64).saturating_mul(side as u64);
    let (all, short) = ((rows as u64).saturating_mul(cols as u64), square(rows.min(cols)));
    let sum = |long: u64, squares: u64| long.saturating_mul(all).saturating_add(squares.saturating_mul(short));
    if weighted {
        sum(20, 48).max(sum(28, 24)).saturating_add(square(cols).saturating_mul(2))
    } else {
        sum(4, 40).max(sum(8, 24))
    }
}

/// Bytes of a decomposition of a matrix [m, n], all ranks: values and vectors of both sides in f32.
pub fn decomposition_bytes(rows: usize, cols: usize) -> u64 {
    let (rows, cols) = (rows as u64, cols as u64);
    rows.min(cols).saturating_mul(rows.saturating_add(cols).saturating_add(1)).saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::linalg::decompose;

    #[test]
    fn the_result_is_as_large_as_it_says() {
        let found = decompose(&[0.5; 15], 3, 5, &Control::new()).unwrap();
        let numbers = found.s.len() + found.ut.len() + found.vt.len();
        assert_eq!(decomposition_bytes(3, 5), 4 * numbers as u64);
    }

    #[test]
    fn the_longer_side_counts_once_and_the_shorter_squared() {
        // Measured: 183 MiB at 2048 x 2048, 231 MiB at 2048 x 8192 and its transpose.
        let mib = |rows, cols| decomposing_bytes(rows, cols, false) >> 20;
        assert_eq!((mib(2048, 2048), mib(2048, 8192), mib(8192, 2048)), (176, 224, 224));
        assert!(decomposing_bytes(8, 8, true) > decomposing_bytes(8, 8, false));
        assert_eq!(decomposing_bytes(usize::MAX, usize::MAX, true), u64::MAX);
        assert_eq!((decomposing_bytes(0, 7, false), decomposition_bytes(usize::MAX, 2)), (0, u64::MAX));
    }
}
