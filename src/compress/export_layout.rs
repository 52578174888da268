//! Which tensors an export holds, and where each comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{NOT_CLASSIC, fits_classic};
use super::export_pieces::{Piece, pieces};
use super::rebuild::dense_bytes;
use super::{CompressError, ExportError, ExportKind, Layout, Plan};
use crate::checkpoint::{Checkpoint, Dtype, Tensor, TensorSpec, escaped};
use crate::control::{Cancelled, Control};
use crate::model::{CLASSIC_META_KEY, CompressedLinear, Layer, PartMeta, StoredLayer, stored_layers};

/// Where a tensor of the export comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The input's tensor of that name.
    Copied,
    /// A piece of the layer of that index.
    Piece(usize, Piece),
    /// The layer of that index, coded and rebuilt.
    Rebuilt(usize),
    /// A layer that the input stores compressed, rebuilt.
    Unpacked(Box<StoredLayer>),
}

/// One tensor of the export.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) origin: Origin,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: u64,
    /// Whether a rebuilt matrix is stored [in, out].
    pub(super) transposed: bool,
}

impl Planned {
    fn new(origin: Origin, dtype: Dtype, shape: Vec<usize>) -> Self {
        let bytes = (shape.iter().product::<usize>() * dtype.bitsize() / 8) as u64;
        Self { origin, dtype, shape, bytes, transposed: false }
    }

    fn rebuilt(origin: Origin, dtype: Dtype, layer: &Layer) -> Self {
        let (rows, cols) = (layer.rows, layer.cols);
        let shape = if layer.transposed { vec![cols, rows] } else { vec![rows, cols] };
        Self { transposed: layer.transposed, ..Self::new(origin, dtype, shape) }
    }

    pub(super) fn spec(&self, name: &str) -> TensorSpec {
        TensorSpec { name: name.to_owned(), dtype: self.dtype, shape: self.shape.clone() }
    }

    /// The bytes of a weight rebuilt as this tensor.
    pub(super) fn unpacked(&self, weight: &CompressedLinear, control: &Control) -> Result<Vec<u8>, Cancelled> {
        dense_bytes(weight, self.dtype, self.transposed, control)
    }
}

/// Every tensor of an export.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) kind: ExportKind,
    /// Sorted by name, as they are written.
    pub(super) tensors: Vec<(String, Planned)>,
    /// Layers whose plan is not dense, in the order in which they are written.
    pub(super) changed: Vec<usize>,
}

impl Manifest {
    pub(super) fn new(
        checkpoint: &Checkpoint,
        layers: &[Layer],
        plans: &[Plan],
        kind: ExportKind,
    ) -> Result<Self, ExportError> {
        if layers.len() != plans.len() {
            let (layers, plans) = (layers.len(), plans.len());
            return Err(ExportError::Refused(format!("{plans} plans were given for {layers} layers")));
        }
        let mut tensors: BTreeMap<String, Planned> = BTreeMap::new();
        let copied = |tensor: &Tensor| Planned::new(Origin::Copied, tensor.dtype, tensor.shape.clone());
        tensors.extend(checkpoint.tensors().iter().map(|tensor| (tensor.name.clone(), copied(tensor))));
        if kind == ExportKind::Dense {
            unpack(checkpoint, layers, &mut tensors)?;
        }
        for (index, (layer, plan)) in layers.iter().zip(plans).enumerate().filter(|(_, (_, plan))| !plan.is_dense()) {
            admit(layer, plan, kind)?;
            change(&mut tensors, index, layer, plan, kind)?;
        }
        let (mut changed, mut seen) = (Vec::new(), BTreeSet::new());
        for tensor in tensors.values() {
            if let Origin::Piece(layer, _) | Origin::Rebuilt(layer) = tensor.origin
                && seen.insert(layer)
            {
                changed.push(layer);
            }
        }
        Ok(Self { kind, tensors: tensors.into_iter().collect(), changed })
    }

    /// How the layers are coded.
    pub(super) fn layout(&self) -> Layout {
        match self.kind {
            ExportKind::Compressed(layout) => layout,
            ExportKind::Dense => Layout::Native,
        }
    }

    /// Bytes that a changed layer takes in the export.
    pub(super) fn layer_bytes(&self, layer: usize) -> u64 {
        let of_layer = |tensor: &Planned| matches!(tensor.origin, Origin::Piece(index, _) | Origin::Rebuilt(index) if index == layer);
        self.tensors.iter().filter(|(_, tensor)| of_layer(tensor)).map(|(_, tensor)| tensor.bytes).sum()
    }

