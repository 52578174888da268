//! From a checkpoint to a decoder: every tensor found, its shape and type checked against the config.

use std::sync::Arc;

use super::config::Config;
use super::decoder::{Block, Head, Linear, Mlp, Model, Parts};
use super::family::{Architecture, Family, NormKind, Positions, family_of};
use super::fused::{fused_of, part_name};
use super::layers::{float_matrix, layers_with};
use super::norm::Norm;
use super::stored::{StoredLayer, stored_layers};
use super::{CompressedLinear, Kind, Layer, ModelError};
use crate::checkpoint::{Checkpoint, Dtype, Tensor, escaped};
use crate::linalg::{Matrix, RowSelection};

/// Builds the decoder of a checkpoint.
pub(super) fn load(checkpoint: &Checkpoint) -> Result<Model, ModelError> {
    let config = Config::new(checkpoint.config()?);
    let family = family_of(&config)?;
    if checkpoint.tensors().is_empty() {
        let head = format!("{}.weight", family.names.head);
        return Err(ModelError::Tensor(format!("the file holds no tensors; missing {head} and the rest of the model")));
    }
    let stored = stored_layers(checkpoint)?;
    let layers = layers_with(checkpoint, &stored);
    let held = layers.iter().filter_map(|layer| layer.block).max().map_or(0, |last| last + 1);
    let mut architecture = (family.describe)(&config.holding_blocks(held))?;
    add_generation_eos(checkpoint, &mut architecture);
    let prefix = family.names.prefix(checkpoint);
    let loader = Loader { checkpoint, config, family, prefix, architecture: &architecture, stored: &stored, layers };
    let parts = loader.parts()?;
    Ok(Model::assemble(architecture, parts))
}

/// `generation_config.json` may name further end-of-text ids.
fn add_generation_eos(checkpoint: &Checkpoint, architecture: &mut Architecture) {
    let sidecars = checkpoint.sidecars();
    let file = sidecars.iter().find(|file| file.name == "generation_config.json");
    let map = file.and_then(|file| serde_json::from_slice(&file.data).ok());
    let ids = map.and_then(|map| Config::new(&map).ids("eos_token_id", &[]).ok()).unwrap_or_default();
    let fresh: Vec<u32> = ids.into_iter().filter(|id| !architecture.eos.contains(id)).collect();
    architecture.eos.extend(fresh);
}

struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    config: Config<'a>,
    family: &'static Family,
    prefix: &'static str,
    architecture: &'a Architecture,
    stored: &'a [StoredLayer],
    layers: Vec<Layer>,
}

