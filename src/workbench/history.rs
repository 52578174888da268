//! Undo and redo of plan edits.

use crate::compress::Plan;

/// Edits that can be undone; older ones are dropped.
const KEPT: usize = 1000;

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

impl History {
    /// Adds a new edit; what was undone before is gone.
    pub(super) fn push(&mut self, edit: Edit) {
        self.undone.clear();
        if self.done.len() >= KEPT {
            self.done.remove(0);
        }
        self.done.push(edit);
    }

    /// Moves the last edit to the undone ones and returns it.
    pub(super) fn undo(&mut self) -> Option<Edit> {
        let edit = self.done.pop()?;
        self.undone.push(edit.clone());
        Some(edit)
    }

    /// Moves the last undone edit back and returns it.
    pub(super) fn redo(&mut self) -> Option<Edit> {
        let edit = self.undone.pop()?;
        self.done.push(edit.clone());
        Some(edit)
    }

    /// A layer's plan before all edits turned out to be `plan` (its rule waited for the spectrum). Whether an edit that is
    /// done holds the layer elsewhere.
    pub(super) fn rebase(&mut self, layer: usize, plan: Plan) -> bool {
        let touches = |edit: &Edit| edit.changes.iter().any(|change| change.0 == layer);
        let edited = self.done.iter().any(touches);
        let first = self.done.iter_mut().chain(self.undone.iter_mut().rev()).find(|edit| touches(edit));
        if let Some(change) = first.and_then(|edit| edit.changes.iter_mut().find(|change| change.0 == layer)) {
            change.1 = plan;
        }
        edited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(name: &str, layer: usize, before: Plan, after: Plan) -> Edit {
        Edit { name: name.into(), changes: vec![(layer, before, after)] }
    }

    #[test]
    fn a_new_edit_forgets_what_was_undone() {
        let mut history = History::default();
        history.push(edit("a", 0, Plan::dense(), Plan::low_rank(1)));
        history.push(edit("b", 0, Plan::low_rank(1), Plan::low_rank(2)));
        assert_eq!(history.undo().unwrap().name, "b");
        assert_eq!(history.redo().unwrap().name, "b");
        assert_eq!(history.undo().unwrap().name, "b");
        history.push(edit("c", 0, Plan::low_rank(1), Plan::low_rank(3)));
        assert!(history.redo().is_none());
        assert_eq!(history.done.len(), 2);
    }

    #[test]
    fn a_plan_that_was_waited_for_replaces_the_first_before() {
        let mut history = History::default();
        assert!(!history.rebase(0, Plan::low_rank(9)));
        history.push(edit("a", 0, Plan::dense(), Plan::low_rank(1)));
        history.push(edit("b", 0, Plan::low_rank(1), Plan::low_rank(2)));
        assert!(history.rebase(0, Plan::low_rank(9)));
        assert_eq!(history.done[0].changes[0].1, Plan::low_rank(9));
        assert_eq!(history.done[1].changes[0].1, Plan::low_rank(1));
        history.undo();
        history.undo();
        assert!(!history.rebase(0, Plan::low_rank(7)));
        assert_eq!(history.undone[1].changes[0].1, Plan::low_rank(7));
    }
}
