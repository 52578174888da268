//! How a compressed layer lies in a checkpoint (docs/formats.md, "Compressed checkpoints"), native and classic.

use std::collections::BTreeMap;

use half::f16;
use serde::{Deserialize, Serialize};

use super::fused::layer_name;
use super::layers::in_parts;
use super::{CompressedLinear, LowRank, ModelError};
use crate::checkpoint::{COMPRESSION_META, Checkpoint, Dtype, Tensor, View, escaped};
use crate::linalg::{Matrix, Order, Values};

/// Group length of INT4 where nothing tells it.
const USUAL_GROUP: usize = 32;

/// The parts that may replace `P.weight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `P.U`
    U,
    /// `P.S` (classic only)
    S,
    /// `P.Vh`
    Vh,
    /// `P.base`
    Base,
}

impl Part {
    /// Name of the part after `P.`.
    pub fn name(self) -> &'static str {
        match self {
            Self::U => "U",
            Self::S => "S",
            Self::Vh => "Vh",
            Self::Base => "base",
        }
    }
}

/// One entry of `compression_meta`: of `P.U`, `P.S`, `P.Vh` or `P.base`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartMeta {
    /// One scale for the part; null where a scale tensor holds it.
    pub scale: Option<f64>,
    /// x = (q - `zero_point`) * scale.
    #[serde(default)]
    pub zero_point: i64,
    /// Shape of the part, unpacked.
    pub original_shape: Vec<usize>,
    /// `float32` or as the writer says.
    pub original_dtype: String,
    /// Group length of a base with several scales a row: the scales' shape alone does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
}

/// A compressed layer found in a checkpoint.
#[derive(Debug, Clone)]
pub struct StoredLayer {
    /// `P.weight`, or `P.weight#k` of a part.
    pub name: String,
    /// [m, n].
    pub shape: (usize, usize),
    /// Bytes of its tensors, a dense base included; of a part of a fused tensor, its rows' share.
    pub bytes: u64,
    /// Type of the first part.
    pub dtype: Dtype,
    /// The weight, run as stored. Of the classic layout, the scale and S are folded into the rows' scales of Vh; where a
    /// zero point is not 0, the factors are widened to f32 (INT8 kernels are symmetric).
    pub weight: CompressedLinear,
}

/// The checked `compression_meta` of a checkpoint; empty where there is none.
///
/// # Errors
/// Not JSON, or entries that cannot be (scale not finite or not above 0).
pub fn parse_compression_meta(checkpoint: &Checkpoint) -> Result<BTreeMap<String, PartMeta>, ModelError> {
    let Some(text) = checkpoint.metadata().get(COMPRESSION_META) else { return Ok(BTreeMap::new()) };
    let metas: BTreeMap<String, PartMeta> = serde_json::from_str(text)
        .map_err(|e| ModelError::Tensor(format!("__metadata__ value \"{COMPRESSION_META}\" cannot be read: {e}")))?;
    for (name, meta) in &metas {
        if meta.scale.is_some_and(|scale| !(scale.is_finite() && scale > 0.0)) {
            return Err(trouble(name, "its scale in compression_meta is not a number above 0"));
        }
    }
    Ok(metas)
}

/// `P` and the part, where a tensor's name is that of a part (`P.U`, `P.U.quant`, `P.U.scale`).
pub(super) fn split_part(name: &str) -> Option<(&str, Part)> {
    let stem = name.strip_suffix(".quant").or_else(|| name.strip_suffix(".scale")).unwrap_or(name);
    let quantized = stem.len() != name.len();
    let (owner, part) = stem.rsplit_once('.')?;
    let part = match part {
        "U" => Part::U,
        "S" => Part::S,
        "Vh" => Part::Vh,
        "base" if quantized => Part::Base,
        _ => return None,
    };
    Some((owner, part))
}

