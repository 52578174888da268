//! A matrix in the number format it is stored in.

use bytemuck::Pod;
use half::{bf16, f16};
use std::ops::Range;

use rayon::prelude::*;

use super::fast::Arithmetic;
use super::products::Products;
use super::{BlockScales, Float8, NumericError, RowSelection};
use crate::checkpoint::View;

/// How the elements of a matrix follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Row by row: [out, in] as `nn.Linear` stores it.
    RowMajor,
    /// Column by column: [in, out] as GPT-2's Conv1D stores it. Only for float formats.
    ColumnMajor,
}

/// Elements of a matrix, as stored.
#[derive(Debug, Clone)]
pub enum Values {
    /// IEEE single.
    F32(View<f32>),
    /// IEEE half.
    F16(View<f16>),
    /// bfloat16.
    Bf16(View<bf16>),
    /// IEEE double, each read as the nearest f32.
    F64(View<f64>),
    /// Eight-bit floats, x = code * scale as the nearest f32.
    F8 {
        /// Codes.
        codes: View<u8>,
        /// What they stand for.
        format: Float8,
        /// One scale a block of the matrix as it lies in memory.
        scales: BlockScales,
    },
    /// Symmetric INT8, x = q * scale.
    I8 {
        /// Quantized elements.
        quant: View<i8>,
        /// One scale a row, or ceil(cols / group) a row.
        scales: View<f32>,
        /// Group length along the columns; `None`: one scale a row.
        group: Option<usize>,
    },
    /// INT4, x = q * scale with q in -8..=7 in two's complement: each row begins with a byte of its own, which holds two
    /// numbers, the low half first.
    I4 {
        /// ceil(cols / 2) bytes a row.
        quant: View<u8>,
        /// ceil(cols / group) a row; they may be negative.
        scales: View<f16>,
        /// Group length along the columns.
        group: usize,
    },
}

/// W [rows, cols] = [out, in]; y = W x. Elements stay as stored: kernels widen them in registers. The rows may be a selection
/// of those that are stored.
#[derive(Debug, Clone)]
pub struct Matrix {
    selection: RowSelection,
    stored_rows: usize,
    cols: usize,
    order: Order,
    values: Values,
}

impl Matrix {
    /// Checks that the counts fit.
    ///
    /// # Errors
    /// [`NumericError::Size`] for a count (of elements, bytes or scales) that does not, [`NumericError::Layout`] for INT8 or
    /// INT4 that is stored column by column or has groups of 0 columns.
    pub fn new(rows: usize, cols: usize, order: Order, values: Values) -> Result<Self, NumericError> {
        match &values {
            Values::F32(w) => check_count(rows, cols, w.len())?,
            Values::F16(w) => check_count(rows, cols, w.len())?,
            Values::Bf16(w) => check_count(rows, cols, w.len())?,
            Values::F64(w) => check_count(rows, cols, w.len())?,
            Values::F8 { codes, .. } => check_count(rows, cols, codes.len())?,
            Values::I8 { quant, .. } => check_count(rows, cols, quant.len())?,
            Values::I4 { quant, .. } => check_count(rows, cols.div_ceil(2), quant.len())?,
        }
        if let Values::I4 { scales, group, .. } = &values {
            match group {
                _ if order == Order::ColumnMajor => return Err(NumericError::Layout("columns first")),
                0 => return Err(NumericError::Layout("groups of 0 columns")),
                group => check_count(rows, cols.div_ceil(*group), scales.len())?,
            }
        }
        if let Values::I8 { scales, group, .. } = &values {
            match group {
                _ if order == Order::ColumnMajor => return Err(NumericError::Layout("columns first")),
                Some(0) => return Err(NumericError::Layout("groups of 0 columns")),
                Some(group) => check_count(rows, cols.div_ceil(*group), scales.len())?,
                None => check_count(rows, 1, scales.len())?,
            }
        }
        Ok(Self { selection: RowSelection::whole(rows), stored_rows: rows, cols, order, values })
    }

