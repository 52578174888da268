//! Changes of plans, for the selection or the layer under the cursor.

use super::action::Action;
use super::app::App;
use super::edit::{PlanEdit, Subject, next_base, next_factors, next_group, next_weighting};
use super::format;
use crate::compress::Plan;
use crate::workbench::Severity;

impl App {
    /// Changes plans, where `action` does so.
    pub(super) fn change_plans(&mut self, action: Action) -> bool {
        let leader = self.ui.listing.targets().first().and_then(|index| self.workbench.rows().get(*index));
        let leader = leader.map_or_else(Plan::dense, |row| row.plan);
        let edit = match action {
            Action::Compress => PlanEdit::Compress,
            Action::Dense => PlanEdit::Dense,
            Action::Base => PlanEdit::Base(next_base(leader.base)),
            Action::Factors => PlanEdit::Factors(next_factors(leader.factors)),
            Action::GroupLength => PlanEdit::Group(next_group(&leader)),
            Action::Refit => PlanEdit::Refit(!leader.refit),
            Action::NormCorrection => PlanEdit::NormCorrection(!leader.norm_correction),
            Action::Weighting => PlanEdit::Weighting(next_weighting(leader.weighting)),
            Action::RankUp => PlanEdit::Step(1),
            Action::RankDown => PlanEdit::Step(-1),
            Action::RankUpMore => PlanEdit::Step(8),
            Action::RankDownMore => PlanEdit::Step(-8),
            Action::RankDouble => PlanEdit::Double,
            Action::RankHalve => PlanEdit::Halve,
            _ => return false,
        };
        if let Err(reason) = self.edit(edit) {
            self.say(Severity::Warning, reason);
        }
        true
    }

    /// Applies an edit to the selection, or to the layer under the cursor.
    ///
    /// # Errors
    /// Why it changes nothing at all. Where only some layers cannot have it, a warning names the first.
    pub(super) fn edit(&mut self, edit: PlanEdit) -> Result<(), String> {
        if self.workbench.opened().is_some_and(|opened| opened.fixed) {
            return Err(
                "these layers are stored compressed and fixed; open with --original MODEL to change them".to_owned()
            );
        }
        let targets = self.editable(edit);
        let mut plans = Vec::new();
        let mut refusals = Vec::new();
        for index in &targets {
            let Some(row) = self.workbench.rows().get(*index) else { continue };
            let subject = Subject {
                plan: row.plan,
                max_rank: row.layer.max_rank(),
                spectrum: row.spectrum.as_deref(),
                last: self.ui.last_plans.get(index).copied(),
            };
            match edit.apply(&subject) {
                Ok(plan) if plan != row.plan => plans.push((*index, plan)),
                Ok(_) => {}
                Err(reason) => refusals.push(reason),
            }
        }
        let first = refusals.first().cloned();
        match first {
            Some(reason) if plans.is_empty() => return Err(reason),
            Some(reason) => {
                let text = format!("{} left as they are: {reason}", format::plural(refusals.len(), "layer"));
                self.say(Severity::Warning, text);
            }
            None => {}
        }
        self.set(edit, &plans);
        Ok(())
    }

    /// The layers that the edit is for; compressing a mixed selection leaves alone what is compressed already.
    fn editable(&self, edit: PlanEdit) -> Vec<usize> {
        let rows = self.workbench.rows();
        let targets = self.ui.listing.targets();
        let dense: Vec<usize> =
            targets.iter().copied().filter(|index| rows.get(*index).is_some_and(|row| row.plan.is_dense())).collect();
        if edit == PlanEdit::Compress && !dense.is_empty() { dense } else { targets }
    }

    fn set(&mut self, edit: PlanEdit, plans: &[(usize, Plan)]) {
        let Some((_, first)) = plans.first() else { return };
        for (index, plan) in plans {
            let before = self.workbench.rows().get(*index).map(|row| row.plan);
            for plan in before.into_iter().chain([*plan]).filter(|plan| !plan.is_dense()) {
                self.ui.last_plans.insert(*index, plan);
            }
        }
        let alike = plans.iter().all(|(_, plan)| plan == first);
        let what = if alike { first.to_string() } else { edit.name() };
        let name = format!("{what} on {}", format::plural(plans.len(), "layer"));
        self.workbench.set_plans(&name, plans);
    }
}
