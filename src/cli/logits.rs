//! `logits`: the logits of every position, as a safetensors file.

use std::collections::BTreeMap;

use safetensors::tensor::TensorView;
use serde::Serialize;

use super::args::LogitsArgs;
use super::output;
use super::session::Session;
use crate::checkpoint::{Dtype, replace_file};
use crate::control::{Need, Share};
use crate::measure::pass_need;
use crate::model::{Model, Observer};

#[derive(Debug, Serialize)]
struct Document<'a> {
    out: String,
    prompt_ids: &'a [u32],
    tensors: BTreeMap<&'static str, Vec<usize>>,
}

/// Hidden states, one after the other.
#[derive(Debug, Default)]
struct States(Vec<Vec<f32>>);

impl Observer for States {
    fn hidden(&mut self, _index: usize, state: &[f32]) {
        self.0.push(state.to_vec());
    }
}

/// A tensor to be written.
type Named = (&'static str, Vec<usize>, Vec<f32>);

/// Runs the command.
///
/// # Errors
/// What is wrong with model, policy or prompt; a file that cannot be written.
pub fn run(args: &LogitsArgs, session: &Session) -> anyhow::Result<()> {
    let opened = session.open_for(&args.model.model, &args.policy)?;
    let model = Model::load(&opened.checkpoint)?;
    let (ids, _) = opened.prompt(&model, &args.prompt, &args.chat)?;
    let pass = pass_need(&model, ids.len(), args.hidden);
    // Once more as what is written, and as the file.
    let need = pass.and(Need::of(Share::Passes, pass.bytes().saturating_mul(2)));
    let model = session.under(&args.policy, model, &opened, ("computing logits", need))?;
    let control = session.interrupt.control();
    let mut states = States::default();
    let sink: Option<&mut dyn Observer> = if args.hidden { Some(&mut states) } else { None };
    let logits = model.forward_all(&ids, &mut model.cache(), sink, &control)?;
    let vocabulary = logits.len() / ids.len();
    let mut tensors = vec![("logits", vec![ids.len(), vocabulary], logits)];
    tensors.extend(hidden(states, ids.len()));
    let inputs: Vec<_> = opened.inputs().into_iter().chain(args.policy.inputs()).collect();
    let data = serialized(&tensors)?;
    replace_file(&args.out, args.force, &inputs, |out| out.write_all(&data))?;
    let shapes: BTreeMap<_, _> = tensors.into_iter().map(|(name, shape, _)| (name, shape)).collect();
    if session.common.json {
        let out = args.out.display().to_string();
        return output::json(&Document { out, prompt_ids: &ids, tensors: shapes });
    }
    let shapes: Vec<String> = shapes.iter().map(|(name, shape)| format!("{name} {}", output::shape(shape))).collect();
    output::print(&format!("{}: {}\n", args.out.display(), shapes.join(", ")))
}

/// `hidden_states` [L + 1, T, H]; a last state of another width is a tensor of its own.
fn hidden(states: States, tokens: usize) -> Vec<Named> {
    let mut states = states.0;
    let mut tensors = Vec::new();
    let width = states.first().map_or(0, Vec::len);
    if states.last().is_some_and(|last| last.len() != width) {
        let last = states.pop().unwrap_or_default();
        tensors.push(("last_hidden_state", vec![tokens, last.len() / tokens.max(1)], last));
    }
    if !states.is_empty() {
        tensors.push(("hidden_states", vec![states.len(), tokens, width / tokens.max(1)], states.concat()));
    }
    tensors
}

fn serialized(tensors: &[Named]) -> anyhow::Result<Vec<u8>> {
    let bytes = |values: &[f32]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let data: Vec<(&str, &[usize], Vec<u8>)> =
        tensors.iter().map(|(name, shape, values)| (*name, shape.as_slice(), bytes(values))).collect();
    let views = data.iter().map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), data)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    Ok(safetensors::serialize(views, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_one_width_are_one_tensor() {
        let named = hidden(States(vec![vec![1.0; 4], vec![2.0; 4]]), 2);
        assert_eq!(named.len(), 1);
        assert_eq!((named[0].0, named[0].1.as_slice()), ("hidden_states", [2, 2, 2].as_slice()));
        let named = hidden(States(vec![vec![1.0; 4], vec![2.0; 4], vec![3.0; 6]]), 2);
        assert_eq!((named[0].0, named[0].1.as_slice()), ("last_hidden_state", [2, 3].as_slice()));
        assert_eq!(named[1].1, [2, 2, 2]);
        assert!(hidden(States::default(), 2).is_empty());
    }

    #[test]
    fn the_file_is_read_back() {
        let data = serialized(&[("logits", vec![1, 2], vec![0.5, -1.5])]).unwrap();
        let read = safetensors::SafeTensors::deserialize(&data).unwrap();
        assert_eq!(read.tensor("logits").unwrap().shape(), [1, 2]);
    }
}
