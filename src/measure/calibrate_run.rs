//! One run over a text, block by block: what enters each block of all windows lies in a file, the sums of one block in memory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::MeasureError;
use crate::checkpoint::{Checkpoint, Dtype, FolderWriter, Tensor, TensorSpec, View, WriteError};
use crate::compress::{CalibratedInput, CalibrationAbout, CalibrationFile};
use crate::control::Control;
use crate::linalg::{Matrix, MomentSum};
use crate::model::{CompressedLinear, Kind, Layer, LowRank, Model, ModelError, Observer};

/// Statistics of some layers, with their tensors.
type Inputs = (Vec<CalibratedInput>, Vec<Tensor>);

/// A run, and where it keeps what is done.
pub(super) struct Run<'a> {
    model: &'a Model,
    source: &'a str,
    key: &'a str,
    windows: &'a [Vec<u32>],
    widest: usize,
    /// Length of a hidden state.
    width: usize,
    work: &'a Path,
    control: &'a Control,
}

impl<'a> Run<'a> {
    /// Nothing is done yet but what lies in `work`, if it has the same `key`.
    pub(super) fn new(
        model: &'a Model,
        source: &'a str,
        key: &'a str,
        windows: &'a [Vec<u32>],
        widest: usize,
        work: &'a Path,
        control: &'a Control,
    ) -> Result<Self, MeasureError> {
        let first = windows.first().map_or(&[][..], Vec::as_slice);
        let width = model.embeddings(first)?.len() / first.len().max(1);
        Ok(Self { model, source, key, windows, widest, width, work, control })
    }

    /// The statistics of all layers: block by block, then those of what comes after the blocks.
    pub(super) fn all(&self) -> Result<Inputs, MeasureError> {
        let blocks = self.model.architecture().blocks;
        let after = self.model.layers().iter().any(|layer| layer.block.is_none());
        let steps = blocks + usize::from(after);
        self.control.set_total((steps * self.windows.len()) as u64);
        let mut done = self.resume(steps);
        self.control.advance((done.len() * self.windows.len()) as u64);
        for step in done.len()..steps {
            done.push(if step < blocks { self.block(step)? } else { self.head(step)? });
        }
        let (inputs, tensors): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        Ok((inputs.into_iter().flatten().collect(), tensors.into_iter().flatten().collect()))
    }

    /// The statistics of one block; what leaves it is kept for the next one.
    fn block(&self, block: usize) -> Result<Inputs, MeasureError> {
        let mut sums = Sums::new(self.model.layers(), self.widest);
        let before = (block > 0).then(|| self.states(block)).transpose()?;
        let place = self.states_place(block + 1);
        let mut states = FolderWriter::create(&place, self.state_specs(), &BTreeMap::new(), u64::MAX, true, &[])?;
        for (index, window) in self.windows.iter().enumerate() {
            self.control.check()?;
            let mut x = match &before {
                Some(before) => self.state(before, index)?,
                None => self.model.embeddings(window)?,
            };
            self.model.run_blocks(block..block + 1, &mut x, Some(&mut sums), self.control)?;
            states.tensor(bytemuck::cast_slice(&x))?;
            self.control.advance(1);
        }
        states.finish(self.control)?;
        let done = self.keep(block, sums.finish(), &self.states(block + 1)?.fingerprint())?;
        let _ = fs::remove_dir_all(self.states_place(block));
        Ok(done)
    }

    /// The statistics of what comes after the blocks. The logits themselves are nobody's input, so they are not computed.
    fn head(&self, step: usize) -> Result<Inputs, MeasureError> {
        let mut sums = Sums::new(self.model.layers(), self.widest);
        let model = without_logits(self.model)?;
        let before = self.states(step)?;
        for index in 0..self.windows.len() {
            self.control.check()?;
            model.finish(&self.state(&before, index)?, Some(&mut sums), self.control)?;
            self.control.advance(1);
        }
        self.keep(step, sums.finish(), "")
    }

    /// Keeps what a step found, so that a later run need not do it again; from now on it lies in the file.
    fn keep(&self, step: usize, (inputs, tensors): Inputs, states: &str) -> Result<Inputs, MeasureError> {
        if tensors.is_empty() {
            return Ok((inputs, tensors));
        }
        let about = CalibrationAbout {
            source: self.source.to_owned(),
            text: self.step_text(states),
            inputs,
            ..CalibrationAbout::default()
        };
        let path = self.step_place(step);
        CalibrationFile::write(&path, true, &[], &about, tensors)?;
        let kept = CalibrationFile::open(&path, self.source, None)?;
        Ok((kept.about.inputs, kept.tensors))
    }