/// All compressed layers of a checkpoint, native and classic; shapes and ranks checked before any allocation. A fused tensor that
/// was compressed as a whole is its parts, where the config tells them.
///
/// # Errors
/// Parts that are missing or disagree.
pub fn stored_layers(checkpoint: &Checkpoint) -> Result<Vec<StoredLayer>, ModelError> {
    let metas = parse_compression_meta(checkpoint)?;
    let mut owners: BTreeMap<&str, Vec<&Tensor>> = BTreeMap::new();
    for tensor in checkpoint.tensors() {
        if let Some((owner, _)) = split_part(&tensor.name) {
            owners.entry(owner).or_default().push(tensor);
        }
    }
    let looks_compressed = |tensors: &[&Tensor]| {
        let part = |wanted| tensors.iter().any(|t| split_part(&t.name).is_some_and(|(_, part)| part == wanted));
        part(Part::Base) || (part(Part::U) && part(Part::Vh))
    };
    owners.retain(|_, tensors| looks_compressed(tensors));
    let layers = owners.into_iter().map(|(owner, tensors)| read_layer(checkpoint, &metas, owner, &tensors));
    Ok(in_parts(checkpoint, layers.collect::<Result<_, _>>()?))
}

fn read_layer(
    checkpoint: &Checkpoint,
    metas: &BTreeMap<String, PartMeta>,
    owner: &str,
    tensors: &[&Tensor],
) -> Result<StoredLayer, ModelError> {
    let reader = Reader { checkpoint, metas, owner };
    let quantized_base = reader.part(Part::Base)?;
    let dense = checkpoint.tensor(&format!("{owner}.weight")).filter(|_| quantized_base.is_none());
    let dense_base = dense.map(Reader::float).transpose()?;
    let low_rank = reader.low_rank()?;
    let weight = CompressedLinear { base: quantized_base.or(dense_base), low_rank };
    let shape = weight.shape();
    let low_shape = weight.low_rank.as_ref().map(|low| (low.u.rows(), low.vh.cols()));
    if low_shape.is_some_and(|low| low != shape) {
        return Err(trouble(owner, "its base and its factors have different shapes"));
    }
    let dtype = tensors.first().map_or(Dtype::I8, |tensor| tensor.dtype);
    let parts: u64 = tensors.iter().map(|t| t.data.len() as u64).sum();
    let bytes = parts + dense.map_or(0, Tensor::stored_bytes);
    Ok(StoredLayer { name: layer_name(owner), shape, bytes, dtype, weight })
}

/// Reads the parts of one layer.
struct Reader<'a> {
    checkpoint: &'a Checkpoint,
    metas: &'a BTreeMap<String, PartMeta>,
    owner: &'a str,
}

