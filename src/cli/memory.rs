//! Whether a job's memory is there, told before it begins.

use super::failure::warn;
use super::session::{Opened, Session};
use crate::compress::{Calibration, Plan, Work};
use crate::control::{Need, free_memory};
use crate::model::Layer;

impl Session {
    /// Warns where a job needs more memory than is free, before it begins; once, unless a later part of a command needs more.
    pub fn tell_need(&self, job: &str, need: Need) {
        self.told.once(job, need, free_memory()).iter().for_each(warn);
    }

    /// What decomposing these layers side by side needs.
    pub fn decomposing_need<'a>(&self, opened: &Opened, layers: impl IntoIterator<Item = &'a Layer>) -> Need {
        let plan = Plan::low_rank(1);
        let work: Vec<Work<'_>> = layers.into_iter().map(|layer| (layer, &plan)).collect();
        self.coding_need(opened, None, &work)
    }

    /// What coding these layers side by side needs.
    pub fn coding_need(&self, opened: &Opened, calibration: Option<&Calibration>, work: &[Work<'_>]) -> Need {
        let (source, threads) = ((&opened.checkpoint, calibration), rayon::current_num_threads());
        self.cache.fresh_need(source, work, threads, free_memory())
    }
}

impl Opened {
    /// The layers with their plans.
    pub fn work<'a>(&'a self, plans: &'a [Plan]) -> Vec<Work<'a>> {
        self.layers.iter().zip(plans).collect()
    }
}
