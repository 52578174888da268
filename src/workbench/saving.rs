//! What outlives the session: the policy file and the draft.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::draft::{self, stamp_of};
use super::plans::admissible;
use super::rules::{PolicyFile, Rules, errors, plans};
use super::{Draft, DraftError, DraftPlan, Edit, JobKind, LayerRow, Locations, Severity, Workbench};
use crate::checkpoint::replace_file;
use crate::compress::{Plan, Policy};

impl Workbench {
    /// The policy as it would be saved.
    pub fn policy(&self) -> Policy {
        let Some(project) = &self.project else { return Policy::default() };
        let mut policy = project.rules.policy(&project.layers, &plans(&self.rows), &|layer| self.edited(layer));
        let known = project.calibration.as_ref().filter(|_| self.rows.iter().any(|row| row.plan.needs_statistics()));
        if let Some(known) = known {
            policy.calibration = Some(known.fingerprint().to_owned());
        }
        policy
    }

    /// The policy file that the plans began from or were last saved to.
    pub fn policy_file(&self) -> Option<&Path> {
        self.project.as_ref().and_then(|project| project.file.as_ref()).map(|file| file.path.as_path())
    }

    /// Saves the policy (synchronously: a small file). Refuses an existing file unless `force`; a file that changed since it
    /// was loaded or saved here counts as existing even for the policy's own path.
    ///
    /// # Errors
    /// The message for the dialog.
    pub fn save_policy(&mut self, path: &Path, force: bool) -> Result<(), String> {
        let policy = self.policy();
        let Some(project) = &mut self.project else { return Err("no model is open".into()) };
        let own = project.file.as_ref().filter(|file| same_file(&file.path, path));
        if let Some(file) = own.filter(|_| !force)
            && stamp_of(path).is_some_and(|stamp| stamp != file.stamp)
        {
            return Err(format!(
                "{} was changed by someone else since it was read here; choose another name or overwrite it",
                path.display()
            ));
        }
        let text = policy.to_text();
        let over = force || own.is_some();
        let inputs = project.checkpoint.inputs();
        replace_file(path, over, &inputs, |out| out.write_all(text.as_bytes())).map_err(|error| error.to_string())?;
        project.file = Some(PolicyFile::new(path, &text));
        project.saved_edits = self.history.done.len();
        let edits = &self.history.done;
        for (layer, (saved, row)) in project.saved.iter_mut().zip(&self.rows).enumerate() {
            // What still waits for its spectrum is saved as its rule.
            if saved.is_some() || edits.iter().any(|edit| edit.changes.iter().any(|change| change.0 == layer)) {
                *saved = Some(row.plan);
            }
        }
        self.messages.say(Severity::Info, &format!("saved the policy to {}", path.display()));
        Ok(())
    }

    /// The draft as it is now, with the face's prompt and layout.
    pub fn draft(&self, prompt: &str, layout: BTreeMap<String, String>) -> Draft {
        // Where nothing is open, what waits for its model must not get lost.
        let kept = self.draft.clone().filter(|_| self.project.is_none()).unwrap_or_default();
        let mut draft = Draft { prompt: prompt.to_owned(), layout, ..kept };
        if let Some(project) = &self.project {
            draft.model.clone_from(&project.name);
            draft.identity.clone_from(&project.identity);
            draft.policy = project.rules.policy.to_text();
            let given = self.rows.iter().zip(&project.rules.plans).enumerate().filter(|(layer, (row, given))| {
                !row.layer.fixed && given.map_or_else(|| self.edited(*layer), |given| given != row.plan)
            });
            draft.plans = given.map(|(_, (row, _))| DraftPlan::new(row.layer.name.clone(), row.plan)).collect();
            draft.snapshots = self.kept_snapshots();
            draft.pins = self.kept_pins();
            draft.unsaved = self.unsaved();
            if let Some(file) = &project.file {
                draft.policy_file = Some(file.path.clone());
                draft.policy_stamp.clone_from(&file.stamp);
            }
        }
        draft
    }

    /// Reads the draft of the last session, if any.
    pub fn last_draft(locations: &Locations) -> Option<Draft> {
        draft::read(locations)
    }

