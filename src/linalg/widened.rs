//! A stored matrix read as f32: a row, some rows, or all of it.

use half::f16;

use super::kernels::{Element, Family, Scales, WidenRows};
use super::matrix::{Matrix, Order, Values};

/// Rows read together.
const ROWS: usize = 64;
/// Lines of what is stored column by column that are read before their elements are put into rows.
const LINES: usize = 16;

impl Matrix {
    /// Row `i`, widened to f32, into `out` [cols]. (Embedding look-up; only cheap for `RowMajor`.)
    /// A row that does not exist is zeros.
    pub fn row(&self, i: usize, out: &mut [f32]) {
        debug_assert!(i < self.rows() && out.len() == self.cols(), "row {i} of {} x {}", self.rows(), self.cols());
        self.rows_from(i, out);
    }

    /// Rows from `first` on, widened to f32, as many as `out` [t, cols] holds. Rows that do not exist are zeros.
    pub fn rows_from(&self, first: usize, out: &mut [f32]) {
        out.fill(0.0);
        let cols = self.cols().max(1);
        match self.order() {
            Order::RowMajor => {
                for (row, stored) in self.runs(first..first.saturating_add(out.len() / cols)) {
                    let outs = out.chunks_exact_mut(cols).skip(row - first);
                    stored.zip(outs).for_each(|(line, out)| self.widen_line(line, 0, out));
                }
            }
            Order::ColumnMajor => self.rows_from_columns(first, out),
        }
    }

    /// All of it as f32 [rows, cols], row-major. Allocates: for decompositions and exports, not for running.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut all = vec![0.0; self.rows() * self.cols()];
        for (part, out) in all.chunks_mut((ROWS * self.cols()).max(1)).enumerate() {
            self.rows_from(part * ROWS, out);
        }
        all
    }

    /// The same from columns: some of them at a time, so that neither they nor the rows are passed element by element.
    fn rows_from_columns(&self, first: usize, out: &mut [f32]) {
        let (cols, count) = (self.cols().max(1), out.len() / self.cols().max(1));
        let mut lines = vec![0.0; LINES * count];
        for start in (0..self.cols()).step_by(LINES) {
            let taken = LINES.min(self.cols() - start);
            for (line, elements) in lines.chunks_exact_mut(count.max(1)).take(taken).enumerate() {
                for (row, stored) in self.runs(first..first.saturating_add(count)) {
                    let elements = elements.get_mut(row - first..row - first + stored.len()).unwrap_or_default();
                    self.widen_line(start + line, stored.start, elements);
                }
            }
            for (row, out) in out.chunks_exact_mut(cols).enumerate() {
                let elements = lines.iter().skip(row).step_by(count.max(1)).take(taken);
                out.iter_mut().skip(start).zip(elements).for_each(|(out, element)| *out = *element);
            }
        }
    }

    /// The elements of a stored line (a row, or a column where it is stored column by column) from `from` on, as f32; INT4 and
    /// INT8 are read from the start of a line. What is not stored is left as it is.
    pub(super) fn widen_line(&self, line: usize, from: usize, out: &mut [f32]) {
        let length = match self.order() {
            Order::RowMajor => self.cols(),
            Order::ColumnMajor => self.stored_rows(),
        };
        let start = line * length + from;
        let range = start..start + out.len();
        match self.values() {
            Values::F32(w) => w.get(range).into_iter().for_each(|w| out.copy_from_slice(w)),
            Values::F16(w) => widen(w.get(range), out),
            Values::Bf16(w) => widen(w.get(range), out),
            Values::F64(w) => {
                let line = w.get(range).unwrap_or_default();
                out.iter_mut().zip(line).for_each(|(out, x)| *out = *x as f32);
            }
            Values::F8 { codes, format, scales } => {
                scales.widen(*format, codes.get(range).unwrap_or_default(), (line, from), out);
            }
            Values::I8 { quant, scales, group } => {
                widen(quant.get(range), out);
                scale(out, scales, line, group.unwrap_or(length), |scale| *scale);
            }
            Values::I4 { quant, scales, group } => {
                let start = line * length.div_ceil(2);
                widen(quant.get(start..start + out.len().div_ceil(2)), out);
                scale(out, scales, line, *group, |scale: &f16| scale.to_f32());
            }
        }
    }
}

/// Elements widened on the best unit of this machine.
fn widen<E: Element>(w: Option<&[E]>, out: &mut [f32]) {
    let cols = out.len();
    let kernel = w.and_then(|w| WidenRows::new(w, Scales::None, cols, out));
    kernel.into_iter().for_each(|kernel| Family::best().run(kernel));
}

/// Multiplies each group of a line with its scale.
fn scale<S>(out: &mut [f32], scales: &[S], line: usize, group: usize, widened: impl Fn(&S) -> f32) {
    let scales = scales.iter().skip(line * out.len().div_ceil(group.max(1)));
    for (out, scale) in out.chunks_mut(group.max(1)).zip(scales) {
        let scale = widened(scale);
        out.iter_mut().for_each(|x| *x *= scale);
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::checkpoint::View;
    use crate::linalg::testing::random;
    use crate::linalg::{RowSelection, quantize_groups, quantize4};

    fn bits(w: &[f32]) -> Vec<u32> {
        w.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn rows_are_those_of_the_whole_and_beyond_the_last_zeros() {
        let (rows, cols) = (ROWS + 9, LINES + 5);
        let w = random(rows * cols, 1);
        let turned: Vec<f32> = (0..cols).flat_map(|j| w.iter().skip(j).step_by(cols).copied()).collect();
        let halves = |w: &[f32]| w.iter().map(|x| bf16::from_f32(*x)).collect::<Vec<_>>();
        let of = |order, values| Matrix::new(rows, cols, order, values).unwrap();
        let (quant, scales) = quantize_groups(&w, rows, cols, 8);
        let matrices = [
            Matrix::from_f32(rows, cols, &w).unwrap(),
            of(Order::RowMajor, Values::Bf16(View::copied(&halves(&w)))),
            of(Order::ColumnMajor, Values::F32(View::copied(&turned))),
            of(Order::ColumnMajor, Values::Bf16(View::copied(&halves(&turned)))),
            Matrix::from_i8(rows, cols, &quant, &scales, Some(8)).unwrap(),
            quantize4(&w, rows, cols, 7, None).unwrap(),
        ];
        assert_eq!(matrices[2].to_f32(), w);
        assert_eq!(matrices[3].to_f32(), matrices[1].to_f32());
        for whole in matrices {
            for matrix in [whole.select(RowSelection { rows: 40, offset: 3, block: 4, step: 7 }).unwrap(), whole] {
                let mut all = matrix.to_f32();
                all.extend(vec![0.0; 3 * cols]);
                for (first, count) in [(0, 1), (5, 30), (matrix.rows() - 2, 5), (matrix.rows() + 1, 2)] {
                    let mut out = vec![9.0; count * cols];
                    matrix.rows_from(first, &mut out);
                    assert_eq!(bits(&out), bits(&all[first * cols..][..count * cols]), "{first} {count} {matrix:?}");
                }
            }
        }
    }
}