    /// Some of the stored rows as a matrix of its own that shares the elements.
    ///
    /// # Errors
    /// [`NumericError::Selection`] for rows that are not stored.
    pub fn select(&self, selection: RowSelection) -> Result<Self, NumericError> {
        selection.check(self.stored_rows)?;
        Ok(Self { selection, ..self.clone() })
    }

    /// An f32 matrix of its own, row-major.
    ///
    /// # Errors
    /// [`NumericError::Size`] where `w` has not rows * cols elements.
    pub fn from_f32(rows: usize, cols: usize, w: &[f32]) -> Result<Self, NumericError> {
        Self::new(rows, cols, Order::RowMajor, Values::F32(View::copied(w)))
    }

    /// An f16 matrix of its own, row-major.
    ///
    /// # Errors
    /// [`NumericError::Size`] where `w` has not rows * cols elements.
    pub fn from_f16(rows: usize, cols: usize, w: &[f16]) -> Result<Self, NumericError> {
        Self::new(rows, cols, Order::RowMajor, Values::F16(View::copied(w)))
    }

    /// An INT8 matrix of its own, row-major, with one scale a row or, given a group, a group of columns.
    ///
    /// # Errors
    /// As [`Matrix::new`].
    pub fn from_i8(
        rows: usize,
        cols: usize,
        quant: &[i8],
        scales: &[f32],
        group: Option<usize>,
    ) -> Result<Self, NumericError> {
        let values = Values::I8 { quant: View::copied(quant), scales: View::copied(scales), group };
        Self::new(rows, cols, Order::RowMajor, values)
    }

    /// m, the width of the output.
    pub fn rows(&self) -> usize {
        self.selection.rows
    }

    /// n, the width of the input.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How the stored elements follow each other.
    pub fn order(&self) -> Order {
        self.order
    }

    /// Rows that are stored: more than [`Matrix::rows`] where this is a selection.
    pub fn stored_rows(&self) -> usize {
        self.stored_rows
    }

    /// Which of the stored rows these are.
    pub fn selection(&self) -> RowSelection {
        self.selection
    }

    /// The runs of stored rows that `rows` are, each with the row that it begins with.
    pub(super) fn runs(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, Range<usize>)> + use<> {
        self.selection.runs(rows)
    }

    /// The stored elements: of all stored rows, also where this is a selection.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Bytes as stored, scales included; of a selection, those of its rows.
    pub fn bytes(&self) -> u64 {
        let bytes = match &self.values {
            Values::F32(w) => w.bytes().len(),
            Values::F16(w) => w.bytes().len(),
            Values::Bf16(w) => w.bytes().len(),
            Values::F64(w) => w.bytes().len(),
            Values::F8 { codes, scales, .. } => codes.bytes().len() + scales.stored_bytes(),
            Values::I8 { quant, scales, .. } => quant.bytes().len() + scales.bytes().len(),
            Values::I4 { quant, scales, .. } => quant.bytes().len() + scales.bytes().len(),
        };
        // In 128 bits nothing overflows, and scales of blocks need not be a whole number of bytes a row.
        let of_rows = (bytes as u128 * self.rows() as u128).checked_div(self.stored_rows as u128);
        of_rows.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default()
    }

    /// y = x W^T for `t = x.len() / cols` inputs: x [t, cols], y [t, rows], both row-major.
    /// Each y is one dot product whose order of summation does not depend on t or on the number of threads,
    /// so prefill and decode agree to the bit. Runs on the ambient rayon pool; small products on the caller alone.
    /// Where the lengths do not fit, only the inputs that both slices have whole are computed.
    pub fn apply(&self, x: &[f32], y: &mut [f32]) {
        self.apply_in(Arithmetic::Exact, x, y);
    }

    /// y += x W^T: the products are summed as in [`Matrix::apply`], then added once.
    pub fn apply_add(&self, x: &[f32], y: &mut [f32]) {
        self.apply_add_in(Arithmetic::Exact, x, y);
    }

