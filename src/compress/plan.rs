//! How one layer is stored and run: W ~ base + U Vh.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// Group length of an INT4 base where a rule names none (docs/formats.md, "The policy file").
const INT4_GROUP: usize = 32;

/// The base of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    /// No base: the low-rank part is all.
    None,
    /// As the checkpoint has it.
    #[default]
    Dense,
    /// INT8, one scale a row (or a group).
    Int8,
    /// INT4 in groups of 32 (or others), each with the scale of least error.
    Int4,
}

/// Number format of the factors U and Vh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Factors {
    /// IEEE single.
    F32,
    /// IEEE half.
    F16,
    /// Symmetric INT8, one scale a row of each factor.
    #[default]
    Int8,
}

/// What the approximation minimises the error of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weighting {
    /// The weight itself.
    #[default]
    Plain,
    /// The layer's output over calibration inputs.
    Activations,
}

/// A layer's plan, with its rank as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Plan {
    /// The base.
    pub base: Base,
    /// Rank of U Vh; 0: no low-rank part.
    pub rank: usize,
    /// Format of the factors.
    pub factors: Factors,
    /// Group length of a quantized base along the input; `None`: one scale a row for INT8, groups of 32 for INT4.
    pub group: Option<usize>,
    /// What is minimised.
    pub weighting: Weighting,
    /// Multiply the low-rank part by `||E|| / ||E_r||` before quantization.
    pub norm_correction: bool,
    /// Refit U after Vh is quantized.
    pub refit: bool,
}

/// How many words a plan is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wording {
    /// As few letters as tell it from others: `int4/64 + r12 int8 act refit`.
    #[default]
    Short,
    /// The same in words: `int4/64 + rank 12 int8, weighted, refitted`.
    Plain,
    /// Such that it needs no key: `int4 in groups of 64 + rank 12 in int8, weighted by inputs, U refitted`.
    Full,
}

impl Wording {
    /// From the shortest to the longest.
    pub const ALL: [Self; 3] = [Self::Short, Self::Plain, Self::Full];
}

impl Plan {
    /// The layer as it is.
    pub fn dense() -> Self {
        Self::default()
    }

    /// Classic: no base, rank `rank`, INT8 factors.
    pub fn low_rank(rank: usize) -> Self {
        Self { base: Base::None, rank, ..Self::default() }
    }

    /// Whether the layer stays as it is.
    pub fn is_dense(&self) -> bool {
        self.base == Base::Dense && self.rank == 0
    }

    /// Bytes that W [rows, cols] takes as stored by this plan in the native layout, scales included; `dense` is what the
    /// layer takes as the checkpoint has it.
    pub fn bytes(&self, rows: usize, cols: usize, dense: u64) -> u64 {
        let (m, n) = (rows as u64, cols as u64);
        let groups = |group: usize| n.div_ceil(group.max(1) as u64);
        let base = match self.base {
            Base::None => 0,
            Base::Dense => dense,
            Base::Int8 => m * n + 4 * m * self.base_group().map_or(1, groups),
            Base::Int4 => m * n.div_ceil(2) + 2 * m * self.base_group().map_or(1, groups),
        };
        base + self.factor_bytes(m, n)
    }

    /// Whether its base is stored in INT8 or INT4.
    pub fn base_is_quantized(&self) -> bool {
        matches!(self.base, Base::Int8 | Base::Int4)
    }

    /// Group length of the base's scales along the input; `None`: one a row, or a base without scales.
    pub fn base_group(&self) -> Option<usize> {
        match self.base {
            Base::None | Base::Dense => None,
            Base::Int8 => self.group,
            Base::Int4 => Some(self.group.unwrap_or(INT4_GROUP)),
        }
    }

    /// Bytes of U and Vh.
    fn factor_bytes(&self, m: u64, n: u64) -> u64 {
        let r = self.rank as u64;
        match self.factors {
            _ if r == 0 => 0,
            Factors::F32 => 4 * r * (m + n),
            Factors::F16 => 2 * r * (m + n),
            Factors::Int8 => r * (m + n) + 4 * (m + r),
        }
    }

