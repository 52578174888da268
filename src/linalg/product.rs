//! Products of a stored matrix: which kernel, and how threads share it.

use std::ops::Range;
use std::sync::Arc;

use super::kernels::{
    ColumnKernel, ColumnProduct, Element, Family, LinedInput, OUTPUT_GRANULE, Output, PACKED_GRANULE, PANEL_BYTES,
    PackedInput, PackedRows, RowKernel, RowProduct, Scales, WidenRows,
};
use super::matrix::{Matrix, Order, Values};
use super::threads::{ROW_SHARES, Task};

/// From so many tokens on grouped weights are widened once for all of them, and inputs lined up, where the unit gains by it.
const MANY_TOKENS: usize = 8;
/// From so many tokens on inputs and weights are laid out for outer products, where the unit gains by it: at 32 it costs more than it saves.
const PACKED_TOKENS: usize = 64;
/// About how many elements are widened together: they stay in the second-level cache.
const PANEL_ELEMENTS: usize = 64 << 10;
/// Rows that a share is a multiple of: the tallest tile.
pub(super) const ROW_GRANULE: usize = 8;

/// How the inputs of a product lie.
enum Layout {
    /// As they are given, one after another.
    Given,
    /// Each from a cache line on.
    Lined(Arc<LinedInput>),
    /// For outer products.
    Packed(Arc<PackedInput>),
}

/// Inputs that are laid out for one vector unit: products that read the same ones share them.
#[derive(Default)]
pub struct LaidOut<'a> {
    lined: Kept<'a, LinedInput>,
    packed: Kept<'a, PackedInput>,
}

/// What was made of inputs of so many columns.
struct Kept<'a, T>(Vec<(&'a [f32], usize, Arc<T>)>);

impl<T> Default for Kept<'_, T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T> Kept<'a, T> {
    fn get(&mut self, x: &'a [f32], cols: usize, make: impl FnOnce() -> T) -> Arc<T> {
        let known = self.0.iter().find(|(known, length, _)| std::ptr::eq(*known, x) && *length == cols);
        if let Some((_, _, made)) = known {
            return Arc::clone(made);
        }
        let made = Arc::new(make());
        self.0.push((x, cols, Arc::clone(&made)));
        made
    }
}

/// y = x W^T, or y += x W^T, on one vector unit. Computes as many whole tokens as both slices have.
pub fn task<'a>(
    family: Family,
    matrix: &'a Matrix,
    x: &'a [f32],
    y: Output<'a>,
    laid_out: &mut LaidOut<'a>,
) -> Task<'a> {
    let tokens = x.len().checked_div(matrix.cols()).map_or(y.tokens(), |tokens| tokens.min(y.tokens()));
    let x = x.get(..tokens * matrix.cols()).unwrap_or_default();
    let call = Call { family, matrix, tokens, x, layout: Layout::Given, y };
    match matrix.values() {
        Values::F32(w) => call.task(w, Scales::None, laid_out),
        Values::F16(w) => call.task(w, Scales::None, laid_out),
        Values::Bf16(w) => call.task(w, Scales::None, laid_out),
        Values::F64(_) | Values::F8 { .. } => call.task_by_panels(laid_out),
        Values::I8 { quant, scales, group: None } => call.task(quant, Scales::Rows(scales), laid_out),
        Values::I8 { quant, scales, group: Some(group) } => call.task(quant, Scales::Groups(scales, *group), laid_out),
        Values::I4 { quant, scales, group } => call.task(quant, Scales::HalfGroups(scales, *group), laid_out),
    }
}

struct Call<'a> {
    family: Family,
    matrix: &'a Matrix,
    tokens: usize,
    x: &'a [f32],
    layout: Layout,
    y: Output<'a>,
}

