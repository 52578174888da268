//! The query over layers: words, `key:value`, and comparisons of figures; all of it must hold.

use super::figure::{FIGURES, Figure};
use crate::compress::Base;
use crate::workbench::{LayerRow, Measured};

/// Keys that take a word after a colon.
const KEYS: [&str; 5] = ["kind", "block", "plan", "type", "is"];
/// What may follow `is:`.
const STATES: [&str; 6] = ["changed", "dense", "low-rank", "weighted", "pillar", "failed"];
/// At most this many words are offered.
const OFFERED: usize = 8;

/// One condition; all of a filter's must hold.
#[derive(Debug, Clone, PartialEq)]
enum Term {
    Word(String),
    Kinds(Vec<String>),
    Blocks(usize, usize),
    Plan(String),
    Type(String),
    Is(String),
    Figure(Figure, Comparison, f64),
}

/// How a figure stands to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
}

/// A parsed query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter(Vec<Term>);

impl Filter {
    /// Parses a query; what is no known condition counts as a word, so that half-typed ones never hide everything for long.
    pub fn parse(text: &str) -> Self {
        Self(text.split_whitespace().filter_map(|word| term(&word.to_lowercase())).collect())
    }

    /// Whether `row` is let through.
    pub fn admits(&self, row: &LayerRow) -> bool {
        self.0.iter().all(|term| term.admits(row))
    }
}

/// None where the word is a condition that is still being typed.
fn term(word: &str) -> Option<Term> {
    if let Some((figure, comparison, number)) = comparison(word) {
        return number.map(|number| Term::Figure(figure, comparison, number));
    }
    match word.split_once(':') {
        Some((key, "")) if KEYS.contains(&key) => None,
        Some(("kind", value)) => Some(Term::Kinds(value.split(',').map(str::to_owned).collect())),
        Some(("plan", value)) => Some(Term::Plan(value.to_owned())),
        Some(("type" | "dtype", value)) => Some(Term::Type(value.to_owned())),
        Some(("is", value)) => Some(Term::Is(value.to_owned())),
        Some(("block", value)) => blocks(value),
        _ => Some(Term::Word(word.to_owned())),
    }
}

/// `3`, `4-8` and `4..8`, ends included; an open end is no limit.
fn blocks(value: &str) -> Option<Term> {
    let (from, to) = value.split_once("..").or_else(|| value.split_once('-')).unwrap_or((value, value));
    let from = if from.is_empty() { 0 } else { from.parse().ok()? };
    Some(Term::Blocks(from, to.parse().unwrap_or(usize::MAX)))
}

/// `error>0.5`, `after<=1MB`; the number is none where there is none yet.
fn comparison(word: &str) -> Option<(Figure, Comparison, Option<f64>)> {
    let at = word.find(['>', '<', '='])?;
    let (name, rest) = word.split_at(at);
    let figure = Figure::named(name)?;
    let signs = [
        (">=", Comparison::AtLeast),
        ("<=", Comparison::AtMost),
        (">", Comparison::Above),
        ("<", Comparison::Below),
        ("=", Comparison::Equal),
    ];
    let (number, comparison) =
        signs.into_iter().find_map(|(sign, comparison)| rest.strip_prefix(sign).map(|number| (number, comparison)))?;
    Some((figure, comparison, quantity(number)))
}

/// `0.5`, `50%`, `1.5mb`, `12k`: units are decimal.
fn quantity(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 9] = [
        ("%", 0.01),
        ("kb", 1e3),
        ("mb", 1e6),
        ("gb", 1e9),
        ("b", 1.0),
        ("k", 1e3),
        ("m", 1e6),
        ("g", 1e9),
        ("x", 1.0),
    ];
    let (number, unit) =
        UNITS.into_iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit))).unwrap_or((text, 1.0));
    number.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| value * unit)
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
            Self::Equal => (value - limit).abs() <= 1e-9 * limit.abs().max(1e-9),
        }
    }
}

impl Term {
    fn admits(&self, row: &LayerRow) -> bool {
        match self {
            Self::Word(word) => {
                row.layer.name.to_lowercase().contains(word)
                    || row.layer.kind.name().contains(word)
                    || row.plan.to_string().contains(word)
            }
            Self::Kinds(kinds) => kinds.iter().any(|kind| !kind.is_empty() && row.layer.kind.name().starts_with(kind)),
            Self::Blocks(from, to) => row.layer.block.is_some_and(|block| (*from..=*to).contains(&block)),
            Self::Plan(plan) if "svd".starts_with(plan) => row.plan.rank > 0,
            Self::Plan(plan) => row.plan.to_string().contains(plan),
            Self::Type(dtype) => format!("{:?}", row.layer.dtype).to_lowercase().starts_with(dtype),
            Self::Is(state) => is(row, state),
            Self::Figure(figure, comparison, limit) => {
                figure.value(row).is_some_and(|value| comparison.holds(value, *limit))
            }
        }
    }
}

