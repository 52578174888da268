//! The form of the save and export dialog.

use std::path::PathBuf;

use tui_input::Input;

use super::action::Action;
use super::format;
use crate::compress::{ExportKind, Layout};
use crate::workbench::{JobKind, ReportLine, Workbench};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The policy file alone.
    #[default]
    Policy,
    /// A compressed folder in the native layout.
    Native,
    /// A compressed folder in the classic layout.
    Classic,
    /// An ordinary folder, rebuilt.
    Dense,
    /// A folder to hand on.
    Report,
    /// What was done here, to be done again.
    Session,
}

impl Format {
    /// All, in the dialog's order.
    pub const ALL: [Self; 6] = [Self::Policy, Self::Native, Self::Classic, Self::Dense, Self::Report, Self::Session];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Native => "compressed",
            Self::Classic => "classic",
            Self::Dense => "dense",
            Self::Report => "report",
            Self::Session => "session",
        }
    }

    /// One line that says what it is.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Policy => "the plans as a JSON file of rules, for git and for compress",
            Self::Native => "a folder with the layers as they run here, bit for bit",
            Self::Classic => "a folder in the older layout (U, S, Vh in INT8): coarser",
            Self::Dense => "a folder of ordinary tensors, rebuilt, for any other tool",
            Self::Report => "a folder to hand on: figures, pictures, a page that explains them",
            Self::Session => "every step and text here as a file: rankscope replay does it again",
        }
    }

    /// What the workbench calls it; none for what is no checkpoint.
    pub const fn kind(self) -> Option<ExportKind> {
        match self {
            Self::Policy | Self::Report | Self::Session => None,
            Self::Native => Some(ExportKind::Compressed(Layout::Native)),
            Self::Classic => Some(ExportKind::Compressed(Layout::Classic)),
            Self::Dense => Some(ExportKind::Dense),
        }
    }
}

/// The fields, from top to bottom.
pub const FIELDS: usize = 3;

/// A line about what would be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForecastLine {
    /// What is told.
    pub text: String,
    /// The action that would measure what is lacking, if so.
    pub first: Option<Action>,
}

impl From<String> for ForecastLine {
    fn from(text: String) -> Self {
        Self { text, first: None }
    }
}

impl From<ReportLine> for ForecastLine {
    fn from(line: ReportLine) -> Self {
        let first = match line.lacks {
            Some(JobKind::Frontier) => Some(Action::Frontier),
            Some(JobKind::Scan) => Some(Action::TryAlone),
            _ => None,
        };
        Self { text: line.text, first }
    }
}

/// The form's state.
#[derive(Debug, Clone)]
pub struct ExportForm {
    /// What.
    pub format: Format,
    /// Where to.
    pub path: Input,
    /// Whether a person has changed the path.
    pub own_path: bool,
    /// Whether to write over what is there.
    pub force: bool,
    /// The field with the focus: 0 format, 1 path, 2 overwrite.
    pub field: usize,
    /// What it would write, or why it cannot.
    pub forecast: Result<Vec<ForecastLine>, String>,
    /// Why the last try failed.
    pub error: Option<String>,
    label: String,
}

impl ExportForm {
    /// A form for the model `label`.
    pub fn new(format: Format, label: &str, workbench: &Workbench) -> Self {
        let safe = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let label = label.chars().map(safe).collect();
        let mut form = Self {
            format,
            path: Input::default(),
            own_path: false,
            force: false,
            field: 1,
            forecast: Ok(Vec::new()),
            error: None,
            label,
        };
        form.choose(0, workbench);
        form
    }

    /// Goes `by` formats on, with a path to match where nobody has typed one.
    pub fn choose(&mut self, by: isize, workbench: &Workbench) {
        let here = Format::ALL.iter().position(|format| *format == self.format).unwrap_or_default().cast_signed();
        let there = (here + by).rem_euclid(Format::ALL.len().cast_signed()).cast_unsigned();
        self.format = Format::ALL.get(there).copied().unwrap_or_default();
        if !self.own_path {
            self.path = Input::new(match self.format {
                format @ (Format::Policy | Format::Session) => format!("{}-{}.json", self.label, format.name()),
                format => format!("{}-{}", self.label, format.name()),
            });
        }
        self.look(workbench);
    }

    /// Takes the format at a place of the dialog's list.
    pub fn choose_at(&mut self, place: usize, workbench: &Workbench) {
        self.format = Format::ALL.get(place).copied().unwrap_or_default();
        self.field = 0;
        self.choose(0, workbench);
    }

    /// Where to, with `~` left to the shell: a path as typed.
    pub fn target(&self) -> PathBuf {
        PathBuf::from(self.path.value().trim())
    }

    /// Asks anew what would be written.
    pub fn look(&mut self, workbench: &Workbench) {
        self.error = None;
        self.forecast = match self.format.kind() {
            _ if self.path.value().trim().is_empty() => Err("type where to write".to_owned()),
            None if self.format == Format::Report => workbench.plan_report().map(lines),
            None if self.format == Format::Session => Ok(lines(session_forecast(workbench))),
            None => Ok(lines(policy_forecast(workbench))),
            Some(kind) => workbench.plan_export(kind, &self.target()).map(|plan| {
                let share = plan.bytes as f64 / (plan.original_bytes as f64).max(1.0);
                let files = plan.files.iter().map(|(name, size)| format!("{name}  {}", format::bytes(*size)));
                let sum = format!(
                    "{} of {} ({}), {} changed",
                    format::bytes(plan.bytes),
                    format::bytes(plan.original_bytes),
                    format::percent(share),
                    format::plural(plan.layers.len(), "layer"),
                );
                lines(std::iter::once(sum).chain(files))
            }),
        };
    }
}

fn lines<T: Into<ForecastLine>>(told: impl IntoIterator<Item = T>) -> Vec<ForecastLine> {
    told.into_iter().map(Into::into).collect()
}

fn session_forecast(workbench: &Workbench) -> Vec<String> {
    let (steps, texts) = workbench.session_steps();
    let said = format!("{}, {} of them texts", format::plural(steps, "step"), texts);
    vec![said, "with prompts, seeds, token ids and the model's fingerprint".to_owned()]
}

fn policy_forecast(workbench: &Workbench) -> Vec<String> {
    let policy = workbench.policy();
    let text = policy.to_text();
    let size = format!("{}, {}", format::plural(policy.rules.len(), "rule"), format::bytes(text.len() as u64));
    std::iter::once(size).chain(text.lines().take(200).map(str::to_owned)).collect()
}
