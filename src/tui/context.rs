//! Where keys go: every state of the screen is one context, and a key means at most one thing in each.

/// What receives the next key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    /// The layers, as a table or as a map.
    Layers,
    /// The singular values of one layer.
    Spectrum,
    /// The two texts.
    Text,
    /// The help or the palette: a list that is filtered by typing.
    List,
    /// What figures mean.
    Explain,
    /// Edits and snapshots.
    History,
    /// The choice of the table's columns.
    Columns,
    /// What to copy.
    Copy,
    /// The list of jobs and messages.
    Jobs,
    /// The log.
    Log,
    /// The save and export dialog.
    Export,
    /// A policy found for a budget, as a difference to review.
    Review,
    /// Bytes against KLD of several policies.
    Frontier,
    /// What both models answer to probes.
    Probes,
    /// Both models over a text.
    Comparison,
    /// A question with yes and no.
    Confirm,
    /// A line of text is being typed.
    Input,
}

impl Context {
    /// Every context.
    pub const ALL: [Self; 17] = [
        Self::Layers,
        Self::Spectrum,
        Self::Text,
        Self::List,
        Self::Explain,
        Self::History,
        Self::Columns,
        Self::Copy,
        Self::Jobs,
        Self::Log,
        Self::Export,
        Self::Review,
        Self::Frontier,
        Self::Probes,
        Self::Comparison,
        Self::Confirm,
        Self::Input,
    ];

    /// Its name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Spectrum => "spectrum",
            Self::Text => "text",
            Self::List => "list",
            Self::Explain => "explain",
            Self::History => "history",
            Self::Columns => "columns",
            Self::Copy => "copy",
            Self::Jobs => "jobs",
            Self::Log => "log",
            Self::Export => "export",
            Self::Review => "review",
            Self::Frontier => "frontier",
            Self::Probes => "probes",
            Self::Comparison => "comparison",
            Self::Confirm => "question",
            Self::Input => "typing",
        }
    }

    /// Its name in the help.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Layers => "Layers",
            Self::Spectrum => "Spectrum",
            Self::Text => "Side by side",
            Self::List => "Help and palette",
            Self::Explain => "What figures mean",
            Self::History => "History and snapshots",
            Self::Columns => "Columns",
            Self::Copy => "Copy",
            Self::Jobs => "Jobs",
            Self::Log => "Log",
            Self::Export => "Save and export",
            Self::Review => "Review",
            Self::Frontier => "Frontier",
            Self::Probes => "Probes",
            Self::Comparison => "Comparison",
            Self::Confirm => "Questions",
            Self::Input => "Typing",
        }
    }

    /// Whether letters are typed here, so that no letter may be a command.
    pub const fn takes_text(self) -> bool {
        matches!(self, Self::List | Self::Export | Self::Input)
    }
}
