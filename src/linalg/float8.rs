//! Eight-bit floats and the scales of their blocks.

use half::f16;

use super::NumericError;
use crate::checkpoint::View;

/// A format of eight bits (OCP 8-bit Floating Point Specification, revision 1.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float8 {
    /// One bit of sign, four of exponent with bias 7, three of mantissa; no infinity, NaN is all ones.
    E4m3,
    /// One bit of sign, five of exponent with bias 15, two of mantissa: the upper half of an IEEE half.
    E5m2,
}

impl Float8 {
    /// The code whose number is nearest to `x`, of two the even one; what is beyond the largest becomes that, NaN all ones.
    pub fn narrow(self, x: f32) -> u8 {
        let most: u8 = match self {
            Self::E4m3 => 0x7e,
            Self::E5m2 => 0x7b,
        };
        let (sign, size) = (if x.is_sign_negative() { 0x80 } else { 0 }, f64::from(x.abs()));
        if x.is_nan() {
            return 0x7f;
        }
        let value = |code: u8| f64::from(self.widen(code));
        let (mut low, mut high) = (0, most);
        while high - low > 1 {
            let middle = low.midpoint(high);
            *if value(middle) <= size { &mut low } else { &mut high } = middle;
        }
        let (below, above) = (size - value(low), value(high) - size);
        let up = above < below || (above <= below && low % 2 == 1);
        sign | if up { high } else { low }
    }

    /// The number that a code stands for; every one is exact in f32.
    #[inline]
    pub fn widen(self, code: u8) -> f32 {
        match self {
            Self::E5m2 => f16::from_bits(u16::from(code) << 8).to_f32(),
            Self::E4m3 => {
                let (sign, magnitude) = (u32::from(code & 0x80) << 24, u32::from(code & 0x7f));
                // The exponent's bias differs by 120; what is below the least normal number is one of f32's as well.
                let scaled = f32::from_bits(magnitude << 20) * f32::from_bits((127 + 120) << 23);
                let nan = if magnitude == 0x7f { 0x7fc0_0000 } else { 0 };
                f32::from_bits(scaled.to_bits() | nan | sign)
            }
        }
    }
}

/// One scale a block of a matrix as it lies in memory: lines (rows, or columns where it is stored column by column) of some
/// length. Blocks at the ends may be cut short.
#[derive(Debug, Clone)]
pub struct BlockScales {
    values: View<f32>,
    /// Lines, and elements of a line, that a block has.
    block: [usize; 2],
    /// Blocks along a line.
    across: usize,
    stored_bytes: usize,
}

impl BlockScales {
    /// `values` are [ceil(lines / height), ceil(length / width)] for a block [height, width]; they take `stored_bytes` in the
    /// file.
    ///
    /// # Errors
    /// [`NumericError::Size`] where there are not so many, [`NumericError::Layout`] for blocks without elements.
    pub fn new(
        [lines, length]: [usize; 2],
        [height, width]: [usize; 2],
        values: View<f32>,
        stored_bytes: usize,
    ) -> Result<Self, NumericError> {
        if height == 0 || width == 0 {
            return Err(NumericError::Layout("blocks of 0 elements"));
        }
        let (rows, cols, found) = (lines.div_ceil(height), length.div_ceil(width), values.len());
        let needed = rows.saturating_mul(cols);
        if needed != found {
            return Err(NumericError::Size { rows, cols, needed, found });
        }
        Ok(Self { values, block: [height, width], across: cols, stored_bytes })
    }

    /// Bytes that they take in the file.
    pub(super) fn stored_bytes(&self) -> usize {
        self.stored_bytes
    }

    /// The elements of a line from `from` on, whose codes are `codes`: each the nearest f32 to code times scale.
    pub(super) fn widen(&self, format: Float8, codes: &[u8], (line, from): (usize, usize), out: &mut [f32]) {
        let [height, width] = self.block;
        let scales = self.values.get(line / height * self.across..).unwrap_or_default();
        let (mut codes, mut out, mut at) = (codes, out, from);
        while !out.is_empty() && !codes.is_empty() {
            let count = (width - at % width).min(out.len()).min(codes.len());
            let scale = scales.get(at / width).copied().unwrap_or(f32::NAN);
            let (now, rest) = out.split_at_mut(count);
            let (those, after) = codes.split_at(count);
            now.iter_mut().zip(those).for_each(|(out, code)| *out = format.widen(*code) * scale);
            (out, codes, at) = (rest, after, at + count);
        }
    }

    /// The codes of the elements `w` of a whole line: each the nearest to w / scale.
    pub(super) fn narrow(&self, format: Float8, line: usize, w: &[f32]) -> Vec<u8> {
        let [height, width] = self.block;
        let scales = self.values.get(line / height * self.across..).unwrap_or_default();
        let code = |(w, scale): (&f32, &f32)| if *scale == 0.0 { 0 } else { format.narrow(*w / scale) };
        w.iter().zip(scales.iter().flat_map(|scale| std::iter::repeat_n(scale, width))).map(code).collect()
    }

