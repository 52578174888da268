//! Plans, the policy, the codec, the factor cache and export. This room knows no screen.

mod cache;
mod codec;
mod export;
mod glob;
mod json_lines;
mod plan;
mod plan_text;
mod policy;
mod policy_edit;
mod policy_file;
mod policy_read;
mod policy_text;
mod resolve;
#[cfg(test)]
mod testing;
mod words;

pub use cache::{CacheError, FactorCache};
pub use codec::{CompressError, Encoded, Layout, encode, measured_error};
pub use export::{ExportError, ExportKind, ExportOptions, ExportPlan, Exported, ExportedLayer, export, plan_export};
pub use plan::{Base, Factors, Plan, Weighting};
pub use plan_text::PlanError;
pub use policy::{Policy, RankSpec, Rule};
pub use policy_text::{Issue, PolicyError};
pub use resolve::{Resolved, RankSource, diff, resolve};
