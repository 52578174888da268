//! The filter over layers: words, and `key:value` for what a word cannot say.

use crate::workbench::LayerRow;

/// One condition; all of a filter's must hold.
#[derive(Debug, Clone, PartialEq)]
enum Term {
    Word(String),
    Kind(String),
    Blocks(usize, usize),
    Plan(String),
    Type(String),
    Changed(bool),
}

/// A parsed filter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Vec<Term>);

impl Filter {
    /// Parses a filter; what is no known `key:value` counts as a word, so that half-typed keys never hide everything for long.
    pub fn parse(text: &str) -> Self {
        Self(text.split_whitespace().map(|word| term(&word.to_lowercase())).collect())
    }

    /// Whether `row` is let through.
    pub fn admits(&self, row: &LayerRow) -> bool {
        self.0.iter().all(|term| term.admits(row))
    }
}

fn term(word: &str) -> Term {
    match word.split_once(':') {
        Some(("kind", value)) => Term::Kind(value.to_owned()),
        Some(("plan", value)) => Term::Plan(value.to_owned()),
        Some(("type" | "dtype", value)) => Term::Type(value.to_owned()),
        Some(("is", "changed")) => Term::Changed(true),
        Some(("is", "dense")) => Term::Changed(false),
        Some(("block", value)) => blocks(value).unwrap_or_else(|| Term::Word(String::new())),
        _ => Term::Word(word.to_owned()),
    }
}

fn blocks(value: &str) -> Option<Term> {
    let (from, to) = value.split_once('-').unwrap_or((value, value));
    let from = from.parse().ok()?;
    Some(Term::Blocks(from, to.parse().unwrap_or(usize::MAX)))
}

impl Term {
    fn admits(&self, row: &LayerRow) -> bool {
        match self {
            Self::Word(word) => {
                row.layer.name.to_lowercase().contains(word)
                    || row.layer.kind.name().contains(word)
                    || row.plan.to_string().contains(word)
            }
            Self::Kind(kind) => row.layer.kind.name().starts_with(kind),
            Self::Blocks(from, to) => row.layer.block.is_some_and(|block| (*from..=*to).contains(&block)),
            Self::Plan(plan) => row.plan.to_string().contains(plan),
            Self::Type(dtype) => format!("{:?}", row.layer.dtype).to_lowercase().starts_with(dtype),
            Self::Changed(changed) => row.plan.is_dense() != *changed,
        }
    }
}
