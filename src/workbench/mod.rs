//! The state of a piece of work: model, plans with undo, results, jobs with progress and cancel. It draws nothing, reads
//! no environment, and never blocks: everything long runs in jobs whose events [`Workbench::drain`] folds into the state.

mod demo;
mod draft;
mod events;
mod history;
mod jobs;
mod layers;
mod live;
mod messages;
mod open;
mod source;
mod state;

pub use demo::{CALIBRATION_TEXT, DEMO, EVALUATION_TEXT, PROBES, PROMPTS};
pub use draft::{Draft, DraftError};
pub use history::{Edit, History};
pub use jobs::{JobId, JobKind, JobState, JobView};
pub use layers::{LayerRow, Measured, Totals};
pub use live::{LiveMeans, LiveToken, LiveView, Pane};
pub use messages::{Message, Severity};
pub use source::{Locations, Source};
pub use state::{GenerateOptions, Opened, Workbench};
