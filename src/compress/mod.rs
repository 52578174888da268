//! Plans, the policy, the codec, the factor cache and export. This room knows no screen.

mod allocate;
mod budget;
mod cache;
mod cache_files;
mod calibration;
mod calibration_file;
mod candidates;
mod codec;
mod export;
mod export_encode;
mod export_layout;
mod export_pieces;
mod glob;
mod json_lines;
mod layer;
mod plan;
mod plan_text;
mod policy;
mod policy_edit;
mod policy_file;
mod policy_read;
mod policy_text;
mod rebuild;
mod resolve;
#[cfg(test)]
mod testing;
mod words;

pub use allocate::{Allocation, BudgetError, Choice, allocate, hull};
pub use budget::{Budget, NoBudget, Sizes};
pub use cache::FactorCache;
pub use cache_files::CacheError;
pub use calibration::{Calibration, needs_statistics};
pub use calibration_file::{CalibratedInput, CalibrationAbout, CalibrationError, CalibrationFile, InputKind};
pub use candidates::candidates;
pub use codec::{Classic, CompressError, Encoded, Layout, encode};
pub use export::{ExportError, ExportKind, ExportOptions, ExportPlan, Exported, ExportedLayer, export, plan_export};
pub use layer::compressed_weight;
pub use plan::{Base, Factors, Plan, Weighting};
pub use plan_text::PlanError;
pub use policy::{Policy, RankSpec, Rule};
pub use policy_text::{Issue, PolicyError};
pub use rebuild::measured_error;
pub use resolve::{RankSource, Resolved, diff, resolve};