impl Reader<'_> {
    fn tensor(&self, suffix: &str) -> Option<&Tensor> {
        self.checkpoint.tensor(&format!("{}.{suffix}", self.owner))
    }

    /// U and Vh, with S (classic) folded into Vh.
    fn low_rank(&self) -> Result<Option<LowRank>, ModelError> {
        let (Some(u), Some(vh)) = (self.part(Part::U)?, self.part(Part::Vh)?) else { return Ok(None) };
        if u.cols() != vh.rows() {
            return Err(trouble(self.owner, "U and Vh have different ranks"));
        }
        let vh = match self.singular_values(vh.rows())? {
            Some(s) => scale_rows(&vh, &s).ok_or_else(|| trouble(self.owner, "S cannot be folded into Vh"))?,
            None => vh,
        };
        Ok(Some(LowRank { u, vh }))
    }

    /// One part as a matrix, if there.
    fn part(&self, part: Part) -> Result<Option<Matrix>, ModelError> {
        let name = part.name();
        if let Some(quant) = self.tensor(&format!("{name}.quant")) {
            return self.quantized(part, quant).map(Some);
        }
        match self.tensor(name) {
            Some(tensor) if part != Part::Base => Self::float(tensor).map(Some),
            _ => Ok(None),
        }
    }

    fn quantized(&self, part: Part, quant: &Tensor) -> Result<Matrix, ModelError> {
        let name = quant.name.as_str();
        let [rows, cols] = *quant.shape.as_slice() else { return Err(trouble(name, "it is not two-dimensional")) };
        if quant.dtype == Dtype::U8 && part == Part::Base {
            return self.packed(quant, (rows, cols));
        }
        if quant.dtype != Dtype::I8 {
            return Err(trouble(name, &format!("it is stored as {:?}; I8 is needed", quant.dtype)));
        }
        let q: View<i8> = quant.data.view().ok_or_else(|| trouble(name, "its size is wrong"))?;
        let meta = self.metas.get(&format!("{}.{}", self.owner, part.name()));
        if let Some(meta) = meta.filter(|meta| meta.original_shape != quant.shape) {
            let says = format!("compression_meta says shape {:?}, but it is {:?}", meta.original_shape, quant.shape);
            return Err(trouble(name, &says));
        }
        let zero = meta.map_or(0, |meta| meta.zero_point);
        let (scales, group) = match self.tensor(&format!("{}.scale", part.name())) {
            Some(tensor) => self.scales(tensor, rows, cols, meta.and_then(|meta| meta.group))?,
            None => match meta.and_then(|meta| meta.scale) {
                Some(scale) => (View::copied(&vec![scale as f32; rows]), None),
                None => return Err(trouble(name, "neither a scale tensor nor compression_meta gives its scale")),
            },
        };
        let values = if zero == 0 {
            Values::I8 { quant: q, scales, group }
        } else {
            let shift = |(i, q): (usize, &i8)| {
                let scale = scales.get(i / cols.max(1)).copied().unwrap_or_default();
                (i64::from(*q).saturating_sub(zero)) as f32 * scale
            };
            Values::F32(View::copied(&q.iter().enumerate().map(shift).collect::<Vec<f32>>()))
        };
        Ok(Matrix::new(rows, cols, Order::RowMajor, values)?)
    }

    /// An INT4 base, two numbers a byte. Its width is told by `compression_meta`, else by Vh, else it is even.
    fn packed(&self, quant: &Tensor, (rows, bytes): (usize, usize)) -> Result<Matrix, ModelError> {
        let name = quant.name.as_str();
        let meta = self.metas.get(&format!("{}.{}", self.owner, Part::Base.name()));
        let told = meta.map(|meta| meta.original_shape.clone());
        let vh = self.tensor("Vh.quant").or_else(|| self.tensor("Vh")).and_then(|vh| vh.shape.last());
        let shape = told.unwrap_or_else(|| vec![rows, vh.copied().unwrap_or(bytes.saturating_mul(2))]);
        let cols = match *shape.as_slice() {
            [found, cols] if found == rows && cols.div_ceil(2) == bytes => cols,
            _ => return Err(trouble(name, &format!("{rows} rows of {bytes} bytes do not hold INT4 of {shape:?}"))),
        };
        if meta.is_some_and(|meta| meta.zero_point != 0) {
            return Err(trouble(name, "INT4 with a zero point other than 0 cannot be read"));
        }
        let scale = self.tensor("base.scale").ok_or_else(|| trouble(name, "there is no base.scale beside it"))?;
        let [found, groups] = *scale.shape.as_slice() else {
            return Err(trouble(&scale.name, "it is not two-dimensional"));
        };
        let scales: Option<View<f16>> = scale.data.view().filter(|_| scale.dtype == Dtype::F16 && found == rows);
        let scales = scales.ok_or_else(|| trouble(&scale.name, &format!("F16 with {rows} rows is needed")))?;
        if scales.iter().any(|scale| !scale.is_finite()) {
            return Err(trouble(&scale.name, "it holds a scale that is not finite"));
        }
        let group = self.group(cols, groups, meta.and_then(|meta| meta.group).or(Some(USUAL_GROUP)))?;
        let quant: View<u8> = quant.data.view().ok_or_else(|| trouble(name, "its size is wrong"))?;
        Ok(Matrix::new(rows, cols, Order::RowMajor, Values::I4 { quant, scales, group })?)
    }

    /// Scales [rows], or [rows, groups] with the group length `told` or found.
    fn scales(
        &self,
        tensor: &Tensor,
        rows: usize,
        cols: usize,
        told: Option<usize>,
    ) -> Result<(View<f32>, Option<usize>), ModelError> {
        let name = tensor.name.as_str();
        let view: Option<View<f32>> = tensor.data.view().filter(|_| tensor.dtype == Dtype::F32);
        let view = view.ok_or_else(|| trouble(name, "scales must be F32"))?;
        if view.iter().any(|scale| !(scale.is_finite() && *scale >= 0.0)) {
            return Err(trouble(name, "it holds a scale that is negative or not finite"));
        }
        match *tensor.shape.as_slice() {
            [found] if found == rows => Ok((view, None)),
            [found, groups] if found == rows && (1..=cols.max(1)).contains(&groups) => {
                Ok((view, Some(self.group(cols, groups, told)?)))
            }
            _ => Err(trouble(name, &format!("its shape is {:?}, but there are {rows} rows", tensor.shape))),
        }
    }

    /// A group length that cuts `cols` into `groups`: the one `told`, else a power of two, else the least (several lengths
    /// can give the same count).
    fn group(&self, cols: usize, groups: usize, told: Option<usize>) -> Result<usize, ModelError> {
        let fits = |group: &usize| *group > 0 && cols.div_ceil(*group) == groups;
        let powers = (0..usize::BITS - 1).map(|bit| 1_usize << bit).take_while(|group| *group < cols.saturating_mul(2));
        let found = told.into_iter().chain(powers).chain([cols.div_ceil(groups)]).find(fits);
        found.ok_or_else(|| trouble(self.owner, &format!("no group length cuts {cols} columns into {groups} groups")))
    }

    fn float(tensor: &Tensor) -> Result<Matrix, ModelError> {
        let [rows, cols] = *tensor.shape.as_slice() else {
            return Err(trouble(&tensor.name, "it is not two-dimensional"));
        };
        super::formats::float_matrix(tensor, rows, cols, false)
            .ok_or_else(|| trouble(&tensor.name, "factors must be F32, F16, BF16, or I8 with scales"))
    }

    /// The classic layout's S, widened.
    fn singular_values(&self, rank: usize) -> Result<Option<Vec<f32>>, ModelError> {
        let quantized = self.tensor("S.quant");
        let Some(tensor) = quantized.or_else(|| self.tensor("S")) else { return Ok(None) };
        if tensor.shape.iter().product::<usize>() != rank {
            return Err(trouble(&tensor.name, &format!("it has shape {:?}, but the rank is {rank}", tensor.shape)));
        }
        if quantized.is_some() {
            let meta = self.metas.get(&format!("{}.S", self.owner));
            let meta = meta.and_then(|meta| meta.scale.map(|scale| (scale, meta.zero_point)));
            let (scale, zero) =
                meta.ok_or_else(|| trouble(&tensor.name, "compression_meta does not give its scale"))?;
            let q: View<i8> = tensor.data.view().ok_or_else(|| trouble(&tensor.name, "its size is wrong"))?;
            return Ok(Some(q.iter().map(|q| (i64::from(*q).saturating_sub(zero) as f64 * scale) as f32).collect()));
        }
        let flat = Tensor::new(tensor.name.clone(), tensor.dtype, vec![rank, 1], tensor.data.clone());
        Ok(Some(Self::float(&flat)?.to_f32()))
    }
}

/// diag(s) Vh: into the rows' scales of an INT8 matrix, into the elements of a float one.
fn scale_rows(vh: &Matrix, s: &[f32]) -> Option<Matrix> {
    let (rows, cols) = (vh.rows(), vh.cols());
    let values = if let Values::I8 { quant, scales, group: None } = vh.values() {
        let scales: Vec<f32> = scales.iter().zip(s).map(|(scale, s)| scale * s).collect();
        Values::I8 { quant: quant.clone(), scales: View::copied(&scales), group: None }
    } else {
        let mut all = vh.to_f32();
        let rows = all.chunks_exact_mut(cols.max(1)).zip(s);
        rows.for_each(|(row, s)| row.iter_mut().for_each(|x| *x *= s));
        Values::F32(View::copied(&all))
    };
    Matrix::new(rows, cols, Order::RowMajor, values).ok()
}

fn trouble(name: &str, reason: &str) -> ModelError {
    ModelError::Tensor(format!("compressed layer {}: {reason}", escaped(name, 120)))
}
