//! Symmetric INT8: scale = max|x| / 127, q = round half to even, in -127..=127; all zeros: scale 1. STUB (room `linalg`).

/// One scale a row: (quant [rows, cols], scales [rows]).
pub fn quantize_rows(_w: &[f32], _rows: usize, _cols: usize) -> (Vec<i8>, Vec<f32>) { todo!() }
/// One scale per `group` columns: (quant [rows, cols], scales [rows, ceil(cols / group)]); a last group may be short.
pub fn quantize_groups(_w: &[f32], _rows: usize, _cols: usize, _group: usize) -> (Vec<i8>, Vec<f32>) { todo!() }
/// One scale for everything (the classic layout).
pub fn quantize_whole(_w: &[f32]) -> (Vec<i8>, f32) { todo!() }
