//! Which tensors an export holds, and where each comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::codec::{NOT_CLASSIC, fits_classic};
use super::export_encode::is_eight_bits;
use super::export_parts::{Share, place_parts};
use super::export_pieces::{Piece, pieces};
use super::rebuild::dense_bytes;
use super::{CompressError, ExportError, ExportKind, Layout, Plan};
use crate::checkpoint::{COMPRESSION_META, Checkpoint, Dtype, Tensor, TensorSpec, escaped};
use crate::control::{Cancelled, Control};
use crate::model::{CompressedLinear, Layer, PartMeta, StoredLayer, stored_layers};

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
    /// The layer of that index, a part of a fused tensor, as the input has it.
    Cut(usize),
    /// The scales of such a part in eight-bit floats.
    CutScales(usize),
    /// A fused tensor, put together.
    Joined(Vec<Share>),
}

impl Origin {
    /// The layers that are coded for it.
    pub(super) fn coded(&self) -> Vec<usize> {
        match self {
            Self::Piece(layer, _) | Self::Rebuilt(layer) => vec![*layer],
            Self::Joined(shares) => shares.iter().filter_map(Share::coded).collect(),
            Self::Copied | Self::Unpacked(_) | Self::Cut(_) | Self::CutScales(_) => Vec::new(),
        }
    }
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
    pub(super) fn new(origin: Origin, dtype: Dtype, shape: Vec<usize>) -> Self {
        let bytes = (shape.iter().product::<usize>() * dtype.bitsize() / 8) as u64;
        Self { origin, dtype, shape, bytes, transposed: false }
    }

    fn rebuilt(origin: Origin, dtype: Dtype, layer: &Layer) -> Self {
        let (rows, cols) = (layer.rows, layer.cols);
        let shape = if layer.transposed { vec![cols, rows] } else { vec![rows, cols] };
        Self { transposed: layer.transposed, ..Self::new(origin, dtype, shape) }
    }

    /// The bytes of it that `layer` takes.
    fn bytes_of(&self, layer: usize) -> u64 {
        match &self.origin {
            Origin::Joined(shares) => {
                let own = shares.iter().filter(|share| share.coded() == Some(layer));
                own.map(|share| share.place.share(self.bytes)).sum()
            }
            origin if origin.coded().contains(&layer) => self.bytes,
            _ => 0,
        }
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
        let mut stored = Vec::new();
        if kind == ExportKind::Dense {
            stored = stored_layers(checkpoint)?;
            unpack(&stored, layers, &mut tensors)?;
        }
        let changed = || layers.iter().zip(plans).enumerate().filter(|(_, (_, plan))| !plan.is_dense());
        changed().try_for_each(|(_, (layer, plan))| admit(layer, plan, kind))?;
        place_parts(checkpoint, (layers, plans), kind, &mut tensors, &stored)?;
        for (index, (layer, plan)) in changed() {
            change(checkpoint, &mut tensors, index, layer, plan, kind)?;
        }
        let (mut changed, mut seen) = (Vec::new(), BTreeSet::new());
        for tensor in tensors.values() {
            changed.extend(tensor.origin.coded().into_iter().filter(|layer| seen.insert(*layer)));
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
        self.tensors.iter().map(|(_, tensor)| tensor.bytes_of(layer)).sum()
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
            metadata.insert(COMPRESSION_META.to_owned(), text);
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
    if kind == ExportKind::Dense && is_eight_bits(layer.dtype) && layer.transposed {
        let reason = "it is stored [in, out] in eight-bit floats, which cannot be rebuilt; write a compressed folder";
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

/// Takes the scales of a tensor out.
pub(super) fn remove_scales(checkpoint: &Checkpoint, name: &str, tensors: &mut BTreeMap<String, Planned>) {
    if let Some(scale) = checkpoint.tensor(name).and_then(Tensor::scale) {
        tensors.remove(&scale.tensor.name);
    }
}

/// Puts the pieces of a layer, or its rebuilt matrix, in the place of its tensor.
fn change(
    checkpoint: &Checkpoint,
    tensors: &mut BTreeMap<String, Planned>,
    index: usize,
    layer: &Layer,
    plan: &Plan,
    kind: ExportKind,
) -> Result<(), ExportError> {
    let name = escaped(&layer.name, 200);
    let refused = |reason: String| Err(ExportError::Refused(reason));
    if layer.part.is_some() && kind == ExportKind::Dense {
        return Ok(());
    }
    if layer.fused().is_none() && tensors.remove(&layer.tensor).is_none() {
        return refused(format!("{name}: the model has no such tensor"));
    }
    let ExportKind::Compressed(layout) = kind else {
        let rebuilt = Planned::rebuilt(Origin::Rebuilt(index), layer.dtype, layer);
        tensors.insert(layer.name.clone(), rebuilt);
        return Ok(());
    };
    remove_scales(checkpoint, &layer.tensor, tensors);
    let Some(stem) = layer.stem() else {
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
    stored: &[StoredLayer],
    layers: &[Layer],
    tensors: &mut BTreeMap<String, Planned>,
) -> Result<(), ExportError> {
    let unknown = |layer: &&Layer| layer.part.is_none() && layer.is_part();
    if let Some(layer) = layers.iter().find(unknown) {
        let (name, reason) = (escaped(&layer.name, 200), "where it lies in its tensor is told by config.json alone");
        return Err(ExportError::Refused(format!("{name}: {reason}; put that beside the weights")));
    }
    let is_part = |stored: &StoredLayer| layers.iter().any(|layer| layer.name == stored.name && layer.is_part());
    for stored in stored.iter().filter(|stored| !is_part(stored)).cloned() {
        let stem = stored.name.strip_suffix(".weight").unwrap_or(&stored.name).to_owned();
        for piece in Piece::all() {
            tensors.remove(&format!("{stem}.{}", piece.suffix()));
        }
        let dense = tensors.remove(&stored.name).map(|tensor| tensor.dtype);
        let dtype = dense.filter(|dtype| !is_eight_bits(*dtype)).unwrap_or_else(|| common_dtype(tensors));
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
pub(super) fn common_dtype(tensors: &BTreeMap<String, Planned>) -> Dtype {
    let types = [Dtype::F32, Dtype::BF16, Dtype::F16];
    let elements = |dtype: &Dtype| {
        let copied =
            tensors.values().filter(|tensor| matches!(tensor.origin, Origin::Copied) && tensor.dtype == *dtype);
        copied.map(|tensor| tensor.shape.iter().product::<usize>()).sum::<usize>()
    };
    types.into_iter().rev().max_by_key(elements).unwrap_or(Dtype::F32)
}
