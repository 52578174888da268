//! The columns of the table: how they sort, and what they show.

use std::cmp::Ordering;

use super::action::Action;
use super::figure::Figure;
use super::format;
use crate::checkpoint::escaped;
use crate::compress::Wording;
use crate::measure::Notation;
use crate::workbench::{Damage, LayerRow, Measured};

/// A column of the layers' table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Column {
    /// Block index; sorting by it is the model's order.
    #[default]
    Block,
    /// What the layer does.
    Kind,
    /// [out, in].
    Shape,
    /// Type as stored.
    Type,
    /// The plan.
    Plan,
    /// The rank as a share of the largest: the plan names the rank itself.
    Rank,
    /// Bytes in the checkpoint.
    Before,
    /// Bytes under the plan.
    After,
    /// Predicted weight error.
    Predicted,
    /// Measured weight error.
    Measured,
    /// Error of the output, where input statistics are known.
    Output,
    /// KLD of this layer alone, where a scan measured it.
    Damage,
    /// The spectrum in small; sorts by stable rank.
    Spectrum,
    /// The tensor's name.
    Name,
}

impl Column {
    /// All, from left to right.
    pub const ALL: [Self; 14] = [
        Self::Block,
        Self::Kind,
        Self::Shape,
        Self::Type,
        Self::Plan,
        Self::Rank,
        Self::Before,
        Self::After,
        Self::Predicted,
        Self::Measured,
        Self::Output,
        Self::Damage,
        Self::Spectrum,
        Self::Name,
    ];

    /// Its head.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Block => "blk",
            Self::Kind => "kind",
            Self::Shape => "shape",
            Self::Type => "type",
            Self::Plan => "plan",
            Self::Rank => "rank",
            Self::Before => "before",
            Self::After => "after",
            Self::Predicted => "pred",
            Self::Measured => "error",
            Self::Output => "output",
            Self::Damage => "KLD",
            Self::Spectrum => "spectrum",
            Self::Name => "tensor",
        }
    }

    /// Its head where there is room for it.
    pub const fn long_title(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Rank => "rank share",
            Self::Predicted => "predicted",
            Self::Output => "output error",
            Self::Damage => "KLD alone",
            other => other.title(),
        }
    }

    /// Its name in sentences.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Block => "model order",
            Self::Rank => "rank share",
            Self::Before => "bytes before",
            Self::After => "bytes after",
            Self::Predicted => "predicted error",
            Self::Measured => "measured error",
            Self::Output => "output error",
            Self::Damage => "KLD alone",
            Self::Spectrum => "stable rank",
            Self::Name => "tensor name",
            other => other.title(),
        }
    }

    /// Whether it sorts by the text that it shows.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Type | Self::Plan)
    }

    /// Whether it holds numbers, which stand on the right.
    pub const fn is_number(self) -> bool {
        matches!(
            self,
            Self::Block
                | Self::Shape
                | Self::Rank
                | Self::Before
                | Self::After
                | Self::Predicted
                | Self::Measured
                | Self::Output
                | Self::Damage
        )
    }

    /// The figure that it shows.
    pub const fn figure(self) -> Figure {
        match self {
            Self::Block => Figure::Block,
            Self::Kind => Figure::Kind,
            Self::Shape => Figure::Shape,
            Self::Type => Figure::Type,
            Self::Plan => Figure::Plan,
            Self::Rank => Figure::RankShare,
            Self::Before => Figure::Before,
            Self::After => Figure::After,
            Self::Predicted => Figure::Predicted,
            Self::Measured => Figure::Error,
            Self::Output => Figure::Output,
            Self::Damage => Figure::Kld,
            Self::Spectrum => Figure::StableRank,
            Self::Name => Figure::Name,
        }
    }

    /// The column `by` places to the right among `columns`, round the ends.
    #[must_use]
    pub fn stepped(self, columns: &[Self], by: isize) -> Self {
        let here = columns.iter().position(|column| *column == self).unwrap_or_default();
        let there = (here.cast_signed() + by).rem_euclid(columns.len().max(1).cast_signed());
        columns.get(there.cast_unsigned()).copied().unwrap_or_default()
    }

    /// Whether it says something of this layer.
    pub fn knows(self, row: &LayerRow) -> bool {
        match self {
            Self::Rank => row.plan.rank > 0,
            Self::Predicted => row.predicted.is_some() && !row.plan.is_dense(),
            Self::Measured => error(row).is_some() && !row.plan.is_dense(),
            Self::Output => row.output_error.is_some(),
            Self::Damage => row.damage.is_some(),
            Self::Spectrum => row.spectrum.is_some(),
            _ => true,
        }
    }

    /// What fills it, where it is empty at first: the command, and what that does.
    pub const fn filled_by(self) -> Option<(Action, &'static str)> {
        match self {
            Self::Rank | Self::Predicted | Self::Measured => Some((Action::Compress, "compresses one")),
            Self::Output => Some((Action::Calibrate, "computes what they read")),
            Self::Damage => Some((Action::TryAlone, "tries each of them")),
            _ => None,
        }
    }

    /// How its figures are written, where they are shares or KLDs, so that all of them can be compared at a glance.
    pub fn notation(self, values: impl Iterator<Item = f64>) -> Notation {
        self.figure().notation(values)
    }

    /// What the table shows (the spectrum's sparkline is drawn elsewhere), in the notation of the column.
    pub fn cell(self, row: &LayerRow, notation: Notation) -> String {
        let layer = &row.layer;
        match self {
            Self::Block => layer.block.map_or_else(|| "·".to_owned(), |block| block.to_string()),
            Self::Kind => layer.kind.name().to_owned(),
            Self::Shape => format!("{}×{}", layer.rows, layer.cols),
            Self::Type => format!("{:?}", layer.dtype).to_lowercase(),
            Self::Plan => plan(row, Wording::Short),
            Self::Rank if row.plan.rank == 0 => "·".to_owned(),
            Self::Rank => notation.write(rank_share(row)),
            Self::Before => format::bytes(layer.bytes),
            Self::After => format::bytes(row.bytes_after),
            Self::Predicted => match row.predicted {
                Some(_) if row.plan.is_dense() => "·".to_owned(),
                Some(error) => notation.write(error),
                None => "·".to_owned(),
            },
            Self::Measured => match &row.measured {
                Measured::Exact => "·".to_owned(),
                Measured::Pending => "…".to_owned(),
                Measured::Unknown => "?".to_owned(),
                Measured::Error(error) => notation.write(*error),
                Measured::Failed(_) => "failed".to_owned(),
            },
            Self::Output => row.output_error.map_or_else(|| "·".to_owned(), |error| notation.write(error)),
            Self::Damage => row.damage.as_ref().map_or_else(|| "·".to_owned(), |known| damage(known, notation)),
            Self::Spectrum => String::new(),
            Self::Name => escaped(&layer.name, 120),
        }
    }

    /// What the table shows of a row that stands by itself.
    pub fn plain_cell(self, row: &LayerRow) -> String {
        self.cell(row, self.notation(self.figure().value(row).into_iter())).trim_end().to_owned()
    }

    /// How two rows that both have a figure stand to each other in this column.
    pub fn order(self, a: &LayerRow, b: &LayerRow) -> Ordering {
        match self {
            Self::Block => Ordering::Equal,
            Self::Kind => a.layer.kind.cmp(&b.layer.kind),
            Self::Shape => a.layer.parameters().cmp(&b.layer.parameters()),
            Self::Type | Self::Plan => self.plain_cell(a).cmp(&self.plain_cell(b)),
            Self::Rank => rank_share(a).total_cmp(&rank_share(b)),
            Self::Before => a.layer.bytes.cmp(&b.layer.bytes),
            Self::After => a.bytes_after.cmp(&b.bytes_after),
            Self::Predicted => figure(a.predicted).total_cmp(&figure(b.predicted)),
            Self::Measured => figure(error(a)).total_cmp(&figure(error(b))),
            Self::Output => figure(a.output_error).total_cmp(&figure(b.output_error)),
            Self::Damage => figure(kld(a)).total_cmp(&figure(kld(b))),
            Self::Spectrum => figure(stable_rank(a)).total_cmp(&figure(stable_rank(b))),
            Self::Name => a.layer.name.cmp(&b.layer.name),
        }
    }
}

