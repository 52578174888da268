//! Policies that are pinned: they write beside the plans as they are.

use super::run::ModelCell;
use super::{Measured, Workbench};
use crate::compress::Plan;
use crate::model::Model;

/// With the plans as they are, three policies write at once.
const MOST: usize = 2;

/// The plans of all layers as they were, with the model that they gave.
#[derive(Debug)]
pub struct Pin {
    /// `A` or `B`.
    pub name: char,
    /// The plan of each layer.
    pub plans: Vec<Plan>,
    model: Model,
}

impl Workbench {
    /// Pins the plans as they are now; the name that they get.
    ///
    /// # Errors
    /// The message for the person.
    pub fn pin(&mut self) -> Result<char, String> {
        let plans: Vec<Plan> = self.rows.iter().map(|row| row.plan).collect();
        if let Some(pin) = self.pins.iter().find(|pin| pin.plans == plans) {
            return Err(format!("these plans are pinned as {} already", pin.name));
        }
        if self.pins.len() == MOST {
            return Err("A and B are pinned, and the plans as they are write beside them: no more have room".to_owned());
        }
        let compressed = self.project.as_ref().and_then(|project| project.compressed.as_ref());
        let compressed = compressed.ok_or("this model writes no text, so there is nothing to compare")?;
        for row in &self.rows {
            match &row.measured {
                Measured::Pending => return Err("layers are still being encoded; pin again in a moment".to_owned()),
                Measured::Failed(reason) => return Err(format!("{} is not encoded: {reason}", row.layer.name)),
                Measured::Exact | Measured::Error(_) | Measured::Unknown => {}
            }
        }
        let name = if self.pins.is_empty() { 'A' } else { 'B' };
        self.pins.push(Pin { name, plans, model: compressed.now().model });
        Ok(name)
    }

    /// Lets all pinned policies go; whether there were any.
    pub fn unpin(&mut self) -> bool {
        let any = !self.pins.is_empty();
        self.pins.clear();
        any
    }

    /// The pinned policies.
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// Their models, computing as the compressed one does.
    pub(super) fn pinned_models(&self) -> impl Iterator<Item = ModelCell> {
        let arithmetic = self.arithmetic();
        self.pins.iter().map(move |pin| ModelCell::new(pin.model.with_arithmetic(arithmetic)))
    }
}