impl Loader<'_> {
    fn parts(self) -> Result<Parts, ModelError> {
        let shape = self.architecture;
        let names = &self.family.names;
        let name = |local: &str| format!("{}{local}", self.prefix);
        let embedding =
            self.matrix(&name(names.embedding), [shape.vocabulary, shape.hidden], ["vocab_size", "hidden_size"])?;
        let positions = match (&shape.positions, names.positions) {
            (Positions::Learned, Some(local)) => {
                let keys = ["max_position_embeddings", "hidden_size"];
                Some(self.matrix(&name(local), [shape.context, shape.hidden], keys)?)
            }
            _ => None,
        };
        let mut weights = vec![None; self.layers.len()];
        let blocks = (0..shape.blocks).map(|block| self.block(block, &mut weights)).collect::<Result<Vec<_>, _>>()?;
        let final_norm = self.norm(&name(names.final_norm))?;
        let head = self.head(&mut weights)?;
        let filled =
            weights.into_iter().zip(&self.layers).map(|(weight, layer)| weight.map_or_else(|| self.unused(layer), Ok));
        let weights = filled.collect::<Result<Vec<_>, _>>()?;
        let total_bytes = self.checkpoint.total_bytes();
        Ok(Parts { embedding, positions, blocks, final_norm, head, layers: self.layers, weights, total_bytes })
    }

    /// The weight of a layer that the config does not use (blocks beyond its count, a head that is tied all the same): kept,
    /// as the reference keeps silent about it, so that it can be looked at and exported.
    fn unused(&self, layer: &Layer) -> Result<Arc<CompressedLinear>, ModelError> {
        let stored = self.stored.iter().find(|stored| stored.name == layer.name);
        let weight = stored.map(|stored| stored.weight.clone());
        let weight = weight.or_else(|| layer.matrix(self.checkpoint).map(CompressedLinear::dense));
        weight.map(Arc::new).ok_or_else(|| self.missing(&layer.name))
    }

    /// The norms and linear maps of block `index`.
    fn block(&self, index: usize, weights: &mut [Option<Arc<CompressedLinear>>]) -> Result<Block, ModelError> {
        let names = &self.family.names;
        let local = |name: &str| format!("{}{}{index}.{name}", self.prefix, names.block);
        let mut linear = |wanted: Kind| -> Result<Option<Linear>, ModelError> {
            let named = |kind: Kind| names.linears.iter().find(|(known, _)| *known == kind);
            let Some((kind, name)) = named(wanted).or_else(|| named(fused_of(wanted)?)) else { return Ok(None) };
            self.linear(&local(name), (wanted, *kind), names.transposed, weights).map(Some)
        };
        let gate = linear(Kind::Gate)?;
        let mut needed =
            |kind| linear(kind)?.ok_or_else(|| ModelError::Tensor(format!("no {} in block {index}", kind.name())));
        let projections = [needed(Kind::Q)?, needed(Kind::K)?, needed(Kind::V)?];
        let output = needed(Kind::O)?;
        let mlp = Mlp { gate, up: needed(Kind::Up)?, down: needed(Kind::Down)? };
        let attention_norm = self.norm(&local(names.attention_norm))?;
        let mlp_norm = self.norm(&local(names.mlp_norm))?;
        Ok(Block { attention_norm, projections, output, mlp_norm, mlp })
    }

    /// [out, in] of a linear map of a block.
    fn shape_of(&self, kind: Kind) -> [usize; 2] {
        let shape = self.architecture;
        let (q, kv) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
        match kind {
            Kind::Q => [q, shape.hidden],
            Kind::K | Kind::V => [kv, shape.hidden],
            Kind::O => [shape.hidden, q],
            Kind::Down => [shape.hidden, shape.intermediate],
            Kind::LmHead => [shape.vocabulary, shape.hidden],
            _ => [shape.intermediate, shape.hidden],
        }
    }

    /// The map of one kind out of the tensor `stem`, which may be of another kind that fuses it with others.
    fn linear(
        &self,
        stem: &str,
        (kind, tensor_kind): (Kind, Kind),
        transposed: bool,
        weights: &mut [Option<Arc<CompressedLinear>>],
    ) -> Result<Linear, ModelError> {
        let tensor = format!("{stem}.weight");
        let part = if kind == tensor_kind { None } else { self.architecture.fused_rows(kind) };
        let name = if part.is_some() { part_name(&tensor, kind) } else { tensor.clone() };
        let [rows, cols] = self.shape_of(kind);
        let weight = match self.stored.iter().find(|layer| layer.name == name) {
            Some(layer) if layer.shape == (rows, cols) => layer.weight.clone(),
            Some(layer) => return Err(Self::disagrees(&name, &[layer.shape.0, layer.shape.1], &[rows, cols])),
            None => CompressedLinear::dense(match part {
                None => self.linear_matrix(&name, [rows, cols], transposed)?,
                Some(part) => self.part_matrix(stem, kind, part, transposed)?,
            }),
        };
        let layer = self.layers.iter().position(|layer| layer.name == name);
        let layer = layer.ok_or_else(|| self.missing(&name))?;
        if let Some(slot) = weights.get_mut(layer) {
            *slot = Some(Arc::new(weight));
        }
        let bias = if self.architecture.biased.contains(&tensor_kind) {
            let whole = self.vector(&format!("{stem}.bias"), part.map_or(rows, |(_, total)| total))?;
            part.map_or_else(|| whole.clone(), |(part, _)| gathered(&whole, part))
        } else {
            Vec::new()
        };
        Ok(Linear { layer, rows, bias })
    }

    /// A part of a fused tensor: rows of that, or a tensor of its own where the other parts are stored compressed.
    fn part_matrix(
        &self,
        stem: &str,
        kind: Kind,
        (part, total): (RowSelection, usize),
        transposed: bool,
    ) -> Result<Matrix, ModelError> {
        let (alone, [rows, cols]) = (format!("{}.weight", part_name(stem, kind)), self.shape_of(kind));
        if self.checkpoint.tensor(&alone).is_some() {
            let matrix = self.linear_matrix(&alone, [rows, cols], false)?;
            // As it ran in its fused tensor, to the bit.
            return Ok(matrix.in_columns().filter(|_| transposed).unwrap_or(matrix));
        }
        Ok(self.linear_matrix(&format!("{stem}.weight"), [total, cols], transposed)?.select(part)?)
    }

    fn linear_matrix(&self, name: &str, [rows, cols]: [usize; 2], transposed: bool) -> Result<Matrix, ModelError> {
        let tensor = self.float(name)?;
        let stored = if transposed { [cols, rows] } else { [rows, cols] };
        if tensor.shape != stored {
            return Err(Self::disagrees(name, &tensor.shape, &stored));
        }
        float_matrix(tensor, rows, cols, transposed).ok_or_else(|| self.missing(name))
    }

    /// An embedding; `keys` name its two dimensions in config.json.
    fn matrix(&self, name: &str, shape: [usize; 2], keys: [&'static str; 2]) -> Result<Matrix, ModelError> {
        let tensor = self.float(name)?;
        let wrong = tensor.shape.iter().zip(shape).zip(keys).find(|((found, wanted), _)| *found != wanted);
        if let Some(((_, wanted), key)) = wrong {
            let aliases: &[&str] = match key {
                "hidden_size" => &["hidden_size", "n_embd"],
                "max_position_embeddings" => &["max_position_embeddings", "n_positions"],
                _ => &["vocab_size"],
            };
            let says = if self.config.has(aliases) {
                format!("config.json says {key} {wanted}, but")
            } else {
                format!("config.json does not give {key}, and the default {wanted} does not fit:")
            };
            return Err(ModelError::Tensor(format!("{says} tensor {} is {:?}", escaped(name, 120), tensor.shape)));
        }
        float_matrix(tensor, shape[0], shape[1], false).ok_or_else(|| Self::disagrees(name, &tensor.shape, &shape))
    }

    fn norm(&self, stem: &str) -> Result<Norm, ModelError> {
        let (kind, width) = (self.architecture.norm, self.architecture.hidden);
        let weight = self.vector(&format!("{stem}.weight"), width)?;
        let bias = if kind == NormKind::Layer { self.vector(&format!("{stem}.bias"), width)? } else { Vec::new() };
        Ok(Norm { kind, weight, bias, epsilon: self.architecture.epsilon })
    }

    fn head(&self, weights: &mut [Option<Arc<CompressedLinear>>]) -> Result<Head, ModelError> {
        let stem = self.family.names.head;
        let stored = self.layers.iter().any(|layer| layer.kind == Kind::LmHead);
        let tied = self.architecture.tied.unwrap_or(self.family.tied_by_default || !stored);
        if tied {
            return Ok(Head::Tied);
        }
        self.linear(stem, (Kind::LmHead, Kind::LmHead), false, weights).map(Head::Own)
    }

    /// A one-dimensional tensor, widened.
    fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>, ModelError> {
        let tensor = self.float(name)?;
        if tensor.shape != [length] {
            return Err(Self::disagrees(name, &tensor.shape, &[length]));
        }
        float_matrix(tensor, 1, length, false).map(|matrix| matrix.to_f32()).ok_or_else(|| self.missing(name))
    }

    /// A tensor that can be run.
    fn float(&self, name: &str) -> Result<&Tensor, ModelError> {
        let tensor = self.checkpoint.tensor(name).ok_or_else(|| self.missing(name))?;
        let shown = escaped(name, 120);
        match tensor.dtype {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(tensor),
            Dtype::I8 | Dtype::U8 => Err(ModelError::Tensor(format!(
                "tensor {shown} is stored as {:?} without scales; only floating-point weights can be run",
                tensor.dtype
            ))),
            other => Err(ModelError::Tensor(format!(
                "tensor {shown} is stored as {other:?}, which is not supported (supported: F32, F16, BF16)"
            ))),
        }
    }

    fn missing(&self, name: &str) -> ModelError {
        let place = self.checkpoint.label();
        ModelError::Tensor(format!(
            "the model needs tensor {}, which {} does not hold",
            escaped(name, 120),
            escaped(place, 80)
        ))
    }

    fn disagrees(name: &str, found: &[usize], wanted: &[usize]) -> ModelError {
        let name = escaped(name, 120);
        ModelError::Tensor(format!("tensor {name} is {found:?}, but config.json makes it {wanted:?}"))
    }
}

/// The elements of `whole` that are those rows.
fn gathered(whole: &[f32], rows: RowSelection) -> Vec<f32> {
    (0..rows.rows).map(|row| whole.get(rows.stored(row)).copied().unwrap_or_default()).collect()
}