    /// `__metadata__` of every file.
    pub(super) fn metadata(
        &self,
        checkpoint: &Checkpoint,
        policy: &str,
        metas: &BTreeMap<String, PartMeta>,
    ) -> BTreeMap<String, String> {
        let mut metadata = BTreeMap::from([
            ("format".to_owned(), "pt".to_owned()),
            ("rankscope_version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("rankscope_policy".to_owned(), policy.to_owned()),
            ("source_fingerprint".to_owned(), checkpoint.fingerprint()),
        ]);
        if self.kind != ExportKind::Dense {
            // Keys that are text and numbers that are finite always make JSON.
            let text = serde_json::to_string(metas).unwrap_or_default();
            metadata.insert(CLASSIC_META_KEY.to_owned(), text);
        }
        metadata
    }
}

/// A tensor that was there when the export was planned, and is not now.
pub(super) fn lost(name: &str) -> ExportError {
    ExportError::Refused(format!("tensor {} is not in the model", escaped(name, 200)))
}

/// Whether a layer can be stored so.
fn admit(layer: &Layer, plan: &Plan, kind: ExportKind) -> Result<(), ExportError> {
    let name = escaped(&layer.name, 200);
    if layer.fixed {
        let reason = "the file stores it compressed already; pass --original with the model it came from";
        return Err(ExportError::Refused(format!("{name}: {reason}")));
    }
    let too_high = (plan.rank > layer.max_rank()).then(|| {
        let (m, n, rank) = (layer.rows, layer.cols, plan.rank);
        format!("rank {rank} is above the largest possible, min({m}, {n}) = {}; lower it", layer.max_rank())
    });
    let not_classic = kind == ExportKind::Compressed(Layout::Classic) && !fits_classic(plan);
    let known = plan.meaningless().or(not_classic.then_some(NOT_CLASSIC));
    match known.map(str::to_owned).or(too_high) {
        Some(reason) => Err(ExportError::Layer { layer: name, source: CompressError::Plan(reason) }),
        None => Ok(()),
    }
}

/// Puts the pieces of a layer, or its rebuilt matrix, in the place of its tensor.
fn change(
    tensors: &mut BTreeMap<String, Planned>,
    index: usize,
    layer: &Layer,
    plan: &Plan,
    kind: ExportKind,
) -> Result<(), ExportError> {
    let name = escaped(&layer.name, 200);
    let refused = |reason: String| Err(ExportError::Refused(reason));
    if tensors.remove(&layer.name).is_none() {
        return refused(format!("{name}: the model has no such tensor"));
    }
    let ExportKind::Compressed(layout) = kind else {
        let rebuilt = Planned::rebuilt(Origin::Rebuilt(index), layer.dtype, layer);
        tensors.insert(layer.name.clone(), rebuilt);
        return Ok(());
    };
    let Some(stem) = layer.name.strip_suffix(".weight") else {
        return refused(format!(
            "{name}: its name does not end in .weight, so its parts cannot be named; leave it dense"
        ));
    };
    for (piece, dtype, shape) in pieces(plan, layout, layer.rows, layer.cols) {
        let part = format!("{stem}.{}", piece.suffix());
        let planned = Planned::new(Origin::Piece(index, piece), dtype, shape);
        if tensors.insert(part.clone(), planned).is_some() {
            let part = escaped(&part, 200);
            return refused(format!(
                "{name}: the model has a tensor {part}, the name of a part; leave the layer dense"
            ));
        }
    }
    Ok(())
}

/// Puts the rebuilt matrix of each layer that the input stores compressed in the place of its parts.
fn unpack(
    checkpoint: &Checkpoint,
    layers: &[Layer],
    tensors: &mut BTreeMap<String, Planned>,
) -> Result<(), ExportError> {
    let stored = stored_layers(checkpoint)?;
    if stored.is_empty() {
        return Ok(());
    }
    for stored in stored {
        let stem = stored.name.strip_suffix(".weight").unwrap_or(&stored.name).to_owned();
        for piece in Piece::all() {
            tensors.remove(&format!("{stem}.{}", piece.suffix()));
        }
        let dense = tensors.remove(&stored.name).map(|tensor| tensor.dtype);
        let dtype = dense.unwrap_or_else(|| common_dtype(tensors));
        let (name, layer) = (stored.name.clone(), layers.iter().find(|layer| layer.name == stored.name));
        let origin = |stored| Origin::Unpacked(Box::new(stored));
        let shape = vec![stored.shape.0, stored.shape.1];
        let planned = match layer {
            Some(layer) => Planned::rebuilt(origin(stored), dtype, layer),
            None => Planned::new(origin(stored), dtype, shape),
        };
        tensors.insert(name, planned);
    }
    Ok(())
}

/// The type of most of the input's elements: that which its compressed layers had, as far as one can tell.
fn common_dtype(tensors: &BTreeMap<String, Planned>) -> Dtype {
    let types = [Dtype::F32, Dtype::BF16, Dtype::F16];
    let elements = |dtype: &Dtype| {
        let copied =
            tensors.values().filter(|tensor| matches!(tensor.origin, Origin::Copied) && tensor.dtype == *dtype);
        copied.map(|tensor| tensor.shape.iter().product::<usize>()).sum::<usize>()
    };
    types.into_iter().rev().max_by_key(elements).unwrap_or(Dtype::F32)
}