    /// As [`Matrix::apply`] in `arithmetic`.
    pub fn apply_in(&self, arithmetic: Arithmetic, x: &[f32], y: &mut [f32]) {
        let mut products = Products::default();
        products.set(arithmetic, self, x, y);
        products.run();
    }

    /// As [`Matrix::apply_add`] in `arithmetic`.
    pub fn apply_add_in(&self, arithmetic: Arithmetic, x: &[f32], y: &mut [f32]) {
        let mut products = Products::default();
        products.add(arithmetic, self, x, y);
        products.run();
    }

    /// One of the two on a given vector unit.
    #[cfg(test)]
    pub(super) fn apply_on(&self, family: super::kernels::Family, x: &[f32], y: &mut [f32], add: bool) {
        Products::on(family, self, x, super::kernels::Output::new(y, self.rows(), add)).run();
    }

    /// The elements of stored row `i`.
    fn elements<'a, E>(&self, w: &'a [E], i: usize) -> impl Iterator<Item = &'a E> {
        let (skip, step) = match self.order {
            Order::RowMajor => (i * self.cols, 1),
            Order::ColumnMajor => (i, self.stored_rows),
        };
        w.get(skip..).unwrap_or_default().iter().step_by(step).take(self.cols)
    }

    /// The numbers `w` [rows, cols] in this matrix's eight-bit floats, with its scales; `None` where it is of another format, or
    /// stored column by column.
    pub fn eight_bits_like(&self, w: &[f32]) -> Option<Self> {
        let Values::F8 { format, scales, .. } = &self.values else { return None };
        let rows = w.chunks_exact(self.cols.max(1)).enumerate();
        let codes = rows.flat_map(|(row, w)| scales.narrow(*format, self.selection.stored(row), w));
        let codes = View::copied(&codes.collect::<Vec<u8>>());
        let scales = scales.of_lines(&self.scales_by_row()?.0, self.rows());
        Self::new(self.rows(), self.cols, Order::RowMajor, Values::F8 { codes, format: *format, scales }).ok()
    }

    /// The scales of eight-bit floats with a line of them for each row, and how many a line has; `None` for other formats,
    /// and for what is stored column by column.
    pub fn scales_by_row(&self) -> Option<(Vec<f32>, usize)> {
        match &self.values {
            Values::F8 { scales, .. } if self.order == Order::RowMajor => {
                let of_row = |row| scales.line(self.selection.stored(row)).iter().copied();
                Some(((0..self.rows()).flat_map(of_row).collect(), scales.line(0).len()))
            }
            _ => None,
        }
    }

    /// The same numbers in memory of their own, column by column; `None` for formats that cannot be so. Products are then
    /// summed in the order in which those of a Conv1D are.
    pub fn in_columns(&self) -> Option<Self> {
        let values = match &self.values {
            Values::F32(w) => Values::F32(self.turned(w)),
            Values::F16(w) => Values::F16(self.turned(w)),
            Values::Bf16(w) => Values::Bf16(self.turned(w)),
            Values::F64(w) => Values::F64(self.turned(w)),
            Values::F8 { codes, format, scales } if self.selection.is_whole(self.stored_rows) => {
                let scales = if self.order == Order::RowMajor { scales.turned() } else { scales.clone() };
                Values::F8 { codes: self.turned(codes), format: *format, scales }
            }
            Values::F8 { .. } | Values::I8 { .. } | Values::I4 { .. } => return None,
        };
        Self::new(self.rows(), self.cols, Order::ColumnMajor, values).ok()
    }

    fn turned<E: Pod>(&self, w: &[E]) -> View<E> {
        let rows = self.rows();
        let mut turned = vec![E::zeroed(); rows * self.cols];
        for i in 0..rows {
            let row = self.elements(w, self.selection.stored(i));
            turned.iter_mut().skip(i).step_by(rows).zip(row).for_each(|(to, from)| *to = *from);
        }
        View::copied(&turned)
    }

    /// How many elements are NaN and how many infinite in f32 (of the scales for INT8 and INT4).
    pub fn non_finite(&self) -> (u64, u64) {
        let groups = |group: usize| self.spans(self.cols.div_ceil(group.max(1)));
        match &self.values {
            Values::F32(w) => count_f32(w, self.spans(self.cols)),
            Values::F16(w) => count_f16(w, self.spans(self.cols)),
            Values::Bf16(w) => count(w, self.spans(self.cols), |x| u32::from(x.to_bits() & 0x7fff), 0x7f80),
            Values::F64(w) => count(w, self.spans(self.cols), |x| (*x as f32).to_bits() & 0x7fff_ffff, 0x7f80_0000),
            Values::F8 { .. } => {
                let of_row = |i| {
                    let mut row = vec![0.0; self.cols];
                    self.row(i, &mut row);
                    count_f32(&row, std::iter::once(0..self.cols).collect())
                };
                (0..self.rows()).into_par_iter().map(of_row).reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
            }
            Values::I8 { scales, group, .. } => count_f32(scales, group.map_or_else(|| self.spans(1), groups)),
            Values::I4 { scales, group, .. } => count_f16(scales, groups(*group)),
        }
    }

    /// Where the elements of the rows lie among the stored ones, `a_row` of them to a row.
    fn spans(&self, a_row: usize) -> Vec<Range<usize>> {
        if self.selection.is_whole(self.stored_rows) {
            return std::iter::once(0..self.stored_rows * a_row).collect();
        }
        let runs = self.runs(0..self.rows()).map(|(_, stored)| stored);
        match self.order {
            Order::RowMajor => runs.map(|run| run.start * a_row..run.end * a_row).collect(),
            Order::ColumnMajor => {
                let starts = (0..a_row).map(|col| col * self.stored_rows);
                let runs: Vec<_> = runs.collect();
                starts.flat_map(|at| runs.iter().map(move |run| at + run.start..at + run.end)).collect()
            }
        }
    }
}

