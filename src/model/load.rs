//! From a checkpoint to a decoder: every tensor found, its shape and type checked against the config.

use std::sync::Arc;

use tracing::info;

use super::architecture::{Architecture, HeadNorm, NormKind, Place, Positions};
use super::config::Config;
use super::decoder::{Block, Feed, Head, Linear, Mlp, Model, NormsAt, Parts, Stem};
use super::family::{Family, family_of};
use super::formats::{float_matrix, why_unreadable};
use super::fused::{fused_of, part_name};
use super::layers::{is_tied, layers_with};
use super::norm::Norm;
use super::resemble::resembled;
use super::stored::{StoredLayer, stored_layers};
use super::{CompressedLinear, Kind, Layer, ModelError};
use crate::checkpoint::{Checkpoint, Tensor, escaped};
use crate::linalg::{Matrix, RowSelection};

/// Builds the decoder of a checkpoint.
pub(super) fn load(checkpoint: &Checkpoint) -> Result<Model, ModelError> {
    let config = Config::new(checkpoint.config()?).text();
    let family = family_of(&config).map_err(|e| e.resembling(|| resembled(checkpoint, &config)))?;
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
    let tied = is_tied(checkpoint, &stored, &config, (family, &prefix));
    let loader =
        Loader { checkpoint, config, family, prefix, tied, architecture: &architecture, stored: &stored, layers };
    let parts = loader.parts()?;
    // Vectors are copied by now.
    checkpoint.check()?;
    let Architecture { family, blocks, hidden, heads, kv_heads, intermediate, vocabulary, context, .. } = architecture;
    let layers = parts.layers.len();
    info!(family, layers, blocks, hidden, heads, kv_heads, intermediate, vocabulary, context, "the model is read");
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
    prefix: String,
    tied: bool,
    architecture: &'a Architecture,
    stored: &'a [StoredLayer],
    layers: Vec<Layer>,
}

