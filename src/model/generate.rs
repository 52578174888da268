//! Writing: prefill a prompt, then token by token.

use super::{Cache, Model, ModelError, Sampler, Sampling};
use crate::control::Control;

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The model wrote an end-of-text id.
    Eos,
    /// As many tokens as asked for, or the context is full.
    Length,
}

impl Stop {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eos => "eos",
            Self::Length => "length",
        }
    }
}

/// A text being written. The model is given anew for every token, so that it may change between two of them.
#[derive(Debug, Clone)]
pub struct Generation {
    cache: Cache,
    sampler: Sampler,
    logits: Vec<f32>,
    /// Chosen, but not yet through the model.
    pending: Option<u32>,
    left: usize,
    stop: Option<Stop>,
    endless: bool,
}

impl Generation {
    /// Prefills `prompt`. At most `max_tokens` follow, fewer where the context ends.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn start(
        model: &Model,
        prompt: &[u32],
        sampling: Sampling,
        max_tokens: usize,
        control: &Control,
    ) -> Result<Self, ModelError> {
        let mut cache = model.cache();
        let logits = model.forward(prompt, &mut cache, control)?;
        // The last token written needs no place in the cache: it is never fed back.
        let left = max_tokens.min(model.architecture().context - cache.len() + 1);
        Ok(Self { cache, sampler: Sampler::new(sampling), logits, pending: None, left, stop: None, endless: false })
    }

    /// The same text, but end-of-text ids are tokens like others: only the length ends it.
    #[must_use]
    pub fn endless(self) -> Self {
        Self { endless: true, ..self }
    }

    /// The logits that the next token will be chosen from, brought up to date by `model`.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn logits(&mut self, model: &Model, control: &Control) -> Result<&[f32], ModelError> {
        if let Some(id) = self.pending {
            self.logits = model.forward(&[id], &mut self.cache, control)?;
            self.pending = None;
        }
        Ok(&self.logits)
    }

    /// The next token, or `None` at the end of the text (an end-of-text id is not given out).
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn next(&mut self, model: &Model, control: &Control) -> Result<Option<u32>, ModelError> {
        if self.left == 0 {
            self.stop = self.stop.or(Some(Stop::Length));
            return Ok(None);
        }
        self.logits(model, control)?;
        let id = self.sampler.next(&self.logits);
        if !self.endless && model.architecture().eos.contains(&id) {
            (self.left, self.stop) = (0, Some(Stop::Eos));
            return Ok(None);
        }
        self.left -= 1;
        self.pending = Some(id);
        Ok(Some(id))
    }

    /// Why it ended, once it has.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }
}
