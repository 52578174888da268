//! The runs that are kept, so that one can go back to a prompt: texts, figures, and the plans they were written by.

use super::{JobId, LiveView};

/// So many runs are kept; the oldest makes room.
const KEPT: usize = 9;

/// The runs of different prompts, in the order in which they were first written.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    runs: Vec<LiveView>,
    shown: usize,
    /// Those that were closed, with their places, the last one last.
    closed: Vec<(usize, LiveView)>,
    /// What is shown where there is none.
    none: LiveView,
}

impl Shelf {
    /// All of them.
    pub(super) fn runs(&self) -> &[LiveView] {
        &self.runs
    }

    /// The place of the one on the screen.
    pub(super) fn place(&self) -> usize {
        self.shown
    }

    /// The one on the screen.
    pub(super) fn shown(&self) -> &LiveView {
        self.runs.get(self.shown).unwrap_or(&self.none)
    }

    /// Shows a run that begins, in the place of an earlier one of the same text.
    pub(super) fn begin(&mut self, run: LiveView) {
        if let Some(place) = self.runs.iter().position(|kept| kept.continues_the_same(&run)) {
            if let Some(kept) = self.runs.get_mut(place) {
                *kept = run;
            }
            self.shown = place;
            return;
        }
        if self.runs.len() == KEPT {
            self.runs.remove(0);
        }
        self.runs.push(run);
        self.shown = self.runs.len() - 1;
    }

    /// The run that a job writes.
    pub(super) fn written_by(&mut self, job: JobId) -> Option<&mut LiveView> {
        self.runs.iter_mut().find(|run| run.job == Some(job))
    }

    /// The jobs that write.
    pub(super) fn writing(&self) -> impl Iterator<Item = JobId> {
        self.runs.iter().filter(|run| run.running).filter_map(|run| run.job)
    }

    /// Shows the run at a place; whether there is one.
    pub(super) fn show(&mut self, place: usize) -> bool {
        let there = place < self.runs.len();
        if there {
            self.shown = place;
        }
        there
    }

    /// Keeps the one on the screen no longer; the job that writes it.
    pub(super) fn close(&mut self) -> Option<JobId> {
        if self.shown >= self.runs.len() {
            return None;
        }
        let (place, mut closed) = (self.shown, self.runs.remove(self.shown));
        self.shown = self.shown.min(self.runs.len().saturating_sub(1));
        let job = closed.job.filter(|_| closed.running);
        closed.running = false;
        closed.rivals.iter_mut().for_each(|rival| rival.running = false);
        if self.closed.len() == KEPT {
            self.closed.remove(0);
        }
        self.closed.push((place, closed));
        job
    }

    /// Shows the one that was closed last again, as far as it was written.
    ///
    /// # Errors
    /// None was closed; the same text was written again since, or there is no room: then it waits.
    pub(super) fn reopen(&mut self) -> Result<(), &'static str> {
        let Some((place, run)) = self.closed.last() else { return Err("no text was closed") };
        if self.runs.iter().any(|kept| kept.continues_the_same(run)) {
            return Err("that text is there already, written anew");
        }
        if self.runs.len() == KEPT {
            return Err("nine texts are kept already; close one first");
        }
        let place = (*place).min(self.runs.len());
        if let Some((_, run)) = self.closed.pop() {
            self.runs.insert(place, run);
            self.shown = place;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::LiveToken;
    use super::*;

    fn run(prompt: &str, job: u64) -> LiveView {
        LiveView { job: Some(JobId(job)), ..LiveView::begun(prompt.into(), false) }
    }

    #[test]
    fn a_prompt_written_again_takes_its_own_place_and_the_oldest_makes_room() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.shown().prompt, "");
        (0..10).for_each(|at| shelf.begin(run(&at.to_string(), at)));
        let prompts = |shelf: &Shelf| shelf.runs().iter().map(|run| run.prompt.clone()).collect::<String>();
        assert_eq!((prompts(&shelf).as_str(), shelf.place()), ("123456789", 8));
        shelf.begin(run("4", 20));
        assert_eq!((prompts(&shelf).as_str(), shelf.place()), ("123456789", 3));
        assert!(shelf.written_by(JobId(4)).is_none() && shelf.written_by(JobId(20)).is_some());
        let earlier = vec![LiveToken { id: 1, text: "a".into() }];
        shelf.begin(LiveView { earlier, ..run("4", 21) });
        assert_eq!((prompts(&shelf).as_str(), shelf.place()), ("234567894", 8));
    }

    #[test]
    fn what_is_closed_gives_its_place_to_the_next() {
        let mut shelf = Shelf::default();
        assert_eq!((shelf.close(), shelf.show(0)), (None, false));
        (0..3).for_each(|at| shelf.begin(run(&at.to_string(), at)));
        assert!(shelf.show(1) && !shelf.show(3));
        assert_eq!((shelf.close(), shelf.shown().prompt.as_str()), (Some(JobId(1)), "2"));
        assert_eq!(shelf.writing().collect::<Vec<_>>(), [JobId(0), JobId(2)]);
        shelf.runs[1].running = false;
        assert_eq!((shelf.close(), shelf.shown().prompt.as_str()), (None, "0"));
        assert_eq!((shelf.close(), shelf.shown().prompt.as_str()), (Some(JobId(0)), ""));
        let prompts = |shelf: &Shelf| shelf.runs().iter().map(|run| run.prompt.clone()).collect::<String>();
        assert_eq!((shelf.reopen(), shelf.reopen(), shelf.shown().running), (Ok(()), Ok(()), false));
        shelf.begin(run("1", 9));
        assert!(shelf.reopen().is_err_and(|reason| reason.contains("written anew")));
        assert_eq!(prompts(&shelf), "021");
    }
}
