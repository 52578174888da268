//! What the tests of this room share.

use crate::checkpoint::Dtype;
use crate::model::{Kind, Layer};

/// An f32 layer [rows, cols] that no file holds.
pub(super) fn layer(name: &str, rows: usize, cols: usize) -> Layer {
    let block = name.split('.').find_map(|part| part.parse().ok());
    let bytes = (rows * cols * 4) as u64;
    Layer {
        name: name.into(),
        block,
        kind: Kind::Other,
        rows,
        cols,
        dtype: Dtype::F32,
        bytes,
        fixed: false,
        transposed: false,
    }
}