impl Loader<'_> {
    fn parts(self) -> Result<Parts, ModelError> {
        let shape = self.architecture;
        let stem = self.stem()?;
        let mut weights = vec![None; self.layers.len()];
        let blocks = (0..shape.blocks).map(|block| self.block(block, &mut weights)).collect::<Result<Vec<_>, _>>()?;
        let head = self.head(&mut weights)?;
        let filled =
            weights.into_iter().zip(&self.layers).map(|(weight, layer)| weight.map_or_else(|| self.unused(layer), Ok));
        let weights = filled.collect::<Result<Vec<_>, _>>()?;
        let total_bytes = self.checkpoint.total_bytes();
        let files = self.checkpoint.maps();
        Ok(Parts { stem, blocks, head, layers: self.layers, weights, total_bytes, files })
    }

    /// The weight of a layer that the config does not use (blocks beyond its count, a head that is tied all the same): kept,
    /// as the reference keeps silent about it, so that it can be looked at and exported.
    fn unused(&self, layer: &Layer) -> Result<Arc<CompressedLinear>, ModelError> {
        let stored = self.stored.iter().find(|stored| stored.name == layer.name);
        let weight = stored.map(|stored| stored.weight.clone());
        let weight = weight.or_else(|| layer.matrix(self.checkpoint).map(CompressedLinear::dense));
        weight.map(Arc::new).ok_or_else(|| {
            let (name, reason) = (escaped(&layer.name, 120), layer.why_no_matrix(self.checkpoint));
            ModelError::Tensor(format!("layer {name} {reason}"))
        })
    }

    /// What stands before the blocks and after them.
    fn stem(&self) -> Result<Stem, ModelError> {
        let (shape, names) = (self.architecture, &self.family.names);
        let name = |local: &str| format!("{}{local}", self.prefix);
        let of_embedding = name(names.embedding);
        // The only copy of a tied matrix may bear the head's name.
        let alias = self.of_head(".weight").filter(|_| self.tied && self.checkpoint.tensor(&of_embedding).is_none());
        let of_embedding = alias.map_or(of_embedding, |tensor| tensor.name.clone());
        let positions = match (&shape.positions, names.positions) {
            (Positions::Learned { skipped }, Some(local)) => {
                let keys = ["max_position_embeddings", "hidden_size"];
                Some(self.matrix(&name(local), [shape.context.saturating_add(*skipped), shape.hidden], keys)?)
            }
            _ => None,
        };
        let projections = match names.projections {
            Some([into, out]) if shape.embedding != shape.hidden => Some([
                self.linear_matrix(&name(into), [shape.hidden, shape.embedding], false)?,
                self.linear_matrix(&name(out), [shape.embedding, shape.hidden], false)?,
            ]),
            _ => None,
        };
        let keys = ["vocab_size", if shape.embedding == shape.hidden { "hidden_size" } else { "word_embed_proj_dim" }];
        let embedding = self.matrix(&of_embedding, [shape.vocabulary, shape.embedding], keys)?;
        Ok(Stem { embedding, positions, projections, norms: self.norms(name, |place| !in_block(place))? })
    }

    /// The norms and linear maps of block `index`.
    fn block(&self, index: usize, weights: &mut [Option<Arc<CompressedLinear>>]) -> Result<Block, ModelError> {
        let names = &self.family.names;
        let local = |name: &str| format!("{}{}{index}.{name}", self.prefix, names.block);
        let mut linear = |wanted: Kind, expert: usize| -> Result<Option<Linear>, ModelError> {
            let named = |kind: Kind| names.linears.iter().find(|(known, _)| *known == kind);
            let Some((kind, name)) = named(wanted).or_else(|| named(fused_of(wanted)?)) else { return Ok(None) };
            let name = name.replace("{}", &expert.to_string());
            self.linear(&local(&name), (wanted, *kind), names.transposed, weights).map(Some)
        };
        let mut needed = |kind: Kind, expert| {
            linear(kind, expert)?.ok_or_else(|| ModelError::Tensor(format!("no {} in block {index}", kind.name())))
        };
        let projections = [needed(Kind::Q, 0)?, needed(Kind::K, 0)?, needed(Kind::V, 0)?];
        let output = needed(Kind::O, 0)?;
        let experts = self.architecture.experts.as_ref();
        let mlp = match experts.filter(|experts| experts.blocks.get(index).copied().unwrap_or_default()) {
            None => {
                let (up, down) = (needed(Kind::Up, 0)?, needed(Kind::Down, 0)?);
                Feed::Mlp(Mlp { gate: linear(Kind::Gate, 0)?, up, down })
            }
            Some(rule) => {
                let router = needed(Kind::Router, 0)?;
                let mut expert = |at: usize| {
                    let gate = Some(needed(Kind::ExpertGate, at)?);
                    Ok(Mlp { gate, up: needed(Kind::ExpertUp, at)?, down: needed(Kind::ExpertDown, at)? })
                };
                let experts = (0..rule.count).map(&mut expert).collect::<Result<Vec<_>, ModelError>>()?;
                Feed::Experts { router, experts }
            }
        };
        Ok(Block { norms: self.norms(local, in_block)?, projections, output, mlp })
    }

    /// [out, in] of a linear map of a block.
    fn shape_of(&self, kind: Kind) -> [usize; 2] {
        let shape = self.architecture;
        let experts = shape.experts.as_ref();
        let (q, kv) = (shape.heads.saturating_mul(shape.head_dim), shape.kv_heads.saturating_mul(shape.head_dim));
        match kind {
            Kind::Q => [q, shape.hidden],
            Kind::K | Kind::V => [kv, shape.hidden],
            Kind::O => [shape.hidden, q],
            Kind::Down => [shape.hidden, shape.intermediate],
            Kind::LmHead => [shape.vocabulary, shape.embedding],
            Kind::Router => [experts.map_or(0, |experts| experts.count), shape.hidden],
            Kind::ExpertGate | Kind::ExpertUp => [experts.map_or(0, |experts| experts.width), shape.hidden],
            Kind::ExpertDown => [shape.hidden, experts.map_or(0, |experts| experts.width)],
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

    /// The norms whose places are `wanted`, called as `name` makes them.
    fn norms(&self, name: impl Fn(&str) -> String, wanted: impl Fn(Place) -> bool) -> Result<NormsAt, ModelError> {
        let norms = self.architecture.norms.iter().filter(|(place, _)| wanted(*place));
        let norms = norms.map(|(place, local)| Ok((*place, self.norm(&name(local), *place)?)));
        norms.collect::<Result<Vec<_>, ModelError>>().map(NormsAt)
    }

    fn norm(&self, stem: &str, place: Place) -> Result<Norm, ModelError> {
        let (shape, kind) = (self.architecture, self.architecture.norm);
        let heads = match place {
            Place::Query => Some(shape.heads),
            Place::Key => Some(shape.kv_heads),
            _ => None,
        };
        // How many numbers go together, and how many tensors of how many numbers hold the weights.
        let (width, tensors) = match (heads, shape.head_norm) {
            (None, _) => (shape.hidden, 1),
            (Some(_), HeadNorm::Head) => (shape.head_dim, 1),
            (Some(heads), HeadNorm::EachHead) => (shape.head_dim, heads),
            (Some(heads), HeadNorm::Whole) => (heads.saturating_mul(shape.head_dim), 1),
        };
        let vectors = |end: &str| -> Result<Vec<f32>, ModelError> {
            let one = |at: usize| self.vector(&format!("{}.{end}", stem.replace("{}", &at.to_string())), width);
            (0..tensors).map(one).collect::<Result<Vec<_>, _>>().map(|all| all.concat())
        };
        let weight = match kind {
            NormKind::LayerPlain => vec![1.0; width * tensors],
            NormKind::RmsOffset => vectors("weight")?.into_iter().map(|w| 1.0 + w).collect(),
            NormKind::Layer | NormKind::Rms => vectors("weight")?,
        };
        let biased = kind.has_bias() && (heads.is_none() || shape.head_norm != HeadNorm::EachHead);
        let bias = if biased { vectors("bias")? } else { Vec::new() };
        Ok(Norm { kind, width, weight, bias, epsilon: shape.epsilon })
    }

    fn head(&self, weights: &mut [Option<Arc<CompressedLinear>>]) -> Result<Head, ModelError> {
        if !self.tied {
            let own = self.layers.iter().find(|layer| layer.kind == Kind::LmHead).and_then(Layer::stem);
            let Some(stem) = own else {
                let (name, place) = (format!("{}.weight", self.family.names.head), self.checkpoint.label());
                return Err(ModelError::Tensor(format!(
                    "the model needs tensor {name}, which {} does not hold; if its head is the embedding, \
                     config.json must say so: \"tie_word_embeddings\": true",
                    escaped(place, 80)
                )));
            };
            return self.linear(&stem, (Kind::LmHead, Kind::LmHead), false, weights).map(Head::Own);
        }
        match self.of_head(".bias").filter(|_| self.architecture.biased.contains(&Kind::LmHead)) {
            Some(bias) => self.vector(&bias.name, self.architecture.vocabulary).map(Head::Tied),
            None => Ok(Head::Tied(Vec::new())),
        }
    }

    /// The tensor of the head with that ending.
    fn of_head(&self, ending: &str) -> Option<&Tensor> {
        let names = &self.family.names;
        let is_it = |tensor: &&Tensor| tensor.name.strip_suffix(ending).is_some_and(|stem| names.is_head(stem));
        self.checkpoint.tensors().iter().find(is_it)
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
        match why_unreadable(tensor) {
            None => Ok(tensor),
            Some(reason) => Err(ModelError::Tensor(format!("tensor {} {reason}", escaped(name, 120)))),
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

/// Whether a norm stands in each block.
fn in_block(place: Place) -> bool {
    !matches!(place, Place::Embedding | Place::Final)
}
