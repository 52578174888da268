//! Undo and redo of plan edits. STUB (room `workbench`).

use crate::compress::Plan;

/// One named, reversible edit: (layer index, before, after).
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// What the person did: `rank 48 on 6 layers`.
    pub name: String,
    /// The changes.
    pub changes: Vec<(usize, Plan, Plan)>,
}

/// Edits done and undone.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Done, oldest first.
    pub done: Vec<Edit>,
    /// Undone, the next to redo last.
    pub undone: Vec<Edit>,
}
