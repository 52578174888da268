//! Parts of fused tensors in an export: cut out where others are compressed, put together again for a dense one.

use std::collections::BTreeMap;

use super::export_encode::is_eight_bits;
use super::export_layout::{Origin, Planned, common_dtype, remove_scales};
use super::export_pieces::Piece;
use super::{ExportError, ExportKind, Plan};
use crate::checkpoint::{Checkpoint, Dtype, escaped};
use crate::linalg::RowSelection;
use crate::model::{Layer, StoredLayer};

/// Where the rows of a part lie in the bytes of its fused tensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    rows: RowSelection,
    total: usize,
    cols: usize,
    transposed: bool,
}

impl Place {
    /// `None` where the layer is no part, or its place is not known.
    pub(super) fn of(layer: &Layer) -> Option<Self> {
        let part = layer.part.as_ref()?;
        Some(Self { rows: part.rows, total: part.total, cols: layer.cols, transposed: layer.transposed })
    }

    /// [out, in] of the part.
    pub(super) fn shape(&self) -> Vec<usize> {
        vec![self.rows.rows, self.cols]
    }

    /// Its share of the fused tensor's bytes.
    pub(super) fn share(&self, bytes: u64) -> u64 {
        bytes / self.total.max(1) as u64 * self.rows.rows as u64
    }

    /// (element of the part, element of the fused tensor, how many follow each other).
    fn spans(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let Self { rows, total, cols, transposed } = self;
        let columns = if transposed { cols } else { 1 };
        (0..rows.rows).flat_map(move |row| {
            let stored = rows.stored(row);
            let at = move |col| {
                if transposed { (row * cols + col, col * total + stored, 1) } else { (row * cols, stored * cols, cols) }
            };
            (0..columns).map(at)
        })
    }

    /// The part's bytes [out, in] out of those of the fused tensor, elements being of `size` bytes.
    pub(super) fn cut(self, fused: &[u8], size: usize) -> Option<Vec<u8>> {
        let mut part = vec![0; self.rows.rows * self.cols * size];
        for (to, from, count) in self.spans() {
            let from = fused.get(from * size..(from + count) * size)?;
            part.get_mut(to * size..(to + count) * size)?.copy_from_slice(from);
        }
        Some(part)
    }

    /// Puts the part's bytes to their place in those of the fused tensor.
    pub(super) fn put(self, part: &[u8], fused: &mut [u8], size: usize) -> Option<()> {
        for (from, to, count) in self.spans() {
            let from = part.get(from * size..(from + count) * size)?;
            fused.get_mut(to * size..(to + count) * size)?.copy_from_slice(from);
        }
        Some(())
    }
}

/// One part of a tensor that is put together.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) place: Place,
    pub(super) source: Source,
}

impl Share {
    /// The layer that is coded for it.
    pub(super) fn coded(&self) -> Option<usize> {
        match self.source {
            Source::Rebuilt(layer) => Some(layer),
            Source::Kept(_) | Source::Unpacked(_) => None,
        }
    }
}

/// Where a part comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// The layer of that index, as the input has it.
    Kept(usize),
    /// The layer of that index, coded and rebuilt.
    Rebuilt(usize),
    /// A layer that the input stores compressed.
    Unpacked(Box<StoredLayer>),
}

type Tensors = BTreeMap<String, Planned>;

/// The layers that are parts of each fused tensor.
pub(super) fn fused_tensors(layers: &[Layer]) -> BTreeMap<&str, Vec<(usize, &Layer)>> {
    let mut found: BTreeMap<&str, Vec<(usize, &Layer)>> = BTreeMap::new();
    for (index, layer) in layers.iter().enumerate() {
        if let Some(part) = &layer.part {
            found.entry(&part.tensor).or_default().push((index, layer));
        }
    }
    found
}

