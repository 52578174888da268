//! Reading and writing a policy's text with line-precise errors. STUB (room `compress`).

/// One thing wrong (or worth a warning) in a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// 1-based line; 0 where there is none.
    pub line: usize,
    /// The whole message without the line: what, which key, what to do (`unknown key "rnak"; did you mean "rank"?`).
    pub message: String,
}

/// Every error found in a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .issues.iter().map(|i| format!("line {}: {}", i.line, i.message)).collect::<Vec<_>>().join("; "))]
pub struct PolicyError {
    /// In the order of lines.
    pub issues: Vec<Issue>,
}
