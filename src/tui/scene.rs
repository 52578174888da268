//! What a frame shows: borrowed from the workbench, so that drawing is a pure function of it.

use std::path::Path;

use super::log::LogSeen;
use crate::linalg::Arithmetic;
use crate::workbench::{
    ComparisonView, FrontierView, History, JobState, JobView, LayerRow, LiveView, Message, Opened, Pin, ProbesView,
    Review, Snapshot, Totals, Workbench,
};

/// All that the workbench has to show.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The opened model.
    pub opened: Option<&'a Opened>,
    /// Its layers.
    pub rows: &'a [LayerRow],
    /// Sums.
    pub totals: Totals,
    /// Jobs.
    pub jobs: &'a [JobView],
    /// How the compressed model computes.
    pub arithmetic: Arithmetic,
    /// The run on the screen.
    pub run: &'a LiveView,
    /// The same, or of several policies the one that is looked at.
    pub live: &'a LiveView,
    /// Names of the policies that are pinned.
    pub pins: &'a [Pin],
    /// The runs that are kept, and the place of that one among them.
    pub texts: (&'a [LiveView], usize),
    /// Whether texts end where they loop.
    pub stops_at_loops: bool,
    /// Messages, oldest first.
    pub messages: &'a [Message],
    /// Whether the plans differ from the saved policy.
    pub unsaved: bool,
    /// Bytes against KLD of several policies.
    pub frontier: &'a FrontierView,
    /// What both models answered to probes.
    pub probes: &'a ProbesView,
    /// Both models over a text.
    pub comparison: &'a ComparisonView,
    /// Edits done and undone.
    pub history: &'a History,
    /// Plans kept under names.
    pub snapshots: &'a [Snapshot],
    /// The last entries of the log.
    pub log: &'a LogSeen,
    /// The file that they go to.
    pub log_path: Option<&'a Path>,
    /// A policy found for a budget, under review.
    pub review: Option<&'a Review>,
}

impl<'a> Scene<'a> {
    /// The workbench as it is; `jobs` are its jobs and `log` the entries of its log, taken before.
    pub fn of(workbench: &'a Workbench, jobs: &'a [JobView], (log, log_path): (&'a LogSeen, Option<&'a Path>)) -> Self {
        Self {
            opened: workbench.opened(),
            rows: workbench.rows(),
            totals: workbench.totals(),
            jobs,
            arithmetic: workbench.arithmetic(),
            run: workbench.live(),
            live: workbench.live(),
            pins: workbench.pins(),
            texts: workbench.texts(),
            stops_at_loops: workbench.stops_at_loops(),
            messages: workbench.messages(),
            unsaved: workbench.unsaved(),
            frontier: workbench.frontier(),
            probes: workbench.probes(),
            comparison: workbench.comparison(),
            history: workbench.history(),
            snapshots: workbench.snapshots(),
            log,
            log_path,
            review: workbench.review(),
        }
    }

    /// The jobs at work.
    pub fn running(&self) -> impl Iterator<Item = &'a JobView> {
        self.jobs.iter().filter(|job| job.state == JobState::Running)
    }
}
