//! A layer's weight as one sum: W ~ base + U Vh.

use crate::linalg::{Arithmetic, Matrix, NumericError, Products, RowSelection};

/// The low-rank part U Vh: U [m, r], Vh [r, n], sqrt(S) folded into both.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// U [m, r].
    pub u: Matrix,
    /// Vh [r, n].
    pub vh: Matrix,
}

/// W ~ base + U Vh, each part absent or in its own number format; run from what is stored, never expanded.
/// An uncompressed layer is `base` alone, sharing its bytes with the file.
#[derive(Debug, Clone, Default)]
pub struct CompressedLinear {
    /// The base, if any.
    pub base: Option<Matrix>,
    /// The low-rank part, if any.
    pub low_rank: Option<LowRank>,
}

impl CompressedLinear {
    /// A layer as the checkpoint has it.
    pub fn dense(matrix: Matrix) -> Self {
        Self { base: Some(matrix), low_rank: None }
    }

    /// Some of its rows, sharing the elements.
    ///
    /// # Errors
    /// [`NumericError::Selection`] for rows that it has not.
    pub fn select(&self, rows: RowSelection) -> Result<Self, NumericError> {
        let base = self.base.as_ref().map(|base| base.select(rows)).transpose()?;
        let Some(LowRank { u, vh }) = &self.low_rank else { return Ok(Self { base, low_rank: None }) };
        Ok(Self { base, low_rank: Some(LowRank { u: u.select(rows)?, vh: vh.clone() }) })
    }

    /// [m, n]; (0, 0) where both parts are absent.
    pub fn shape(&self) -> (usize, usize) {
        match (&self.base, &self.low_rank) {
            (Some(base), _) => (base.rows(), base.cols()),
            (None, Some(low)) => (low.u.rows(), low.vh.cols()),
            (None, None) => (0, 0),
        }
    }

    /// Bytes as stored, scales included.
    pub fn bytes(&self) -> u64 {
        let low = self.low_rank.as_ref().map_or(0, |low| low.u.bytes() + low.vh.bytes());
        self.base.as_ref().map_or(0, Matrix::bytes) + low
    }

    /// y [t, m] = x [t, n] (base + U Vh)^T.
    pub fn apply(&self, x: &[f32], y: &mut [f32]) {
        self.apply_in(Arithmetic::Exact, x, y);
    }

    /// The same in `arithmetic`.
    pub fn apply_in(&self, arithmetic: Arithmetic, x: &[f32], y: &mut [f32]) {
        Self::apply_all(arithmetic, x, &mut [(self, y)]);
    }

    /// The same for weights that read the same input, each with its y: all that reads x is done side by side, then all that
    /// reads a Vh x.
    pub fn apply_all(arithmetic: Arithmetic, x: &[f32], products: &mut [(&Self, &mut [f32])]) {
        let inner = |low: &LowRank| vec![0.0; x.len() / low.vh.cols().max(1) * low.vh.rows()];
        let mut inner: Vec<Vec<f32>> =
            products.iter().map(|(weight, _)| weight.low_rank.as_ref().map(inner).unwrap_or_default()).collect();
        let mut first = Products::default();
        for ((weight, y), z) in products.iter_mut().zip(&mut inner) {
            match &weight.base {
                Some(base) => first.set(arithmetic, base, x, y),
                None => y.fill(0.0),
            }
            if let Some(low) = &weight.low_rank {
                first.set(arithmetic, &low.vh, x, z);
            }
        }
        first.run();
        let mut second = Products::default();
        for ((weight, y), z) in products.iter_mut().zip(&inner) {
            if let Some(low) = &weight.low_rank {
                second.add(arithmetic, &low.u, z, y);
            }
        }
        second.run();
    }

    /// The matrix it stands for, as f32 [m, n]: for measuring and for dense exports, not for running.
    pub fn to_f32(&self) -> Vec<f32> {
        let (m, n) = self.shape();
        let mut sum = self.base.as_ref().map_or_else(|| vec![0.0; m * n], Matrix::to_f32);
        if let Some(low) = &self.low_rank {
            let (u, vh, r) = (low.u.to_f32(), low.vh.to_f32(), low.vh.rows());
            for (row, out) in sum.chunks_exact_mut(n.max(1)).enumerate() {
                for (j, v) in vh.chunks_exact(n.max(1)).enumerate() {
                    let weight = u.get(row * r + j).copied().unwrap_or_default();
                    out.iter_mut().zip(v).for_each(|(o, v)| *o += weight * v);
                }
            }
        }
        sum
    }
}