impl<'a> Call<'a> {
    fn task<E: Element>(mut self, w: &'a [E], scales: Scales<'a>, laid_out: &mut LaidOut<'a>) -> Task<'a> {
        self.lay_out(self.packs::<E>(scales), laid_out);
        let row_bytes = self.matrix.cols().div_ceil(E::PACKED).saturating_mul(size_of::<E>());
        self.shared(row_bytes, move |call, rows| {
            for (first, stored) in call.matrix.runs(rows) {
                let y = call.y.starting_at(first);
                match call.matrix.order() {
                    Order::RowMajor => call.run_rows(w, scales, stored, y),
                    Order::ColumnMajor => call.run_columns(w, stored, y),
                }
            }
        })
    }

    /// Lays the inputs out where there are many: for outer products, or in lines for a unit that multiplies rows in place.
    fn lay_out(&mut self, packs: bool, laid_out: &mut LaidOut<'a>) {
        let (family, x, cols) = (self.family, self.x, self.matrix.cols());
        let by_rows = self.matrix.order() == Order::RowMajor && cols > 0;
        if packs {
            self.layout = Layout::Packed(laid_out.packed.get(x, cols, || PackedInput::new(family, x, cols)));
        } else if by_rows && !family.packs() && self.tokens >= MANY_TOKENS {
            self.layout = Layout::Lined(laid_out.lined.get(x, cols, || LinedInput::new(x, cols)));
        }
    }

    /// Whether outer products pay: there are many tokens, and the unit gains by it.
    fn packs<E: Element>(&self, scales: Scales<'_>) -> bool {
        let by_rows = self.matrix.order() == Order::RowMajor && self.matrix.rows() > 0 && self.matrix.cols() > 0;
        by_rows && self.family.packs() && self.tokens >= PACKED_TOKENS && PackedRows::<E>::takes(scales)
    }

    /// For formats that kernels do not read: a panel of rows at a time is widened to f32 before it is multiplied.
    fn task_by_panels(mut self, laid_out: &mut LaidOut<'a>) -> Task<'a> {
        self.lay_out(false, laid_out);
        let cols = self.matrix.cols();
        let height = (PANEL_ELEMENTS / cols.max(1)).max(1).next_multiple_of(self.grain().0);
        self.shared(cols.saturating_mul(size_of::<f32>()), move |call, rows| {
            let mut panel = Vec::new();
            for (first, stored) in call.matrix.runs(rows) {
                for start in stored.clone().step_by(height) {
                    let part = start..stored.end.min(start + height);
                    panel.resize(part.len() * cols, 0.0);
                    call.run_panel(part, &mut panel, call.y.starting_at(first + start - stored.start));
                }
            }
        })
    }

    /// What shares are a multiple of, and how many a thread has.
    fn grain(&self) -> (usize, usize) {
        match self.matrix.order() {
            Order::RowMajor if matches!(self.layout, Layout::Packed(_)) => (PACKED_GRANULE, 8),
            Order::RowMajor => (ROW_GRANULE, ROW_SHARES),
            Order::ColumnMajor => (OUTPUT_GRANULE, 2),
        }
    }

    /// The rows, each of so many bytes, to be shared out.
    fn shared(self, row_bytes: usize, part: impl Fn(&Self, Range<usize>) + Send + Sync + 'a) -> Task<'a> {
        let (units, (granule, each)) = (self.matrix.rows(), self.grain());
        let work = units.saturating_mul(row_bytes).saturating_mul(self.tokens);
        Task { units, granule, each, work, part: Box::new(move |rows| part(&self, rows)) }
    }

    /// The outputs of `stored` rows, widened into `panel` in the order in which they are stored.
    fn run_panel(&self, stored: Range<usize>, panel: &mut [f32], y: Output<'_>) {
        let (cols, rows, x, tokens) = (self.matrix.cols(), stored.len(), self.x, self.tokens);
        match self.matrix.order() {
            Order::RowMajor => {
                let lines = panel.chunks_exact_mut(cols.max(1)).zip(stored);
                lines.for_each(|(out, line)| self.matrix.widen_line(line, 0, out));
                self.run_in_place(panel, Scales::None, rows, y);
            }
            Order::ColumnMajor => {
                let lines = panel.chunks_exact_mut(rows.max(1)).enumerate();
                lines.for_each(|(line, out)| self.matrix.widen_line(line, stored.start, out));
                let product = ColumnProduct { w: &*panel, rows, stride: rows, cols, x, tokens, y };
                ColumnKernel::new(product, 0..rows).into_iter().for_each(|kernel| self.family.run(kernel));
            }
        }
    }

    /// The outputs of stored rows that lie side by side, into `y` from its column 0 on.
    fn run_rows<E: Element>(&self, w: &[E], scales: Scales<'_>, stored: Range<usize>, y: Output<'_>) {
        let (cols, count) = (self.matrix.cols(), stored.len());
        let stride = cols.div_ceil(E::PACKED);
        let w = w.get(stored.start * stride..stored.end * stride);
        let Some((w, scales)) = w.zip(scales.of_rows(stored, cols)) else { return };
        if let Layout::Packed(x) = &self.layout {
            PackedRows::new(w, scales, count, x, y).into_iter().for_each(|kernel| self.family.run(kernel));
            return;
        }
        if self.tokens >= MANY_TOKENS && scales.align_with_lanes() {
            self.run_widened(w, scales, count, y);
            return;
        }
        self.run_in_place(w, scales, count, y);
    }

    /// The same for rows as they are.
    fn run_in_place<E: Element>(&self, w: &[E], scales: Scales<'_>, count: usize, y: Output<'_>) {
        let cols = self.matrix.cols();
        let (x, apart) = match &self.layout {
            Layout::Lined(lined) => (lined.numbers(), lined.apart()),
            Layout::Given | Layout::Packed(_) => (self.x, cols),
        };
        let product = RowProduct { w, scales, cols, x, apart, tokens: self.tokens, y };
        if let Some(kernel) = RowKernel::new(product, 0..count) {
            self.family.run(kernel);
        }
    }

    /// The same with the weights of some rows at a time widened once, for all tokens.
    fn run_widened<E: Element>(&self, w: &[E], scales: Scales<'_>, count: usize, y: Output<'_>) {
        let (cols, stride) = (self.matrix.cols(), self.matrix.cols().div_ceil(E::PACKED));
        let height = (PANEL_BYTES / (size_of::<f32>() * cols.max(1))).max(ROW_GRANULE);
        let mut widened = vec![0.0; height.min(count) * cols];
        for first in (0..count).step_by(height) {
            let rows = first..count.min(first + height);
            let panel = &mut widened[..rows.len() * cols];
            let parts = w.get(rows.start * stride..rows.end * stride).zip(scales.of_rows(rows.clone(), cols));
            let Some(widen) = parts.and_then(|(w, scales)| WidenRows::new(w, scales, cols, panel)) else { return };
            self.family.run(widen);
            self.run_in_place(&widened, Scales::None, rows.len(), y.starting_at(first));
        }
    }

    /// The same for rows that are stored column by column.
    fn run_columns<E: Element>(&self, w: &[E], stored: Range<usize>, y: Output<'_>) {
        let (cols, rows, stride) = (self.matrix.cols(), stored.len(), self.matrix.stored_rows());
        let w = w.get(stored.start..).unwrap_or_default();
        let product = ColumnProduct { w, rows, stride, cols, x: self.x, tokens: self.tokens, y };
        if let Some(kernel) = ColumnKernel::new(product, 0..rows) {
            self.family.run(kernel);
        }
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use proptest::prelude::*;

    use super::super::testing::random;
    use super::super::threads::share_out;
    use super::super::{
        BlockScales, Float8, RowSelection, add_rows, axpy, quantize_groups, quantize_rows, quantize4, row_dots,
    };
    use super::*;
    use crate::checkpoint::View;

    /// The same numbers in every format and order.
    fn formats(rows: usize, cols: usize, group: usize) -> Vec<Matrix> {
        let w = random(rows * cols, 1);
        let halves: Vec<f16> = w.iter().map(|x| f16::from_f32(*x)).collect();
        let brain: Vec<bf16> = w.iter().map(|x| bf16::from_f32(*x)).collect();
        let doubles: Vec<f64> = w.iter().map(|x| f64::from(*x) * 1.1).collect();
        // Exponents of at most 8, so that no number is far larger than the others.
        let codes: Vec<u8> = w.iter().map(|x| (x.to_bits() >> 8).to_le_bytes()[0] & 0xbf).collect();
        let mut all = Vec::new();
        for order in [Order::RowMajor, Order::ColumnMajor] {
            all.push(Matrix::new(rows, cols, order, Values::F32(View::copied(&w))).unwrap());
            all.push(Matrix::new(rows, cols, order, Values::F16(View::copied(&halves))).unwrap());
            all.push(Matrix::new(rows, cols, order, Values::Bf16(View::copied(&brain))).unwrap());
            all.push(Matrix::new(rows, cols, order, Values::F64(View::copied(&doubles))).unwrap());
            let lines = if order == Order::RowMajor { [rows, cols] } else { [cols, rows] };
            let block = [group, 48];
            let count = lines[0].div_ceil(block[0]) * lines[1].div_ceil(block[1]);
            let scales = BlockScales::new(lines, block, View::copied(&random(count, 5)), 4 * count).unwrap();
            let values = Values::F8 { codes: View::copied(&codes), format: Float8::E4m3, scales };
            all.push(Matrix::new(rows, cols, order, values).unwrap());
        }
        let (quant, scales) = quantize_rows(&w, rows, cols);
        all.push(Matrix::from_i8(rows, cols, &quant, &scales, None).unwrap());
        let (quant, scales) = quantize_groups(&w, rows, cols, group);
        all.push(Matrix::from_i8(rows, cols, &quant, &scales, Some(group)).unwrap());
        all.push(quantize4(&w, rows, cols, group, None).unwrap());
        all
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|x| x.to_bits()).collect()
    }

    fn product(family: Family, matrix: &Matrix, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; x.len() / matrix.cols() * matrix.rows()];
        matrix.apply_on(family, x, &mut y, false);
        y
    }

    #[test]
    fn every_family_agrees_with_f64() {
        for (rows, cols, group) in
            [(1, 1, 1), (9, 5, 2), (21, 67, 32), (16, 64, 32), (70, 131, 24), (17, 131, 19), (150, 48, 16)]
        {
            let x = random(7 * cols, 2);
            for matrix in formats(rows, cols, group) {
                let w = matrix.to_f32();
                for family in Family::available() {
                    let y = product(family, &matrix, &x);
                    for (i, y) in y.iter().enumerate() {
                        let (w, x) = (&w[i % rows * cols..][..cols], &x[i / rows * cols..][..cols]);
                        let terms = w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
                        let (exact, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                        // Each of some 100 roundings errs by 6e-8 of a partial sum, and those are at most the sum of |terms|.
                        assert!(
                            (f64::from(*y) - exact).abs() <= 1e-5 * size,
                            "{} {rows} x {cols} {:?}: y[{i}] = {y}, not {exact}",
                            family.name(),
                            matrix.order()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn prefill_and_decode_agree_to_the_bit_on_any_number_of_threads() {
        // Large enough to be shared out: f32 at one token, INT8 at four.
        let (rows, cols) = (901, 333);
        for threads in 1..=3 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            for matrix in formats(rows, cols, 32) {
                for family in Family::available() {
                    let x = random(9 * cols, 3);
                    let alone: Vec<f32> = x.chunks_exact(cols).flat_map(|x| product(family, &matrix, x)).collect();
                    for t in 1..=9 {
                        let together = pool.install(|| product(family, &matrix, &x[..t * cols]));
                        assert_eq!(bits(&together), bits(&alone[..t * rows]), "{} {t} tokens", family.name());
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_prompt_agrees_with_single_tokens_to_the_bit() {
        let (rows, cols, tokens) = (101, 131, PACKED_TOKENS + 3);
        let selection = RowSelection { rows: 40, offset: 3, block: 4, step: 9 };
        let x = random(tokens * cols, 12);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        for whole in formats(rows, cols, 32) {
            for matrix in [whole.select(selection).unwrap(), whole] {
                for family in Family::available() {
                    let alone: Vec<f32> = x.chunks_exact(cols).flat_map(|x| product(family, &matrix, x)).collect();
                    let together = pool.install(|| product(family, &matrix, &x));
                    assert_eq!(bits(&together), bits(&alone), "{} {matrix:?}", family.name());
                }
            }
        }
    }

    #[test]
    fn a_selection_gives_the_bits_of_the_whole() {
        // Large enough to be shared out: shares begin within blocks.
        let (rows, cols) = (960, 277);
        let kinds = [
            RowSelection::stacked(320, 320),
            RowSelection { rows: 320, offset: 64, block: 64, step: 192 },
            RowSelection { rows: 128, offset: 96, block: 8, step: 57 },
        ];
        let x = random(7 * cols, 11);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let formats = formats(rows, cols, 32);
            let pairs = formats.iter().flat_map(|whole| Family::available().map(move |family| (whole, family)));
            for (whole, family) in pairs {
                for t in [1, 7] {
                    let y = product(family, whole, &x[..t * cols]);
                    for selection in kinds {
                        let part = whole.select(selection).unwrap();
                        let found = pool.install(|| product(family, &part, &x[..t * cols]));
                        let of_token =
                            |y: &[f32]| (0..selection.rows).map(|i| y[selection.stored(i)]).collect::<Vec<_>>();
                        let wanted: Vec<f32> = y.chunks_exact(rows).flat_map(of_token).collect();
                        assert_eq!(bits(&found), bits(&wanted), "{} {selection:?}", family.name());
                    }
                }
            }
        }
    }

    #[test]
    fn adding_adds_the_product_once() {
        for matrix in formats(37, 29, 8) {
            for family in Family::available() {
                let x = random(5 * 29, 4);
                let before = random(5 * 37, 5);
                let mut y = before.clone();
                matrix.apply_on(family, &x, &mut y, true);
                let sums: Vec<f32> = product(family, &matrix, &x).iter().zip(&before).map(|(p, b)| b + p).collect();
                assert_eq!(bits(&y), bits(&sums));
            }
        }
    }

    #[test]
    fn empty_sizes_are_no_work() {
        let mut y = [7.0; 4];
        Matrix::from_f32(0, 3, &[]).unwrap().apply(&[1.0; 6], &mut []);
        Matrix::from_f32(2, 3, &[0.0; 6]).unwrap().apply(&[], &mut []);
        for order in [Order::RowMajor, Order::ColumnMajor] {
            y.fill(7.0);
            Matrix::new(2, 0, order, Values::F32(View::copied(&[]))).unwrap().apply(&[], &mut y);
            assert_eq!(bits(&y), [0; 4]);
        }
    }

    #[test]
    fn lengths_that_do_not_fit_compute_what_both_have() {
        let matrix = Matrix::from_f32(2, 2, &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let apply = |matrix: &Matrix, x: &[f32], y: &mut [f32]| {
            share_out(&[task(Family::best(), matrix, x, Output::new(y, 2, false), &mut LaidOut::default())]);
        };
        let mut y = [0.0; 5];
        apply(&matrix, &[1.0, 2.0, 3.0], &mut y);
        assert_eq!(bits(&y), bits(&[1.0, 2.0, 0.0, 0.0, 0.0]));
        let mut y = [0.0; 3];
        apply(&matrix, &[1.0, 2.0, 3.0, 4.0], &mut y);
        assert_eq!(bits(&y), bits(&[1.0, 2.0, 0.0]));
    }

    #[test]
    fn not_a_number_comes_through() {
        for matrix in formats(3, 20, 8) {
            for family in Family::available() {
                let mut x = random(20, 6);
                x[19] = f32::NAN;
                assert!(product(family, &matrix, &x).iter().all(|y| y.is_nan()));
            }
        }
    }

    proptest! {
        #[test]
        fn any_shape_is_the_same_row_by_row(
            rows in 1_usize..40, cols in 1_usize..70, tokens in 1_usize..10, group in 1_usize..40,
        ) {
            let x = random(tokens * cols, 7);
            for matrix in formats(rows, cols, group) {
                for family in Family::available() {
                    let alone: Vec<f32> = x.chunks_exact(cols).flat_map(|x| product(family, &matrix, x)).collect();
                    prop_assert_eq!(bits(&product(family, &matrix, &x)), bits(&alone));
                }
            }
        }

        #[test]
        fn vectors_agree_with_f64(len in 1_usize..200, count in 1_usize..6, alpha in -2.0_f32..2.0) {
            let (a, b, weights) = (random(len, 8), random(count * len, 9), random(count, 10));
            let mut dots = vec![0.0; count];
            row_dots(&a, &b, &mut dots);
            for (row, found) in b.chunks_exact(len).zip(&dots) {
                let exact: f64 = a.iter().zip(row).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                prop_assert!((f64::from(*found) - exact).abs() <= 1e-5 * len as f64);
            }
            let mut sum = a.clone();
            add_rows(&weights, &b, &mut sum);
            for (k, found) in sum.iter().enumerate() {
                let rows = b.chunks_exact(len).zip(&weights);
                let exact: f64 = rows.map(|(row, weight)| f64::from(row[k]) * f64::from(*weight)).sum();
                prop_assert!((f64::from(*found) - f64::from(a[k]) - exact).abs() <= 1e-5);
            }
            // In two runs it is the same to the bit.
            let mut parts = a.clone();
            let half = count / 2;
            add_rows(&weights[..half], &b[..half * len], &mut parts);
            add_rows(&weights[half..], &b[half * len..], &mut parts);
            prop_assert_eq!(bits(&parts), bits(&sum));
            let mut y = b.clone();
            axpy(alpha, &a, &mut y);
            for (i, y) in y.iter().enumerate() {
                let exact = b[i] + alpha * a.get(i).copied().unwrap_or(0.0);
                prop_assert!((y - exact).abs() <= 1e-6);
            }
        }

        #[test]
        fn rows_that_are_too_short_give_nan(len in 1_usize..20, count in 1_usize..5) {
            let short = vec![1.0; count * len - 1];
            let (mut dots, mut sum) = (vec![0.0; count], vec![0.0; len]);
            row_dots(&vec![1.0; len], &short, &mut dots);
            add_rows(&vec![1.0; count], &short, &mut sum);
            prop_assert!(dots.iter().chain(&sum).all(|x| x.is_nan()));
        }
    }
}