    /// This plan without the settings that change nothing: those of factors where there are none, the group of a base that
    /// is not quantized, a group that is what is meant without one.
    #[must_use]
    pub fn normalized(self) -> Self {
        let usual = |group: &usize| self.base == Base::Int4 && *group == INT4_GROUP;
        let group = self.group.filter(|group| self.base_is_quantized() && !usual(group));
        if self.rank > 0 {
            return Self { group, ..self };
        }
        let weighting = if self.needs_statistics() { self.weighting } else { Weighting::Plain };
        Self { base: self.base, group, weighting, ..Self::default() }
    }

    /// Whether it needs the statistics of a layer's inputs: factors or INT4 scales weighted by activations.
    pub fn needs_statistics(&self) -> bool {
        self.weighting == Weighting::Activations && (self.rank > 0 || self.base == Base::Int4)
    }

    /// In words that need no key: `int4 in groups of 128 + rank 12 in int8, weighted by inputs, U refitted`.
    pub fn in_words(&self) -> String {
        self.told(Wording::Full)
    }

    /// In more or fewer words.
    pub fn told(&self, wording: Wording) -> String {
        let group = match wording {
            Wording::Full => self.base_group().map(|group| format!(" in groups of {group}")),
            _ => self.group.filter(|_| self.base_is_quantized()).map(|group| format!("/{group}")),
        };
        let base = match self.base {
            Base::None => None,
            Base::Dense => Some(if wording == Wording::Full { "dense, as stored" } else { "dense" }),
            Base::Int8 => Some("int8"),
            Base::Int4 => Some("int4"),
        };
        let factors = match self.factors {
            Factors::F32 => "f32",
            Factors::F16 => "f16",
            Factors::Int8 => "int8",
        };
        let [rank, weighted, corrected, refitted] = match wording {
            Wording::Short => ["r", " act", " nc", " refit"],
            Wording::Plain => ["rank ", ", weighted", ", norm corrected", ", refitted"],
            Wording::Full => ["rank ", ", weighted by inputs", ", norm corrected", ", U refitted"],
        };
        let within = if wording == Wording::Full { "in " } else { "" };
        let low_rank = (self.rank > 0).then(|| format!("{rank}{} {within}{factors}", self.rank));
        let base = base.map(|base| format!("{base}{}", group.unwrap_or_default()));
        let parts: Vec<String> = base.into_iter().chain(low_rank).collect();
        let notes = [
            (self.weighting == Weighting::Activations, weighted),
            (self.norm_correction, corrected),
            (self.refit, refitted),
        ];
        notes.into_iter().filter(|(there, _)| *there).fold(parts.join(" + "), |text, (_, note)| text + note)
    }

    /// Why no layer can be stored so, in one line that says what to do; `None` where it can.
    pub fn meaningless(&self) -> Option<&'static str> {
        match (self.base, self.rank) {
            (Base::None, 0) => Some("base none without a rank stores nothing; give a rank or another base"),
            (Base::Dense, 1..) => Some("base dense has nothing left for a rank to correct; leave out one of the two"),
            _ => None,
        }
    }
}

