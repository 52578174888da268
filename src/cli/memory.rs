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

    /// What the spectra of these layers need, computed side by side.
    pub fn spectra_need(&self, opened: &Opened, layers: &[&Layer]) -> Need {
        self.cache.spectra_need(&opened.checkpoint, layers, rayon::current_num_threads(), free_memory())
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