    /// The scales of one line, as many as blocks lie along it.
    pub(super) fn line(&self, line: usize) -> &[f32] {
        let start = line / self.block[0] * self.across;
        self.values.get(start..start + self.across).unwrap_or_default()
    }

    /// Other scales, with a line of them for each of `lines` lines.
    pub(super) fn of_lines(&self, values: &[f32], lines: usize) -> Self {
        let [_, width] = self.block;
        let across = values.len().checked_div(lines).unwrap_or_default();
        Self { stored_bytes: size_of_val(values), values: View::copied(values), block: [1, width], across }
    }

    /// Those of the matrix [rows, cols] whose stored lines become the elements of a line, and the other way round.
    pub(super) fn turned(&self) -> Self {
        let down = self.values.len() / self.across.max(1);
        let turned = (0..self.across).flat_map(|j| (0..down).map(move |i| i * self.across + j));
        let values: Vec<f32> = turned.filter_map(|at| self.values.get(at).copied()).collect();
        let [height, width] = self.block;
        Self { values: View::copied(&values), block: [width, height], across: down, stored_bytes: self.stored_bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (-1)^s 2^(e - bias) (1 + m / 2^bits), or without the 1 and with e = 1 where the exponent's bits are 0.
    fn defined(code: u8, bits: i32, bias: i32) -> f64 {
        let (exponent, mantissa) = (i32::from((code & 0x7f) >> bits), f64::from(code & ((1 << bits) - 1)));
        let one = if exponent == 0 { 0.0 } else { 1.0 };
        let sign = if code & 0x80 == 0 { 1.0 } else { -1.0 };
        sign * f64::powi(2.0, exponent.max(1) - bias) * (one + mantissa / f64::from(1 << bits))
    }

    #[test]
    fn every_code_is_what_the_definition_says() {
        for code in 0..=255_u8 {
            let magnitude = code & 0x7f;
            let (e4m3, e5m2) = (Float8::E4m3.widen(code), Float8::E5m2.widen(code));
            let same = |found: f32, wanted: f64| (f64::from(found)).to_bits() == wanted.to_bits();
            if magnitude == 0x7f {
                assert!(e4m3.is_nan());
            } else {
                assert!(same(e4m3, defined(code, 3, 7)), "{code:#x}: {e4m3}");
            }
            match magnitude {
                0x7c => assert!(e5m2.is_infinite() && e5m2.is_sign_negative() == (code > 0x7f)),
                0x7d.. => assert!(e5m2.is_nan()),
                _ => assert!(same(e5m2, defined(code, 2, 15)), "{code:#x}: {e5m2}"),
            }
        }
        let largest = [Float8::E4m3.widen(0x7e), Float8::E5m2.widen(0x7b)];
        assert_eq!(largest.map(f32::to_bits), [448.0_f32, 57344.0].map(f32::to_bits));
    }

    #[test]
    fn codes_are_the_nearest_and_even_where_two_are() {
        for format in [Float8::E4m3, Float8::E5m2] {
            let finite = (0..=255_u8).filter(|code| format.widen(*code).is_finite());
            finite.clone().for_each(|code| assert_eq!(format.narrow(format.widen(code)), code));
            for code in finite.filter(|code| format.widen(code.saturating_add(1)).is_finite() && *code != 0x7f) {
                let (here, next) = (format.widen(code), format.widen(code + 1));
                let middle = here.midpoint(next);
                assert_eq!(format.narrow(middle), code + code % 2, "{middle}");
                assert_eq!(format.narrow(middle + (next - here) / 64.0), code + 1);
                assert_eq!(format.narrow(middle - (next - here) / 64.0), code);
            }
        }
        assert_eq!([Float8::E4m3.narrow(1e9), Float8::E5m2.narrow(f32::NEG_INFINITY)], [0x7e, 0xfb]);
        assert!(Float8::E4m3.widen(Float8::E4m3.narrow(f32::NAN)).is_nan());
    }

    #[test]
    fn blocks_may_be_cut_short_and_begin_within() {
        // 3 lines of 5 in blocks of 2 x 2; every code is 1.
        let values = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let scales = BlockScales::new([3, 5], [2, 2], View::copied(&values), 24).unwrap();
        let line = |scales: &BlockScales, line, from, count| {
            let mut out = vec![0.0; count];
            scales.widen(Float8::E4m3, &vec![0x38; count], (line, from), &mut out);
            out
        };
        assert_eq!(line(&scales, 1, 0, 5), [1.0, 1.0, 2.0, 2.0, 3.0]);
        assert_eq!(line(&scales, 2, 3, 2), [5.0, 6.0]);
        assert_eq!(line(&scales.turned(), 4, 0, 3), [3.0, 3.0, 6.0]);
        assert!(BlockScales::new([3, 5], [2, 3], View::copied(&values), 24).is_err());
        assert!(BlockScales::new([3, 5], [0, 3], View::copied(&[]), 0).is_err());
    }
}
