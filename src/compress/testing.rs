//! What the tests of this room share.

use crate::checkpoint::{Bytes, Dtype, Tensor};
use crate::linalg::Matrix;
use crate::model::{Kind, Layer};

/// An f32 layer [rows, cols] that no file holds.
pub(super) fn layer(name: &str, rows: usize, cols: usize) -> Layer {
    let block = name.split('.').find_map(|part| part.parse().ok());
    let bytes = (rows * cols * 4) as u64;
    Layer {
        name: name.into(),
        tensor: name.into(),
        block,
        kind: Kind::Other,
        rows,
        cols,
        dtype: Dtype::F32,
        bytes,
        fixed: false,
        transposed: false,
        part: None,
    }
}

/// An f32 matrix of its own.
pub(super) fn matrix(rows: usize, cols: usize, w: &[f32]) -> Matrix {
    Matrix::from_f32(rows, cols, w).unwrap()
}

/// An f32 tensor of its own.
pub(super) fn tensor(name: &str, shape: &[usize], w: &[f32]) -> Tensor {
    let data = Bytes::copied(bytemuck::cast_slice(w));
    Tensor::new(name.into(), Dtype::F32, shape.to_vec(), data)
}