/// A layer's plan; `∎` after one that the checkpoint fixes.
pub fn plan(row: &LayerRow, wording: Wording) -> String {
    let plan = row.plan.told(wording);
    if row.layer.fixed { format!("{plan} ∎") } else { plan }
}

/// A layer's name without what all names end in.
pub fn tensor(row: &LayerRow) -> String {
    short(&Column::Name.plain_cell(row))
}

/// The name of a tensor without that ending.
pub fn short(name: &str) -> String {
    match name.rsplit_once(".weight") {
        Some((stem, part)) if part.is_empty() || part.starts_with('#') => format!("{stem}{part}"),
        _ => name.to_owned(),
    }
}

fn figure(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::INFINITY)
}

fn kld(row: &LayerRow) -> Option<f64> {
    row.damage.map(|damage| damage.kld)
}

/// A KLD as the table and the map show it: `!` before that of a pillar, `~` before one of other plans than now.
pub fn damage(damage: &Damage, notation: Notation) -> String {
    let (mark, stale) = (if damage.is_pillar() { "!" } else { "" }, if damage.stale { "~" } else { "" });
    format!("{mark}{stale}{}", notation.write(damage.kld))
}

fn rank_share(row: &LayerRow) -> f64 {
    Figure::RankShare.value(row).unwrap_or_default()
}

fn stable_rank(row: &LayerRow) -> Option<f64> {
    row.spectrum.as_ref().map(|spectrum| spectrum.stable_rank)
}

/// The error to show for a row: measured where known, else predicted.
pub fn error(row: &LayerRow) -> Option<f64> {
    match row.measured {
        Measured::Exact => Some(0.0),
        Measured::Error(error) => Some(error),
        Measured::Pending | Measured::Unknown | Measured::Failed(_) => row.predicted,
    }
}