fn check_count(rows: usize, cols: usize, found: usize) -> Result<(), NumericError> {
    let needed = rows.saturating_mul(cols);
    if needed == found { Ok(()) } else { Err(NumericError::Size { rows, cols, needed, found }) }
}

fn count_f32(w: &[f32], spans: Vec<Range<usize>>) -> (u64, u64) {
    count(w, spans, |x| x.to_bits() & 0x7fff_ffff, 0x7f80_0000)
}

fn count_f16(w: &[f16], spans: Vec<Range<usize>>) -> (u64, u64) {
    count(w, spans, |x| u32::from(x.to_bits() & 0x7fff), 0x7c00)
}

/// (NaN, infinite) among the `spans` of `w`, by the bits without the sign: infinity's are `infinite`, those of NaN greater.
fn count<E: Sync>(
    w: &[E],
    spans: Vec<Range<usize>>,
    magnitude: impl Fn(&E) -> u32 + Sync,
    infinite: u32,
) -> (u64, u64) {
    let part = |w: &[E]| {
        // Only where one is found they are told apart: the largest of many is had by vectors.
        if w.iter().map(&magnitude).fold(0, u32::max) < infinite {
            return (0, 0);
        }
        w.iter()
            .map(&magnitude)
            .fold((0, 0), |(nan, inf), m| (nan + u64::from(m > infinite), inf + u64::from(m == infinite)))
    };
    let parts = spans.into_par_iter().flat_map(|span| w.get(span).unwrap_or_default().par_chunks(1 << 18));
    parts.map(part).reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(matrix: &Matrix, i: usize) -> Vec<f32> {
        let mut out = vec![9.0; matrix.cols()];
        matrix.row(i, &mut out);
        out
    }

    fn nibbles(rows: usize, cols: usize, quant: &[u8], scales: &[f32], group: usize) -> Result<Matrix, NumericError> {
        let scales: Vec<f16> = scales.iter().map(|scale| f16::from_f32(*scale)).collect();
        let values = Values::I4 { quant: View::copied(quant), scales: View::copied(&scales), group };
        Matrix::new(rows, cols, Order::RowMajor, values)
    }

    /// 2 x 3 in E4M3 with one scale a row.
    fn eights(codes: &[u8], scales: &[f32]) -> Matrix {
        let scales = BlockScales::new([2, 3], [1, 3], View::copied(scales), 4 * scales.len()).unwrap();
        let values = Values::F8 { codes: View::copied(codes), format: Float8::E4m3, scales };
        Matrix::new(2, 3, Order::RowMajor, values).unwrap()
    }

    #[test]
    fn rows_are_the_same_in_every_format() {
        let w = [1.0_f32, -2.0, 0.5, 4.0, 0.25, -8.0];
        let halves = w.map(f16::from_f32);
        let turned = [1.0, 4.0, -2.0, 0.25, 0.5, -8.0].map(bf16::from_f32);
        let formats = [
            Matrix::from_f32(2, 3, &w).unwrap(),
            Matrix::from_f16(2, 3, &halves).unwrap(),
            Matrix::new(2, 3, Order::ColumnMajor, Values::Bf16(View::copied(&turned))).unwrap(),
            Matrix::from_i8(2, 3, &[4, -8, 2, 16, 1, -32], &[0.25; 2], None).unwrap(),
            Matrix::from_i8(2, 3, &[4, -8, 1, 8, 1, -64], &[0.25, 0.5, 0.5, 0.125], Some(2)).unwrap(),
            nibbles(2, 3, &[0xe1, 0x02, 0x12, 0x08], &[1.0, 0.25, 2.0, 1.0], 2).unwrap(),
            Matrix::new(2, 3, Order::RowMajor, Values::F64(View::copied(&w.map(f64::from)))).unwrap(),
            eights(&[0x38, 0xc0, 0x30, 0x40, 0x20, 0xc8], &[1.0, 2.0]),
        ];
        for matrix in &formats[..4] {
            assert_eq!((row(matrix, 0), row(matrix, 1)), (w[..3].to_vec(), w[3..].to_vec()), "{matrix:?}");
            assert_eq!(matrix.to_f32(), w);
        }
        assert_eq!(formats[4].to_f32(), [1.0, -2.0, 0.5, 4.0, 0.5, -8.0]);
        assert_eq!(formats[5].to_f32(), [1.0, -2.0, 0.5, 4.0, 2.0, -8.0]);
        assert_eq!(formats[6].to_f32(), w);
        assert_eq!(formats[7].to_f32(), [1.0, -2.0, 0.5, 4.0, 0.25, -8.0]);
        assert_eq!(formats.each_ref().map(Matrix::bytes), [24, 12, 12, 14, 22, 12, 48, 14]);
    }

    #[test]
    fn counts_that_do_not_fit_are_refused() {
        let size = |result| matches!(result, Err(NumericError::Size { .. }));
        assert!(size(Matrix::from_f32(2, 2, &[0.0; 3])));
        assert!(size(Matrix::from_f32(usize::MAX, 2, &[0.0; 3])));
        assert!(size(Matrix::from_i8(2, 3, &[0; 6], &[1.0; 3], None)));
        assert!(size(Matrix::from_i8(2, 3, &[0; 6], &[1.0; 2], Some(2))));
        assert!(matches!(Matrix::from_i8(2, 3, &[0; 6], &[], Some(0)), Err(NumericError::Layout(_))));
        let values = Values::I8 { quant: View::copied(&[0]), scales: View::copied(&[1.0]), group: None };
        assert!(matches!(Matrix::new(1, 1, Order::ColumnMajor, values), Err(NumericError::Layout(_))));
        assert!(size(nibbles(2, 3, &[0; 3], &[1.0; 2], 4)));
        assert!(size(nibbles(2, 3, &[0; 4], &[1.0; 2], 2)));
        assert!(matches!(nibbles(2, 3, &[0; 4], &[], 0), Err(NumericError::Layout(_))));
    }

    #[test]
    fn nan_and_infinity_are_counted() {
        let w = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -f32::NAN, 0.0];
        assert_eq!(Matrix::from_f32(2, 3, &w).unwrap().non_finite(), (2, 2));
        let halves = w.map(f16::from_f32);
        assert_eq!(Matrix::from_f16(2, 3, &halves).unwrap().non_finite(), (2, 3));
        let brain = Values::Bf16(View::copied(&w.map(bf16::from_f32)));
        assert_eq!(Matrix::new(2, 3, Order::ColumnMajor, brain).unwrap().non_finite(), (2, 3));
        let doubles = w.map(f64::from).map(|x| x * 1.0001);
        let doubles = Matrix::new(3, 2, Order::ColumnMajor, Values::F64(View::copied(&doubles))).unwrap();
        assert_eq!(doubles.non_finite(), (2, 3));
        assert_eq!(eights(&[0x7f, 1, 0x7e, 0xff, 0, 0x7e], &[1.0, f32::MAX]).non_finite(), (2, 1));
        let quantized = Matrix::from_i8(2, 1, &[1, 2], &[f32::NAN, 1.0], None).unwrap();
        assert_eq!(quantized.non_finite(), (1, 0));
        assert_eq!(nibbles(2, 1, &[1, 2], &[1.0, f32::INFINITY], 1).unwrap().non_finite(), (0, 1));
    }

    #[test]
    fn a_selection_is_the_gathered_copy_in_every_format() {
        let w: Vec<f32> = (0..60_u8).map(|i| f32::from(i) * 0.25).collect();
        let halves: Vec<f16> = w.iter().map(|x| f16::from_f32(*x)).collect();
        let mut bad = w.clone();
        (bad[1], bad[31], bad[59]) = (f32::NAN, f32::INFINITY, f32::NAN);
        let (quant, scales) = crate::linalg::quantize_groups(&w, 12, 5, 2);
        let of = |order, w: &[f32]| Matrix::new(12, 5, order, Values::F32(View::copied(w))).unwrap();
        let doubles: Vec<f64> = bad.iter().map(|x| f64::from(*x)).collect();
        let blocks = |order| {
            let lines = if order == Order::RowMajor { [12, 5] } else { [5, 12] };
            let scales = BlockScales::new(lines, [1, 12], View::copied(&w[1..=lines[0]]), 60).unwrap();
            let codes: Vec<u8> = (40..100).collect();
            let values = Values::F8 { codes: View::copied(&codes), format: Float8::E5m2, scales };
            Matrix::new(12, 5, order, values).unwrap()
        };
        let wholes = [
            of(Order::RowMajor, &bad),
            of(Order::ColumnMajor, &bad),
            Matrix::new(12, 5, Order::ColumnMajor, Values::F16(View::copied(&halves))).unwrap(),
            Matrix::from_i8(12, 5, &quant, &scales, Some(2)).unwrap(),
            crate::linalg::quantize4(&w, 12, 5, 4, None).unwrap(),
            Matrix::new(12, 5, Order::ColumnMajor, Values::F64(View::copied(&doubles))).unwrap(),
            blocks(Order::RowMajor),
            blocks(Order::ColumnMajor),
        ];
        let per_head = RowSelection { rows: 4, offset: 2, block: 2, step: 6 };
        for whole in wholes {
            for selection in [RowSelection::stacked(4, 3), per_head, RowSelection::whole(12)] {
                let part = whole.select(selection).unwrap();
                let rows = (0..part.rows()).flat_map(|i| row(&whole, selection.stored(i))).collect::<Vec<_>>();
                let bits = |w: &[f32]| w.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&part.to_f32()), bits(&rows));
                assert_eq!(part.bytes() * 12, whole.bytes() * part.rows() as u64);
                if let Some(columns) = part.in_columns() {
                    assert_eq!((bits(&columns.to_f32()), columns.order()), (bits(&rows), Order::ColumnMajor));
                }
                let nan = rows.iter().filter(|x| x.is_nan()).count() as u64;
                let infinite = rows.iter().filter(|x| x.is_infinite()).count() as u64;
                assert_eq!(part.non_finite(), (nan, infinite), "{selection:?}");
            }
        }
        assert!(matches!(of(Order::RowMajor, &w).select(RowSelection::stacked(9, 4)), Err(NumericError::Selection(_))));
    }
}
