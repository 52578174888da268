//! The job that seeks a policy within a budget, and the review of what it found.

use super::events::Event;
use super::metering::Wanted;
use super::{JobId, JobKind, Review, Severity, Workbench};
use crate::checkpoint::escaped;
use crate::compress::{Budget, Sizes};
use crate::measure::{ModelMeter, Scope, WithinBudget, check_budget};

impl Workbench {
    /// Starts to seek a policy within a budget as a person types it (`40%`, `900MB`, `4.5bpw`), from input statistics that
    /// are computed first where they are not known. What is found waits in [`Workbench::review`].
    ///
    /// # Errors
    /// The message for the line: no budget, one that nothing can keep to, a model that cannot be measured.
    pub fn plan_within(&mut self, budget: &str) -> Result<(), String> {
        let label = escaped(budget.trim(), 40);
        let budget: Budget = budget.parse().map_err(|error| format!("{error}"))?;
        let Some(project) = &self.project else { return Err("no model is open".into()) };
        if self.opened().is_some_and(|opened| opened.fixed) {
            return Err("these layers are stored compressed and fixed; open with --original MODEL to plan them".into());
        }
        let sizes = Sizes::new(project.checkpoint.total_bytes(), &project.layers);
        check_budget(&budget, &sizes, &project.layers, &Scope::default()).map_err(|error| error.to_string())?;
        self.begin_calibrated(Wanted::Plan(budget, label))
    }

    /// The policy that was found last, as a difference to review; none once it was applied.
    pub fn review(&self) -> Option<&Review> {
        self.review.as_ref()
    }

    /// As above, to accept and reject.
    pub fn review_mut(&mut self) -> Option<&mut Review> {
        self.review.as_mut()
    }

    /// Gives all accepted layers their proposed plans, as one undoable edit; how many.
    pub fn apply_review(&mut self) -> usize {
        let Some(review) = self.review.take() else { return 0 };
        let plans = review.accepted();
        self.set_plans(&review.edit_name(), &plans);
        plans.len()
    }

    pub(super) fn begin_plan(&mut self, budget: Budget, label: String) {
        let Some(metered) = self.metered() else { return };
        self.replace_job(self.planning);
        let job = self.jobs.spawn(JobKind::Plan, format!("plan within {label}"), Vec::new(), move |task| {
            let seek = |meter: &ModelMeter<'_>| {
                task.tell_need("planning", meter.planning_need());
                meter.propose_within(&budget, &metered.plans, &Scope::default(), &task.control)
            };
            let found = metered.measure(task, seek)?;
            task.outbox.send(Event::Proposed { job: task.id, label, found: Box::new(found) });
            Ok(())
        });
        self.planning = Some(job);
    }

    /// A policy was found.
    pub(super) fn proposal_arrived(&mut self, job: JobId, label: String, found: &WithinBudget) {
        if self.planning == Some(job) {
            self.planning = None;
            self.take_proposal(label, found);
        }
    }

    /// Puts a policy that was found for the budget `label` before the person, who may accept and reject.
    pub fn take_proposal(&mut self, label: String, found: &WithinBudget) {
        if let Some(first) = found.left.first() {
            let more = if found.left.len() > 1 { format!(" and {} more", found.left.len() - 1) } else { String::new() };
            let text = format!("{}{more}: holds NaN or infinities and stays dense", escaped(first, 200));
            self.messages.say(Severity::Warning, &text);
        }
        self.reviews += 1;
        let review = Review::new(self.reviews, label, found, &self.rows, self.totals.bytes_compressed);
        if review.changes.is_empty() {
            let text = format!("within {} nothing better was found than the plans as they are", review.label);
            self.messages.say(Severity::Info, &text);
        }
        self.review = Some(review).filter(|review| !review.changes.is_empty());
    }
}