    /// The steps that an earlier run finished, from the first on, if what left the last of them is there too.
    fn resume(&self, steps: usize) -> Vec<Inputs> {
        let mut done = Vec::new();
        let mut text = String::new();
        for step in 0..steps {
            let Ok(kept) = CalibrationFile::open(&self.step_place(step), self.source, None) else { break };
            text = kept.about.text;
            done.push((kept.about.inputs, kept.tensors));
        }
        let states = if done.len() <= self.model.architecture().blocks {
            self.states(done.len()).map(|states| states.fingerprint()).unwrap_or_default()
        } else {
            String::new()
        };
        if text == self.step_text(&states) { done } else { Vec::new() }
    }

    /// What a kept step says of the run that it belongs to, and of the states that left it.
    fn step_text(&self, states: &str) -> String {
        format!("{} {states}", self.key)
    }

    fn step_place(&self, step: usize) -> PathBuf {
        self.work.join(format!("step-{step:05}.safetensors"))
    }

    fn states_place(&self, block: usize) -> PathBuf {
        self.work.join(format!("states-{block:05}"))
    }

    fn state_specs(&self) -> Vec<TensorSpec> {
        let spec = |(index, window): (usize, &Vec<u32>)| TensorSpec {
            name: state_name(index),
            dtype: Dtype::F32,
            shape: vec![window.len(), self.width],
        };
        self.windows.iter().enumerate().map(spec).collect()
    }

    /// What enters block `block` > 0.
    fn states(&self, block: usize) -> Result<Checkpoint, MeasureError> {
        Ok(Checkpoint::open(&self.states_place(block)).map_err(ModelError::from)?)
    }

    /// What enters a block in one window, [t, hidden].
    fn state(&self, states: &Checkpoint, window: usize) -> Result<Vec<f32>, MeasureError> {
        let needed = self.windows.get(window).map_or(0, Vec::len) * self.width;
        let found = states.tensor(&state_name(window)).and_then(|tensor| {
            let view: View<f32> = tensor.data.view()?;
            let state = (view.len() == needed).then(|| view.to_vec());
            tensor.data.release();
            state
        });
        let lost = || WriteError::Invalid("the states between two blocks changed meanwhile; start again".to_owned());
        Ok(found.ok_or_else(lost)?)
    }
}

#[cfg(test)]
impl Run<'_> {
    /// How many steps an earlier run finished.
    pub(super) fn finished(&self, steps: usize) -> usize {
        self.resume(steps).len()
    }

    /// Does the first block alone, as if interrupted after it.
    pub(super) fn first_block(&self) -> Result<(), MeasureError> {
        self.block(0).map(drop)
    }
}

fn state_name(window: usize) -> String {
    format!("window.{window:010}")
}

/// The model with a head that gives zeros.
fn without_logits(model: &Model) -> Result<Model, MeasureError> {
    let Some(head) = model.layers().iter().position(|layer| layer.kind == Kind::LmHead) else {
        return Ok(model.clone());
    };
    let Some(layer) = model.layers().get(head) else { return Ok(model.clone()) };
    let empty = |rows, cols| Matrix::from_f32(rows, cols, &[]).map_err(ModelError::from);
    let low_rank = LowRank { u: empty(layer.rows, 0)?, vh: empty(0, layer.cols)? };
    Ok(model.with_weight(head, Arc::new(CompressedLinear { base: None, low_rank: Some(low_rank) })))
}

/// The sums of the inputs that were seen, in the order in which they came first.
struct Sums<'a> {
    layers: &'a [Layer],
    widest: usize,
    seen: Vec<(Vec<usize>, MomentSum)>,
}

impl<'a> Sums<'a> {
    fn new(layers: &'a [Layer], widest: usize) -> Self {
        Self { layers, widest, seen: Vec::new() }
    }

    /// The statistics, in the layers' order; those that are not finite are left out.
    fn finish(mut self) -> Inputs {
        self.seen.iter_mut().for_each(|(layers, _)| layers.sort_unstable());
        self.seen.sort_by(|a, b| a.0.cmp(&b.0));
        let mut found = Inputs::default();
        for (layers, sum) in self.seen {
            let names = layers.iter().filter_map(|layer| self.layers.get(*layer)).map(|layer| layer.name.clone());
            let statistics = sum.finish();
            if statistics.tokens > 0 && statistics.check(statistics.width).is_ok() {
                let (input, tensor) = CalibratedInput::of(names.collect(), &statistics);
                found.0.push(input);
                found.1.push(tensor);
            }
        }
        found
    }
}

impl Observer for Sums<'_> {
    fn input(&mut self, layers: &[usize], x: &[f32]) {
        if let Some((_, sum)) = self.seen.iter_mut().find(|(seen, _)| seen == layers) {
            return sum.add(x);
        }
        let Some(layer) = layers.first().and_then(|first| self.layers.get(*first)) else { return };
        let mut sum = MomentSum::new(layer.cols, layer.cols <= self.widest);
        sum.add(x);
        self.seen.push((layers.to_vec(), sum));
    }
}
