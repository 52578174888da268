//! The state of a piece of work: model, plans with undo, results, jobs with progress and cancel. It draws nothing, reads
//! no environment, and never blocks: everything long runs in jobs whose events [`Workbench::drain`] folds into the state.
//!
//! All threads that it starts are named `rankscope ...`, and a panic in one of them fails its job alone: a face's panic
//! hook must leave them be, and restore the terminal only for its own thread.

mod calibrate;
mod comparing;
mod decompose;
mod demo;
mod draft;
mod edits;
mod encode;
mod events;
mod export;
mod follow;
mod frontier;
mod history;
mod jobs;
mod layers;
mod live;
mod messages;
mod metering;
mod open;
mod pins;
mod plans;
mod probing;
mod propose;
mod recording;
mod replay;
mod reporting;
mod review;
mod rules;
mod run;
mod saving;
mod scan;
mod session_file;
mod shelf;
mod snapshots;
mod source;
mod state;
#[cfg(test)]
mod tests;
mod writing;

pub use comparing::{Compared, ComparisonView};
pub use demo::{CALIBRATION_TEXT, DEMO, DRAWN_TEXTS, EVALUATION_TEXT, PROBES, PROMPTS, prompts_of};
pub use draft::{Draft, DraftError, DraftPlan};
pub use frontier::FrontierView;
pub use history::{Edit, History};
pub use jobs::{JobId, JobKind, JobState, JobView};
pub use layers::{LayerRow, Measured, Totals};
pub use live::{LiveMeans, LiveToken, LiveView, Pane};
pub use messages::{Message, Severity};
pub use metering::PLAN_TOKENS;
pub use pins::Pin;
pub use probing::{ProbeAnswers, ProbesView};
pub use replay::{Difference, ReplayError, Replayed, replay};
pub use reporting::ReportLine;
pub use review::{Change, Review, ReviewTotals};
pub use scan::Damage;
pub use session_file::{SessionModel, SessionPinned, SessionRecord, SessionSegment, SessionStep, SessionText};
pub use snapshots::{DraftSnapshot, Snapshot};
pub use source::{Locations, Source};
pub use state::{GenerateOptions, Opened, Workbench};
