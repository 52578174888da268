//! Stored tensors as matrices.

use crate::checkpoint::{Dtype, Scale, Tensor, View, escaped};
use crate::linalg::{BlockScales, Float8, Matrix, Order, Values};

/// The side of a block where neither config.json nor the scales' shape tells it.
const USUAL_BLOCK: usize = 128;

/// A floating-point tensor as a matrix [rows, cols] that shares its bytes; `None` for other types and sizes, and for
/// eight-bit floats whose scales are missing or do not fit.
pub(super) fn float_matrix(tensor: &Tensor, rows: usize, cols: usize, transposed: bool) -> Option<Matrix> {
    let (order, lines) = if transposed { (Order::ColumnMajor, [cols, rows]) } else { (Order::RowMajor, [rows, cols]) };
    let values = match tensor.dtype {
        Dtype::F32 => Values::F32(tensor.data.view()?),
        Dtype::F16 => Values::F16(tensor.data.view()?),
        Dtype::BF16 => Values::Bf16(tensor.data.view()?),
        Dtype::F64 => Values::F64(tensor.data.view()?),
        Dtype::F8_E4M3 => eight_bits(tensor, Float8::E4m3, lines)?,
        Dtype::F8_E5M2 => eight_bits(tensor, Float8::E5m2, lines)?,
        _ => return None,
    };
    Matrix::new(rows, cols, order, values).ok()
}

fn eight_bits(tensor: &Tensor, format: Float8, lines: [usize; 2]) -> Option<Values> {
    let scales = block_scales(tensor.scale()?, lines)?;
    Some(Values::F8 { codes: tensor.data.view()?, format, scales })
}

/// The scales of a tensor that lies as `lines`: one for all, one a line, or a grid.
fn block_scales(scale: &Scale, [lines, length]: [usize; 2]) -> Option<BlockScales> {
    let tensor = &scale.tensor;
    let values = match tensor.dtype {
        Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64 => {
            View::copied(&float_matrix(tensor, 1, tensor.elements(), false)?.to_f32())
        }
        _ => return None,
    };
    let block = match *tensor.shape.as_slice() {
        [] | [1] | [1, 1] => [lines, length],
        [down] if down == lines => [1, length],
        [down, across] => {
            let told = scale.block.map_or([USUAL_BLOCK; 2], |block| block);
            [side(lines, down, told[0])?, side(length, across, told[1])?]
        }
        _ => return None,
    };
    BlockScales::new([lines, length], block.map(|side| side.max(1)), values, tensor.data.len()).ok()
}

/// The side of blocks that cut `length` into `count`: the one told, else what divides it evenly.
fn side(length: usize, count: usize, told: usize) -> Option<usize> {
    let cuts = |side: &usize| *side > 0 && length.div_ceil(*side) == count;
    [told, length.checked_div(count)?, length.div_ceil(count)].into_iter().find(cuts)
}

/// Why no matrix can be made of a tensor, after its name ("tensor NAME is stored as ..."); `None` where one can.
pub(super) fn why_unreadable(tensor: &Tensor) -> Option<String> {
    let (dtype, name) = (tensor.dtype, escaped(&tensor.name, 120));
    match (dtype, tensor.scale()) {
        (Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16, _) => None,
        (Dtype::F8_E4M3 | Dtype::F8_E5M2, Some(scale)) => {
            let (scales, shape) = (&scale.tensor, &tensor.shape);
            let says = || {
                let (name, dtype) = (escaped(&scales.name, 120), scales.dtype);
                format!("is {shape:?}, and its scales {name}, {:?} in {dtype}, do not fit that", scales.shape)
            };
            block_scales(scale, as_matrix(tensor)).is_none().then(says)
        }
        (Dtype::F8_E4M3 | Dtype::F8_E5M2, None) => Some(format!(
            "is stored as {dtype}, which cannot be read without scales ({name}_scale_inv or {name}_scale)"
        )),
        (Dtype::I8 | Dtype::U8, _) => {
            Some(format!("is stored as {dtype} without scales; only floating-point weights can be run"))
        }
        _ => Some(format!(
            "is stored as {dtype}, which is not supported (supported: F64, F32, F16, BF16, F8 with scales)"
        )),
    }
}

/// [rows, cols] of a tensor as it lies; one row where it has not two dimensions.
pub(super) fn as_matrix(tensor: &Tensor) -> [usize; 2] {
    match *tensor.shape.as_slice() {
        [rows, cols] => [rows, cols],
        _ => [1, tensor.elements()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_of_blocks_are_told_or_found() {
        assert_eq!(side(300, 3, 128), Some(128));
        assert_eq!(side(96, 3, 128), Some(32));
        assert_eq!(side(100, 3, 128), Some(34));
        assert_eq!(side(7, 7, 128), Some(1));
        assert_eq!(side(7, 9, 128), None);
        assert_eq!(side(7, 0, 128), None);
    }
}