    /// Writes a draft to the state folder (temporary, rename); used on quit, on signals and panics, and now and then.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep_draft(locations: &Locations, draft: &Draft) -> Result<(), DraftError> {
        draft::write(locations, draft)
    }

    /// Restores the plans of a draft as one edit; while a model is being opened, as soon as it is open. A draft of another
    /// model does nothing, and one that would hide a policy file that was given or has changed since only says so.
    pub fn apply_draft(&mut self, draft: Draft) {
        if self.opening() || self.project.is_none() {
            self.draft = Some(draft);
            return;
        }
        if self.project.as_ref().is_none_or(|project| project.identity != draft.identity) {
            return;
        }
        if self.snapshots.is_empty() {
            self.take_back_snapshots(&draft.snapshots);
        }
        if self.pins.is_empty() {
            self.take_back_pins(&draft.pins);
        }
        let Some(project) = self.project.as_mut() else { return };
        let given = project.file.as_ref();
        if let Some(file) = given.filter(|file| file.stamp != draft.policy_stamp) {
            if draft.unsaved {
                let path = file.path.display();
                let text = format!(
                    "the unsaved plans of the last session are left aside: they did not begin from {path} as it is"
                );
                self.messages.say(Severity::Warning, &text);
            }
            return;
        }
        let spectra = |layer: usize| self.rows.get(layer).and_then(|row| row.spectrum.clone());
        match Policy::parse(&draft.policy).and_then(|policy| Rules::resolve(policy, &project.layers, &spectra)) {
            Ok((rules, _)) => self.restore(&draft, rules),
            Err(error) => {
                self.messages.say(Severity::Warning, "the plans of the last session cannot be restored:");
                errors(&error).for_each(|(_, text)| self.messages.say(Severity::Warning, &text));
            }
        }
    }

    fn restore(&mut self, draft: &Draft, rules: Rules) {
        let Some(project) = &mut self.project else { return };
        let own: BTreeMap<&str, Plan> = draft.plans.iter().map(|plan| (plan.layer.as_str(), plan.plan())).collect();
        let own = |row: &LayerRow| own.get(row.layer.name.as_str()).copied();
        let mut changes: Vec<(usize, Plan, Plan)> = Vec::new();
        for (layer, (given, row)) in rules.plans.iter().zip(&self.rows).enumerate() {
            // What waits for its spectrum and was not edited goes on waiting.
            let Some(plan) = own(row).or(*given).filter(|_| !row.layer.fixed) else { continue };
            let plan = if plan.is_dense() { Ok(plan) } else { admissible(&plan, &row.layer) };
            changes.extend(
                plan.ok().filter(|plan| *plan != row.plan || given.is_none()).map(|plan| (layer, row.plan, plan)),
            );
        }
        if project.file.is_none() {
            if let Some(path) = &draft.policy_file {
                project.file = Some(PolicyFile { path: path.clone(), stamp: draft.policy_stamp.clone() });
                if stamp_of(path).as_ref() != Some(&draft.policy_stamp) {
                    let text = format!("the plans are those of the last session; {} has changed since", path.display());
                    self.messages.say(Severity::Warning, &text);
                }
            }
            if !draft.unsaved {
                project.saved.clone_from(&rules.plans);
                for (saved, row) in project.saved.iter_mut().zip(&self.rows) {
                    *saved = own(row).or(*saved);
                }
            }
            project.rules = rules;
            let policy = project.rules.policy.clone();
            self.record_rules(&policy);
        }
        let layers = if changes.len() == 1 { "1 layer".to_owned() } else { format!("{} layers", changes.len()) };
        let restored = format!("restored the plans of the last session on {layers}; undo takes them back");
        let told = (!changes.is_empty()).then_some(restored).into_iter().chain(self.pinned_again());
        let told = told.collect::<Vec<_>>().join("; ");
        if !told.is_empty() {
            self.messages.say(Severity::Info, &told);
        }
        if changes.is_empty() {
            return;
        }
        self.edit(Edit { name: "restore the last session".into(), changes });
        if !draft.unsaved
            && let Some(project) = &mut self.project
        {
            project.saved_edits = self.history.done.len();
        }
    }

    /// Which plans the last session left pinned.
    fn pinned_again(&self) -> Option<String> {
        let names: Vec<String> = self.pins.iter().map(|pin| pin.name.to_string()).collect();
        let them = if names.len() == 1 { "it" } else { "them" };
        (!names.is_empty()).then(|| format!("pinned {} again; unpin lets {them} go", names.join(" and ")))
    }

    /// Jobs and edits that quitting would lose, each as one phrase (`unsaved policy (3 edits)`, `export to out/ (40%)`).
    pub fn would_lose(&self) -> Vec<String> {
        let mut losses = Vec::new();
        if let Some(project) = self.project.as_ref().filter(|_| self.unsaved()) {
            let edits = self.history.done.len().abs_diff(project.saved_edits).max(1);
            losses.push(format!("unsaved policy ({edits} {})", if edits == 1 { "edit" } else { "edits" }));
        }
        losses.extend(self.jobs.running(JobKind::Export).map(|job| {
            let (done, total) = job.progress;
            let share =
                (100 * done).checked_div(total).map_or(String::new(), |share| format!(" ({}%)", share.min(100)));
            format!("{}{share}", job.name)
        }));
        losses
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || fs::canonicalize(one).ok().zip(fs::canonicalize(other).ok()).is_some_and(|(one, other)| one == other)
}
