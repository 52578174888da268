//! Parts of fused projections: their names, and the rows that each has.

use super::{Architecture, Kind};
use crate::linalg::RowSelection;

/// How q, k and v lie in one projection. (Gate and up always lie below one another.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fusion {
    /// All of q, then k, then v.
    Stacked,
    /// Group by group of key and value heads: the queries of the group's heads, then its k, then its v. With as many key
    /// and value heads as query heads that is head by head.
    Grouped,
}

/// A layer that is a part of a fused tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FusedPart {
    /// Name of the fused tensor.
    pub tensor: String,
    /// The rows of that tensor.
    pub rows: RowSelection,
    /// All rows of that tensor.
    pub total: usize,
}

/// The kinds that a fused kind is made of.
pub(super) fn parts_of(kind: Kind) -> &'static [Kind] {
    match kind {
        Kind::Qkv => &[Kind::Q, Kind::K, Kind::V],
        Kind::GateUp => &[Kind::Gate, Kind::Up],
        _ => &[],
    }
}

/// The fused kind that a kind may be a part of.
pub(super) fn fused_of(kind: Kind) -> Option<Kind> {
    [Kind::Qkv, Kind::GateUp].into_iter().find(|fused| parts_of(*fused).contains(&kind))
}

/// `TENSOR#k`.
pub(super) fn part_name(tensor: &str, part: Kind) -> String {
    format!("{tensor}#{}", part.name())
}

/// `P.weight#k` of `P#k`, `P.weight` of any other `P`: the layer that the tensors named after `stem` stand for.
pub(super) fn layer_name(stem: &str) -> String {
    match split_stem(stem) {
        Some((owner, part)) => part_name(&format!("{owner}.weight"), part),
        None => format!("{stem}.weight"),
    }
}

/// `P` and the part of `P#k`.
pub(super) fn split_stem(stem: &str) -> Option<(&str, Kind)> {
    let (owner, word) = stem.rsplit_once('#')?;
    let part = [Kind::Qkv, Kind::GateUp].into_iter().flat_map(parts_of).find(|part| part.name() == word)?;
    Some((owner, *part))
}

/// What the tensors of a stored layer are named after: `P` of `P.weight`, `P#k` of `P.weight#k`; `None` for other names.
pub(super) fn stem_of(layer: &str) -> Option<String> {
    match split_stem(layer) {
        Some((tensor, part)) => Some(part_name(tensor.strip_suffix(".weight")?, part)),
        None => layer.strip_suffix(".weight").map(str::to_owned),
    }
}

impl Architecture {
    /// The rows of a part in its fused tensor, and how many that has.
    pub(super) fn fused_rows(&self, part: Kind) -> Option<(RowSelection, usize)> {
        let (d, inner) = (self.head_dim, self.intermediate);
        let (q, kv) = (self.heads.saturating_mul(d), self.kv_heads.saturating_mul(d));
        let total = q.saturating_add(kv.saturating_mul(2));
        match part {
            Kind::Gate => return Some((RowSelection::stacked(0, inner), inner.saturating_mul(2))),
            Kind::Up => return Some((RowSelection::stacked(inner, inner), inner.saturating_mul(2))),
            _ => {}
        }
        let queries = self.heads.checked_div(self.kv_heads)?.saturating_mul(d);
        let step = queries.saturating_add(d.saturating_mul(2));
        let rows = match (self.fused, part) {
            (Fusion::Stacked, Kind::Q) => RowSelection::stacked(0, q),
            (Fusion::Stacked, Kind::K) => RowSelection::stacked(q, kv),
            (Fusion::Stacked, Kind::V) => RowSelection::stacked(q.saturating_add(kv), kv),
            (Fusion::Grouped, Kind::Q) => RowSelection { rows: q, offset: 0, block: queries, step },
            (Fusion::Grouped, Kind::K) => RowSelection { rows: kv, offset: queries, block: d, step },
            (Fusion::Grouped, Kind::V) => RowSelection { rows: kv, offset: queries.saturating_add(d), block: d, step },
            _ => return None,
        };
        Some((rows, total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts_go_both_ways() {
        for (layer, stem) in [("h.0.c.weight", "h.0.c"), ("h.0.c.weight#k", "h.0.c#k"), ("m.weight#up", "m#up")] {
            assert_eq!(stem_of(layer).as_deref(), Some(stem));
            assert_eq!(layer_name(stem), layer);
        }
        assert_eq!(stem_of("h.0.c#k.weight").as_deref(), Some("h.0.c#k"));
        assert_eq!((stem_of("h.0.c"), stem_of("c#k"), split_stem("c#x")), (None, None, None));
    }

    #[test]
    fn rows_of_parts_are_where_the_reference_reads_them() {
        let path = "tests/data/golden/gpt2";
        let model = crate::model::Model::load(&crate::checkpoint::Checkpoint::open(path.as_ref()).unwrap()).unwrap();
        let of = |fused, heads, kv_heads| Architecture {
            heads,
            kv_heads,
            head_dim: 2,
            fused,
            ..model.architecture().clone()
        };
        let stored = |shape: &Architecture| {
            [Kind::Q, Kind::K, Kind::V].map(|kind| {
                let (rows, total) = shape.fused_rows(kind).unwrap();
                (0..rows.rows).map(|row| rows.stored(row)).inspect(|row| assert!(*row < total)).collect::<Vec<_>>()
            })
        };
        // GPT-NeoX and Bloom: [heads, 3, head_dim].
        let by_head = [vec![0, 1, 6, 7], vec![2, 3, 8, 9], vec![4, 5, 10, 11]];
        assert_eq!(stored(&of(Fusion::Grouped, 2, 2)), by_head);
        // Falcon's new decoder: [kv_heads, heads / kv_heads + 2, head_dim]; with one key and value head it is stacked.
        let by_group = [vec![0, 1, 2, 3, 8, 9, 10, 11], vec![4, 5, 12, 13], vec![6, 7, 14, 15]];
        assert_eq!(stored(&of(Fusion::Grouped, 4, 2)), by_group);
        assert_eq!(stored(&of(Fusion::Grouped, 4, 1)), stored(&of(Fusion::Stacked, 4, 1)));
        assert_eq!(stored(&of(Fusion::Stacked, 2, 1)), [vec![0, 1, 2, 3], vec![4, 5], vec![6, 7]]);
        assert_eq!(of(Fusion::Stacked, 2, 1).fused_rows(Kind::Up).unwrap().0, RowSelection::stacked(48, 48));
    }
}