/// Puts what the export has of fused tensors in their place: the parts that stay dense each as a tensor, or all together.
pub(super) fn place_parts(
    checkpoint: &Checkpoint,
    (layers, plans): (&[Layer], &[Plan]),
    kind: ExportKind,
    tensors: &mut Tensors,
    stored: &[StoredLayer],
) -> Result<(), ExportError> {
    for (fused, parts) in fused_tensors(layers) {
        let changed = |index: usize| plans.get(index).is_some_and(|plan| !plan.is_dense());
        let touched = parts.iter().any(|(index, _)| changed(*index));
        match kind {
            ExportKind::Dense if touched || !tensors.contains_key(fused) => {
                join(checkpoint, fused, &parts, &changed, tensors, stored)?;
            }
            ExportKind::Compressed(_) if touched && tensors.remove(fused).is_some() => {
                remove_scales(checkpoint, fused, tensors);
                for (index, layer) in parts.iter().filter(|(index, _)| !changed(*index)) {
                    cut(checkpoint, *index, layer, tensors)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A part that stays dense, as a tensor of its own.
fn cut(checkpoint: &Checkpoint, index: usize, layer: &Layer, tensors: &mut Tensors) -> Result<(), ExportError> {
    let stem = layer.stem().ok_or_else(|| refused(&layer.name, "its tensor's name does not end in .weight"))?;
    let planned = Planned::new(Origin::Cut(index), layer.dtype, vec![layer.rows, layer.cols]);
    if is_eight_bits(layer.dtype) {
        let scales = layer.matrix(checkpoint).and_then(|matrix| matrix.scales_by_row());
        let (_, across) = scales.ok_or_else(|| refused(&layer.name, &layer.why_no_matrix(checkpoint)))?;
        let planned = Planned::new(Origin::CutScales(index), Dtype::F32, vec![layer.rows, across]);
        tensors.insert(format!("{stem}.weight_scale_inv"), planned);
    }
    match tensors.insert(format!("{stem}.weight"), planned) {
        None => Ok(()),
        Some(_) => Err(refused(&layer.name, "the model has a tensor of that name; leave the layer dense")),
    }
}

/// The fused tensor out of its parts.
fn join(
    checkpoint: &Checkpoint,
    fused: &str,
    parts: &[(usize, &Layer)],
    changed: &dyn Fn(usize) -> bool,
    tensors: &mut Tensors,
    stored: &[StoredLayer],
) -> Result<(), ExportError> {
    let (mut shares, mut rows) = (Vec::new(), 0);
    let kept = parts.iter().find(|(_, layer)| !layer.fixed).map(|(_, layer)| layer.dtype);
    remove_pieces(fused.strip_suffix(".weight").unwrap_or(fused), tensors);
    for (index, layer) in parts {
        let place = Place::of(layer).ok_or_else(|| refused(fused, "its parts are not known"))?;
        let of_layer = stored.iter().find(|stored| stored.name == layer.name);
        let source = match of_layer {
            Some(stored) => Source::Unpacked(Box::new(stored.clone())),
            None if changed(*index) => Source::Rebuilt(*index),
            None => Source::Kept(*index),
        };
        rows += layer.rows;
        shares.push(Share { place, source });
        let stem = layer.stem().unwrap_or_default();
        remove_pieces(&stem, tensors);
        tensors.remove(&format!("{stem}.weight"));
        remove_scales(checkpoint, &format!("{stem}.weight"), tensors);
    }
    let Some(place) = shares.first().map(|share| share.place).filter(|place| place.total == rows) else {
        return Err(refused(fused, "parts of it are missing, so it cannot be put together"));
    };
    let original = checkpoint.tensor(fused).map(|tensor| tensor.dtype);
    // Parts with scales of their own have none that fit the whole.
    let kept = kept.filter(|dtype| !is_eight_bits(*dtype));
    let dtype = original.or(kept).unwrap_or_else(|| common_dtype(tensors));
    let shape = if place.transposed { vec![place.cols, place.total] } else { vec![place.total, place.cols] };
    tensors.insert(fused.to_owned(), Planned::new(Origin::Joined(shares), dtype, shape));
    Ok(())
}

/// Takes what is named after `stem` as a piece of a compressed layer out.
fn remove_pieces(stem: &str, tensors: &mut Tensors) {
    for piece in Piece::all() {
        tensors.remove(&format!("{stem}.{}", piece.suffix()));
    }
}

fn refused(name: &str, reason: &str) -> ExportError {
    ExportError::Refused(format!("{}: {reason}", escaped(name, 200)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cut_out_and_put_back_are_the_tensor() {
        let fused: Vec<u8> = (0..72).collect();
        let rows = |offset| RowSelection { rows: 4, offset, block: 2, step: 6 };
        for transposed in [false, true] {
            let places = [0, 2, 4].map(|offset| Place { rows: rows(offset), total: 12, cols: 3, transposed });
            let parts = places.map(|place| place.cut(&fused, 2).unwrap());
            let first = if transposed { [0, 1, 24, 25, 48, 49] } else { [0, 1, 2, 3, 4, 5] };
            assert_eq!(parts[0][..6], first);
            let mut again = vec![0; 72];
            places.iter().zip(&parts).for_each(|(place, part)| place.put(part, &mut again, 2).unwrap());
            assert_eq!(again, fused);
            assert!(places[2].cut(&fused[1..], 2).is_none());
        }
    }
}