/// The form that [`fmt::Display`] gives.
impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Short form for tables and JSON: `dense`, `int8`, `int8/64`, `r48 int8`, `int8 + r32 f16`; then ` act` where weighted by
/// activations, ` nc` for norm correction, ` refit`.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told(Wording::Short))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_table() {
        let int8 = Plan { base: Base::Int8, ..Plan::dense() };
        assert_eq!(Plan::dense().bytes(6, 10, 240), 240);
        assert_eq!(Plan::low_rank(3).bytes(6, 10, 240), 6 * 3 + 4 * 6 + 3 * 10 + 4 * 3);
        assert_eq!(Plan { factors: Factors::F16, ..Plan::low_rank(3) }.bytes(6, 10, 240), 2 * 3 * 16);
        assert_eq!(Plan { factors: Factors::F32, ..Plan::low_rank(3) }.bytes(6, 10, 240), 4 * 3 * 16);
        assert_eq!(int8.bytes(6, 10, 240), 60 + 24);
        assert_eq!(Plan { group: Some(4), ..int8 }.bytes(6, 10, 240), 60 + 4 * 6 * 3);
        assert_eq!(Plan { rank: 2, ..int8 }.bytes(6, 10, 240), 84 + 2 * 16 + 4 * 8);
        assert_eq!(Plan { base: Base::Int4, ..Plan::dense() }.bytes(6, 9, 240), 6 * 5 + 2 * 6);
    }

    #[test]
    fn the_short_form_names_what_differs() {
        let corrected = Plan { base: Base::Int8, group: Some(64), norm_correction: true, ..Plan::low_rank(32) };
        assert_eq!(Plan::dense().to_string(), "dense");
        assert_eq!(Plan::low_rank(48).to_string(), "r48 int8");
        assert_eq!(corrected.to_string(), "int8/64 + r32 int8 nc");
        assert_eq!(serde_json::to_value(corrected).unwrap(), "int8/64 + r32 int8 nc");
    }

    #[test]
    fn in_words_nothing_is_abbreviated() {
        let corrected = Plan { base: Base::Int4, refit: true, weighting: Weighting::Activations, ..Plan::low_rank(12) };
        assert_eq!(corrected.in_words(), "int4 in groups of 32 + rank 12 in int8, weighted by inputs, U refitted");
        let corrected = Plan { base: Base::Int8, group: Some(64), norm_correction: true, ..Plan::low_rank(8) };
        assert_eq!(corrected.in_words(), "int8 in groups of 64 + rank 8 in int8, norm corrected");
        let plain = [Plan::dense(), Plan::low_rank(48), Plan { base: Base::Int8, ..Plan::dense() }];
        assert_eq!(plain.map(|plan| plan.in_words()), ["dense, as stored", "rank 48 in int8", "int8"]);
    }

    #[test]
    fn between_short_and_long_what_is_abbreviated_is_a_word() {
        let corrected = Plan { base: Base::Int4, refit: true, weighting: Weighting::Activations, ..Plan::low_rank(12) };
        assert_eq!(corrected.told(Wording::Plain), "int4 + rank 12 int8, weighted, refitted");
        assert_eq!(corrected.told(Wording::Short), "int4 + r12 int8 act refit");
        let grouped = Plan { group: Some(64), norm_correction: true, ..corrected };
        assert_eq!(grouped.told(Wording::Plain), "int4/64 + rank 12 int8, weighted, norm corrected, refitted");
        assert_eq!(Plan::dense().told(Wording::Plain), "dense");
    }

    #[test]
    fn settings_that_change_nothing_are_dropped() {
        let idle = Plan { group: Some(8), factors: Factors::F16, norm_correction: true, ..Plan::dense() };
        assert_eq!(idle.normalized(), Plan::dense());
        let used = Plan { base: Base::Int8, ..idle };
        assert_eq!(used.normalized(), Plan { base: Base::Int8, group: Some(8), ..Plan::dense() });
        assert_eq!(Plan { rank: 3, ..used }.normalized(), Plan { rank: 3, ..used });
        let int4 = Plan { base: Base::Int4, ..Plan::dense() };
        assert_eq!(Plan { group: Some(32), ..int4 }.normalized(), int4);
        assert_eq!(Plan { group: Some(64), ..int4 }.normalized().group, Some(64));
        // The search for INT4 scales is weighted too.
        let weighted = Plan { weighting: Weighting::Activations, ..int4 };
        assert_eq!(weighted.normalized(), weighted);
        assert_eq!(Plan { base: Base::Int8, ..weighted }.normalized().weighting, Weighting::Plain);
    }
}
