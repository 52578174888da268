//! The layers of an export, coded side by side when they are needed and kept until they are written.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::cache::Keep;
use super::export_layout::{Manifest, Origin, Planned, lost};
use super::export_parts::{Place, Share, Source};
use super::export_pieces::{Piece, classic_scales, coded_bytes, part_metas};
use super::layer::encoded_layer;
use super::memory::{Room, Wave};
use super::rebuild::{dense_bytes, eight_bits_like};
use super::{Calibration, Encoded, ExportError, ExportKind, FactorCache, Layout, Plan, measured_error};
use crate::checkpoint::{Bytes, Checkpoint, Dtype, escaped};
use crate::control::{Control, free_memory};
use crate::linalg::{Matrix, Order, Values};
use crate::model::{CompressedLinear, Layer, PartMeta, parse_compression_meta};

/// Codes the layers of an export.
pub(super) struct Encoder<'a> {
    checkpoint: &'a Checkpoint,
    layers: &'a [Layer],
    plans: &'a [Plan],
    manifest: &'a Manifest,
    cache: &'a FactorCache,
    calibration: Option<&'a Calibration>,
    control: &'a Control,
    /// Bytes that coding, and layers kept, may take.
    room: Room,
    /// Layers that are coded and not written yet.
    ready: BTreeMap<usize, Encoded>,
    /// Tensors of each layer still to be written.
    left: BTreeMap<usize, usize>,
    /// Measured weight errors.
    errors: BTreeMap<usize, f64>,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(
        checkpoint: &'a Checkpoint,
        layers: &'a [Layer],
        plans: &'a [Plan],
        manifest: &'a Manifest,
        (cache, calibration): (&'a FactorCache, Option<&'a Calibration>),
        control: &'a Control,
    ) -> Self {
        let mut left = BTreeMap::new();
        for (_, tensor) in &manifest.tensors {
            tensor.origin.coded().into_iter().for_each(|layer| *left.entry(layer).or_insert(0) += 1);
        }
        let (room, ready, errors) = (Room::of(checkpoint, free_memory()), BTreeMap::new(), BTreeMap::new());
        Self { checkpoint, layers, plans, manifest, cache, calibration, control, room, ready, left, errors }
    }

    /// The entries of `compression_meta`: those of the input's own compressed layers, and those of the changed ones. The
    /// classic layout has scales there, so its layers are coded now; what does not fit is coded once more when written.
    pub(super) fn part_metas(&mut self, checkpoint: &Checkpoint) -> Result<BTreeMap<String, PartMeta>, ExportError> {
        if self.manifest.kind == ExportKind::Dense {
            return Ok(BTreeMap::new());
        }
        let mut metas = parse_compression_meta(checkpoint)?;
        let layout = self.manifest.layout();
        for index in &self.manifest.changed {
            let Some((layer, plan)) = self.layers.get(*index).zip(self.plans.get(*index)) else { continue };
            let scales = match layout {
                Layout::Native => BTreeMap::new(),
                Layout::Classic => {
                    let scales = classic_scales(self.coded(*index)?);
                    let kept: u64 = self.ready.values().map(coded_bytes).sum();
                    if kept > self.room.coding / 2 {
                        self.ready.remove(index);
                    }
                    scales
                }
            };
            let stem = layer.stem().unwrap_or_else(|| layer.name.clone());
            let of_parts = part_metas(plan, layout, (layer.rows, layer.cols), &scales);
            metas.extend(of_parts.into_iter().map(|(part, meta)| (format!("{stem}.{part}"), meta)));
        }
        Ok(metas)
    }

    /// The bytes of one tensor of a layer; the layer is dropped with its last.
    pub(super) fn piece(&mut self, layer: usize, piece: Piece) -> Result<Bytes, ExportError> {
        let data = piece.data(self.coded(layer)?).ok_or_else(|| lost(&piece.suffix()))?;
        let left = self.left.entry(layer).or_default();
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.ready.remove(&layer);
        }
        Ok(data)
    }

    /// A layer rebuilt as an ordinary tensor. Its error is that of what is written.
    pub(super) fn rebuilt(&mut self, layer: usize, tensor: &Planned) -> Result<Vec<u8>, ExportError> {
        let control = self.control;
        let original = self.layers.get(layer).and_then(|layer| layer.matrix(self.checkpoint));
        let original = original.ok_or_else(|| lost("of a layer"))?;
        let weight = &self.coded(layer)?.weight;
        let (bytes, written) = if is_eight_bits(tensor.dtype) {
            let written = eight_bits_like(weight, &original, control)?.ok_or_else(|| lost("of a layer"))?;
            (codes_of(&written), Some(written))
        } else {
            let bytes = tensor.unpacked(weight, control)?;
            let written = as_stored(&bytes, tensor, &original);
            (bytes, written)
        };
        self.ready.remove(&layer);
        self.left.insert(layer, 0);
        if let Some(written) = written {
            self.errors.insert(layer, measured_error(&original, &CompressedLinear::dense(written), control)?);
        }
        self.layers.get(layer).into_iter().for_each(|layer| self.release(layer));
        Ok(bytes)
    }

    /// The elements [out, in] of a layer that stays as it is, in its own type as they are.
    pub(super) fn kept(&self, layer: usize, dtype: Dtype) -> Result<Vec<u8>, ExportError> {
        let layer = self.layers.get(layer).ok_or_else(|| lost("of a layer"))?;
        let missing = || lost(&layer.tensor);
        if layer.dtype != dtype {
            let weight = CompressedLinear::dense(layer.matrix(self.checkpoint).ok_or_else(missing)?);
            return Ok(dense_bytes(&weight, dtype, false, self.control)?);
        }
        let tensor = self.checkpoint.tensor(&layer.tensor).ok_or_else(missing)?;
        let place = layer.fused().and_then(|_| Place::of(layer));
        let cut =
            place.map_or_else(|| Some(tensor.data.to_vec()), |place| place.cut(&tensor.data, dtype.bitsize() / 8));
        self.release(layer);
        cut.ok_or_else(missing)
    }

    /// The scales of a layer that stays as it is without the rest of its fused tensor: F32, a line of them a row.
    pub(super) fn kept_scales(&self, layer: usize) -> Result<Vec<u8>, ExportError> {
        let matrix = self.layers.get(layer).and_then(|layer| layer.matrix(self.checkpoint));
        let scales = matrix.and_then(|matrix| matrix.scales_by_row()).ok_or_else(|| lost("of a layer"))?.0;
        Ok(scales.into_iter().flat_map(f32::to_le_bytes).collect())
    }

    /// A fused tensor, put together from its parts.
    pub(super) fn joined(&mut self, shares: &[Share], tensor: &Planned) -> Result<Vec<u8>, ExportError> {
        let mut all = vec![0; usize::try_from(tensor.bytes).unwrap_or_default()];
        for Share { place, source } in shares {
            let part = match source {
                Source::Kept(layer) => self.kept(*layer, tensor.dtype)?,
                Source::Rebuilt(layer) => {
                    let alone = Planned::new(Origin::Rebuilt(*layer), tensor.dtype, place.shape());
                    self.rebuilt(*layer, &alone)?
                }
                Source::Unpacked(stored) => dense_bytes(&stored.weight, tensor.dtype, false, self.control)?,
            };
            place.put(&part, &mut all, tensor.dtype.bitsize() / 8).ok_or_else(|| lost("of a part"))?;
        }
        Ok(all)
    }

    /// The measured weight error of each changed layer.
    pub(super) fn finish(self) -> BTreeMap<usize, f64> {
        self.errors
    }

    /// A layer as its plan stores it, coded now with some of those that come after it where it is not ready.
    fn coded(&mut self, layer: usize) -> Result<&Encoded, ExportError> {
        if !self.ready.contains_key(&layer) {
            let wave = self.wave(layer);
            // One by one: they take seconds each, and not the same.
            let coded: Vec<_> = wave.par_iter().with_max_len(1).map(|index| (*index, self.code(*index))).collect();
            for (index, coded) in coded {
                let (encoded, error) = coded?;
                if let Some(error) = error {
                    self.errors.insert(index, error);
                }
                self.ready.insert(index, encoded);
            }
        }
        self.ready.get(&layer).ok_or_else(|| lost("of a layer"))
    }

    /// `layer` and as many of those written after it as there are threads and memory for; more where they are decomposed.
    fn wave(&self, layer: usize) -> Vec<usize> {
        let after = self.manifest.changed.iter().copied().skip_while(|index| *index != layer);
        let open = after.filter(|index| !self.ready.contains_key(index));
        let mut wave = Wave::new(self.room, rayon::current_num_threads());
        let joins = |index: &usize| {
            let work = self.layers.get(*index).zip(self.plans.get(*index));
            work.is_some_and(|work| wave.takes(work, || self.decomposes(*index))) || *index == layer
        };
        open.take_while(joins).collect()
    }

    /// Whether coding a layer begins with a decomposition, since none is kept.
    fn decomposes(&self, index: usize) -> bool {
        let found = self.layers.get(index).zip(self.plans.get(index)).filter(|(_, plan)| plan.rank > 0);
        found.is_some_and(|work| !self.cache.keeps_factors(self.checkpoint, self.calibration, work))
    }

    /// Codes one layer, and measures it unless that was done, or what counts is the tensor rebuilt from it.
    fn code(&self, index: usize) -> Result<(Encoded, Option<f64>), ExportError> {
        let found = self.layers.get(index).zip(self.plans.get(index));
        let (layer, plan) = found.ok_or_else(|| lost("of a layer"))?;
        let fail = |source| ExportError::Layer { layer: escaped(&layer.name, 200), source };
        let cache = (self.cache, Keep::Disk(plan.rank), self.calibration);
        let layout = self.manifest.layout();
        let encoded = encoded_layer(self.checkpoint, layer, plan, layout, cache, self.control).map_err(fail)?;
        let measured = self.manifest.kind == ExportKind::Dense || self.errors.contains_key(&index);
        let matrix = layer.matrix(self.checkpoint).filter(|_| !measured);
        let error = matrix.map(|matrix| measured_error(&matrix, &encoded.weight, self.control)).transpose()?;
        if !self.errors.contains_key(&index) {
            self.control.advance(layer.bytes);
        }
        self.release(layer);
        Ok((encoded, error))
    }

    /// The original of a layer is not read again soon.
    fn release(&self, layer: &Layer) {
        if let Some(tensor) = self.checkpoint.tensor(&layer.tensor) {
            tensor.data.release();
        }
    }
}

/// Whether a type needs scales beside it.
pub(super) fn is_eight_bits(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F8_E4M3 | Dtype::F8_E5M2)
}

/// The codes of a matrix of eight-bit floats.
fn codes_of(matrix: &Matrix) -> Vec<u8> {
    match matrix.values() {
        Values::F8 { codes, .. } => codes.to_vec(),
        _ => Vec::new(),
    }
}

/// Written bytes as a matrix of the original's shape and order.
fn as_stored(bytes: &[u8], tensor: &Planned, original: &Matrix) -> Option<Matrix> {
    let bytes = Bytes::copied(bytes);
    let values = match tensor.dtype {
        Dtype::F64 => Values::F64(bytes.view()?),
        Dtype::F32 => Values::F32(bytes.view()?),
        Dtype::F16 => Values::F16(bytes.view()?),
        _ => Values::Bf16(bytes.view()?),
    };
    let order = if tensor.transposed { Order::ColumnMajor } else { Order::RowMajor };
    Matrix::new(original.rows(), original.cols(), order, values).ok()
}
