//! What can be watched, and disturbed, while a model runs.

use super::attention::Attending;

/// Watches a forward pass. Every method does nothing unless it is given.
pub trait Observer {
    /// A hidden state [t, hidden] of all tokens, as transformers returns them: index 0 the embeddings, i the output of
    /// block i - 1, the last one after the final norm.
    fn hidden(&mut self, _index: usize, _state: &[f32]) {}

    /// The input [t, n] of one or several layers (indices of [`super::Model::layers`]), before they are applied to it.
    /// Layers that read the same input come together; each layer comes once a pass over the tokens.
    fn input(&mut self, _layers: &[usize], _x: &[f32]) {}

    /// The output [t, m] of a layer, its bias included; what is written there is what the model goes on with.
    fn output(&mut self, _layer: usize, _y: &mut [f32]) {}

    /// The queries of a block's attention, with the keys that they meet.
    fn attending(&mut self, _block: usize, _attending: &Attending<'_>) {}
}

/// An observer that may be absent.
pub(super) struct Watch<'a>(pub Option<&'a mut dyn Observer>);

impl Watch<'_> {
    pub fn hidden(&mut self, index: usize, state: &[f32]) {
        if let Some(observer) = self.0.as_deref_mut() {
            observer.hidden(index, state);
        }
    }

    pub fn input(&mut self, layers: &[usize], x: &[f32]) {
        if let Some(observer) = self.0.as_deref_mut() {
            observer.input(layers, x);
        }
    }

    pub fn output(&mut self, layer: usize, y: &mut [f32]) {
        if let Some(observer) = self.0.as_deref_mut() {
            observer.output(layer, y);
        }
    }

    pub fn attending(&mut self, block: usize, attending: &Attending<'_>) {
        if let Some(observer) = self.0.as_deref_mut() {
            observer.attending(block, attending);
        }
    }
}