/// Whether a layer is what a state, or the beginning of its name, says.
fn is(row: &LayerRow, state: &str) -> bool {
    match STATES.into_iter().find(|name| name.starts_with(state)) {
        Some("changed") => !row.plan.is_dense(),
        Some("dense") => row.plan.is_dense(),
        Some("low-rank") => row.plan.rank > 0 && row.plan.base == Base::None,
        Some("weighted") => row.plan.needs_statistics(),
        Some("pillar") => row.damage.is_some_and(|damage| damage.is_pillar()),
        Some("failed") => matches!(row.measured, Measured::Failed(_)),
        _ => false,
    }
}

/// Words that the last one of a query may become, best first; none where it is whole.
pub fn offers(text: &str, rows: &[LayerRow]) -> Vec<String> {
    let word = text.rsplit(char::is_whitespace).next().unwrap_or_default().to_lowercase();
    let all: Vec<String> = if let Some((key, _)) = word.split_once(':') {
        values(key, rows).into_iter().map(|value| format!("{key}:{value}")).collect()
    } else {
        let keys = KEYS.iter().map(|key| format!("{key}:"));
        let figures = FIGURES.iter().filter(|about| !about.query.is_empty() && !KEYS.contains(&about.query));
        keys.chain(figures.map(|about| format!("{}>", about.query))).collect()
    };
    all.into_iter().filter(|one| one.starts_with(&word) && *one != word).take(OFFERED).collect()
}

fn values(key: &str, rows: &[LayerRow]) -> Vec<String> {
    let mut found: Vec<String> = match key {
        "kind" => rows.iter().map(|row| row.layer.kind.name().to_owned()).collect(),
        "type" => rows.iter().map(|row| format!("{:?}", row.layer.dtype).to_lowercase()).collect(),
        "plan" => ["svd", "int8", "int4", "dense"].map(str::to_owned).to_vec(),
        "is" => return STATES.map(str::to_owned).to_vec(),
        _ => Vec::new(),
    };
    found.sort_unstable();
    found.dedup();
    found
}

/// A query with its last word completed: by the offer that follows the one it is, so that asking again goes through them.
pub fn completed(text: &str, offers: &[String]) -> Option<String> {
    let offer = offers.first()?;
    let start = text.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    Some(format!("{}{offer}", text.get(..start)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Dtype;
    use crate::compress::Plan;
    use crate::model::{Kind, Layer};

    fn row(kind: Kind, block: usize, plan: Plan) -> LayerRow {
        let layer = Layer {
            name: format!("h.{block}.{}.weight", kind.name()),
            tensor: "t".into(),
            block: Some(block),
            kind,
            rows: 64,
            cols: 64,
            dtype: Dtype::F16,
            bytes: 8192,
            fixed: false,
            transposed: false,
            part: None,
        };
        LayerRow::new(layer, plan)
    }

    fn admitted(query: &str) -> Vec<String> {
        let rows = [
            row(Kind::Q, 0, Plan::dense()),
            row(Kind::K, 4, Plan::low_rank(8)),
            row(Kind::K, 9, Plan { base: Base::Int8, ..Plan::dense() }),
        ];
        let filter = Filter::parse(query);
        rows.iter().filter(|row| filter.admits(row)).map(|row| row.layer.name.replace(".weight", "")).collect()
    }

    #[test]
    fn conditions_combine() {
        assert_eq!(admitted(""), ["h.0.q", "h.4.k", "h.9.k"]);
        assert_eq!(admitted("kind:k block:4..8"), ["h.4.k"]);
        assert_eq!(admitted("kind:q,k block:4-"), ["h.4.k", "h.9.k"]);
        assert_eq!(admitted("plan:svd"), ["h.4.k"]);
        assert_eq!(admitted("plan:int8 h.9"), ["h.9.k"]);
        assert_eq!(admitted("is:dense"), ["h.0.q"]);
        assert_eq!(admitted("type:f16 is:ch"), ["h.4.k", "h.9.k"]);
    }

    #[test]
    fn figures_are_compared_with_units() {
        assert_eq!(admitted("rank>=8"), ["h.4.k"]);
        assert_eq!(admitted("after<2kB"), ["h.4.k"]);
        assert_eq!(admitted("share=12.5%"), ["h.4.k"]);
        assert_eq!(admitted("saved>0"), ["h.4.k", "h.9.k"]);
        assert_eq!(admitted("error>0.5"), Vec::<String>::new(), "no error is known of them");
        assert_eq!(admitted("error<=0"), ["h.0.q"]);
    }

    #[test]
    fn half_typed_conditions_hide_nothing() {
        for half in ["kind:", "block:", "rank>", "rank>x", "error<"] {
            assert_eq!(admitted(half).len(), 3, "{half}");
        }
        assert!(admitted("nothing:such").is_empty());
    }

    #[test]
    fn the_last_word_is_completed() {
        let rows = [row(Kind::Q, 0, Plan::dense()), row(Kind::K, 1, Plan::dense())];
        assert_eq!(offers("block:3 ki", &rows), ["kind:"]);
        assert_eq!(offers("kind:", &rows), ["kind:k", "kind:q"]);
        assert_eq!(offers("er", &rows), ["error>"]);
        assert_eq!(completed("block:3 ki", &offers("block:3 ki", &rows)).as_deref(), Some("block:3 kind:"));
        assert!(offers("kind:k", &rows).is_empty());
        assert_eq!(offers("", &rows).len(), OFFERED);
    }
}
