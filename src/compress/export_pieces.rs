//! The tensors that stand for a compressed layer (docs/formats.md, "Compressed checkpoints").

use std::collections::BTreeMap;

use super::{Base, Encoded, Factors, Layout, Plan};
use crate::checkpoint::{Bytes, Dtype};
use crate::linalg::{Matrix, Values};
use crate::model::{Part, PartMeta};

/// What a tensor holds of its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// INT8 elements.
    Quant,
    /// Their scales.
    Scale,
    /// The part as it is.
    Whole,
}

/// One tensor of a compressed layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    part: Part,
    content: Content,
}

impl Piece {
    /// Every piece that a layer may have.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let parts = [Part::U, Part::S, Part::Vh, Part::Base].into_iter();
        parts.flat_map(|part| [Content::Quant, Content::Scale, Content::Whole].map(|content| Self::new(part, content)))
    }

    fn new(part: Part, content: Content) -> Self {
        Self { part, content }
    }

    /// What follows `P.` in its name.
    pub(super) fn suffix(self) -> String {
        let part = self.part.name();
        match self.content {
            Content::Quant => format!("{part}.quant"),
            Content::Scale => format!("{part}.scale"),
            Content::Whole => part.to_owned(),
        }
    }

    /// Its bytes.
    pub(super) fn data(self, encoded: &Encoded) -> Option<Bytes> {
        let low_rank = encoded.weight.low_rank.as_ref();
        let matrix = match self.part {
            Part::S => return encoded.classic.as_ref().map(|classic| Bytes::copied(bytemuck::cast_slice(&classic.s))),
            Part::U => &low_rank?.u,
            Part::Vh => &low_rank?.vh,
            Part::Base => encoded.weight.base.as_ref()?,
        };
        let bytes = match (matrix.values(), self.content) {
            (Values::I8 { quant, .. }, Content::Quant) => Some(quant.bytes()),
            (Values::I8 { scales, .. }, Content::Scale) => Some(scales.bytes()),
            (Values::I4 { quant, .. }, Content::Quant) => Some(quant.bytes()),
            (Values::I4 { scales, .. }, Content::Scale) => Some(scales.bytes()),
            (Values::F32(w), Content::Whole) => Some(w.bytes()),
            (Values::F16(w), Content::Whole) => Some(w.bytes()),
            _ => None,
        };
        bytes.cloned()
    }
}

/// The pieces of a layer [rows, cols] stored by `plan`, with types and shapes.
pub(super) fn pieces(plan: &Plan, layout: Layout, rows: usize, cols: usize) -> Vec<(Piece, Dtype, Vec<usize>)> {
    let rank = plan.rank;
    let mut found = Vec::new();
    let (quant, scale) = (Piece::new(Part::Base, Content::Quant), Piece::new(Part::Base, Content::Scale));
    let scales = plan.base_group().map_or(vec![rows], |group| vec![rows, cols.div_ceil(group.max(1))]);
    match plan.base {
        Base::None | Base::Dense => {}
        Base::Int8 => found.extend([(quant, Dtype::I8, vec![rows, cols]), (scale, Dtype::F32, scales)]),
        Base::Int4 => found.extend([(quant, Dtype::U8, vec![rows, cols.div_ceil(2)]), (scale, Dtype::F16, scales)]),
    }
    if rank == 0 {
        return found;
    }
    if layout == Layout::Classic {
        found.push((Piece::new(Part::S, Content::Quant), Dtype::I8, vec![rank]));
    }
    for (part, shape) in [(Part::U, vec![rows, rank]), (Part::Vh, vec![rank, cols])] {
        let whole = |dtype| (Piece::new(part, Content::Whole), dtype, shape.clone());
        match plan.factors {
            Factors::F32 => found.push(whole(Dtype::F32)),
            Factors::F16 => found.push(whole(Dtype::F16)),
            Factors::Int8 => {
                found.push((Piece::new(part, Content::Quant), Dtype::I8, shape.clone()));
                if layout == Layout::Native {
                    let scales = shape.first().copied().into_iter().collect();
                    found.push((Piece::new(part, Content::Scale), Dtype::F32, scales));
                }
            }
        }
    }
    found
}

/// The scales that stand in the header, by the part they are of; none in the native layout.
pub(super) fn classic_scales(encoded: &Encoded) -> BTreeMap<Part, f32> {
    let scales = encoded
        .classic
        .as_ref()
        .map(|classic| [(Part::U, classic.u_scale), (Part::S, classic.s_scale), (Part::Vh, classic.vh_scale)]);
    scales.into_iter().flatten().collect()
}

/// The entries of `compression_meta` for a layer's parts, by the part's name.
pub(super) fn part_metas(
    plan: &Plan,
    layout: Layout,
    (rows, cols): (usize, usize),
    scales: &BTreeMap<Part, f32>,
) -> Vec<(&'static str, PartMeta)> {
    let pieces = pieces(plan, layout, rows, cols).into_iter();
    let of_parts = pieces.filter(|(piece, _, _)| piece.content != Content::Scale);
    let meta = |(piece, _, shape): (Piece, Dtype, Vec<usize>)| {
        // INT4 lies packed.
        let original_shape = if piece.part == Part::Base { vec![rows, cols] } else { shape };
        let meta = PartMeta {
            scale: scales.get(&piece.part).map(|scale| f64::from(*scale)),
            zero_point: 0,
            original_shape,
            original_dtype: "float32".to_owned(),
            group: plan.base_group().filter(|_| piece.part == Part::Base),
        };
        (piece.part.name(), meta)
    };
    of_parts.map(meta).collect()
}

/// Bytes of a coded layer in memory.
pub(super) fn coded_bytes(encoded: &Encoded) -> u64 {
    let of = |matrix: Option<&Matrix>| matrix.map_or(0, Matrix::bytes);
    let low_rank = encoded.weight.low_rank.as_ref();
    of(encoded.weight.base.as_ref()) + of(low_rank.map(|low| &low.u)) + of(low_rank.map(|low| &low.vh))
}
