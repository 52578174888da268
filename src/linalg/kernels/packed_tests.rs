use half::{bf16, f16};
use proptest::prelude::*;

use super::super::{Family, LinedInput, RowKernel, RowProduct};
use super::*;
use crate::linalg::testing::random;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// The product of packed inputs, and those of rows in place, of inputs as they are and lined up.
fn products<E: Element>(
    family: Family,
    w: &[E],
    scales: Scales<'_>,
    (rows, cols): (usize, usize),
    x: &[f32],
    add: bool,
) -> [Vec<f32>; 3] {
    let tokens = x.len() / cols;
    let mut found = [1.5; 3].map(|before| vec![before; tokens * rows]);
    let [packed, in_place, lined] = &mut found;
    let input = PackedInput::new(family, x, cols);
    family.run(PackedRows::new(w, scales, rows, &input, Output::new(packed, rows, add)).unwrap());
    let product = RowProduct { w, scales, cols, x, apart: cols, tokens, y: Output::new(in_place, rows, add) };
    family.run(RowKernel::new(product, 0..rows).unwrap());
    let input = LinedInput::new(x, cols);
    let y = Output::new(lined, rows, add);
    let product = RowProduct { w, scales, cols, x: input.numbers(), apart: input.apart(), tokens, y };
    family.run(RowKernel::new(product, 0..rows).unwrap());
    found
}

/// Both in every format on every unit.
fn check((rows, cols): (usize, usize), tokens: usize, group: usize, add: bool) {
    let (w, x) = (random(rows * cols, 1), random(tokens * cols, 2));
    let halves: Vec<f16> = w.iter().map(|x| f16::from_f32(*x)).collect();
    let brain: Vec<bf16> = w.iter().map(|x| bf16::from_f32(*x)).collect();
    let int8: Vec<i8> = w.iter().map(|x| x.to_bits().to_le_bytes()[1].cast_signed()).collect();
    let int4: Vec<u8> = w.iter().take(rows * cols.div_ceil(2)).map(|x| x.to_bits().to_le_bytes()[1]).collect();
    let of_rows = random(rows, 3);
    let of_groups = random(rows * cols.div_ceil(group), 4);
    let half_groups: Vec<f16> = of_groups.iter().map(|x| f16::from_f32(*x)).collect();
    let shape = (rows, cols);
    for family in Family::available() {
        let all = [
            products(family, &w, Scales::None, shape, &x, add),
            products(family, &halves, Scales::None, shape, &x, add),
            products(family, &brain, Scales::None, shape, &x, add),
            products(family, &int8, Scales::Rows(&of_rows), shape, &x, add),
            products(family, &int8, Scales::Groups(&of_groups, group), shape, &x, add),
            products(family, &int4, Scales::HalfGroups(&half_groups, group), shape, &x, add),
        ];
        for (format, [packed, in_place, lined]) in all.iter().enumerate() {
            let case = format!("{} {shape:?} {tokens} {group} format {format}", family.name());
            assert_eq!(bits(packed), bits(in_place), "{case}");
            assert_eq!(bits(lined), bits(in_place), "{case}, lined up");
        }
    }
}

#[test]
fn several_panels_blocks_and_spans_are_the_rows_in_place_to_the_bit() {
    check((2 * MOST_LANES + 5, SPAN + 37), OUTER_TOKENS * BLOCK_TILES + 7, 48, false);
    check((1, SPAN), 1, 32, true);
}

#[test]
fn what_is_too_short_or_not_aligned_is_refused() {
    let x = PackedInput::new(Family::best(), &[1.0; 6], 3);
    let mut y = [0.0; 4];
    let mut fits = |w: &[f32], scales: Scales<'_>, length: usize| {
        PackedRows::new(w, scales, 2, &x, Output::new(&mut y[..length], 2, false)).is_some()
    };
    assert!(fits(&[1.0; 6], Scales::None, 4));
    assert!(!fits(&[1.0; 5], Scales::None, 4) && !fits(&[1.0; 6], Scales::None, 3));
    assert!(fits(&[1.0; 6], Scales::Rows(&[1.0; 2]), 4) && !fits(&[1.0; 6], Scales::Rows(&[1.0]), 4));
    assert!(fits(&[1.0; 6], Scales::Groups(&[1.0; 2], 16), 4) && !fits(&[1.0; 6], Scales::Groups(&[1.0], 16), 4));
    assert!(!fits(&[1.0; 6], Scales::Groups(&[1.0; 6], 2), 4));
}

#[test]
fn inputs_that_end_before_the_last_one_does_are_refused() {
    let mut y = [0.0; 6];
    let mut fits = |x: &[f32], apart: usize| {
        let y = Output::new(&mut y, 2, false);
        let product = RowProduct { w: &[1.0_f32; 6], scales: Scales::None, cols: 3, x, apart, tokens: 3, y };
        RowKernel::new(product, 0..2).is_some()
    };
    assert!(fits(&[1.0; 9], 3) && fits(&[1.0; 13], 5));
    assert!(!fits(&[1.0; 8], 3) && !fits(&[1.0; 12], 5) && !fits(&[1.0; 13], usize::MAX / 2));
}

proptest! {
    #[test]
    fn any_shape_is_the_rows_in_place_to_the_bit(
        rows in 1_usize..40, cols in 1_usize..90, tokens in 1_usize..30, group in 1_usize..4, add: bool,
    ) {
        check((rows, cols), tokens, 16 * group, add);
    }
}
